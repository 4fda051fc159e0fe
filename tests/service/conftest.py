"""Projects that services serve, and the services."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.projects import REPOSITORY, made_once, make_project, shell
from tests.helpers.runs import rerun
from tests.helpers.sample import SAMPLE_PARAMS, SAMPLE_TABLE
from tests.helpers.services import RunningService, running_service


@pytest.fixture(scope="session")
def _sample_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the sample and the default model, after its first run."""

    def make(folder: Path) -> None:
        make_project(folder)
        shutil.copy(SAMPLE_PARAMS / "params.yaml", folder)
        shutil.copy(REPOSITORY / SAMPLE_TABLE, folder / SAMPLE_TABLE)
        rerun(folder, "preprocess", "train")  # the service reads no more
        run = shell(folder)
        run("git add --all")
        run("git commit --quiet --message sample")

    return made_once(tmp_path_factory, "sample", make)


@pytest.fixture(scope="session")
def sample(_sample_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(_sample_once, tmp_path_factory.mktemp("sample") / "project", symlinks=True)


@pytest.fixture(scope="session")
def of_sample(sample: Path) -> Iterator[RunningService]:
    """A service of the default model."""
    with running_service(sample) as service:
        yield service


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project after its run, shared by tests that change nothing there."""

    def make(folder: Path) -> None:
        make_project(folder)
        rerun(folder, "preprocess", "train", "evaluate")
        run = shell(folder)
        run("git add --all")
        run("git commit --quiet --message results")

    once = made_once(tmp_path_factory, "served", make)
    return shutil.copytree(once, tmp_path_factory.mktemp("small") / "project", symlinks=True)


@pytest.fixture(scope="session")
def small(small_project: Path) -> Iterator[RunningService]:
    """A service of the small model, which limits are set low for."""
    with running_service(
        small_project, CHURN_SERVE_SECONDS="2", CHURN_SERVE_MOST_ROWS="100", CHURN_SERVE_MOST_BYTES="50000"
    ) as service:
        yield service


CUSTOMER = {"plan": "basic", "months": 3, "fee": 29.85, "senior": True}


@pytest.fixture
def customer() -> dict[str, object]:
    """A customer that the small contract accepts."""
    return dict(CUSTOMER)
