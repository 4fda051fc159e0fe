"""Predictions: those that states were judged by, and those that the service has logged."""
