"""`churn init`: another table looked at, and params.yaml written for it."""
