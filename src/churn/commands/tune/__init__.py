"""`churn tune`: search for better parameters on training rows."""
