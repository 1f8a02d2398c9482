"""MLflow servers and database servers: failures that pass, health, and runs that are created once."""
