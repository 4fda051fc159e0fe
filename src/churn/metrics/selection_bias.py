"""Gain of a parameter search, corrected for selection bias.

The estimate for the best of many candidates is too high on the customers that it was selected on. The bootstrap bias
correction (BBC-CV) of Tsamardinos, Greasidou and Borboudakis (2018), Machine Learning 107, resamples customers, selects
the best candidate on those drawn and evaluates it on those not drawn. It uses out-of-fold predictions, without refits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from churn.metrics.intervals import HIGH, LOW
from churn.types import Floats, Labels

WeightedValues = Callable[[Floats], Floats]
"""Maps row weights, shape (resamples, rows), to the values of candidates, shape (resamples, candidates)."""

WEIGHTS_AT_ONCE = 2**23
"""Maximum of resamples times rows in memory at once."""


@dataclass(frozen=True)
class CorrectedGain:
    """Selected minus present candidate on customers not drawn: mean and 95% interval over resamples."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the gain is significant: the interval excludes zero."""
        return self.low > 0 or self.high < 0


def corrected_gain(
    weighted: WeightedValues, customer: Labels, *, resamples: int, seed: int, chosen_by: WeightedValues | None = None
) -> CorrectedGain:
    """Estimate the gain of the selected candidate over the first one, which is the present one.

    `customer` is the index of each row's customer; all rows of a customer are resampled together. Candidates are
    selected by `weighted`, or by `chosen_by` if given. A candidate whose selection value is undefined in a resample (no
    churner in a fold) is not selected there; a resample with an undefined gain is dropped.
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
    """How often each row is drawn, shape (resamples, rows)."""
    customers = customer.max() + 1
    drawn = [np.bincount(random.integers(0, customers, customers), minlength=customers) for _ in range(resamples)]
    return np.array(drawn, dtype=np.float64)[:, customer]


def _differences(chosen_by: WeightedValues, weighted: WeightedValues, times: Floats) -> Floats:
    chosen = np.argmax(np.nan_to_num(chosen_by(times), nan=-np.inf), axis=1)
    unseen = weighted((times == 0).astype(np.float64))
    difference: Floats = unseen[np.arange(len(times)), chosen] - unseen[:, 0]
    return difference
