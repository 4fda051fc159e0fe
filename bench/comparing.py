"""What the paired bootstrap of `churn compare` costs: 10,000 customers, 2,000 resamples, beside scikit-learn's scores.

Run: python -m bench.comparing
"""

import statistics
import time

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from churn.config.economics import Economics
from churn.metrics.paired import Pair, PairedAnswers, paired_differences

CUSTOMERS, RESAMPLES, ROUNDS = 10_000, 2_000, 5
FEW = 50
"""Resamples that are enough to know what scikit-learn's scores cost."""
MONEY = Economics(
    currency="EUR", customer_value=200.0, offer_cost=10.0, contact_cost=1.0, acceptance_alpha=6.0, acceptance_beta=14.0
)


def two_models(random: np.random.Generator) -> Pair:
    """Customers, and two models that see what moves them through noise of their own."""
    signal = random.normal(0, 1.2, CUSTOMERS)
    churned = (random.random(CUSTOMERS) < 1 / (1 + np.exp(1.2 - signal))).astype(np.int64)
    old, new = (1 / (1 + np.exp(1.2 - signal - random.normal(0, 0.8, CUSTOMERS))) for _ in range(2))
    sides = {"old": PairedAnswers(old, old >= 0.3), "new": PairedAnswers(new, new >= 0.3)}
    return Pair(pd.RangeIndex(CUSTOMERS), churned, **sides, only_old=0, only_new=0, contradicted=0)


def seconds_of_scikit_learn(pair: Pair, random: np.random.Generator) -> float:
    """The four scores of probabilities of both models, resample after resample; for as many as above."""
    started = time.process_time()
    for _ in range(FEW):
        drawn = random.integers(0, CUSTOMERS, CUSTOMERS)
        for side in (pair.old, pair.new):
            for score in (roc_auc_score, average_precision_score, log_loss, brier_score_loss):
                score(pair.churned[drawn], side.probability[drawn])
    return (time.process_time() - started) * RESAMPLES / FEW


def main() -> None:
    """Alternate both, and print medians and their ratio."""
    random = np.random.default_rng(0)
    pair = two_models(random)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        paired_differences(pair, MONEY, resamples=RESAMPLES, seed=0)
        ours.append(time.process_time() - started)
        theirs.append(seconds_of_scikit_learn(pair, random))
    ratio = statistics.median(other / one for one, other in zip(ours, theirs, strict=True))
    print(f"{CUSTOMERS:,} customers, {RESAMPLES:,} resamples, one core, median of {ROUNDS} rounds")
    print(f"churn compare: {statistics.median(ours):.2f} s for nine figures (aim 2 s)")
    print(f"scikit-learn's scores: {statistics.median(theirs):.1f} s for four of them, {ratio:.0f} times as long")


if __name__ == "__main__":
    main()
