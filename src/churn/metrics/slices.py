"""Headline metrics of groups of customers (slices), with intervals that are valid for small groups."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from churn.config.economics import Economics
from churn.metrics.intervals import HIGH, LOW, Statistics, Z, wilson_interval
from churn.types import Floats, Labels


def slice_table(
    rows: pd.DataFrame,
    churned: Labels,
    probability: Floats,
    columns: Sequence[str],
    statistics: Statistics,
    intervals: Statistics,
) -> pd.DataFrame:
    """Metrics for each value of each column, with the number of customers; missing values form a slice.

    Interval bounds from `intervals` are added as columns ending in _low and _high.
    """
    table = []
    positions = pd.Series(range(len(rows)))
    for column in columns:
        for value, inside in positions.groupby(rows[column].to_numpy(), dropna=False):
            share = {"customers": len(inside), "churn_rate": float(churned[inside].mean())}
            figures = statistics(churned[inside], probability[inside])
            bounds = intervals(churned[inside], probability[inside])
            table.append({"column": column, "value": text_of(value), **share, **figures, **bounds})
    return pd.DataFrame(table) if table else pd.DataFrame(columns=["column", "value", "customers", "churn_rate"])


FEWEST_FOR_INTERVAL = 10
"""Minimum number of churners and of stayers in a slice for an interval of ROC-AUC, and of contacted churners and
stayers for an interval of profit. With fewer, intervals would be uninformative or too narrow."""


def slice_intervals(threshold: float, economics: Economics, *, resamples: int, seed: int) -> Statistics:
    """Function that computes bounds of 95% intervals within a slice; NaN where undefined.

    Shares: Wilson score interval, which keeps a positive width if a small slice has no hits. ROC-AUC: DeLong. Profit:
    bootstrap on counts. The last two are undefined below FEWEST_FOR_INTERVAL. All are fast for many rows.
    """

    def bounds(churned: Labels, probability: Floats) -> dict[str, float]:
        random = np.random.default_rng(seed)
        left, contacted = churned == 1, probability >= threshold
        figures = {
            "churn_rate": _share_interval(left),
            "precision": _share_interval(left[contacted]),
            "recall": _share_interval(contacted[left]),
            "roc_auc": roc_auc_interval(churned, probability),
            "profit_per_1000": _interval_of_profit(left, contacted, economics, resamples, random),
        }
        return {f"{name}_{end}": bound for name, ends in figures.items() for end, bound in zip(ENDS, ends, strict=True)}

    return bounds


ENDS = ("low", "high")
UNDEFINED = (float("nan"), float("nan"))


def _share_interval(hits: NDArray[np.bool_]) -> tuple[float, float]:
    if not len(hits):
        return UNDEFINED
    low, high = wilson_interval(pd.Series([hits.mean()]), pd.Series([len(hits)]))
    return float(low[0]), float(high[0])


def _interval_of_profit(
    left: NDArray[np.bool_],
    contacted: NDArray[np.bool_],
    economics: Economics,
    resamples: int,
    random: np.random.Generator,
) -> tuple[float, float]:
    if contacted.any() and min(np.sum(left & contacted), np.sum(~left & contacted)) < FEWEST_FOR_INTERVAL:
        return UNDEFINED
    outcomes = np.array([np.mean(left & contacted), np.mean(~left & contacted), np.mean(~contacted)])
    gain = np.array([economics.gain_from_churner, economics.gain_from_stayer, 0.0])
    drawn = random.multinomial(len(left), outcomes, size=resamples)
    low, high = np.percentile(1000 * drawn @ gain / len(left), [LOW, HIGH])
    return float(low), float(high)


def roc_auc_interval(churned: Labels, probability: Floats) -> tuple[float, float]:
    """Variance by DeLong et al. (1988, Biometrics 44); interval on the logit scale, so that it stays within 0 and 1."""
    left, stayed = probability[churned == 1], probability[churned == 0]
    if min(len(left), len(stayed)) < FEWEST_FOR_INTERVAL:
        return UNDEFINED
    ranks = rankdata(probability)
    of_churners = (ranks[churned == 1] - rankdata(left)) / len(stayed)
    of_stayers = 1 - (ranks[churned == 0] - rankdata(stayed)) / len(left)
    area = of_churners.mean()
    if not 0 < area < 1:
        return UNDEFINED
    deviation = np.sqrt(of_churners.var(ddof=1) / len(left) + of_stayers.var(ddof=1) / len(stayed))
    half = Z * deviation / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-half, half]))
    return float(low), float(high)


def text_of(value: object) -> str:
    """The value as text: 1 instead of 1.0, empty for a missing value."""
    if not isinstance(value, float):
        return str(value)
    return "" if np.isnan(value) else np.format_float_positional(value, trim="-")
