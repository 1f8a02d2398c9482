"""Use an ensemble: export it as an MLflow model, serve it, predict with it, bundle it for Kaggle."""
