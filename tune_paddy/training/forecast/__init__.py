"""Forecast a member's GPU memory without a GPU."""
