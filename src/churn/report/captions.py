"""What a picture shows, in words: the same above a PNG, in the report and in the model card."""

from dataclasses import dataclass

import numpy as np

from churn.metrics.intervals import Interval
from churn.texts import shortened

BAND = "95 % interval"
LONGEST_NAME = 24


@dataclass(frozen=True)
class Caption:
    """The sentence above a picture, and the line below it."""

    title: str
    detail: str


def of_decisions(churners_contacted: float, stayers_contacted: float) -> Caption:
    """What the confusion matrix says."""
    return Caption(f"Contacted: {churners_contacted:.0%} of churners, {stayers_contacted:.0%} of stayers", "")


def of_roc(area: Interval) -> Caption:
    """How well churners are told from stayers."""
    pairs = f"In {area.value:.0%} of pairs the churner is ranked first" if np.isfinite(area.value) else "No ranking"
    return Caption(pairs, f"ROC-AUC {_area_in_words(area)}; by chance 0.500")


def of_precision_recall(precision: float, churn_rate: float, area: Interval) -> Caption:
    """How many of the contacted would have left."""
    title = f"{precision:.0%} of the contacted would have left, {churn_rate:.0%} of all"
    if not np.isfinite(precision):
        title = f"Nobody is contacted; {churn_rate:.0%} of all left"
    return Caption(title, f"PR-AUC {_area_in_words(area)}; by chance {churn_rate:.3f}")


def of_calibration(error: Interval, groups: int, customers_a_group: float) -> Caption:
    """How far groups are off what was predicted for them; the bounds are those of chance alone."""
    return Caption(
        f"Groups are off by {100 * error.value:.1f} points on average",
        f"by chance alone {100 * error.low:.1f} to {100 * error.high:.1f}; {groups} groups of about "
        f"{customers_a_group:,.0f} customers",
    )


def of_profit(contacted_share: float, earned: Interval, over_everybody: Interval, currency: str) -> Caption:
    """What the decision earns."""
    above = over_everybody
    return Caption(
        f"Contacting {contacted_share:.0%} earns {earned.value:,.0f} {currency} per 1,000",
        f"{above.value:+,.0f} against contacting everybody ({BAND} {above.low:+,.0f} to {above.high:+,.0f})",
    )


def of_gain(churners_contacted: float, contacted_share: float) -> Caption:
    """How many of the leavers the decision reaches."""
    if not np.isfinite(churners_contacted):
        return Caption("Nobody churned", "")
    return Caption(
        f"The decision reaches {churners_contacted:.0%} of churners",
        f"by contacting {contacted_share:.0%} of customers; chosen by chance it would reach {contacted_share:.0%}",
    )


def of_importance(column: str, drop: float, deviation: float) -> Caption:
    """What the model needs most, if a column stands out from what shuffling changes by chance."""
    if not drop > deviation:
        return Caption("No column stands out", "shuffling one changes ROC-AUC as little as chance; lines: ± sd")
    return Caption(f"{short(column)} matters most", f"ROC-AUC falls by {drop:.3f} when it is shuffled; lines: ± sd")


def short(name: str) -> str:
    """A name of the user's table, where there is little room."""
    return shortened(name, LONGEST_NAME)


def _area_in_words(area: Interval) -> str:
    if not np.isfinite(area.value):
        return "not defined: churners and stayers are needed"
    return f"{area.value:.3f}  ({BAND} {area.low:.3f} to {area.high:.3f})"
