"""Which estimator should be the default? Repeated cross-validation on the training rows; the test rows stay closed.

Run after `dvc repro`: python bench/default_model.py
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn.config.params import Params, load_params
from churn.metrics import profit
from churn.model import cross_validation, estimators, importance
from churn.runtime import limited_threads
from churn.stages.train import TrainingData, load_processed_data
from churn.table import splits

REPEATS = 4
NO_IMPORTANCE = importance.ImportanceEffort(repeats=1, max_rows=2)

BOOSTING = "sklearn.ensemble.HistGradientBoostingClassifier"
FIXED: dict[str, Any] = {"early_stopping": False, "l2_regularization": 1.0}

CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic regression": ("sklearn.linear_model.LogisticRegression", {"max_iter": 1000}),
    "random forest": (
        "sklearn.ensemble.RandomForestClassifier",
        {"n_estimators": 300, "min_samples_leaf": 10},
    ),
    "boosting, library defaults": (BOOSTING, {"early_stopping": False}),
    **{
        f"boosting, {leaves} leaves, step {step}, {trees} trees, {rows} rows a leaf": (
            BOOSTING,
            FIXED | {"max_leaf_nodes": leaves, "learning_rate": step, "max_iter": trees, "min_samples_leaf": rows},
        )
        for leaves, step, trees, rows in (
            (4, 0.05, 200, 40),
            (4, 0.05, 300, 40),
            (6, 0.05, 150, 40),
            (8, 0.05, 100, 40),
            (8, 0.05, 150, 40),
            (8, 0.03, 200, 20),
        )
    },
}


def judge(data: TrainingData, params: Params, path: str, arguments: dict[str, Any]) -> dict[str, float]:
    """Mean and standard deviation over all folds of all repeats, and profit at the threshold each repeat chooses."""
    classifier = estimators.make_classifier(path, arguments, seed=params.compute.seed, threads=params.compute.threads)
    untrained = cross_validation.untrained_pipeline(data.encoders, data.scaler, classifier)
    areas: list[float] = []
    precisions: list[float] = []
    profits: list[float] = []
    for repeat in range(REPEATS):
        folds = splits.fold_of(data.rows.index, f"choice {repeat}", params.train.folds)
        seed = params.compute.seed
        judged = cross_validation.judge_out_of_fold(untrained, data.rows, data.y, folds, NO_IMPORTANCE, seed)
        areas += list(judged.scores["roc_auc"])
        precisions += list(judged.scores["pr_auc"])
        curve = profit.profit_curve(data.y, judged.probability, params.business)
        profits.append(1000 * float(curve.profit_per_customer[curve.best]))
    return {
        "ROC-AUC": float(np.mean(areas)),
        "± sd": float(np.std(areas, ddof=1)),
        "PR-AUC": float(np.mean(precisions)),
        "EUR per 1,000": float(np.mean(profits)),
    }


def main() -> None:
    """Print one line a candidate."""
    params = load_params(Path())
    data = load_processed_data(Path())
    with limited_threads(params.compute.threads):
        table = {name: judge(data, params, path, arguments) for name, (path, arguments) in CANDIDATES.items()}
    print(f"{len(data.y):,} training rows, {params.train.folds} folds × {REPEATS} repeats")
    print(pd.DataFrame(table).T.round(4).to_string())


if __name__ == "__main__":
    main()
