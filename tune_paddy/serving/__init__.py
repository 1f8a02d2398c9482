"""The ensemble at work: exported as an MLflow model, served, asked by people, bundled for Kaggle."""
