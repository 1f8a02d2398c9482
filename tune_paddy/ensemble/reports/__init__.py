"""What people read about an ensemble: terminal, HTML, MLflow, figures."""
