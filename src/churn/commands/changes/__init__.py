"""`churn changes`: differences between two states, as a pull-request comment."""
