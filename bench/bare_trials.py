"""The fits of a search and nothing else: no Optuna, no workers, no MLflow.

Run in a folder with processed data: python bench/bare_trials.py trials.json (what `churn tune --json` printed)
"""

import json
import sys
from pathlib import Path

from churn import cleaning, modeling
from churn.params import load_params
from churn.stages.execution import limited_threads
from churn.stages.train import load_processed_data


def main() -> None:
    """Encode, fit and predict each fold that the search judged, one after another."""
    params = load_params(Path())
    judged = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["trials"]
    with limited_threads(params.compute.threads):
        data = load_processed_data()
        folds = cleaning.fold_of(data.rows.index, str(params.compute.seed), params.train.folds)
        present = {
            "estimator": params.train.estimator,
            "arguments": params.train.params,
            "folds": params.train.folds,
        }
        for one in [present, *judged]:
            classifier = modeling.make_classifier(
                one["estimator"], one["arguments"], seed=params.compute.seed, threads=params.compute.threads
            )
            untrained = modeling.untrained_pipeline(data.encoders, data.scaler, classifier)
            for fold in range(one["folds"]):
                modeling.judge_fold(untrained, data.rows, data.y, folds == fold)


if __name__ == "__main__":
    main()
