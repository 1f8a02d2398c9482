"""Soft labels and pseudo-labels of a search, from the record of an earlier one."""
