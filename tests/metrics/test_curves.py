"""Points of the curves, and their bands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from churn.config.economics import Economics
from churn.metrics.curves import BANDED, contacted_by_threshold, curve_points, tenths, with_bands
from churn.metrics.profit import gains
from churn.metrics.scores import probability_scores
from tests.helpers.made_up_answers import MONEY, make_predictions


@given(seed=st.integers(0, 10_000), count=st.integers(1, 300), points=st.integers(10, 60))
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
    banded = with_bands(
        curve_points(*customers, economics, bins=5, points=20), *customers, economics, resamples=10, seed=1
    )
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
    curve = curve_points(*make_predictions(1000), economics, bins=5, points=points)[name]
    column, first, last = ENDS[name]
    assert 2 < len(curve) <= points
    assert (curve[column].iloc[0], curve[column].iloc[-1]) == (first, last)


def test_a_thinned_curve_holds_points_of_the_whole_one(economics: Economics) -> None:
    customers = make_predictions(1000)
    thin, whole = (curve_points(*customers, economics, bins=5, points=points) for points in (20, 5000))
    for name in ENDS:
        assert len(thin[name]) == 20
        assert len(thin[name].merge(whole[name].drop_duplicates())) == 20


def test_the_area_under_the_points_of_the_roc_curve_is_the_roc_auc(economics: Economics) -> None:
    customers = make_predictions(300)
    curve = curve_points(*customers, economics, bins=5, points=5000)["roc"]
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(probability_scores(*customers)["roc_auc"])


def test_the_first_threshold_of_the_profit_curve_reaches_nobody_even_at_probability_one(economics: Economics) -> None:
    churned, probability = np.array([0, 1, 0]), np.array([1.0, 1.0, 0.0])
    curve = curve_points(churned, probability, economics, bins=2, points=10)["profit"]
    contacted = [int((probability >= threshold).sum()) for threshold in curve["threshold"]]
    assert contacted == [0, 2, 3]
    assert (3 * curve["contacted_share"]).tolist() == contacted


def test_a_band_holds_its_curve_and_narrows_with_more_customers(economics: Economics) -> None:
    widths = []
    for count in (200, 5000):
        customers = make_predictions(count)
        points = curve_points(*customers, economics, bins=5, points=100)
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
    points = curve_points(churned, probability, economics, bins=5, points=100)
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
    points = curve_points(*customers, economics, bins=5, points=5000)
    roc = with_bands(points, *customers, economics, resamples=200, seed=0)["roc"]
    steps = roc["false_positive_rate"].duplicated(keep=False)
    assert steps.sum() > 50
    assert roc["true_positive_rate"].between(roc["true_positive_rate_low"], roc["true_positive_rate_high"]).all()
    first = roc.iloc[0][["true_positive_rate_low", "true_positive_rate", "true_positive_rate_high"]]
    assert first.tolist() == [0, 0, 0]


def test_points_within_a_step_of_the_roc_curve_are_left_out(economics: Economics) -> None:
    """Equal probabilities of different sizes of churners alone make a step of several points."""
    churned, probability = np.array([1, 1, 1, 0, 0, 1]), np.array([0.9, 0.8, 0.8, 0.5, 0.4, 0.4])
    roc = curve_points(churned, probability, economics, bins=2, points=50)["roc"]
    assert roc.to_numpy().tolist() == [[0, 0], [0, 0.75], [0.5, 0.75], [1, 1]]


def test_the_interval_of_a_share_is_wilsons(economics: Economics) -> None:
    customers = make_predictions(100)
    points = curve_points(*customers, economics, bins=4, points=50)
    table = with_bands(points, *customers, economics, resamples=10, seed=0)["calibration"]
    for share, count, low, high in zip(
        table["observed"], table["customers"], table["observed_low"], table["observed_high"], strict=True
    ):
        exact = binomtest(round(share * count), int(count)).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-6)


@given(seed=st.integers(0, 10_000), count=st.integers(10, 300))
def test_tenths_add_up_to_all_customers(seed: int, count: int) -> None:
    churned, probability = make_predictions(count, seed)
    table = tenths(churned, probability, MONEY)
    assert len(table) == 10
    assert table["customers"].max() - table["customers"].min() <= 1
    assert table["customers"].sum() == count
    assert table["churners"].sum() == pytest.approx(churned.sum())
    assert (table["customers"] * table["probability"]).sum() == pytest.approx(probability.sum())
    assert table["probability"].is_monotonic_decreasing
    everybody = table.iloc[-1]
    assert everybody["profit_per_1000"] == pytest.approx(1000 * gains(churned, MONEY).mean())
    if churned.any():
        assert everybody["churners_reached"] == pytest.approx(1)
        assert (table["lift"] * table["customers"]).sum() == pytest.approx(count)


def test_tenths_of_a_perfect_ranking_reach_the_churners_first(economics: Economics) -> None:
    churned = np.repeat([1, 0], [20, 80])
    table = tenths(churned, np.linspace(1, 0, 100), economics)
    assert table["churners"].tolist() == [10, 10, 0, 0, 0, 0, 0, 0, 0, 0]
    assert table["lift"].tolist()[:3] == [5, 5, 0]
    assert table["churners_reached"].tolist()[:3] == [0.5, 1, 1]


@pytest.mark.parametrize("order", [1, -1])
def test_a_model_that_tells_nobody_apart_has_equal_tenths_whatever_the_order_of_the_rows(
    order: int, economics: Economics
) -> None:
    churned = np.repeat([1, 0], [20, 80])[::order]
    table = tenths(churned, np.full(100, 0.2), economics)
    assert table["churn_rate"].tolist() == pytest.approx([0.2] * 10)
    assert table["lift"].tolist() == pytest.approx([1.0] * 10)


def test_tenths_of_few_customers_and_of_no_churners_are_defined(economics: Economics) -> None:
    table = tenths(np.array([0, 0, 0]), np.array([0.1, 0.2, 0.3]), economics)
    assert len(table) == 3
    assert table["churn_rate"].tolist() == [0, 0, 0]
    assert table["lift"].isna().all()
