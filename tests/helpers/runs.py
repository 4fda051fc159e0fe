"""Stages run in this process, where the processes that DVC starts for them are not what is tested."""

from pathlib import Path

from churn.config.params import load_params
from churn.history.state import inputs_from_files
from churn.history.verify import leave_provenance
from churn.runtime import limited_threads
from churn.stages import evaluate, preprocess, train
from tests.helpers.projects import shell

WORK = {"preprocess": preprocess.run, "train": train.run, "evaluate": evaluate.run}


def rerun(root: Path, *stages: str) -> None:
    """Leave what `dvc repro` leaves when these stages, of all or the last ones, are out of date."""
    params = load_params(root)
    for stage in stages:
        inputs = inputs_from_files(root, stage)
        with limited_threads(params.compute.threads):
            WORK[stage](root, params)
        leave_provenance(root, stage, inputs)
    shell(root)(f"dvc commit --quiet --force {' '.join(stages)}")
