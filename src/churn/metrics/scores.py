"""Scores of probabilities and of decisions against what happened.

Plain array arithmetic, because a bootstrap calls it thousands of times; tests hold it to scikit-learn's figures.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from churn.types import Floats, Labels


def roc_auc(churned: Labels, probability: Floats) -> float:
    """Share of pairs of a churner and a stayer that are ranked right, ties counting half; NaN without both."""
    left = int(churned.sum())
    stayed = len(churned) - left
    if not left or not stayed:
        return float("nan")
    rank_sum = rankdata(probability)[churned == 1].sum()
    return float((rank_sum - left * (left + 1) / 2) / (left * stayed))


def pr_auc(churned: Labels, probability: Floats) -> float:
    """Average precision: precision at each threshold, weighted by the gain in recall; NaN without churners."""
    left = int(churned.sum())
    if not left:
        return float("nan")
    order = np.argsort(-probability, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hits = np.cumsum(churned[order])[last_of_ties]
    precision = hits / (last_of_ties + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / left)


def log_loss(churned: Labels, probability: Floats) -> float:
    """Mean negative log-likelihood; a probability of 0 or 1 counts as the nearest number inside."""
    smallest = np.finfo(np.float64).eps
    given = np.clip(np.where(churned == 1, probability, 1 - probability), smallest, 1 - smallest)
    return float(-np.log(given).mean())


def brier(churned: Labels, probability: Floats) -> float:
    """Mean squared distance of the probability from what happened."""
    return float(np.square(probability - churned).mean())


PROBABILITY_SCORES: dict[str, Callable[[Labels, Floats], float]] = {
    "roc_auc": roc_auc,
    "pr_auc": pr_auc,
    "log_loss": log_loss,
    "brier": brier,
}


def probability_scores(churned: Labels, probability: Floats) -> dict[str, float]:
    """Every score that needs no threshold."""
    return {name: score(churned, probability) for name, score in PROBABILITY_SCORES.items()}


def decision_scores(churned: Labels, contacted: NDArray[np.bool_]) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of one set of decisions; 0 where nobody was contacted or nobody left."""
    left = churned == 1
    hits = int(np.sum(left & contacted))
    called, leavers = int(contacted.sum()), int(left.sum())
    return {
        "accuracy": float(np.mean(left == contacted)),
        "precision": hits / called if called else 0.0,
        "recall": hits / leavers if leavers else 0.0,
        "f1": 2 * hits / (called + leavers) if called + leavers else 0.0,
    }
