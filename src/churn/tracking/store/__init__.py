"""All that imports MLflow: rows, models, trials and the registry."""
