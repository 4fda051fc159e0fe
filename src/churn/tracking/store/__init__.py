"""The modules that import MLflow: runs of states, models, trials and the registry."""
