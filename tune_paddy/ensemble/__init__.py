"""After the search: load the pool, select, blend, report, write the submission; without torch."""
