"""`churn promote` and `churn rollback`: choose the registered model that is the champion."""
