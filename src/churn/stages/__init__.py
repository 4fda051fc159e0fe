"""The three stages of dvc.yaml, one module for each."""
