"""From customer columns to a decision: encoding, estimator, cross-validation, and the one fitted object."""
