"""`churn monitor` and `churn outcomes`: watch a model before and after outcomes are known."""
