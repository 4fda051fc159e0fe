"""Everything that the page and the model card tell, as it stands in the files."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from churn.config.economics import Economics
from churn.metrics.dependence import Dependence
from churn.metrics.intervals import Interval
from churn.report import captions
from churn.report.captions import Caption

COLUMNS_SHOWN, SLICES_SHOWN, VALUES_SHOWN, ENTRIES_SHOWN = 20, 8, 12, 12
"""Columns by importance, columns sliced by, values of one of them, and lines of a list, at most."""


@dataclass(frozen=True)
class DecisionCounts:
    """Who is contacted, as counts of the test rows."""

    threshold: float
    churners: int
    stayers: int
    churners_contacted: int
    stayers_contacted: int

    @property
    def customers(self) -> int:
        """All of them."""
        return self.churners + self.stayers

    @property
    def contacted(self) -> int:
        """Those that the decision picks."""
        return self.churners_contacted + self.stayers_contacted


@dataclass(frozen=True)
class ReportContent:
    """Everything that is told, as it stands in the files: figures rounded, None where one is not defined."""

    decision: DecisionCounts
    economics: Economics
    data: Mapping[str, Any]
    audit: Mapping[str, Any]
    training: Mapping[str, Any]
    test: Mapping[str, Any]
    money: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    contacted: pd.DataFrame
    """Churners and stayers contacted at falling thresholds."""
    slices: pd.DataFrame
    importance: pd.DataFrame
    dependence: tuple[Dependence, ...]
    outcome: str
    """Column that is predicted."""
    classifier: str
    inputs: Mapping[str, str]
    """md5 of what was read, by path."""


def calibration_error(test: Mapping[str, Any]) -> Interval:
    """With the bounds between which chance alone would bring it."""
    return Interval(test["test_ece"], test["test_ece_by_chance_low"], test["test_ece_by_chance_high"])


def interval(figures: Mapping[str, Any], name: str) -> Interval:
    """A figure with its bounds, NaN where it is not defined."""
    value, low, high = (figures.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    return Interval(*(math.nan if figure is None else float(figure) for figure in (value, low, high)))


def captions_of(results: ReportContent) -> dict[str, Caption]:
    """The sentence over each picture, as the PNGs have them."""
    decision, test, money = results.decision, results.test, results.money
    groups = results.curves["calibration"]
    found = {
        "decisions": captions.of_decisions(
            decision.churners_contacted / max(decision.churners, 1),
            decision.stayers_contacted / max(decision.stayers, 1),
        ),
        "roc": captions.of_roc(interval(test, "test_roc_auc")),
        "precision_recall": captions.of_precision_recall(
            precision_of(decision), decision.churners / decision.customers, interval(test, "test_pr_auc")
        ),
        "calibration": captions.of_calibration(calibration_error(test), len(groups), groups["customers"].median()),
        "profit": captions.of_profit(
            money["contacted_share"],
            interval(money, "profit_per_1000"),
            interval(money, "profit_over_everybody_per_1000"),
            results.economics.currency,
        ),
        "gain": captions.of_gain(part_of(decision.churners_contacted, decision.churners), money["contacted_share"]),
    }
    if len(results.importance):
        first = results.importance.iloc[0]
        found["importance"] = captions.of_importance(
            str(first["feature"]), first["roc_auc_drop"], first["roc_auc_drop_sd"]
        )
    return found


def precision_of(decision: DecisionCounts) -> float:
    """Of the contacted, the part that churned; NaN where nobody is contacted."""
    return part_of(decision.churners_contacted, decision.contacted)


def part_of(some: float, all_of: float) -> float:
    """A share; NaN of nothing."""
    return some / all_of if all_of else math.nan
