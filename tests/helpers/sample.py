"""The sample of customers with its parameters, also in a project whose params.yaml describes a table of its own."""

import shutil
from pathlib import Path

import pytest

from churn.config.params import PARAMS_FILE
from churn.runtime import NOWHERE
from tests.helpers.projects import REPOSITORY, Shell, shell

SAMPLE_PARAMS = Path(__file__).with_suffix("")
"""A folder with the sample's params.yaml."""
SAMPLE_TABLE = "data/raw/sample_data.csv"

STATE_IS_OF_SAMPLE = (REPOSITORY / PARAMS_FILE).read_bytes() == (SAMPLE_PARAMS / PARAMS_FILE).read_bytes()
figures_of_sample = pytest.mark.skipif(
    not STATE_IS_OF_SAMPLE, reason="the committed results are of other customers or parameters than the sample's"
)
"""For tests that compare the manual with the committed results."""


def clone_with_sample(clone: Path) -> Shell:
    """Clone this repository with the results of the sample, which are computed if others are committed."""
    shell(REPOSITORY)(f"git clone --quiet . {clone}")
    run = shell(clone)
    if not STATE_IS_OF_SAMPLE:
        shutil.copy(SAMPLE_PARAMS / PARAMS_FILE, clone / PARAMS_FILE)
        run("dvc repro", MLFLOW_TRACKING_URI=NOWHERE["MLFLOW_TRACKING_URI"])
        shutil.rmtree(clone / ".churn")  # what waits there for a server is no part of a clone
        run("git -c user.name=Tester -c user.email=tester@example.invalid commit --quiet --all --message sample")
    return run
