"""Find searches and ensembles of the record by the names that people type."""
