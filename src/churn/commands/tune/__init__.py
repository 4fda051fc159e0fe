"""`churn tune`: a search for better arguments on training rows."""
