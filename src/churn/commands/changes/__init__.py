"""`churn changes`: what differs between two states, as a pull-request comment."""
