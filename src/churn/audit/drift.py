"""Checks for drift of the churn rate, and for dates without a split by time."""

from collections.abc import Iterator

import numpy as np
from scipy.special import chdtrc

from churn.audit.correlation import ranks
from churn.audit.view import AuditFinding, AuditView

BLOCKS = 10
ROWS_PER_BLOCK = 20
CHANCE_OF_DRIFT = 1e-6
DRIFT_FACTOR = 2.0
DRIFT_POINTS = 0.10


def rate_drifts(view: AuditView) -> Iterator[AuditFinding]:
    """Find a churn rate that drifts with the position in the file or with a date column."""
    orders = {"": view.audited.places.astype(np.float64), **view.audited.times}
    for name, order in orders.items():
        known = ~np.isnan(order)
        churned = view.audited.churned[known]
        count = min(BLOCKS, len(churned) // ROWS_PER_BLOCK)
        if count < 2:
            continue
        # Rows with equal times are in the same block.
        middle = ranks(order[known]) - 0.5
        block = np.unique(np.floor(middle * count / len(churned)), return_inverse=True)[1]
        size = np.bincount(block)
        rate = np.bincount(block, churned) / size
        overall = churned.mean()
        if len(size) < 2 or overall in (0, 1):
            continue
        chi_squared = float(np.sum(size * (rate - overall) ** 2) / (overall * (1 - overall)))
        chance = float(chdtrc(len(size) - 1, chi_squared)) * len(orders)
        apart = rate.max() > DRIFT_FACTOR * rate.min() or rate.max() - rate.min() > DRIFT_POINTS
        if chance < CHANCE_OF_DRIFT and apart:
            through = f"by {name}" if name else "by position in the file"
            evidence = (
                f"churn rate of training rows ordered {through}: {rate[0]:.1%} in the first block, {rate[-1]:.1%} in "
                f"the last (lowest {rate.min():.1%}, highest {rate.max():.1%} of {len(size)} blocks)"
            )
            yield AuditFinding("rate_drifts", "warn", (name,) if name else (), evidence)


def time_without_time_split(view: AuditView) -> Iterator[AuditFinding]:
    """Find date columns in a table that is not split by time."""
    times = tuple(view.audited.times)
    if times and not view.by_time:
        evidence = "the table has dates, but the split is not by time (preprocess.split.by)"
        yield AuditFinding("time_without_time_split", "warn", times, evidence)
