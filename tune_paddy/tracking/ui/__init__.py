"""MLflow's server and how its pages are laid out."""
