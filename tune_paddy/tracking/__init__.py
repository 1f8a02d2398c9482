"""The record: the only place that knows MLflow's tracking API."""
