"""After the search: load the pool, select, blend, report and write the submission, without torch."""
