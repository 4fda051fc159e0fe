"""`churn init`: examine another table, and write params.yaml for it."""
