"""Profit before outcomes are known: calibrated, additive, and with an interval that holds what it says."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from churn.config.economics import Economics
from churn.metrics.estimated_profit import GainSums, clipped_logit, fit_calibration
from churn.metrics.profit import profit_per_customer

COSTS = Economics(
    currency="EUR",
    customer_value=200.0,
    offer_cost=10.0,
    contact_cost=1.0,
    acceptance_alpha=6.0,
    acceptance_beta=14.0,
)


def test_the_calibration_is_the_logistic_regression_on_the_logit() -> None:
    random = np.random.default_rng(1)
    probability = random.beta(2, 5, 3_000)
    churned = (random.random(3_000) < expit(0.3 + 0.8 * logit(probability))).astype(np.int64)
    found = fit_calibration(churned, probability)
    wanted = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(probability)[:, None], churned)
    assert found.intercept == pytest.approx(wanted.intercept_[0], abs=1e-5)
    assert found.slope == pytest.approx(wanted.coef_[0, 0], abs=1e-5)
    assert found.intercept_error == pytest.approx(0.08, rel=0.3)


@pytest.mark.parametrize("probability", [np.full(50, 0.3), np.repeat([0.0, 1.0], 25)])
def test_scores_that_allow_no_fit_are_left_as_they_are(probability: np.ndarray) -> None:
    found = fit_calibration((probability > 0.5).astype(np.int64), probability)
    assert (found.intercept, found.slope) == (0.0, 1.0)
    assert np.isfinite(clipped_logit(probability)).all()


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    random = np.random.default_rng(2)
    probability = random.random(1_000)
    fitted = fit_calibration((random.random(1_000) < probability).astype(np.int64), probability)
    whole = GainSums.of(probability, probability > 0.2, fitted, COSTS)
    parts = [GainSums.of(part, part > 0.2, fitted, COSTS) for part in np.split(probability, 4)]
    added = sum(parts, GainSums())
    assert added.profit_per_1000(fitted).low == pytest.approx(whole.profit_per_1000(fitted).low)
    assert np.isnan(GainSums().profit_per_1000(fitted).value)


def test_the_interval_holds_the_realised_profit_of_a_changed_mix_as_often_as_it_says() -> None:
    """Calibrated on 2,000 customers by a score that is off, then used for 1,000 of whom more are likely to leave."""
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(400):
        truth = random.beta(1.2, 3, 2_000)
        score = expit(0.2 + 1.3 * logit(truth))
        fitted = fit_calibration((random.random(2_000) < truth).astype(np.int64), score)
        later = random.beta(2, 3, 1_000)
        probability = expit(0.2 + 1.3 * logit(later))
        contacted = probability > 0.3
        estimate = GainSums.of(probability, contacted, fitted, COSTS).profit_per_1000(fitted)
        churned = (random.random(1_000) < later).astype(np.int64)
        realised = 1000 * profit_per_customer(churned, contacted, COSTS)
        inside += estimate.low <= realised <= estimate.high
    assert 0.92 <= inside / 400 <= 0.98


def test_the_estimate_is_blind_when_customers_with_the_same_columns_leave_more_often() -> None:
    random = np.random.default_rng(4)
    truth = random.beta(1.2, 3, 4_000)
    fitted = fit_calibration((random.random(4_000) < truth).astype(np.int64), truth)
    contacted = truth > 0.2
    estimate = GainSums.of(truth, contacted, fitted, COSTS).profit_per_1000(fitted)
    lured = truth + 0.3 * (1 - truth)
    realised = 1000 * profit_per_customer((random.random(4_000) < lured).astype(np.int64), contacted, COSTS)
    assert realised > estimate.high
