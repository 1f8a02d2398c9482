"""Methods that choose the views of an ensemble and their weights."""
