"""`python -m bench.portfolio`: the portfolio of `churn tune` beside 200 tuned trials and scikit-learn's default."""
