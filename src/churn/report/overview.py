"""The few figures that `dvc metrics diff`, the everyday screen, prints: what one chooses by, then what confirms it."""

from churn.report.content import ReportContent

# DVC goes through the names of a file in alphabetical order, and through files in none (it holds their paths in a
# set). So all of them stand in one file, and what a group is called decides where it comes.
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
"""Names of figures, by what they are for."""


def overview_of(results: ReportContent) -> dict[str, dict[str, float | None]]:
    """The figures of the screen by group, as the other files have them."""
    known = {**results.training, **results.test, **results.money}
    return {group: {name: known[name] for name in names} for group, names in GROUPS.items()}
