"""Reports of an ensemble: terminal, HTML page, MLflow page, figures."""
