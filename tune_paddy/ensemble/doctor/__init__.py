"""Label doctor: suspect labels of a search, as a page to look at and a table to edit."""
