"""Metrics beyond the log loss and the error rate."""
