"""Files, text and processors, the same for every room."""
