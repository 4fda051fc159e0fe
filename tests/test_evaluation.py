"""Figures with intervals, calibration, slices, and the curves that are kept."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from churn.business import Economics, Floats, Labels
from churn.evaluation import (
    BANDED,
    Interval,
    Statistics,
    calibration_error_by_chance,
    calibration_table,
    contacted_by_threshold,
    curves,
    expected_calibration_error,
    flat,
    headline_scores,
    slice_intervals,
    slice_table,
    with_bands,
    with_intervals,
)
from churn.params import Params
from churn.scores import probability_scores

Customers = tuple[Labels, Floats]


def make_predictions(count: int, seed: int = 0) -> Customers:
    """A calibrated model of customers of whom a third leaves: what happened, and what was predicted."""
    random = np.random.default_rng(seed)
    probability = random.beta(1, 2, size=count)
    return (random.random(count) < probability).astype(int), probability


@pytest.fixture
def economics(params: Params) -> Economics:
    return params.business


@pytest.fixture
def headline(economics: Economics) -> Statistics:
    return headline_scores(0.2, economics)


def churn_rate(churned: Labels, probability: Floats) -> dict[str, float]:
    return {"churn_rate": float(churned.mean())}


def test_intervals_are_the_same_for_the_same_seed_only(headline: Statistics) -> None:
    first, again, other = (
        with_intervals(headline, *make_predictions(200), resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_an_interval_holds_the_figure_of_all_rows(headline: Statistics) -> None:
    customers = make_predictions(500)
    intervals = with_intervals(headline, *customers, resamples=200, seed=0)
    assert {name: interval.value for name, interval in intervals.items()} == headline(*customers)
    assert all(interval.low < interval.value < interval.high for interval in intervals.values())


def test_intervals_narrow_with_more_rows(headline: Statistics) -> None:
    few, many = (with_intervals(headline, *make_predictions(count), resamples=200, seed=0) for count in (200, 3200))
    for name in few:
        # sixteen times the rows: a quarter of the width, give or take
        assert many[name].high - many[name].low < (few[name].high - few[name].low) / 2


def test_the_interval_of_a_share_is_that_of_the_textbook() -> None:
    churned, probability = make_predictions(2000)
    rate = with_intervals(churn_rate, churned, probability, resamples=4000, seed=0)["churn_rate"]
    error = math.sqrt(rate.value * (1 - rate.value) / 2000)
    assert rate.low == pytest.approx(rate.value - 1.96 * error, abs=0.1 * error)
    assert rate.high == pytest.approx(rate.value + 1.96 * error, abs=0.1 * error)


def test_what_happened_is_drawn_together_with_its_prediction() -> None:
    churned = np.array([0, 1] * 20)
    loss = with_intervals(probability_scores, churned, churned.astype(float), resamples=100, seed=0)["brier"]
    assert loss == Interval(0, 0, 0)


def test_without_both_classes_there_is_neither_figure_nor_interval() -> None:
    churned, probability = np.zeros(50, dtype=int), np.linspace(0, 1, 50)
    area = with_intervals(probability_scores, churned, probability, resamples=100, seed=0)["roc_auc"]
    assert np.isnan([area.value, area.low, area.high]).all()


def test_resamples_that_miss_a_class_are_left_out_of_the_interval() -> None:
    churned, probability = np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    area = with_intervals(probability_scores, churned, probability, resamples=100, seed=0)["roc_auc"]
    assert area == Interval(1, 1, 1)


def test_an_interval_is_written_as_three_figures() -> None:
    figures = flat({"f1": Interval(0.5, 0.4, 0.6)}, prefix="test_")
    assert figures == {"test_f1": 0.5, "test_f1_low": 0.4, "test_f1_high": 0.6}


def test_headline_figures_are_of_the_decision_at_the_threshold(economics: Economics) -> None:
    churned, probability = np.array([1, 1, 0, 0]), np.array([0.9, 0.2, 0.2, 0.1])
    figures = headline_scores(0.2, economics)(churned, probability)
    assert figures["recall"] == 1
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["f1_at_half"] == pytest.approx(2 / 3)  # one of two churners found, nobody else contacted
    assert figures["profit_per_1000_eur"] == pytest.approx(1000 * (2 * 56 - 11) / 4)
    assert figures["profit_over_everybody_per_1000_eur"] == pytest.approx(1000 * 11 / 4)


def test_contacting_everybody_is_worth_nothing_over_contacting_everybody(economics: Economics) -> None:
    figures = headline_scores(0.0, economics)(*make_predictions(100))
    assert figures["profit_over_everybody_per_1000_eur"] == 0


def test_calibration_compares_predicted_and_observed_in_groups_of_equal_size() -> None:
    churned, probability = np.array([1, 0, 1, 0, 1]), np.array([0.8, 0.2, 0.4, 0.0, 0.9])
    table = calibration_table(churned, probability, bins=2)
    assert table["customers"].tolist() == [3, 2]
    assert table["predicted"].tolist() == pytest.approx([0.2, 0.85])
    assert table["observed"].tolist() == pytest.approx([1 / 3, 1.0])
    assert expected_calibration_error(churned, probability, bins=2) == pytest.approx((0.4 + 0.3) / 5)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1), st.integers(2, 20))
@settings(deadline=None)
def test_the_calibration_error_is_the_mean_gap_of_the_calibration_table(
    pairs: list[tuple[int, float]], bins: int
) -> None:
    churned, probability = np.array([label for label, _ in pairs]), np.array([value for _, value in pairs])
    table = calibration_table(churned, probability, bins)
    gap = (table["predicted"] - table["observed"]).abs()
    error = expected_calibration_error(churned, probability, bins)
    assert table["customers"].sum() == len(pairs)
    assert table["customers"].max() - table["customers"].min() <= 1
    assert error == pytest.approx(np.average(gap, weights=table["customers"]), abs=1e-12)


def test_the_order_of_equal_probabilities_changes_no_calibration() -> None:
    probability = np.full(400, 0.25)
    churned = (np.arange(400) % 4 == 0).astype(np.int64)
    for order in (churned, np.sort(churned)):
        assert expected_calibration_error(order, probability, bins=10) == pytest.approx(0)
        assert calibration_table(order, probability, bins=10)["observed"].tolist() == pytest.approx([0.25] * 10)


def test_a_model_too_sure_by_a_tenth_has_a_calibration_error_of_a_tenth() -> None:
    churned = np.array([1, 0, 0, 0, 0, 1, 1, 1, 1, 0])
    probability = np.array([0.2] * 5 + [0.8] * 5)
    assert expected_calibration_error(churned, probability, bins=2) == pytest.approx(0)
    assert expected_calibration_error(churned, probability + 0.1, bins=2) == pytest.approx(0.1)


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
    for name in ("precision", "recall", "roc_auc", "profit_per_1000_eur"):
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
    assert math.isnan(row["profit_per_1000_eur_low"])


def test_a_slice_in_which_nobody_is_contacted_earns_nothing(economics: Economics) -> None:
    (row,) = slices_of((np.array([0, 1] * 20), np.full(40, 0.1)), economics, ["basic"] * 40).to_dict("records")
    assert [row[f"profit_per_1000_eur{end}"] for end in ("_low", "", "_high")] == [0, 0, 0]


def test_ties_count_half_in_the_interval_of_a_slice(economics: Economics) -> None:
    churned = np.array([0, 1] * 50)
    (row,) = slices_of((churned, np.full(100, 0.5)), economics, ["basic"] * 100).to_dict("records")
    assert (row["roc_auc_low"], row["roc_auc"], row["roc_auc_high"]) == pytest.approx((0.5, 0.5, 0.5))


@given(seed=st.integers(0, 10_000), count=st.integers(1, 300), points=st.integers(10, 60))
@settings(deadline=None)
def test_whoever_reads_a_stored_threshold_counts_the_same_customers(seed: int, count: int, points: int) -> None:
    churned, probability = make_predictions(count, seed)
    table = contacted_by_threshold(churned, probability, 0.25, points)
    assert len(table) <= points
    assert {0.0, 0.25} <= set(table["threshold"])
    assert table["threshold"].is_monotonic_decreasing
    for threshold, churners, stayers in table.itertuples(index=False):
        contacted = probability >= float(f"{threshold:.6f}")
        assert (churners, stayers) == (churned[contacted].sum(), (1 - churned[contacted]).sum())


@pytest.mark.parametrize("outcome", [0, 1])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning", "ignore:No positive class")
def test_curves_of_one_class_have_bands_that_are_not_defined(outcome: int, economics: Economics) -> None:
    customers = np.full(30, outcome), make_predictions(30)[1]
    banded = with_bands(curves(*customers, economics, bins=5, points=20), *customers, economics, resamples=10, seed=1)
    for name, column in BANDED.items():
        assert banded[name][f"{column}_low"].isna().all()


ENDS = {
    "roc": ("false_positive_rate", 0.0, 1.0),
    "precision_recall": ("recall", 1.0, 0.0),
    "profit": ("contacted_share", 0.0, 1.0),
}


@pytest.mark.parametrize("points", [10, 37, 5000])
@pytest.mark.parametrize("name", ENDS)
def test_a_thinned_curve_keeps_both_ends(name: str, points: int, economics: Economics) -> None:
    curve = curves(*make_predictions(1000), economics, bins=5, points=points)[name]
    column, first, last = ENDS[name]
    assert 2 < len(curve) <= points
    assert (curve[column].iloc[0], curve[column].iloc[-1]) == (first, last)


def test_a_thinned_curve_holds_points_of_the_whole_one(economics: Economics) -> None:
    customers = make_predictions(1000)
    thin, whole = (curves(*customers, economics, bins=5, points=points) for points in (20, 5000))
    for name in ENDS:
        assert len(thin[name]) == 20
        assert len(thin[name].merge(whole[name].drop_duplicates())) == 20


def test_the_area_under_the_points_of_the_roc_curve_is_the_roc_auc(economics: Economics) -> None:
    customers = make_predictions(300)
    curve = curves(*customers, economics, bins=5, points=5000)["roc"]
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(probability_scores(*customers)["roc_auc"])


def test_the_first_threshold_of_the_profit_curve_reaches_nobody_even_at_probability_one(economics: Economics) -> None:
    churned, probability = np.array([0, 1, 0]), np.array([1.0, 1.0, 0.0])
    curve = curves(churned, probability, economics, bins=2, points=10)["profit"]
    contacted = [int((probability >= threshold).sum()) for threshold in curve["threshold"]]
    assert contacted == [0, 2, 3]
    assert (3 * curve["contacted_share"]).tolist() == contacted


def test_a_band_holds_its_curve_and_narrows_with_more_customers(economics: Economics) -> None:
    widths = []
    for count in (200, 5000):
        customers = make_predictions(count)
        points = curves(*customers, economics, bins=5, points=100)
        banded = with_bands(points, *customers, economics, resamples=200, seed=0)
        for name, column in {**BANDED, "calibration": "observed"}.items():
            curve = banded[name]
            inside = (curve[f"{column}_low"] <= curve[column]) & (curve[column] <= curve[f"{column}_high"])
            assert inside.mean() > 0.9, name
            assert curve[points[name].columns.tolist()].equals(points[name])
        roc = banded["roc"]
        widths.append((roc["true_positive_rate_high"] - roc["true_positive_rate_low"]).mean())
    assert widths[1] < widths[0] / 2


def test_bands_are_those_of_the_curves_of_resampled_customers(economics: Economics) -> None:
    """Held against scikit-learn's own curve on the same resamples; where it begins, it is known."""
    churned, probability = make_predictions(300)
    probability = probability.round(1)  # with ties
    points = curves(churned, probability, economics, bins=5, points=100)
    banded = with_bands(points, churned, probability, economics, resamples=50, seed=3)["roc"]
    order = np.argsort(-probability, kind="stable")
    random = np.random.default_rng(3)
    drawn = []
    for _ in range(50):
        rows = order[random.integers(0, 300, 300)]
        fpr, tpr, _ = roc_curve(churned[rows], probability[rows], drop_intermediate=False)
        drawn.append(np.interp(points["roc"]["false_positive_rate"], fpr, tpr))
    expected = np.percentile(drawn, 2.5, axis=0)
    expected[0] = 0
    np.testing.assert_allclose(banded["true_positive_rate_low"], expected, atol=1e-9)


def test_each_end_of_a_step_of_the_roc_curve_lies_within_its_own_band(economics: Economics) -> None:
    customers = make_predictions(400)
    points = curves(*customers, economics, bins=5, points=5000)
    roc = with_bands(points, *customers, economics, resamples=200, seed=0)["roc"]
    steps = roc["false_positive_rate"].duplicated(keep=False)
    assert steps.sum() > 50
    assert roc["true_positive_rate"].between(roc["true_positive_rate_low"], roc["true_positive_rate_high"]).all()
    first = roc.iloc[0][["true_positive_rate_low", "true_positive_rate", "true_positive_rate_high"]]
    assert first.tolist() == [0, 0, 0]


def test_points_within_a_step_of_the_roc_curve_are_left_out(economics: Economics) -> None:
    """Equal probabilities of different sizes of churners alone make a step of several points."""
    churned, probability = np.array([1, 1, 1, 0, 0, 1]), np.array([0.9, 0.8, 0.8, 0.5, 0.4, 0.4])
    roc = curves(churned, probability, economics, bins=2, points=50)["roc"]
    assert roc.to_numpy().tolist() == [[0, 0], [0, 0.75], [0.5, 0.75], [1, 1]]


def test_chance_alone_gives_the_calibration_error_of_a_model_that_is_right() -> None:
    random = np.random.default_rng(6)
    probability = random.beta(2, 5, 900)
    errors = [
        expected_calibration_error((random.random(900) < probability).astype(np.int64), probability, bins=10)
        for _ in range(300)
    ]
    chance = calibration_error_by_chance(probability, 10, resamples=300, seed=1)
    assert chance.value == pytest.approx(np.mean(errors), rel=0.05)
    assert 0.9 <= np.mean([chance.low <= error <= chance.high for error in errors]) <= 0.99
    assert chance.low > 0


def test_chance_gives_equal_probabilities_one_gap_for_all_of_them() -> None:
    """As in the error itself, where a tie that is cut in two has no order."""
    probability = np.full(100, 0.5)
    assert calibration_error_by_chance(probability, 10, resamples=500, seed=1).high < 0.12


def test_the_interval_of_a_share_is_wilsons(economics: Economics) -> None:
    customers = make_predictions(100)
    points = curves(*customers, economics, bins=4, points=50)
    table = with_bands(points, *customers, economics, resamples=10, seed=0)["calibration"]
    for share, count, low, high in zip(
        table["observed"], table["customers"], table["observed_low"], table["observed_high"], strict=True
    ):
        exact = binomtest(round(share * count), int(count)).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-6)
