"""Content of the page and the model card, as in the metrics files."""

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
"""Maximum number of columns by importance, slice columns, values of a slice column, and entries of a list."""


@dataclass(frozen=True)
class DecisionCounts:
    """Threshold and confusion matrix of the test rows."""

    threshold: float
    churners: int
    stayers: int
    churners_contacted: int
    stayers_contacted: int

    @property
    def customers(self) -> int:
        """Number of test customers."""
        return self.churners + self.stayers

    @property
    def contacted(self) -> int:
        """Number of contacted test customers."""
        return self.churners_contacted + self.stayers_contacted


@dataclass(frozen=True)
class ReportContent:
    """Content of the report, as in the metrics files: values are rounded, undefined ones None."""

    decision: DecisionCounts
    economics: Economics
    data: Mapping[str, Any]
    audit: Mapping[str, Any]
    training: Mapping[str, Any]
    test: Mapping[str, Any]
    money: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    contacted: pd.DataFrame
    """Churners and stayers contacted at decreasing thresholds."""
    tenths: pd.DataFrame
    """Test customers in ten groups by predicted probability."""
    slices: pd.DataFrame
    importance: pd.DataFrame
    dependence: tuple[Dependence, ...]
    outcome: str
    """Name of the target column."""
    classifier: str
    inputs: Mapping[str, str]
    """md5 of the input files, by path."""


def calibration_error(test: Mapping[str, Any]) -> Interval:
    """Calibration error, with the bounds expected under perfect calibration."""
    return Interval(test["test_ece"], test["test_ece_by_chance_low"], test["test_ece_by_chance_high"])


def interval(figures: Mapping[str, Any], name: str) -> Interval:
    """A metric with its bounds; NaN if undefined."""
    value, low, high = (figures.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    return Interval(*(math.nan if figure is None else float(figure) for figure in (value, low, high)))


def captions_of(results: ReportContent) -> dict[str, Caption]:
    """Caption of each figure by name; equal to those of the PNGs."""
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
    """Precision; NaN if no customer is contacted."""
    return part_of(decision.churners_contacted, decision.contacted)


def part_of(some: float, all_of: float) -> float:
    """The share some / all_of; NaN if all_of is 0."""
    return some / all_of if all_of else math.nan
