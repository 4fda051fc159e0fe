"""The main metrics for `dvc metrics diff`: those for model selection first, then those for confirmation."""

from churn.report.content import ReportContent

# DVC sorts the metrics within a file by name but does not sort files (it keeps paths in a set). So all metrics are in
# one file, and the names of the groups determine their order.
GROUPS = {
    "choose": (
        "cv_roc_auc",
        "cv_pr_auc",
        "cv_log_loss",
        "train_profit_per_1000",
        "train_profit_per_1000_low",
        "threshold",
    ),
    "confirm": ("test_roc_auc", "test_pr_auc", "test_accuracy", "test_f1", "profit_per_1000", "test_ece"),
}
"""Names of metrics, by purpose."""


def overview_of(results: ReportContent) -> dict[str, dict[str, float | None]]:
    """The main metrics by group, equal to those in the other files."""
    known = {**results.training, **results.test, **results.money}
    return {group: {name: known[name] for name in names} for group, names in GROUPS.items()}
