"""Objectives of a search: out-of-fold metrics of metrics/train.json, also for resampled customers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.metrics.profit import choose_threshold, contacted_out_of_fold, gains
from churn.metrics.profit import profit_per_customer as profit_of
from churn.metrics.scores import Ranking, pr_auc, weighted_pr_auc
from churn.metrics.selection_bias import WeightedValues
from churn.types import Floats, Labels


@dataclass(frozen=True)
class JudgingData:
    """Data on which every candidate is evaluated: outcomes and folds of training customers, costs and values."""

    churned: Labels
    folds: Labels
    threshold: str | float
    economics: Economics


@dataclass(frozen=True)
class Objective:
    """A metric to be maximised.

    Attributes:
        metric: its name in metrics/train.json.
        unit: returns its unit.
        form: its number format.
        value: computes it from the out-of-fold probabilities of all customers.
        of_fold: computes it for the customers of one fold, to prune candidates early.
        weighted: for the probabilities of several candidates, computes their values for weighted customers.
    """

    metric: str
    unit: Callable[[Economics], str]
    form: str
    value: Callable[[JudgingData, Floats], float]
    of_fold: Callable[[JudgingData, Labels, Floats], float]
    weighted: Callable[[JudgingData, Sequence[Floats]], WeightedValues]


def folds_of(ground: JudgingData) -> list[NDArray[np.bool_]]:
    """The customers of each fold."""
    return [ground.folds == fold for fold in range(int(ground.folds.max()) + 1)]


def _profit(ground: JudgingData, probability: Floats) -> float:
    """`train_profit_per_1000`: each fold uses the threshold chosen on the others."""
    contacted = contacted_out_of_fold(ground.churned, probability, ground.folds, ground.threshold, ground.economics)
    return 1000 * profit_of(ground.churned, contacted, ground.economics)


def _profit_of_fold(ground: JudgingData, churned: Labels, probability: Floats) -> float:
    """Profit at the fold's own best threshold: too optimistic, but equally for all candidates."""
    threshold = choose_threshold(churned, probability, ground.threshold, ground.economics)
    return 1000 * profit_of(churned, probability >= threshold, ground.economics)


def _weighted_profit(ground: JudgingData, candidates: Sequence[Floats]) -> WeightedValues:
    """Decisions are made once, on all customers, so a resample is a weighted mean."""
    gained = gains(ground.churned, ground.economics)
    contacted = [
        contacted_out_of_fold(ground.churned, one, ground.folds, ground.threshold, ground.economics)
        for one in candidates
    ]
    earned = np.column_stack([np.where(one, gained, 0.0) for one in contacted])
    return lambda times: 1000 * (times @ earned) / times.sum(axis=1, keepdims=True)


def _pr_auc(ground: JudgingData, probability: Floats) -> float:
    """`cv_pr_auc`: the mean over folds."""
    return float(np.mean([pr_auc(ground.churned[fold], probability[fold]) for fold in folds_of(ground)]))


def _pr_auc_of_fold(ground: JudgingData, churned: Labels, probability: Floats) -> float:
    return pr_auc(churned, probability)


def _weighted_pr_auc(ground: JudgingData, candidates: Sequence[Floats]) -> WeightedValues:
    folds = folds_of(ground)
    rankings = [[Ranking.of(ground.churned[fold], one[fold]) for fold in folds] for one in candidates]

    def weighted(times: Floats) -> Floats:
        inside = [np.ascontiguousarray(times[:, fold]) for fold in folds]
        by_fold = [
            [weighted_pr_auc(*ranking.weights(own)) for ranking, own in zip(of_one, inside, strict=True)]
            for of_one in rankings
        ]
        return np.column_stack([np.mean(values, axis=0) for values in by_fold])

    return weighted


OBJECTIVES: dict[str, Objective] = {
    "profit": Objective(
        metric="train_profit_per_1000",
        unit=lambda economics: economics.per_1000,
        form=",.2f",
        value=_profit,
        of_fold=_profit_of_fold,
        weighted=_weighted_profit,
    ),
    "pr_auc": Objective(
        metric="cv_pr_auc",
        unit=lambda _: "PR-AUC",
        form=".4f",
        value=_pr_auc,
        of_fold=_pr_auc_of_fold,
        weighted=_weighted_pr_auc,
    ),
}
"""By value of tune.objective."""
