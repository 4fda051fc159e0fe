"""A reproducible customer-churn pipeline."""
