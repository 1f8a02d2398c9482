"""Progress of long work: what library code reports, and how a terminal, a notebook or a log shows it."""
