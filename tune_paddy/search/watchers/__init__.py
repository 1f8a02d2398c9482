"""Watchers of a running search: progress table, live ensemble, weights files, open members."""
