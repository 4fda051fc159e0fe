"""A churn rate that moves through the file or with time, and dates that the split does not respect."""

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
    """A churn rate that changes along the file, or along a column of dates."""
    orders = {"": view.audited.places.astype(np.float64), **view.audited.times}
    for name, order in orders.items():
        known = ~np.isnan(order)
        churned = view.audited.churned[known]
        count = min(BLOCKS, len(churned) // ROWS_PER_BLOCK)
        if count < 2:
            continue
        # Rows of one time stay together.
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
            through = f"by {name}" if name else "by the place in the file"
            evidence = (
                f"of the training rows ordered {through}, {rate[0]:.1%} of the first block and {rate[-1]:.1%} of the "
                f"last are churners (lowest {rate.min():.1%}, highest {rate.max():.1%} of {len(size)} blocks)"
            )
            yield AuditFinding("rate_drifts", "warn", (name,) if name else (), evidence)


def time_without_time_split(view: AuditView) -> Iterator[AuditFinding]:
    """Dates in the table, while past and future are mixed."""
    times = tuple(view.audited.times)
    if times and not view.by_time:
        evidence = "the table has dates, but the split mixes past and future (preprocess.split.by)"
        yield AuditFinding("time_without_time_split", "warn", times, evidence)
