"""Ways to choose the views of an ensemble and their weights."""
