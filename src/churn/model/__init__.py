"""Encoding, estimators, cross-validation, the fitted decision pipeline, and scoring."""
