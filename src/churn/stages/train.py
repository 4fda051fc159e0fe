"""train: fit the classifier, evaluate it out-of-fold on training rows, and choose the decision threshold."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import FixedThresholdClassifier

from churn import files
from churn.config.params import Params
from churn.errors import DataError
from churn.history.verify import known_md5s
from churn.metrics import paired, scores
from churn.metrics.intervals import Interval, flatten
from churn.metrics.profit import choose_threshold, contacted_out_of_fold, profit_per_customer
from churn.model import cross_validation, decision, encoding, estimators, importance, reference
from churn.stages.runner import Measurements, outcomes_of
from churn.stages.start import start_anew
from churn.table import splits
from churn.types import Labels

log = logging.getLogger(__name__)

RESAMPLES = 10_000
"""Bootstrap resamples of the training customers for the interval of their profit."""


@dataclass(frozen=True)
class TrainingData:
    """Output of preprocess: the same customers in the same order, as raw columns (`rows`) and encoded (`X`)."""

    rows: pd.DataFrame
    X: pd.DataFrame
    y: Labels
    encoders: ColumnTransformer
    scaler: ColumnTransformer


@dataclass(frozen=True)
class TrainingJudgement:
    """Out-of-fold evaluation of the model on training rows."""

    threshold: float
    out_of_fold: cross_validation.OutOfFold
    metrics: dict[str, float]


def run(root: Path, params: Params) -> Measurements:
    """Run the stage in a folder."""
    data = load_processed_data(root)
    started = time.perf_counter()
    classifier = train_model(data, params)
    training_time = time.perf_counter() - started
    judgement = evaluate_model(data, params)
    save_model(root, data, classifier, judgement)
    save_reference(root, data, judgement)
    return {"training_time": training_time}


def load_processed_data(root: Path) -> TrainingData:
    """Read the training rows; test rows are not opened."""
    vouched = known_md5s(root)
    encoders = files.read_pickle(root / files.ENCODERS, vouched)
    rows = files.read_rows(root / files.TRAIN_ROWS, encoding.column_types(encoders))
    data = TrainingData(
        rows=rows,
        X=_encoded(root, rows),
        y=outcomes_of(root, files.Y_TRAIN, rows),
        encoders=encoders,
        scaler=files.read_pickle(root / files.SCALER, vouched),
    )
    log.info("%s training rows, %.1f%% churned", f"{len(data.y):,}", 100 * data.y.mean())
    return data


def _encoded(root: Path, rows: pd.DataFrame) -> pd.DataFrame:
    table = files.read_features(root / files.X_TRAIN)
    if len(table) != len(rows) or table.empty or not np.isfinite(table.to_numpy()).all():
        raise DataError(f"{files.X_TRAIN}: not the encoded rows of {files.TRAIN_ROWS}; {files.RESTORE}")
    return table


def make_classifier(params: Params) -> ClassifierMixin:
    """The unfitted estimator of `train.estimator`."""
    return estimators.make_classifier(
        params.train.estimator, params.train.params, seed=params.compute.seed, threads=params.compute.threads
    )


def train_model(data: TrainingData, params: Params) -> ClassifierMixin:
    """Fit on all training rows."""
    classifier = estimators.fit_classifier(make_classifier(params), data.X, data.y)
    log.info("%s fitted", type(classifier).__name__)
    return classifier


def evaluate_model(data: TrainingData, params: Params) -> TrainingJudgement:
    """Cross-validate, refitting everything in each fold, and choose the threshold on out-of-fold probabilities."""
    untrained = cross_validation.untrained_pipeline(data.encoders, data.scaler, make_classifier(params))
    folds = splits.fold_of(data.rows.index, str(params.compute.seed), params.train.folds)
    effort = importance.ImportanceEffort(params.train.importance.repeats, params.train.importance.max_rows)
    out_of_fold = cross_validation.judge_out_of_fold(untrained, data.rows, data.y, folds, effort, params.compute.seed)
    threshold = choose_threshold(data.y, out_of_fold.probability, params.train.threshold, params.business)
    metrics = training_metrics(data, folds, out_of_fold, params) | {"threshold": threshold}
    log.info(
        "out of fold: ROC-AUC %.3f ± %.3f over %s folds; threshold %.6g",
        metrics["cv_roc_auc"],
        metrics["cv_roc_auc_sd"],
        params.train.folds,
        threshold,
    )
    return TrainingJudgement(threshold, out_of_fold, metrics)


def training_metrics(
    data: TrainingData, folds: Labels, out_of_fold: cross_validation.OutOfFold, params: Params
) -> dict[str, float]:
    """Out-of-fold metrics: neither the model nor the threshold applied to a row has seen it."""
    contacted = contacted_out_of_fold(data.y, out_of_fold.probability, folds, params.train.threshold, params.business)
    metrics = {f"train_{name}": value for name, value in scores.decision_scores(data.y, contacted).items()}
    for name, values in out_of_fold.scores.items():
        metrics[f"cv_{name}"] = float(np.mean(values))
        metrics[f"cv_{name}_sd"] = float(np.std(values, ddof=1))
    return metrics | flatten({"profit_per_1000": profit_interval(data, contacted, params)}, prefix="train_")


def profit_interval(data: TrainingData, contacted: NDArray[np.bool_], params: Params) -> Interval:
    """Profit of these decisions per 1,000 customers, with its 95% interval (bootstrap)."""
    nobody = paired.PairedAnswers(np.zeros(len(contacted)), np.zeros_like(contacted))
    model = paired.PairedAnswers(contacted.astype(float), contacted)
    pair = paired.Pair(data.rows.index, data.y, nobody, model, only_old=0, only_new=0, contradicted=0)
    gain = paired.profit_difference(
        pair, params.business, confidence=0.95, resamples=RESAMPLES, seed=params.compute.seed
    )
    return Interval(1000 * profit_per_customer(data.y, contacted, params.business), gain.low, gain.high)


def assemble(data: TrainingData, classifier: ClassifierMixin, threshold: float) -> FixedThresholdClassifier:
    """Combine the fitted parts into one object, from customer columns to the decision."""
    return decision.assemble_decision(data.encoders, data.scaler, classifier, threshold)


def save_model(root: Path, data: TrainingData, classifier: ClassifierMixin, judgement: TrainingJudgement) -> None:
    """Write the model, its out-of-fold predictions and importance, and the metrics."""
    files.write_pickle(root / files.MODEL, assemble(data, classifier, judgement.threshold))
    table = importance.importance_table(judgement.out_of_fold.importance)
    files.write_rounded_table(root / files.IMPORTANCE, table)
    probability = pd.DataFrame({"probability": judgement.out_of_fold.probability}, index=data.rows.index)
    files.write_rows(root / files.OUT_OF_FOLD, probability)
    metrics: dict[str, Any] = judgement.metrics | {"model_size_mb": files.megabytes(root / files.MODEL)}
    files.write_json(root / files.TRAIN_METRICS, metrics)
    log.info("written to %s and %s", files.MODELS, files.TRAIN_METRICS)


def save_reference(root: Path, data: TrainingData, judgement: TrainingJudgement) -> None:
    """Write what `churn monitor` compares later customers with."""
    types = encoding.column_types(data.encoders)
    made = reference.make_reference(data.rows, data.y, judgement.out_of_fold.probability, types)
    files.write_text(root / files.REFERENCE, made.reference.as_text())
    files.write_rows(root / files.REFERENCE_ROWS, made.rows)


if __name__ == "__main__":
    start_anew("train")
