"""Scores of predicted probabilities and of decisions.

Each score of probabilities has one implementation, for weighted rows: ranking scores are computed from the weights of
churners and stayers at each distinct probability, the other scores are weighted means of a loss per row. They use plain
array arithmetic because a bootstrap calls them thousands of times; tests compare them with scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from churn.types import Floats, Labels


@dataclass(frozen=True)
class Ranking:
    """Rows sorted by increasing probability.

    Attributes:
        order: original position of each sorted row.
        starts: first sorted position of each distinct probability.
        churned: outcome of each sorted row, 1 or 0.
    """

    order: Labels
    starts: Labels
    churned: Floats

    @classmethod
    def of(cls, churned: Labels, probability: Floats) -> Self:
        """Sort the rows once, to be weighted many times."""
        # An unstable sort is faster, and sums of counts are exact, so the order of ties has no effect.
        order = np.argsort(probability)
        ranked = probability[order]
        starts = np.append(0, np.flatnonzero(ranked[1:] != ranked[:-1]) + 1)
        return cls(order, starts, churned[order].astype(np.float64))

    def weights(self, times: Floats) -> tuple[Floats, Floats]:
        """Weights of churners and of stayers at each distinct probability (last axis), for the row weights `times`."""
        stayed = times.take(self.order, axis=-1)
        left = stayed * self.churned
        stayed -= left
        if len(self.starts) == len(self.order):  # without ties, each row is its own group
            return left, stayed
        return np.add.reduceat(left, self.starts, axis=-1), np.add.reduceat(stayed, self.starts, axis=-1)


def counts_by_probability(churned: Labels, probability: Floats) -> tuple[Floats, Floats]:
    """Churners and stayers at each distinct probability, lowest first."""
    return Ranking.of(churned, probability).weights(np.ones(len(churned)))


def pairs_in_order(churners: Floats, stayers: Floats) -> Floats:
    """Weight of the correctly ranked pairs of a churner and a stayer; ties count half."""
    right: Floats = np.vecdot(churners, stayers.cumsum(axis=-1)) - np.vecdot(churners, stayers) / 2
    return right


def weighted_roc_auc(churners: Floats, stayers: Floats) -> Floats:
    """Share of correctly ranked pairs of a churner and a stayer; NaN if either class is missing."""
    return _share(pairs_in_order(churners, stayers), churners.sum(axis=-1) * stayers.sum(axis=-1))


def weighted_pr_auc(churners: Floats, stayers: Floats) -> Floats:
    """Average precision: precision at each threshold, weighted by the increase in recall; NaN without churners."""
    found = churners[..., ::-1]
    hits = found.cumsum(axis=-1)
    # In place: with many resamples at once, allocating arrays takes longer than the arithmetic.
    called = stayers[..., ::-1].cumsum(axis=-1)
    called += hits
    np.maximum(called, np.finfo(np.float64).tiny, out=called)
    precision = np.divide(hits, called, out=called)
    return _share(np.vecdot(found, precision), hits[..., -1])


@np.errstate(invalid="ignore")
def _share(part: Floats, whole: Floats) -> Floats:
    return part / whole


def log_losses(churned: Labels, probability: Floats) -> Floats:
    """Negative log-likelihood of each row; probabilities are clipped to [eps, 1 - eps]."""
    smallest = np.finfo(np.float64).eps
    losses: Floats = -np.log(np.clip(np.where(churned == 1, probability, 1 - probability), smallest, 1 - smallest))
    return losses


def squared_errors(churned: Labels, probability: Floats) -> Floats:
    """Squared error of each row's probability; the mean is the Brier score."""
    errors: Floats = np.square(probability - churned)
    return errors


RANKING_SCORES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "roc_auc": weighted_roc_auc,
    "pr_auc": weighted_pr_auc,
}
"""Functions of the weights of churners and of stayers at each distinct probability, in increasing order (last axis)."""

LOSSES: dict[str, Callable[[Labels, Floats], Floats]] = {"log_loss": log_losses, "brier": squared_errors}
"""Loss per row; the weighted mean is the score."""

PROBABILITY_SCORES = (*RANKING_SCORES, *LOSSES)
"""Names of all scores that need no threshold."""


def probability_scores(churned: Labels, probability: Floats) -> dict[str, float]:
    """All scores that need no threshold, with equal row weights."""
    counts = counts_by_probability(churned, probability)
    ranked = {name: float(score(*counts)) for name, score in RANKING_SCORES.items()}
    return ranked | {name: float(losses(churned, probability).mean()) for name, losses in LOSSES.items()}


def roc_auc(churned: Labels, probability: Floats) -> float:
    """ROC-AUC with equal row weights."""
    return float(weighted_roc_auc(*counts_by_probability(churned, probability)))


def pr_auc(churned: Labels, probability: Floats) -> float:
    """Average precision with equal row weights."""
    return float(weighted_pr_auc(*counts_by_probability(churned, probability)))


def decision_scores(churned: Labels, contacted: NDArray[np.bool_]) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of decisions; undefined ones are 0 (no contacts or no churners)."""
    left = churned == 1
    hits = int(np.sum(left & contacted))
    called, leavers = int(contacted.sum()), int(left.sum())
    return {
        "accuracy": float(np.mean(left == contacted)),
        "precision": hits / called if called else 0.0,
        "recall": hits / leavers if leavers else 0.0,
        "f1": 2 * hits / (called + leavers) if called + leavers else 0.0,
    }
