"""Commands on the labels of a search."""
