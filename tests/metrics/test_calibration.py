"""Predicted against observed shares, and what chance alone gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.metrics.calibration import calibration_error_by_chance, calibration_table, expected_calibration_error


def test_calibration_compares_predicted_and_observed_in_groups_of_equal_size() -> None:
    churned, probability = np.array([1, 0, 1, 0, 1]), np.array([0.8, 0.2, 0.4, 0.0, 0.9])
    table = calibration_table(churned, probability, bins=2)
    assert table["customers"].tolist() == [3, 2]
    assert table["predicted"].tolist() == pytest.approx([0.2, 0.85])
    assert table["observed"].tolist() == pytest.approx([1 / 3, 1.0])
    assert expected_calibration_error(churned, probability, bins=2) == pytest.approx((0.4 + 0.3) / 5)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1), st.integers(2, 20))
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
