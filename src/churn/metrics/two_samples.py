"""Tests for a difference between a reference and new rows, from counts; all are valid at very small levels.

A monitor that may raise one false alarm a year tests each column at levels near 1e-5, where a test that is only
approximately valid at 0.05 can be wrong by a large factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact, kstwo, mannwhitneyu

from churn.types import Floats, Labels

FEWEST_EXPECTED = 5.0
"""Fewest expected rows of a label in the chi-squared test (Cochran 1954, Biometrics 10); rarer labels are pooled."""


@dataclass(frozen=True)
class TwoSampleTest:
    """The outcome of a test.

    Attributes:
        statistic: of the test.
        p_value: probability of a statistic at least as large without a difference.
        shift: size of the difference, 0 to 1, comparable between large and small samples.
    """

    statistic: float
    p_value: float
    shift: float


NO_DIFFERENCE = TwoSampleTest(0.0, 1.0, 0.0)


def kolmogorov_smirnov(reference: Labels, new: Labels) -> TwoSampleTest:
    """Largest distance between two distributions of a number; the shift is that distance.

    Arguments are rows at or below each of the same thresholds, the last of which may be infinity. Between thresholds
    the distance can only be larger, so the p-value is an upper bound.
    """
    rows, new_rows = int(reference[-1]), int(new[-1])
    if not rows or not new_rows:
        return NO_DIFFERENCE
    distance = float(np.max(np.abs(reference / rows - new / new_rows)))
    effective = rows * new_rows / (rows + new_rows)
    # As scipy.stats.ks_2samp computes it for large samples.
    p_value = float(np.clip(kstwo.sf(distance, max(round(effective), 1)), 0, 1))
    return TwoSampleTest(distance, p_value, distance)


def chi_squared(reference: Labels, new: Labels) -> TwoSampleTest:
    """Difference between two distributions of a label; the shift is the total variation distance.

    Arguments are rows of each label, in the same order.
    """
    if not reference.sum() or not new.sum():
        return NO_DIFFERENCE
    table = _pool_rare(np.array([reference, new]))
    shift = float(np.abs(reference / reference.sum() - new / new.sum()).sum() / 2)
    if table.shape[1] < 2:
        return TwoSampleTest(0.0, 1.0, shift)
    found = chi2_contingency(table, correction=False)
    return TwoSampleTest(float(found.statistic), float(found.pvalue), shift)


def _pool_rare(table: Labels) -> Labels:
    """Merge labels, rarest first, until each has FEWEST_EXPECTED expected rows in both samples."""
    table = table[:, np.argsort(table.sum(axis=0), kind="stable")]
    table = table[:, table.sum(axis=0) > 0]
    smaller = table.sum(axis=1).min() / table.sum()
    expected = table.sum(axis=0).cumsum() * smaller
    pooled = int(np.searchsorted(expected, FEWEST_EXPECTED)) + 1
    if pooled >= table.shape[1]:
        pooled = table.shape[1]
    merged: Labels = np.column_stack([table[:, :pooled].sum(axis=1), table[:, pooled:]])
    return merged


def difference_of_rates(hits: int, rows: int, new_hits: int, new_rows: int, *, only_higher: bool) -> TwoSampleTest:
    """Fisher's exact test of two rates; `only_higher`: a lower new rate is no difference. The shift is in the rate."""
    if not rows or not new_rows:
        return NO_DIFFERENCE
    change = new_hits / new_rows - hits / rows
    table = [[new_hits, new_rows - new_hits], [hits, rows - hits]]
    p_value = float(fisher_exact(table, alternative="greater" if only_higher else "two-sided").pvalue)
    return TwoSampleTest(change, p_value, max(change, 0.0) if only_higher else abs(change))


def told_apart(reference: Floats, new: Floats) -> TwoSampleTest:
    """Whether a classifier's scores are higher for new rows than for those of the reference, neither seen by it.

    The statistic is the ROC-AUC; the shift is its distance from 0.5, doubled. One-sided Mann-Whitney test.
    """
    found = mannwhitneyu(new, reference, alternative="greater", method="asymptotic")
    area = float(found.statistic) / (len(reference) * len(new))
    return TwoSampleTest(area, float(found.pvalue), max(2 * area - 1, 0.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979, Scandinavian Journal of Statistics 6), in the same order."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected
