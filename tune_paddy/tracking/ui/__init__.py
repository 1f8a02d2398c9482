"""MLflow's server, and the layout of its pages."""
