"""The headline metrics of the test rows, and 95% intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.config.economics import Economics
from churn.metrics.profit import profit_per_customer
from churn.metrics.scores import decision_scores, probability_scores
from churn.types import Floats, Labels

LOW, HIGH = 2.5, 97.5  # percentiles of a 95% interval
Z = 1.959964  # normal quantile of a two-sided 95% interval

Statistics = Callable[[Labels, Floats], Mapping[str, float]]


def headline_scores(threshold: float, economics: Economics) -> Statistics:
    """Function that computes the headline metrics from outcomes and probabilities."""
    scores, money = score_statistics(threshold), money_statistics(threshold, economics)
    return lambda churned, probability: {**scores(churned, probability), **money(churned, probability)}


def score_statistics(threshold: float) -> Statistics:
    """Function that computes the headline scores."""

    def scores(churned: Labels, probability: Floats) -> dict[str, float]:
        return {
            **decision_scores(churned, probability >= threshold),
            "f1_at_half": decision_scores(churned, probability >= 0.5)["f1"],
            **probability_scores(churned, probability),
        }

    return scores


def money_statistics(threshold: float, economics: Economics) -> Statistics:
    """Function that computes the headline profits."""

    def money(churned: Labels, probability: Floats) -> dict[str, float]:
        everybody = np.ones(len(churned), dtype=bool)
        profit = 1000 * profit_per_customer(churned, probability >= threshold, economics)
        return {
            "profit_per_1000": profit,
            "profit_over_everybody_per_1000": profit - 1000 * profit_per_customer(churned, everybody, economics),
        }

    return money


@dataclass(frozen=True)
class Interval:
    """A metric on all rows, and its 95% interval."""

    value: float
    low: float
    high: float


def with_intervals(
    statistics: Statistics, churned: Labels, probability: Floats, *, resamples: int, seed: int
) -> dict[str, Interval]:
    """Percentile bootstrap over customers with the model fixed: sampling error of the test customers only."""
    random = np.random.default_rng(seed)
    values = statistics(churned, probability)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(resamples):
        rows = random.integers(0, len(churned), len(churned))
        for name, value in statistics(churned[rows], probability[rows]).items():
            drawn[name].append(value)
    return {name: percentile_interval(value, drawn[name]) for name, value in values.items()}


def percentile_interval(value: float, drawn: Sequence[float]) -> Interval:
    """95% percentile interval of the resampled values; NaN if all of them are NaN."""
    defined = np.array([one for one in drawn if not np.isnan(one)])
    if not len(defined):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(defined, [LOW, HIGH])
    return Interval(value, float(low), float(high))


def flatten(intervals: Mapping[str, Interval], prefix: str = "") -> dict[str, float]:
    """Write each interval as three keys: name, name_low, name_high."""
    table: dict[str, float] = {}
    for name, interval in intervals.items():
        table[f"{prefix}{name}"] = interval.value
        table[f"{prefix}{name}_low"] = interval.low
        table[f"{prefix}{name}_high"] = interval.high
    return table


def wilson_interval(share: pd.Series, count: pd.Series) -> Floats:
    """Wilson score intervals (95%) of shares, shape (2, n): lower and upper bounds (Wilson 1927, JASA 22)."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return np.array([middle - half, middle + half])
