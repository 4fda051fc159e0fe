"""Out-of-fold evaluation on training rows; encoders, scaler and classifier are refitted for each fold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from churn.errors import DataError
from churn.metrics.scores import PROBABILITY_SCORES, probability_scores
from churn.model.encoding import encoded_columns
from churn.model.estimators import OF_TRAIN, Keys, fit_classifier
from churn.model.importance import ImportanceEffort, permutation_drops
from churn.types import Floats, Labels


@dataclass(frozen=True)
class JudgedFold:
    """Predictions for one fold by a model fitted on all other folds.

    Attributes:
        encoded: encoded rows of the fold.
        probability: probability of churn of each row of the fold.
    """

    encoding: Pipeline
    classifier: BaseEstimator
    encoded: pd.DataFrame
    probability: Floats


def judge_fold(
    untrained: Pipeline, rows: pd.DataFrame, y: Labels, inside: NDArray[np.bool_], named: Keys = OF_TRAIN
) -> JudgedFold:
    """Fit encoders, scaler and classifier on the rows outside a fold, and predict the fold.

    Raises:
        ParameterError: the classifier rejects an argument or the rows.
    """
    encoding = clone(untrained[:-1])
    learned = encoding.fit_transform(rows[~inside])
    classifier = fit_classifier(untrained[-1], learned, y[~inside], named)
    encoded = encoding.transform(rows[inside])
    return JudgedFold(encoding, classifier, encoded, classifier.predict_proba(encoded)[:, 1])


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions and metrics.

    Attributes:
        probability: out-of-fold probability of churn of each training row.
        scores: values per fold for each of PROBABILITY_SCORES.
        importance: one row per column, fold and repeat, with `feature`, and `drop` in ROC-AUC when the column is
            permuted within the fold.
    """

    probability: Floats
    scores: dict[str, Floats]
    importance: pd.DataFrame


def judge_out_of_fold(
    untrained: Pipeline, rows: pd.DataFrame, y: Labels, folds: Labels, effort: ImportanceEffort, seed: int
) -> OutOfFold:
    """Predict each fold with a model fitted on the others, and compute scores and permutation importance.

    Raises:
        DataError: a fold, or the rows outside it, have only one class.
        ParameterError: the classifier rejects an argument or the rows.
    """
    probability = np.full(len(y), np.nan)
    by_fold: list[dict[str, float]] = []
    drops: list[pd.DataFrame] = []
    require_both_classes(y, folds)
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        judged = judge_fold(untrained, rows, y, inside)
        probability[inside] = judged.probability
        by_fold.append(probability_scores(y[inside], judged.probability))
        groups = encoded_columns(judged.encoding[0])
        drops.append(permutation_drops(judged.classifier, judged.encoded, y[inside], groups, effort, seed))
    return OutOfFold(
        probability=probability,
        scores={name: np.array([scores[name] for scores in by_fold]) for name in PROBABILITY_SCORES},
        importance=pd.concat(drops, ignore_index=True),
    )


def require_both_classes(y: Labels, folds: Labels) -> None:
    """Check that each fold, and the rows outside it, have churners and stayers.

    Raises:
        DataError: one of them has only one class.
    """
    for fold in range(int(folds.max()) + 1):
        for part, labels in (("fold", y[folds == fold]), ("all but fold", y[folds != fold])):
            if len(np.unique(labels)) < 2:
                raise DataError(
                    f"params.yaml: train.folds: {part} {fold + 1} ({len(labels):,} of {len(y):,} training rows) lacks "
                    "churners or stayers; lower train.folds, or add customers"
                )


def untrained_pipeline(encoders: ColumnTransformer, scaler: ColumnTransformer, classifier: BaseEstimator) -> Pipeline:
    """Pipeline of unfitted copies of the steps."""
    return Pipeline([("encoders", clone(encoders)), ("scaler", clone(scaler)), ("classifier", clone(classifier))])
