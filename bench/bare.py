"""The same computation and the same result files as `dvc repro`, in one process, without DVC and MLflow.

Run in a folder that holds params.yaml and its table: python bench/bare.py
"""

from pathlib import Path

from churn.config.params import load_params
from churn.runtime import limited_threads
from churn.stages import evaluate, preprocess, train


def main() -> None:
    """Run the three stages in the current folder."""
    params = load_params(Path())
    with limited_threads(params.compute.threads):
        preprocess.run(Path(), params)
        train.run(Path(), params)
        evaluate.run(Path(), params)


if __name__ == "__main__":
    main()
