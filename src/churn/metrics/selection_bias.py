"""What is left of a search's gain when the best is not judged by the customers that it was chosen by.

The best of many on the same customers is flattered by having been chosen. The bootstrap bias correction (BBC-CV) of
Tsamardinos, Greasidou and Borboudakis (2018), Machine Learning 107, draws customers, chooses the best on those drawn
and judges it on those not drawn. No model is fitted again: all are judged by what they said out of fold.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from churn.metrics.intervals import HIGH, LOW
from churn.types import Floats, Labels

WeightedValues = Callable[[Floats], Floats]
"""From how often each customer counts (one row a resample) to the value of each candidate (one column a candidate)."""

WEIGHTS_AT_ONCE = 2**23
"""Resamples times rows that are held in memory together."""


@dataclass(frozen=True)
class CorrectedGain:
    """Chosen minus present on customers that had no say in the choice: mean and 95 % interval over resamples."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def corrected_gain(
    weighted: WeightedValues, customer: Labels, *, resamples: int, seed: int, chosen_by: WeightedValues | None = None
) -> CorrectedGain:
    """Correct the gain of choosing among candidates of which the first is the present one.

    `customer` numbers each row's customer, who is drawn with all his rows. They are chosen by the value that is gained,
    or by another one, `chosen_by`. A resample in which a value is not defined (no churner in a fold) chooses none by
    it, or is left out.
    """
    random = np.random.default_rng(seed)
    at_once = max(1, min(resamples, WEIGHTS_AT_ONCE // len(customer)))
    parts = [
        _differences(chosen_by or weighted, weighted, _times_drawn(random, customer, min(at_once, resamples - start)))
        for start in range(0, resamples, at_once)
    ]
    differences = np.concatenate(parts)
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return CorrectedGain(float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(defined, [LOW, HIGH])
    return CorrectedGain(float(defined.mean()), float(low), float(high))


def _times_drawn(random: np.random.Generator, customer: Labels, resamples: int) -> Floats:
    """How often each row is drawn, one row of the result a resample."""
    customers = customer.max() + 1
    drawn = [np.bincount(random.integers(0, customers, customers), minlength=customers) for _ in range(resamples)]
    return np.array(drawn, dtype=np.float64)[:, customer]


def _differences(chosen_by: WeightedValues, weighted: WeightedValues, times: Floats) -> Floats:
    chosen = np.argmax(np.nan_to_num(chosen_by(times), nan=-np.inf), axis=1)
    unseen = weighted((times == 0).astype(np.float64))
    difference: Floats = unseen[np.arange(len(times)), chosen] - unseen[:, 0]
    return difference
