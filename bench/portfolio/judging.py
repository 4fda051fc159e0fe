"""A candidate on a table: judged in folds as `churn tune` does, and on the unseen customers after a last fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
import pandas as pd
from pydantic import TypeAdapter
from sklearn.pipeline import Pipeline

from bench.portfolio.families import Table
from churn.commands.tune.study import sampler
from churn.config import search_space
from churn.config.economics import Economics
from churn.config.search_space import Candidate, Space
from churn.metrics import profit
from churn.metrics.paired import Pair, PairedAnswers, PairedDifference, paired_differences
from churn.metrics.scores import probability_scores, roc_auc
from churn.model import estimators
from churn.model.encoding import make_encoders, make_scaler
from churn.table import splits
from churn.types import Floats, Labels

FOLDS, SEED, RESAMPLES = 3, 2013, 1_000
MONEY = Economics(
    currency="EUR", customer_value=200.0, offer_cost=10.0, contact_cost=1.0, acceptance_alpha=6.0, acceptance_beta=14.0
)
BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
REFERENCE: Mapping[str, tuple[float, Mapping[str, Any]]] = {
    BOOSTING: (
        0.9,
        {
            "learning_rate": {"low": 0.01, "high": 0.3, "log": True},
            "max_iter": {"low": 50, "high": 300, "log": True},
            "max_leaf_nodes": {"low": 2, "high": 64, "log": True},
            "min_samples_leaf": {"low": 5, "high": 200, "log": True},
            "l2_regularization": {"low": 0.01, "high": 100.0, "log": True},
            "max_features": [1.0, 0.5, 0.3],
            "early_stopping": [False],
        },
    ),
    "sklearn.linear_model.LogisticRegression": (0.1, {"C": {"low": 0.001, "high": 100.0, "log": True}}),
}
"""By estimator: its share of the tuned trials, and its space, which is wider than that of params.yaml."""


@dataclass(frozen=True)
class Part:
    """Encoded rows to learn from, their outcomes, and the rows to be judged."""

    learned: pd.DataFrame
    churned: Labels
    judged: pd.DataFrame

    def probability(self, candidate: Candidate) -> Floats:
        """Of the judged rows."""
        classifier = estimators.make_classifier(candidate.estimator, candidate.arguments, seed=SEED, threads=1)
        fitted = estimators.fit_classifier(classifier, self.learned, self.churned)
        probability: Floats = fitted.predict_proba(self.judged)[:, 1]
        return probability


@dataclass(frozen=True)
class Bench:
    """A table with its folds, each encoded once."""

    table: Table

    @cached_property
    def folds(self) -> Labels:
        """Fold of each training row; equal customers are in one."""
        return splits.fold_of(self.table.training.rows.index, "portfolio", FOLDS)

    @cached_property
    def parts(self) -> list[Part]:
        """One for each fold."""
        rows, churned = self.table.training.rows, self.table.training.churned
        return [
            self._encoded(rows[self.folds != fold], churned[self.folds != fold], rows[self.folds == fold])
            for fold in range(FOLDS)
        ]

    @cached_property
    def whole(self) -> Part:
        """All training rows, and the unseen ones."""
        return self._encoded(self.table.training.rows, self.table.training.churned, self.table.unseen.rows)

    def _encoded(self, learned: pd.DataFrame, churned: Labels, judged: pd.DataFrame) -> Part:
        columns = self.table.columns
        encoding = Pipeline([("encoders", make_encoders(columns)), ("scaler", make_scaler(columns))])
        return Part(encoding.fit_transform(learned), churned, encoding.transform(judged))

    def out_of_fold(self, candidate: Candidate) -> Floats:
        """Probability of each training row."""
        probability = np.empty(len(self.folds))
        for fold, part in enumerate(self.parts):
            probability[self.folds == fold] = part.probability(candidate)
        return probability


@dataclass(frozen=True)
class Judged:
    """What a candidate said of both sides of a table."""

    candidate: Candidate
    out_of_fold: Floats
    unseen: Floats

    @classmethod
    def of(cls, bench: Bench, candidate: Candidate) -> "Judged":
        """Judge in folds, then fit on all training rows."""
        return cls(candidate, bench.out_of_fold(candidate), bench.whole.probability(candidate))

    def scores(self, bench: Bench) -> dict[str, float]:
        """Scores on the unseen customers."""
        return probability_scores(bench.table.unseen.churned, self.unseen)

    def answers(self, bench: Bench) -> PairedAnswers:
        """Probabilities and decisions, by the threshold that the training rows chose."""
        threshold = profit.most_profitable_threshold(bench.table.training.churned, self.out_of_fold, MONEY)
        return PairedAnswers(self.unseen, self.unseen >= threshold)


def differences(bench: Bench, old: Judged, new: Judged) -> Mapping[str, PairedDifference]:
    """New minus old on the unseen customers, with 95% intervals of a paired bootstrap."""
    unseen = bench.table.unseen
    pair = Pair(unseen.rows.index, unseen.churned, old.answers(bench), new.answers(bench), 0, 0, 0)
    return {one.name: one for one in paired_differences(pair, MONEY, resamples=RESAMPLES, seed=SEED)}


def tuned(bench: Bench, trials: int) -> Candidate:
    """The best of many trials by ROC-AUC in folds: a search for each estimator, in which hopeless trials stop early."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = [
        _searched(bench, TypeAdapter(Space).validate_python({path: space}), max(round(share * trials), 1))
        for path, (share, space) in REFERENCE.items()
    ]
    return max(found, key=lambda one: one[0])[1]


def _searched(bench: Bench, space: Space, trials: int) -> tuple[float, Candidate]:
    study = optuna.create_study(direction="maximize", sampler=sampler(SEED), pruner=optuna.pruners.MedianPruner())
    study.optimize(lambda trial: _value(bench, space, trial), n_trials=trials)
    best: dict[str, Any] = study.best_trial.user_attrs
    return study.best_value, Candidate(best["estimator"], best["arguments"])


def _value(bench: Bench, space: Space, trial: optuna.Trial) -> float:
    candidate = search_space.suggest_candidate(space, {}, trial)
    trial.set_user_attr("estimator", candidate.estimator)
    trial.set_user_attr("arguments", dict(candidate.arguments))
    areas: list[float] = []
    churned = bench.table.training.churned
    for fold, part in enumerate(bench.parts):
        areas.append(roc_auc(churned[bench.folds == fold], part.probability(candidate)))
        trial.report(float(np.mean(areas)), fold)
        if fold + 1 < FOLDS and trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(areas))
