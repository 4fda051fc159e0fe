"""train: the classifier is fitted, judged out of fold on training rows, and joined with its threshold to a decision."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import FixedThresholdClassifier

from churn import artifacts, business, cleaning, decision, features, modeling, scores
from churn.business import Labels
from churn.params import Params
from churn.stages.__main__ import main
from churn.stages.execution import Measurements
from churn.tracking.verification import known_md5s

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """What preprocess left: the same customers as customer columns (`rows`) and encoded (`X`), in one order."""

    rows: pd.DataFrame
    X: pd.DataFrame
    y: Labels
    encoders: ColumnTransformer
    scaler: ColumnTransformer


@dataclass(frozen=True)
class Judgement:
    """The model as the training rows see it, out of fold."""

    threshold: float
    out_of_fold: modeling.OutOfFold
    metrics: dict[str, float]


def run(params: Params) -> Measurements:
    """Do the whole stage."""
    data = load_processed_data()
    started = time.perf_counter()
    classifier = train_model(data, params)
    training_time = time.perf_counter() - started
    judgement = evaluate_model(data, params)
    save_model(data, classifier, judgement)
    return {"training_time": training_time}


def load_processed_data() -> TrainingData:
    """Read the training side; the test side is not opened."""
    vouched = known_md5s(Path())
    encoders = artifacts.read_pickle(artifacts.ENCODERS, vouched)
    data = TrainingData(
        rows=artifacts.read_rows(artifacts.TRAIN_ROWS, features.column_types(encoders)),
        X=artifacts.read_features(artifacts.X_TRAIN),
        y=artifacts.read_labels(artifacts.Y_TRAIN).to_numpy(),
        encoders=encoders,
        scaler=artifacts.read_pickle(artifacts.SCALER, vouched),
    )
    log.info("%s training rows, %.1f %% churned", f"{len(data.y):,}", 100 * data.y.mean())
    return data


def make_classifier(params: Params) -> ClassifierMixin:
    """The unfitted estimator that params.yaml names."""
    return modeling.make_classifier(
        params.train.estimator, params.train.params, seed=params.compute.seed, threads=params.compute.threads
    )


def train_model(data: TrainingData, params: Params) -> ClassifierMixin:
    """Fit on all training rows."""
    classifier = modeling.fit_classifier(make_classifier(params), data.X, data.y)
    log.info("%s fitted", type(classifier).__name__)
    return classifier


def evaluate_model(data: TrainingData, params: Params) -> Judgement:
    """Cross-validate with everything refitted in each fold, and choose the threshold from what comes out."""
    untrained = modeling.untrained_pipeline(data.encoders, data.scaler, make_classifier(params))
    folds = cleaning.fold_of(data.rows.index, str(params.compute.seed), params.train.folds)
    effort = modeling.ImportanceEffort(params.train.importance.repeats, params.train.importance.max_rows)
    out_of_fold = modeling.judge_out_of_fold(untrained, data.rows, data.y, folds, effort, params.compute.seed)
    threshold = business.choose_threshold(data.y, out_of_fold.probability, params.train.threshold, params.business)
    metrics = training_metrics(data.y, folds, out_of_fold, params) | {"threshold": threshold}
    log.info(
        "out of fold: ROC-AUC %.3f ± %.3f over %s folds; threshold %.6g",
        metrics["cv_roc_auc"],
        metrics["cv_roc_auc_sd"],
        params.train.folds,
        threshold,
    )
    return Judgement(threshold, out_of_fold, metrics)


def training_metrics(y: Labels, folds: Labels, out_of_fold: modeling.OutOfFold, params: Params) -> dict[str, float]:
    """All of it out of fold: no row is judged by a model, or decided by a threshold, that has seen it."""
    contacted = business.contacted_out_of_fold(
        y, out_of_fold.probability, folds, params.train.threshold, params.business
    )
    metrics = {f"train_{name}": value for name, value in scores.decision_scores(y, contacted).items()}
    for name, values in out_of_fold.scores.items():
        metrics[f"cv_{name}"] = float(np.mean(values))
        metrics[f"cv_{name}_sd"] = float(np.std(values, ddof=1))
    profit = business.profit_per_customer(y, contacted, params.business)
    return metrics | {"train_profit_per_1000_eur": 1000 * profit}


def assemble(data: TrainingData, classifier: ClassifierMixin, threshold: float) -> FixedThresholdClassifier:
    """The fitted parts as one object, from customer columns to the decision."""
    return decision.assemble_decision(data.encoders, data.scaler, classifier, threshold, data.rows, data.y)


def save_model(data: TrainingData, classifier: ClassifierMixin, judgement: Judgement) -> None:
    """Write the decision, what it was judged by, and the figures."""
    artifacts.write_pickle(artifacts.MODEL, assemble(data, classifier, judgement.threshold))
    table = modeling.importance_table(judgement.out_of_fold.importance)
    artifacts.write_rounded_table(artifacts.IMPORTANCE, table)
    probability = pd.DataFrame({"probability": judgement.out_of_fold.probability}, index=data.rows.index)
    artifacts.write_rows(artifacts.OUT_OF_FOLD, probability)
    metrics: dict[str, Any] = judgement.metrics | {"model_size_mb": artifacts.megabytes(artifacts.MODEL)}
    artifacts.write_json(artifacts.TRAIN_METRICS, metrics)
    log.info("written to %s and %s", artifacts.MODELS, artifacts.TRAIN_METRICS)


if __name__ == "__main__":
    main("train")
