"""Points of the ROC, precision-recall, calibration and profit curves, with 95% bands."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from churn.config.economics import Economics
from churn.metrics.calibration import calibration_table
from churn.metrics.intervals import HIGH, LOW, wilson_interval
from churn.metrics.profit import NOBODY, gains, profit_curve
from churn.types import DECIMALS, Floats, Labels


def curve_points(
    churned: Labels, probability: Floats, economics: Economics, *, bins: int, points: int
) -> dict[str, pd.DataFrame]:
    """Points of each curve by name; at most `points` of each, including both ends."""
    false_positive_rate, true_positive_rate = _corners(*roc_curve(churned, probability)[:2])
    precision, recall, _ = precision_recall_curve(churned, probability, drop_intermediate=True)
    profit = profit_curve(churned, probability, economics)
    return {
        "roc": _thin({"false_positive_rate": false_positive_rate, "true_positive_rate": true_positive_rate}, points),
        "precision_recall": _thin({"recall": recall, "precision": precision}, points),
        "calibration": calibration_table(churned, probability, bins),
        "profit": _thin(
            {
                "contacted_share": profit.contacted_share,
                "profit_per_1000": 1000 * profit.profit_per_customer,
                "threshold": np.minimum(profit.thresholds, NOBODY),
            },
            points,
        ),
    }


def _corners(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Points of a step curve without those in the interior of a vertical or horizontal segment."""
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
    """Add a pointwise 95% interval to the curves, as columns ending in _low and _high.

    Percentile bootstrap over customers with the model fixed; for the calibration curve, the Wilson score interval
    (Wilson 1927, JASA 22).
    """
    drawn = _resampled_curves(curves, churned, probability, economics, resamples, seed)
    bands = {name: _band(rows, len(curves[name])) for name, rows in drawn.items()}
    banded = {name: _add_interval(curves[name], BANDED[name], band) for name, band in bands.items()}
    groups = curves["calibration"]
    return banded | {
        "calibration": _add_interval(groups, "observed", wilson_interval(groups["observed"], groups["customers"]))
    }


BANDED = {"roc": "true_positive_rate", "precision_recall": "precision", "profit": "profit_per_1000"}
"""Column with a bootstrap band, by curve."""


def _resampled_curves(
    curves: Mapping[str, pd.DataFrame],
    churned: Labels,
    probability: Floats,
    economics: Economics,
    resamples: int,
    seed: int,
) -> dict[str, Floats]:
    """The banded column of each curve, evaluated at the curve's points: shape (resamples, points)."""
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
        drawn["precision_recall"].append(np.where(wanted == 0, 1.0, precision))  # at recall 0 the curve has precision 1
        share = contacted / contacted[-1]
        drawn["profit"].append(np.interp(curves["profit"]["contacted_share"], share, 1000 * earned / contacted[-1]))
    return {name: np.array(rows) for name, rows in drawn.items()}


def _reader_of_steps(roc: pd.DataFrame, left: Labels, last_of_ties: Labels) -> Callable[[Floats, Floats], Floats]:
    """Return a function that evaluates resampled ROC curves at the curve's points.

    Each point is at the lower or the upper end of a vertical step, and resampled curves are evaluated at the same end.
    `left`: outcomes, highest probability first; `last_of_ties`: last position of each distinct probability.
    """
    wanted = roc["false_positive_rate"].to_numpy()

    def both_ends(bothered: Floats, recall: Floats) -> tuple[Floats, Floats]:
        return np.interp(-wanted, -bothered[::-1], recall[::-1]), np.interp(wanted, bothered, recall)

    found, passed = (np.append(0.0, np.cumsum(side)[last_of_ties]) for side in (left, 1 - left))
    foot, top = both_ends(passed / max(passed[-1], 1.0), found / max(found[-1], 1.0))
    is_foot = np.abs(roc["true_positive_rate"] - foot) < np.abs(roc["true_positive_rate"] - top)
    return lambda bothered, recall: np.where(is_foot, *both_ends(bothered, recall))


def _band(rows: Floats, points: int) -> Floats:
    """Bounds at each point; NaN if no resample had both churners and stayers."""
    if not len(rows):
        return np.full((2, points), np.nan)
    bounds: Floats = np.nanpercentile(rows, [LOW, HIGH], axis=0)
    return bounds


def _add_interval(curve: pd.DataFrame, column: str, interval: Floats) -> pd.DataFrame:
    return curve.assign(**{f"{column}_low": interval[0], f"{column}_high": interval[1]})


def contacted_by_threshold(churned: Labels, probability: Floats, decided: float, points: int) -> pd.DataFrame:
    """Churners and stayers contacted at decreasing thresholds, from no one to everyone, including `decided`.

    Thresholds are rounded down to six decimals before counting, so that the counts hold for the thresholds as written.
    """
    distinct = np.unique(np.round(np.floor(probability * 10**DECIMALS) / 10**DECIMALS, DECIMALS))
    kept = _thin({"threshold": distinct}, max(points - 3, 2))["threshold"]
    thresholds = np.unique([*kept, 0.0, decided, NOBODY])[::-1]

    def contacted(sort: NDArray[np.bool_]) -> Labels:
        ranked = np.sort(probability[sort])
        return len(ranked) - np.searchsorted(ranked, thresholds, side="left")

    return pd.DataFrame(
        {"threshold": thresholds, "churners": contacted(churned == 1), "stayers": contacted(churned == 0)}
    )


def tenths(churned: Labels, probability: Floats, economics: Economics) -> pd.DataFrame:
    """Customers in ten groups of equal size, most likely churners first.

    Where customers of equal probability fall into two groups, each gets its share of their churners. The share of
    churners reached and the profit per 1,000 customers are those of contacting this group and all above it.
    """
    order = np.argsort(-probability, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    ends = np.linspace(0, len(order), min(10, len(order)) + 1).round().astype(np.int64)

    def up_to_ends(amounts: Floats) -> Floats:
        sums = np.append(0.0, np.cumsum(amounts[order])[last_of_ties])
        at_ends: Floats = np.interp(ends, np.append(0, last_of_ties + 1), sums)
        return at_ends

    customers, churners = np.diff(ends), np.diff(up_to_ends(churned.astype(np.float64)))
    with np.errstate(invalid="ignore"):  # without churners, lift and share of them are NaN
        return pd.DataFrame(
            {
                "customers": customers,
                "probability": np.diff(np.append(0.0, np.cumsum(probability[order]))[ends]) / customers,
                "churners": churners,
                "churn_rate": churners / customers,
                "lift": churners / customers / churned.mean(),
                "churners_reached": np.cumsum(churners) / churned.sum(),
                "profit_per_1000": 1000 * up_to_ends(gains(churned, economics))[1:] / len(order),
            }
        )


def _thin(columns: Mapping[str, Floats], points: int) -> pd.DataFrame:
    table = pd.DataFrame(columns)
    if len(table) <= points:
        return table
    kept = np.unique(np.linspace(0, len(table) - 1, points).round().astype(int))
    return table.iloc[kept].reset_index(drop=True)
