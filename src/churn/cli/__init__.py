"""The `churn` command: parses options and prints; the work is in `commands` and below."""
