"""Scores of probabilities and decisions against what happened, with intervals, and the curves behind them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.metrics import precision_recall_curve, roc_curve

from churn.business import NOBODY, Economics, Floats, Labels, gains, profit_curve, profit_per_customer
from churn.scores import decision_scores, probability_scores

LOW, HIGH = 2.5, 97.5  # percentiles of a 95 % interval
Z = 1.959964  # standard deviations of the normal distribution that such an interval reaches

Statistics = Callable[[Labels, Floats], Mapping[str, float]]


def expected_calibration_error(churned: Labels, probability: Floats, bins: int) -> float:
    """Mean gap between predicted and observed share, over groups of equal size by probability.

    It gets no bootstrap interval: chance widens the gaps, each resample adds chance again, and a percentile
    interval would lie above the figure. What chance alone gives is `calibration_error_by_chance`.
    """
    observed = _share_among_equals(churned, probability)
    groups = _equal_groups(probability, bins)
    return float(sum(abs(probability[group].sum() - observed[group].sum()) for group in groups) / len(churned))


def calibration_table(churned: Labels, probability: Floats, bins: int) -> pd.DataFrame:
    """Predicted and observed share of churn in groups of equal size, lowest probabilities first."""
    groups = _equal_groups(probability, bins)
    observed = _share_among_equals(churned, probability)
    return pd.DataFrame(
        {
            "predicted": [float(probability[group].mean()) for group in groups],
            "observed": [float(observed[group].mean()) for group in groups],
            "customers": [len(group) for group in groups],
        }
    )


def _share_among_equals(churned: Labels, probability: Floats) -> Floats:
    """Share of churn among the customers with the same probability, so that a tie cut in two has no order."""
    _, group = np.unique(probability, return_inverse=True)
    share: Floats = (np.bincount(group, weights=churned) / np.bincount(group))[group]
    return share


def _equal_groups(probability: Floats, bins: int) -> list[Labels]:
    order = np.argsort(probability, kind="stable")
    return [group for group in np.array_split(order, bins) if len(group)]


def headline_scores(threshold: float, economics: Economics) -> Statistics:
    """The figures that get an interval, as one function of what happened and what was predicted."""

    def scores(churned: Labels, probability: Floats) -> dict[str, float]:
        everybody = np.ones(len(churned), dtype=bool)
        contacted = probability >= threshold
        profit = 1000 * profit_per_customer(churned, contacted, economics)
        return {
            **decision_scores(churned, contacted),
            "f1_at_half": decision_scores(churned, probability >= 0.5)["f1"],
            **probability_scores(churned, probability),
            "profit_per_1000_eur": profit,
            "profit_over_everybody_per_1000_eur": profit - 1000 * profit_per_customer(churned, everybody, economics),
        }

    return scores


@dataclass(frozen=True)
class Interval:
    """A figure on all rows, and the 95 % bootstrap interval around it."""

    value: float
    low: float
    high: float


def with_intervals(
    statistics: Statistics, churned: Labels, probability: Floats, *, resamples: int, seed: int
) -> dict[str, Interval]:
    """Percentile bootstrap over customers: how the figures would move with other test customers, model fixed."""
    random = np.random.default_rng(seed)
    values = statistics(churned, probability)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(resamples):
        rows = random.integers(0, len(churned), len(churned))
        for name, value in statistics(churned[rows], probability[rows]).items():
            drawn[name].append(value)
    return {name: _interval(value, drawn[name]) for name, value in values.items()}


def _interval(value: float, drawn: Sequence[float]) -> Interval:
    defined = np.array([one for one in drawn if not np.isnan(one)])
    if not len(defined):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(defined, [LOW, HIGH])
    return Interval(value, float(low), float(high))


def calibration_error_by_chance(probability: Floats, bins: int, *, resamples: int, seed: int) -> Interval:
    """The calibration error to expect were every probability right: mean and 95 % of outcomes drawn from them."""
    random = np.random.default_rng(seed)
    values, equal = np.unique(probability, return_inverse=True)
    count = np.bincount(equal)
    groups = _equal_groups(probability, bins)
    members = np.concatenate(groups)
    starts = np.cumsum([0, *map(len, groups[:-1])])
    errors = []
    for _ in range(resamples):
        gap = values - random.binomial(count, values) / count
        errors.append(np.abs(np.add.reduceat(gap[equal][members], starts)).sum() / len(probability))
    return _interval(float(np.mean(errors)), errors)


def flat(intervals: Mapping[str, Interval], prefix: str = "") -> dict[str, float]:
    """Each interval as three keys: name, name_low, name_high."""
    table: dict[str, float] = {}
    for name, interval in intervals.items():
        table[f"{prefix}{name}"] = interval.value
        table[f"{prefix}{name}_low"] = interval.low
        table[f"{prefix}{name}_high"] = interval.high
    return table


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


FEWEST = 10
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
            "profit_per_1000_eur": _interval_of_profit(left, contacted, economics, resamples, random),
        }
        return {f"{name}_{end}": bound for name, ends in figures.items() for end, bound in zip(ENDS, ends, strict=True)}

    return bounds


ENDS = ("low", "high")
UNDEFINED = (float("nan"), float("nan"))


def _share_interval(hits: NDArray[np.bool_]) -> tuple[float, float]:
    if not len(hits):
        return UNDEFINED
    low, high = _wilson(pd.Series([hits.mean()]), pd.Series([len(hits)]))
    return float(low[0]), float(high[0])


def _interval_of_profit(
    left: NDArray[np.bool_],
    contacted: NDArray[np.bool_],
    economics: Economics,
    resamples: int,
    random: np.random.Generator,
) -> tuple[float, float]:
    if contacted.any() and min(np.sum(left & contacted), np.sum(~left & contacted)) < FEWEST:
        return UNDEFINED
    outcomes = np.array([np.mean(left & contacted), np.mean(~left & contacted), np.mean(~contacted)])
    gain = np.array([economics.contacted_churner_eur, economics.contacted_stayer_eur, 0.0])
    drawn = random.multinomial(len(left), outcomes, size=resamples)
    low, high = np.percentile(1000 * drawn @ gain / len(left), [LOW, HIGH])
    return float(low), float(high)


def _interval_of_roc_auc(churned: Labels, probability: Floats) -> tuple[float, float]:
    """By the variance of DeLong et al. (1988, Biometrics 44), on the logit scale, so that it stays within 0 and 1."""
    left, stayed = probability[churned == 1], probability[churned == 0]
    if min(len(left), len(stayed)) < FEWEST:
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


def curves(
    churned: Labels, probability: Floats, economics: Economics, *, bins: int, points: int
) -> dict[str, pd.DataFrame]:
    """Points of each curve by name, at most `points` of each, ends included."""
    false_positive_rate, true_positive_rate = _corners(*roc_curve(churned, probability)[:2])
    precision, recall, _ = precision_recall_curve(churned, probability, drop_intermediate=True)
    profit = profit_curve(churned, probability, economics)
    return {
        "roc": _thinned({"false_positive_rate": false_positive_rate, "true_positive_rate": true_positive_rate}, points),
        "precision_recall": _thinned({"recall": recall, "precision": precision}, points),
        "calibration": calibration_table(churned, probability, bins),
        "profit": _thinned(
            {
                "contacted_share": profit.contacted_share,
                "profit_per_1000_eur": 1000 * profit.profit_per_customer_eur,
                "threshold": np.minimum(profit.thresholds, NOBODY),
            },
            points,
        ),
    }


def _corners(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A staircase without the points between the foot and the top, or the two ends, of a step."""
    inner = slice(1, -1)
    within = [(values[:-2] == values[inner]) & (values[inner] == values[2:]) for values in (x, y)]
    kept = np.ones(len(x), dtype=bool)
    kept[inner] = ~(within[0] | within[1])
    return x[kept], y[kept]


def with_bands(
    curves: Mapping[str, pd.DataFrame],
    churned: Labels,
    probability: Floats,
    economics: Economics,
    *,
    resamples: int,
    seed: int,
) -> dict[str, pd.DataFrame]:
    """The curves with a 95 % interval at each point, as columns ending in _low and _high.

    By bootstrap over customers, point by point, the model fixed; for the groups of the calibration curve, Wilson's
    interval of a share (Wilson 1927, JASA 22).
    """
    drawn = _resampled_curves(curves, churned, probability, economics, resamples, seed)
    bands = {name: _band(rows, len(curves[name])) for name, rows in drawn.items()}
    banded = {name: _beside(curves[name], BANDED[name], band) for name, band in bands.items()}
    groups = curves["calibration"]
    return banded | {"calibration": _beside(groups, "observed", _wilson(groups["observed"], groups["customers"]))}


BANDED = {"roc": "true_positive_rate", "precision_recall": "precision", "profit": "profit_per_1000_eur"}
"""Column of each curve that gets a band."""


def _resampled_curves(
    curves: Mapping[str, pd.DataFrame],
    churned: Labels,
    probability: Floats,
    economics: Economics,
    resamples: int,
    seed: int,
) -> dict[str, Floats]:
    """The banded column of each curve on resampled customers, one row a resample, at the curve's own points."""
    random = np.random.default_rng(seed)
    order = np.argsort(-probability, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    left, gain = churned[order], gains(churned[order], economics)
    drawn: dict[str, list[Floats]] = {name: [] for name in BANDED}
    recall_at = _reader_of_steps(curves["roc"], left, last_of_ties)
    for _ in range(resamples):
        times = np.bincount(random.integers(0, len(order), len(order)), minlength=len(order))
        found, contacted, earned = (
            np.append(0.0, np.cumsum(times * amount)[last_of_ties]) for amount in (left, np.ones(len(order)), gain)
        )
        if not 0 < found[-1] < contacted[-1]:
            continue
        recall, bothered = found / found[-1], (contacted - found) / (contacted[-1] - found[-1])
        drawn["roc"].append(recall_at(bothered, recall))
        wanted = curves["precision_recall"]["recall"].to_numpy()
        reached = np.searchsorted(recall, wanted)
        precision = found[reached] / np.maximum(contacted[reached], 1)
        drawn["precision_recall"].append(np.where(wanted == 0, 1.0, precision))  # as the curve itself begins
        share = contacted / contacted[-1]
        drawn["profit"].append(np.interp(curves["profit"]["contacted_share"], share, 1000 * earned / contacted[-1]))
    return {name: np.array(rows) for name, rows in drawn.items()}


def _reader_of_steps(roc: pd.DataFrame, left: Labels, last_of_ties: Labels) -> Callable[[Floats, Floats], Floats]:
    """Reads resampled ROC curves where the curve has its points: at the foot of a step, or at its top.

    `left` are the outcomes, highest probability first, `last_of_ties` the places where another probability follows.
    """
    wanted = roc["false_positive_rate"].to_numpy()

    def both_ends(bothered: Floats, recall: Floats) -> tuple[Floats, Floats]:
        return np.interp(-wanted, -bothered[::-1], recall[::-1]), np.interp(wanted, bothered, recall)

    found, passed = (np.append(0.0, np.cumsum(side)[last_of_ties]) for side in (left, 1 - left))
    foot, top = both_ends(passed / max(passed[-1], 1.0), found / max(found[-1], 1.0))
    is_foot = np.abs(roc["true_positive_rate"] - foot) < np.abs(roc["true_positive_rate"] - top)
    return lambda bothered, recall: np.where(is_foot, *both_ends(bothered, recall))


def _band(rows: Floats, points: int) -> Floats:
    """Bounds at each point; not defined where no resample had churners and stayers."""
    if not len(rows):
        return np.full((2, points), np.nan)
    bounds: Floats = np.nanpercentile(rows, [LOW, HIGH], axis=0)
    return bounds


def _beside(curve: pd.DataFrame, column: str, interval: Floats) -> pd.DataFrame:
    return curve.assign(**{f"{column}_low": interval[0], f"{column}_high": interval[1]})


def contacted_by_threshold(churned: Labels, probability: Floats, decided: float, points: int) -> pd.DataFrame:
    """Churners and stayers contacted at falling thresholds, from nobody to everybody; that of the decision is one.

    Thresholds are cut to six places first and counted after that, so that whoever writes them down counts the same.
    """
    distinct = np.unique(np.round(np.floor(probability * 1e6) / 1e6, 6))
    kept = _thinned({"threshold": distinct}, max(points - 3, 2))["threshold"]
    thresholds = np.unique([*kept, 0.0, decided, NOBODY])[::-1]

    def contacted(sort: NDArray[np.bool_]) -> Labels:
        ranked = np.sort(probability[sort])
        return len(ranked) - np.searchsorted(ranked, thresholds, side="left")

    return pd.DataFrame(
        {"threshold": thresholds, "churners": contacted(churned == 1), "stayers": contacted(churned == 0)}
    )


def _wilson(share: pd.Series, count: pd.Series) -> Floats:
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return np.array([middle - half, middle + half])


def _thinned(columns: Mapping[str, Floats], points: int) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    if len(table) <= points:
        return table
    kept = np.unique(np.linspace(0, len(table) - 1, points).round().astype(int))
    return table.iloc[kept].reset_index(drop=True)
