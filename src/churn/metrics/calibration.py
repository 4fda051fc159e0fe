"""Expected calibration error, its distribution under perfect calibration, and the calibration curve."""

import numpy as np
import pandas as pd

from churn.metrics.intervals import Interval, percentile_interval
from churn.types import Floats, Labels


def expected_calibration_error(churned: Labels, probability: Floats, bins: int) -> float:
    """Mean absolute difference between predicted and observed churn rate over groups of equal size by probability.

    It has no bootstrap interval: sampling noise increases the error, each resample adds noise again, so a percentile
    interval would lie above the estimate. `calibration_error_by_chance` gives the error expected from noise alone.
    """
    observed = _share_among_equals(churned, probability)
    groups = _groups_of_equal_size(probability, bins)
    return float(sum(abs(probability[group].sum() - observed[group].sum()) for group in groups) / len(churned))


def calibration_table(churned: Labels, probability: Floats, bins: int) -> pd.DataFrame:
    """Mean predicted probability and observed churn rate in groups of equal size, lowest probabilities first."""
    groups = _groups_of_equal_size(probability, bins)
    observed = _share_among_equals(churned, probability)
    return pd.DataFrame(
        {
            "predicted": [float(probability[group].mean()) for group in groups],
            "observed": [float(observed[group].mean()) for group in groups],
            "customers": [len(group) for group in groups],
        }
    )


def _share_among_equals(churned: Labels, probability: Floats) -> Floats:
    """Churn rate among customers with the same probability, so that the order of ties has no effect on groups."""
    _, group = np.unique(probability, return_inverse=True)
    share: Floats = (np.bincount(group, weights=churned) / np.bincount(group))[group]
    return share


def _groups_of_equal_size(probability: Floats, bins: int) -> list[Labels]:
    order = np.argsort(probability, kind="stable")
    return [group for group in np.array_split(order, bins) if len(group)]


def calibration_error_by_chance(probability: Floats, bins: int, *, resamples: int, seed: int) -> Interval:
    """Calibration error if the model is perfectly calibrated: mean and 95% interval over simulated outcomes."""
    random = np.random.default_rng(seed)
    values, equal = np.unique(probability, return_inverse=True)
    count = np.bincount(equal)
    groups = _groups_of_equal_size(probability, bins)
    members = np.concatenate(groups)
    starts = np.cumsum([0, *map(len, groups[:-1])])
    errors = []
    for _ in range(resamples):
        gap = values - random.binomial(count, values) / count
        errors.append(np.abs(np.add.reduceat(gap[equal][members], starts)).sum() / len(probability))
    return percentile_interval(float(np.mean(errors)), errors)
