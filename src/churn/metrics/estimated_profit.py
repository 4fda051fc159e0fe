"""Profit of decisions whose outcomes are not known yet, from calibrated probabilities.

It is right if customers with the same columns still churn as often as the training customers did, however the mix of
customers changes. It cannot see that this relation has changed: only outcomes show that.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from churn.config.economics import Economics
from churn.metrics.intervals import Interval, Z
from churn.types import Floats, Labels

CLOSEST_TO_CERTAIN = 1e-6
"""Probabilities are clipped to this distance from 0 and 1, whose logit is infinite."""
MOST_STEPS = 50


@dataclass(frozen=True)
class LogisticCalibration:
    """Churn rate by predicted probability p: expit(intercept + slope logit(p)) (Platt 1999; Cox 1958, Biometrika 45).

    Attributes:
        intercept_error, slope_error: standard errors.
        correlation: of the errors of intercept and slope.
    """

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float
    correlation: float

    def churn_rate(self, probability: Floats) -> Floats:
        """Calibrated probabilities."""
        rate: Floats = expit(self.intercept + self.slope * clipped_logit(probability))
        return rate


def clipped_logit(probability: Floats) -> Floats:
    """Logit of probabilities, finite also for 0 and 1."""
    odds: Floats = logit(np.clip(probability, CLOSEST_TO_CERTAIN, 1 - CLOSEST_TO_CERTAIN))
    return odds


def fit_calibration(churned: Labels, probability: Floats) -> LogisticCalibration:
    """Fit by maximum likelihood (Newton's method), on outcomes that the model has not seen.

    With a single score or with scores that separate the outcomes there is no unique fit: then nothing is changed, and
    only an error of the intercept is assumed.
    """
    design = np.column_stack([np.ones(len(probability)), clipped_logit(probability)])
    found = np.array([0.0, 1.0])
    for _ in range(MOST_STEPS):
        rate = expit(design @ found)
        information = (design * (rate * (1 - rate))[:, None]).T @ design
        if np.linalg.cond(information) > 1 / np.finfo(np.float64).eps:
            break
        step = np.linalg.solve(information, design.T @ (churned - rate))
        found = found + step
        if np.abs(step).max() < 1e-10:
            variance = np.linalg.inv(information)
            errors = np.sqrt(np.diag(variance))
            correlation = variance[0, 1] / errors.prod()
            return LogisticCalibration(*map(float, (*found, *errors, correlation)))
    spread = float(np.sum(probability * (1 - probability)))
    return LogisticCalibration(0.0, 1.0, float(max(spread, 1.0) ** -0.5), 0.0, 0.0)


@dataclass(frozen=True)
class GainSums:
    """Sums over customers from which their estimated profit and its interval follow; sums of parts can be added.

    Attributes:
        gain: expected gain of the contacts.
        variance: of the gain, by chance alone.
        by_intercept, by_slope: change of the gain with the parameters of the calibration.
    """

    customers: int = 0
    contacted: int = 0
    gain: float = 0.0
    variance: float = 0.0
    by_intercept: float = 0.0
    by_slope: float = 0.0

    @classmethod
    def of(
        cls,
        probability: Floats,
        contacted: NDArray[np.bool_],
        calibration: LogisticCalibration,
        economics: Economics,
    ) -> Self:
        """Sums over some customers."""
        called = probability[contacted]
        rate = calibration.churn_rate(called)
        at_stake = economics.gain_from_churner - economics.gain_from_stayer
        spread = rate * (1 - rate)
        return cls(
            customers=len(probability),
            contacted=len(called),
            gain=float(np.sum(economics.gain_from_stayer + rate * at_stake)),
            variance=float(spread.sum()) * at_stake**2,
            by_intercept=float(spread.sum()) * at_stake,
            by_slope=float(spread @ clipped_logit(called)) * at_stake,
        )

    def __add__(self, other: "GainSums") -> "GainSums":
        """Sums over the customers of both."""
        return GainSums(
            self.customers + other.customers,
            self.contacted + other.contacted,
            self.gain + other.gain,
            self.variance + other.variance,
            self.by_intercept + other.by_intercept,
            self.by_slope + other.by_slope,
        )

    def profit_per_1000(self, calibration: LogisticCalibration) -> Interval:
        """Estimated profit per 1,000 customers, with a 95% interval: chance, and the error of the calibration."""
        if not self.customers:
            return Interval(float("nan"), float("nan"), float("nan"))
        intercept = self.by_intercept * calibration.intercept_error
        slope = self.by_slope * calibration.slope_error
        of_calibration = intercept**2 + 2 * calibration.correlation * intercept * slope + slope**2
        scale = 1000 / self.customers
        half = Z * scale * float(np.sqrt(max(self.variance + of_calibration, 0.0)))
        value = scale * self.gain
        return Interval(value, value - half, value + half)
