"""The headline figures of groups of customers, with intervals that hold for small groups."""

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
    """The headline figures for each value of each column, a gap being one, with the count behind them.

    The bounds of those that `intervals` knows stand beside them, by name with _low and _high.
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
"""Churners and stayers that a slice needs for an interval of its ROC-AUC, and contacted ones of both for one of its
profit; of fewer it would say too little, or be too sure."""


def slice_intervals(threshold: float, economics: Economics, *, resamples: int, seed: int) -> Statistics:
    """Bounds of 95 % intervals within one slice, NaN where a figure is not defined.

    Shares by Wilson's interval, which does not shrink to nothing where a small slice has no hit; ROC-AUC by DeLong's;
    profit by bootstrap, on counts: none of them costs much for many rows. The last two are not defined of few.
    """

    def bounds(churned: Labels, probability: Floats) -> dict[str, float]:
        random = np.random.default_rng(seed)
        left, contacted = churned == 1, probability >= threshold
        figures = {
            "churn_rate": _share_interval(left),
            "precision": _share_interval(left[contacted]),
            "recall": _share_interval(contacted[left]),
            "roc_auc": _interval_of_roc_auc(churned, probability),
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


def _interval_of_roc_auc(churned: Labels, probability: Floats) -> tuple[float, float]:
    """By the variance of DeLong et al. (1988, Biometrics 44), on the logit scale, so that it stays within 0 and 1."""
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
    """As it stands in a table: 1 rather than 1.0, nothing for a gap."""
    if not isinstance(value, float):
        return str(value)
    return "" if np.isnan(value) else np.format_float_positional(value, trim="-")
