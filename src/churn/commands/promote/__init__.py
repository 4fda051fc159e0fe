"""`churn promote` and `churn rollback`: which registered model is the champion."""
