"""The folders and projects that tests run in."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

from churn.config.contract import TableContract
from churn.config.params import Params, load_params
from tests.helpers import states
from tests.helpers.asked_commands import TUNE, commands
from tests.helpers.projects import NO_SERVER, commit_all, made_once, make_customers, make_folder, make_project, shell

settings.register_profile("few", max_examples=15, deadline=None)
settings.register_profile("many", max_examples=200, deadline=None)
settings.load_profile("few")
"""How many examples a property is tried on; `make test-long` passes the profile `many`."""


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test tracks to a user's server by accident; those that track choose a store of their own, for themselves."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture
def customers() -> pd.DataFrame:
    return make_customers()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, holding params.yaml and the table."""
    folder = tmp_path / "folder"
    make_folder(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def params(folder: Path) -> Params:
    return load_params(folder)


@pytest.fixture
def contract(params: Params) -> TableContract:
    return params.data


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository whose pipeline has not run yet."""
    folder = tmp_path / "project"
    make_project(folder)
    return folder


@pytest.fixture(scope="session")
def _finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after its first run, everything committed, and what DVC said; copied for each test that needs it."""

    def make(folder: Path) -> None:
        project = folder / "project"
        make_project(project)
        run = shell(project)
        told = run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER, PYTHONDONTWRITEBYTECODE="")
        (folder / "story").write_text(told.stdout)
        run("git add --all")
        run("git commit --quiet --message results")
        shutil.rmtree(project / ".churn")  # what waits there for a server is no part of the project

    return made_once(tmp_path_factory, "finished", make)


@pytest.fixture
def finished(_finished_once: Path, tmp_path: Path) -> Path:
    """A git repository whose pipeline has run and is committed."""
    return shutil.copytree(_finished_once / "project", tmp_path / "project", symlinks=True)


@pytest.fixture
def story_of_first_run(_finished_once: Path) -> str:
    """What DVC said when it ran the pipeline for the first time."""
    return (_finished_once / "story").read_text()


@pytest.fixture
def run_and_committed(tmp_path: Path) -> Path:
    """A repository with three small stages that have run: `tests.helpers.states`."""
    states.write(tmp_path, states.GIVEN | {path: text for made in states.MADE.values() for path, text in made.items()})
    states.commit(tmp_path, *states.MADE)
    commit_all(tmp_path, "first")
    return tmp_path


@pytest.fixture
def _usual_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of DVC's cache is taken to be the usual one; to ask DVC starts a process for each state."""
    for module in ("committed", "dvc", "snapshot"):
        monkeypatch.setattr(f"churn.history.{module}.cache_folder", lambda root: root / ".dvc/cache")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with all its tables, which takes MLflow seconds to make; copied for each test."""

    def make(folder: Path) -> None:
        import mlflow  # here: most tests do without

        mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()

    return made_once(tmp_path_factory, "store", make) / "mlflow.db"


@pytest.fixture(scope="session")
def _stores_once(_finished_once: Path, migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion and a search in its stores; to be copied, or left as it is."""

    def make(folder: Path) -> None:
        project = shutil.copytree(_finished_once / "project", folder / "project", symlinks=True)
        shutil.copy(migrated, project / "mlflow.db")
        with commands(folder) as ask:
            for command in (("sync",), ("promote", "HEAD", "--force", "--reason", "to have one"), TUNE):
                asked = ask(project, *command)
                assert asked.code == 0, asked.told

    return made_once(tmp_path_factory, "stores", make) / "project"


@pytest.fixture
def embedded(finished: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project that has run without being tracked, and an empty store of its own."""
    (finished / "mlflow.db").write_bytes(migrated.read_bytes())
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(finished)
    return finished
