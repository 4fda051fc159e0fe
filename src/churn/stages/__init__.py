"""The three stages of dvc.yaml, each a module that reads, calls, writes and records."""
