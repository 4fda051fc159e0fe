"""What predictions and decisions are worth: scores, money, intervals, and comparisons of two models."""
