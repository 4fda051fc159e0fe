"""What the `churn` command does: one module or package a command, by its name."""
