"""Targets from an earlier search: soft labels and pseudo-labels."""
