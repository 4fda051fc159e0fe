"""The fits of a search and nothing else: no Optuna, no workers, no MLflow.

Run in a folder with processed data: python bench/bare_trials.py trials.json (what `churn tune --json` printed)
"""

import json
import sys
from pathlib import Path

from churn.config.params import load_params
from churn.model import cross_validation, estimators
from churn.runtime import limited_threads
from churn.stages.train import load_processed_data
from churn.table import splits


def main() -> None:
    """Encode, fit and predict each fold that the search judged, one after another."""
    params = load_params(Path())
    judged = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["trials"]
    with limited_threads(params.compute.threads):
        data = load_processed_data(Path())
        folds = splits.fold_of(data.rows.index, str(params.compute.seed), params.train.folds)
        present = {
            "estimator": params.train.estimator,
            "arguments": params.train.params,
            "folds": params.train.folds,
        }
        for one in [present, *judged]:
            classifier = estimators.make_classifier(
                one["estimator"], one["arguments"], seed=params.compute.seed, threads=params.compute.threads
            )
            untrained = cross_validation.untrained_pipeline(data.encoders, data.scaler, classifier)
            for fold in range(one["folds"]):
                cross_validation.judge_fold(untrained, data.rows, data.y, folds == fold)


if __name__ == "__main__":
    main()
