"""Metrics of predictions and decisions: scores, profit, intervals, and comparisons of two models."""
