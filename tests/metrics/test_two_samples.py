"""Tests of two samples: the values of the libraries that everybody knows, and rates that hold at small levels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp

from churn.metrics.two_samples import (
    chi_squared,
    difference_of_rates,
    holm,
    kolmogorov_smirnov,
    told_apart,
)


def counts_at(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Values up to each threshold, then all of them."""
    return np.append(np.searchsorted(np.sort(values), thresholds, side="right"), len(values))


@given(st.integers(0, 10_000))
def test_the_kolmogorov_smirnov_test_on_counts_is_that_of_scipy_where_every_value_is_a_threshold(seed: int) -> None:
    random = np.random.default_rng(seed)
    old, new = random.integers(0, 40, 900).astype(float), random.integers(0, 45, 300).astype(float)
    thresholds = np.unique([*old, *new])
    found = kolmogorov_smirnov(counts_at(old, thresholds), counts_at(new, thresholds))
    wanted = ks_2samp(old, new, method="asymp")
    assert found.shift == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=1e-9)


def test_with_fewer_thresholds_the_p_value_is_an_upper_bound() -> None:
    random = np.random.default_rng(1)
    old, new = random.normal(size=2_000), random.normal(0.1, size=700)
    thresholds = np.quantile(old, np.linspace(0, 1, 400))
    found = kolmogorov_smirnov(counts_at(old, thresholds), counts_at(new, thresholds))
    assert found.p_value >= ks_2samp(old, new, method="asymp").pvalue
    assert found.p_value == pytest.approx(ks_2samp(old, new, method="asymp").pvalue, rel=0.3)


def test_the_chi_squared_test_is_that_of_scipy_and_its_shift_the_total_variation() -> None:
    old, new = np.array([500, 300, 200]), np.array([90, 70, 140])
    found = chi_squared(old, new)
    assert found.p_value == pytest.approx(chi2_contingency([old, new], correction=False).pvalue)
    assert found.shift == pytest.approx(140 / 300 - 0.2)


def test_labels_too_rare_for_the_chi_squared_test_are_pooled() -> None:
    found = chi_squared(np.array([900, 95, 3, 2]), np.array([90, 9, 0, 1]))
    pooled = chi2_contingency([[900, 100], [90, 10]], correction=False)
    assert found.p_value == pytest.approx(pooled.pvalue)


@pytest.mark.parametrize("counts", [[0, 0], [5, 0]])
def test_nothing_to_compare_is_no_difference(counts: list[int]) -> None:
    nothing = np.zeros(2, dtype=np.int64)
    assert chi_squared(np.array(counts), nothing).p_value == 1
    assert kolmogorov_smirnov(np.array(counts).cumsum(), nothing).p_value == 1
    assert difference_of_rates(0, 0, 0, 0, only_higher=False).p_value == 1


def test_a_lower_rate_is_no_difference_where_only_a_higher_one_counts() -> None:
    lower = difference_of_rates(50, 100, 5, 100, only_higher=True)
    assert lower.p_value > 0.99
    assert lower.shift == 0
    assert difference_of_rates(50, 100, 5, 100, only_higher=False).p_value < 1e-9


def test_rare_labels_alarm_no_more_often_than_stated_at_a_small_level() -> None:
    """The uncorrected chi-squared test with an expected count below 1 is wrong by a factor of ten here."""
    random = np.random.default_rng(2)
    share = np.array([0.9, 0.0988, 0.0006, 0.0006])
    alarms = sum(
        chi_squared(random.multinomial(5_000, share), random.multinomial(400, share)).p_value < 1e-3
        for _ in range(5_000)
    )
    assert alarms <= 12  # 5 are expected; more than 12 come about once in 500 times


def test_a_classifier_that_ranks_new_rows_higher_tells_them_apart() -> None:
    random = np.random.default_rng(3)
    same = told_apart(random.normal(size=500), random.normal(size=200))
    moved = told_apart(random.normal(size=500), random.normal(1, size=200))
    assert same.p_value > 0.01
    assert moved.p_value < 1e-9
    assert moved.statistic == pytest.approx(0.76, abs=0.05)  # of two normals one standard deviation apart


def test_holm_corrects_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]
