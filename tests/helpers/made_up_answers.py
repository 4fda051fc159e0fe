"""What made-up models say of made-up customers."""

import numpy as np

from churn.config.economics import Economics
from churn.metrics.paired import PairedAnswers
from churn.types import Floats, Labels

MONEY = Economics(
    currency="EUR", customer_value=200.0, offer_cost=10.0, contact_cost=1.0, acceptance_alpha=6.0, acceptance_beta=14.0
)


def answers(signal: np.ndarray, noise: np.ndarray, threshold: float = 0.3) -> PairedAnswers:
    probability = 1 / (1 + np.exp(1.2 - signal - noise))
    return PairedAnswers(probability.round(3), probability.round(3) >= threshold)


Customers = tuple[Labels, Floats]


def make_predictions(count: int, seed: int = 0) -> Customers:
    """A calibrated model of customers of whom a third leaves: what happened, and what was predicted."""
    random = np.random.default_rng(seed)
    probability = random.beta(1, 2, size=count)
    return (random.random(count) < probability).astype(int), probability
