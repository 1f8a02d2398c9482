"""What `tune-paddy predict` writes beside its table: summary, submission and contact sheet."""
