"""Figures of groups of customers, with intervals that hold for small ones."""

import math

import numpy as np
import pandas as pd
import pytest

from churn.config.economics import Economics
from churn.metrics.intervals import Statistics, headline_scores, with_intervals
from churn.metrics.slices import slice_intervals, slice_table
from churn.types import Floats, Labels
from tests.helpers.made_up_answers import Customers, make_predictions


def no_bounds(churned: Labels, probability: Floats) -> dict[str, float]:
    return {}


def test_a_slice_is_scored_on_its_own_customers_and_a_gap_is_a_slice() -> None:
    rows = pd.DataFrame(
        {"plan": ["pro", np.nan, "basic", "pro"], "fee": [1.0, 29.85, 1234567.0, 1.0]}, index=["a", "b", "c", "d"]
    )
    churned, probability = np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.6, 0.2])

    def mean_probability(churned: Labels, probability: Floats) -> dict[str, float]:
        return {"mean_probability": float(probability.mean())}

    table = slice_table(rows, churned, probability, ["plan", "fee"], mean_probability, no_bounds)
    assert table.to_numpy().tolist() == [
        ["plan", "basic", 1, 1.0, 0.6],
        ["plan", "pro", 2, 0.5, 0.55],
        ["plan", "", 1, 0.0, 0.1],
        ["fee", "1", 2, 0.5, 0.55],
        ["fee", "29.85", 1, 0.0, 0.1],
        ["fee", "1234567", 1, 1.0, 0.6],
    ]
    assert table.columns.tolist() == ["column", "value", "customers", "churn_rate", "mean_probability"]


def test_a_slice_of_one_class_has_no_roc_auc(headline: Statistics) -> None:
    rows = pd.DataFrame({"plan": ["basic", "basic"]})
    table = slice_table(rows, np.array([0, 0]), np.array([0.1, 0.7]), ["plan"], headline, no_bounds)
    assert table["roc_auc"].isna().all()
    assert table["brier"].notna().all()


def slices_of(customers: Customers, economics: Economics, values: list[str]) -> pd.DataFrame:
    intervals = slice_intervals(0.2, economics, resamples=400, seed=1)
    rows = pd.DataFrame({"plan": values})
    return slice_table(rows, *customers, ["plan"], headline_scores(0.2, economics), intervals)


def test_the_intervals_of_a_slice_are_those_of_the_same_customers_alone(economics: Economics) -> None:
    """Wilson's, DeLong's and the one on counts are near the plain bootstrap for many customers."""
    customers = make_predictions(3000)
    (row,) = slices_of(customers, economics, ["basic"] * 3000).to_dict("records")
    plain = with_intervals(headline_scores(0.2, economics), *customers, resamples=400, seed=2)
    for name in ("precision", "recall", "roc_auc", "profit_per_1000"):
        width = plain[name].high - plain[name].low
        assert row[f"{name}_low"] < row[name] < row[f"{name}_high"]
        assert row[f"{name}_low"] == pytest.approx(plain[name].low, abs=0.25 * width), name
        assert row[f"{name}_high"] == pytest.approx(plain[name].high, abs=0.25 * width), name


def test_a_small_slice_without_a_hit_is_not_said_to_be_sure(economics: Economics) -> None:
    churned, probability = np.array([1] * 5 + [0] * 5), np.full(10, 0.1)
    (row,) = slices_of((churned, probability), economics, ["basic"] * 10).to_dict("records")
    assert (row["recall"], row["recall_low"]) == pytest.approx((0, 0))
    assert row["recall_high"] > 0.4
    for undefined in ("precision", "roc_auc"):
        assert math.isnan(row[f"{undefined}_low"])
        assert math.isnan(row[f"{undefined}_high"])


@pytest.mark.parametrize("churners", [0, 1, 9, 31, 40])
def test_the_profit_of_a_slice_with_few_contacted_of_a_kind_is_not_said_to_be_sure(
    churners: int, economics: Economics
) -> None:
    churned = np.array([1] * churners + [0] * (40 - churners))
    (row,) = slices_of((churned, np.full(40, 0.9)), economics, ["basic"] * 40).to_dict("records")
    assert math.isnan(row["profit_per_1000_low"])


def test_a_slice_in_which_nobody_is_contacted_earns_nothing(economics: Economics) -> None:
    (row,) = slices_of((np.array([0, 1] * 20), np.full(40, 0.1)), economics, ["basic"] * 40).to_dict("records")
    assert [row[f"profit_per_1000{end}"] for end in ("_low", "", "_high")] == [0, 0, 0]


def test_ties_count_half_in_the_interval_of_a_slice(economics: Economics) -> None:
    churned = np.array([0, 1] * 50)
    (row,) = slices_of((churned, np.full(100, 0.5)), economics, ["basic"] * 100).to_dict("records")
    assert (row["roc_auc_low"], row["roc_auc"], row["roc_auc_high"]) == pytest.approx((0.5, 0.5, 0.5))
