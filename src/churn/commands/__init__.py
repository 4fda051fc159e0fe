"""The `churn` commands: one module or package for each."""
