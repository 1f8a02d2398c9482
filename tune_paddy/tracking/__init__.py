"""The record: the only place that knows MLflow's tracking API.

Importing this package does not import MLflow; the first call of `open_store` does.
"""
