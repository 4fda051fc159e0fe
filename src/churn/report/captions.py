"""Captions of figures; PNGs, report and model card use the same ones."""

from dataclasses import dataclass

import numpy as np

from churn.errors import escape_controls
from churn.metrics.intervals import Interval
from churn.texts import shortened

BAND = "95% interval"
LONGEST_NAME = 24


@dataclass(frozen=True)
class Caption:
    """Title of a figure, and the line of detail below it."""

    title: str
    detail: str


def of_decisions(churners_contacted: float, stayers_contacted: float) -> Caption:
    """Caption of the confusion matrix."""
    return Caption(f"Contacted: {churners_contacted:.0%} of churners, {stayers_contacted:.0%} of stayers", "")


def of_roc(area: Interval) -> Caption:
    """Caption of the ROC curve."""
    pairs = f"In {area.value:.0%} of pairs the churner is ranked first" if np.isfinite(area.value) else "No ranking"
    return Caption(pairs, f"ROC-AUC {_area_in_words(area)}; by chance 0.500")


def of_precision_recall(precision: float, churn_rate: float, area: Interval) -> Caption:
    """Caption of the precision-recall curve."""
    title = f"{precision:.0%} of the contacted churned, {churn_rate:.0%} of all"
    if not np.isfinite(precision):
        title = f"No one is contacted; {churn_rate:.0%} of all churned"
    return Caption(title, f"PR-AUC {_area_in_words(area)}; by chance {churn_rate:.3f}")


def of_calibration(error: Interval, groups: int, customers_a_group: float) -> Caption:
    """Caption of the calibration curve; `error` has the bounds expected under perfect calibration."""
    return Caption(
        f"Predictions are off by {100 * error.value:.1f} points on average",
        f"a perfectly calibrated model: {100 * error.low:.1f} to {100 * error.high:.1f}; {groups} groups of about "
        f"{customers_a_group:,.0f} customers",
    )


def of_profit(contacted_share: float, earned: Interval, over_everybody: Interval, currency: str) -> Caption:
    """Caption of the profit curve."""
    above = over_everybody
    return Caption(
        f"Contacting {contacted_share:.0%} earns {earned.value:,.0f} {currency} per 1,000",
        f"{above.value:+,.0f} against contacting everyone ({BAND} {above.low:+,.0f} to {above.high:+,.0f})",
    )


def of_gain(churners_contacted: float, contacted_share: float) -> Caption:
    """Caption of the gain curve."""
    if not np.isfinite(churners_contacted):
        return Caption("No customer churned", "")
    return Caption(
        f"The decision reaches {churners_contacted:.0%} of churners",
        f"by contacting {contacted_share:.0%} of customers; a random choice would reach {contacted_share:.0%}",
    )


def of_importance(column: str, drop: float, deviation: float) -> Caption:
    """Caption of the importance chart; names the first column if its drop exceeds its standard deviation."""
    if not drop > deviation:
        return Caption("No column stands out", "the largest drop in ROC-AUC does not exceed its sd; lines: ± sd")
    return Caption(f"{short(column)} matters most", f"ROC-AUC falls by {drop:.3f} when it is shuffled; lines: ± sd")


def short(name: str) -> str:
    """Shorten a column name or label to LONGEST_NAME characters, and escape what would hide or reorder others."""
    return escape_controls(shortened(name, LONGEST_NAME), on_one_line=True)


def _area_in_words(area: Interval) -> str:
    if not np.isfinite(area.value):
        return "not defined: churners and stayers are needed"
    return f"{area.value:.3f}  ({BAND} {area.low:.3f} to {area.high:.3f})"
