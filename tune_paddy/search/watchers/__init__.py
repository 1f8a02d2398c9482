"""What watches a running search: progress, the live ensemble, disk space, open members."""
