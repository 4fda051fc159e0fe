"""The embedded database is there whole or not at all, whoever makes it, and however often it is interrupted."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from churn.tracking.destination import Destination, StoreError
from churn.tracking.store import database
from churn.tracking.store.rows import open_store

EARLIER_STEP = "UPDATE alembic_version SET version_num = '451aebb31d03'"
"""One of the first steps of MLflow's database."""


@pytest.fixture(autouse=True)
def _short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SECONDS_WITHOUT_PROGRESS", 0.5)
    monkeypatch.setattr(database, "SECONDS_BETWEEN_LOOKS", 0.05)


@pytest.fixture
def destination(tmp_path: Path) -> Destination:
    return Destination(f"sqlite:///{tmp_path / 'mlflow.db'}", "churn", tmp_path)


@pytest.fixture
def half_made(destination: Destination, migrated: Path) -> Path:
    """A database of which MLflow has made a part."""
    path = destination.root / "mlflow.db"
    path.write_bytes(migrated.read_bytes())
    run(path, EARLIER_STEP)
    return path


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connected:
        for statement in statements:
            connected.execute(statement)
        connected.commit()


def test_a_first_opening_that_was_killed_leaves_no_database(
    destination: Destination, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(mlflow.MlflowClient, "search_experiments", interrupt)
        with pytest.raises(KeyboardInterrupt):
            open_store(destination)
    assert not (destination.root / "mlflow.db").exists()
    monkeypatch.setattr(mlflow, "MlflowClient", copying(migrated))
    database.prepare_database(destination)
    assert (destination.root / "mlflow.db").read_bytes() == migrated.read_bytes()
    assert not (destination.root / ".churn/new-store").exists()


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def copying(migrated: Path) -> type:
    class MadeClient:
        """Stands for the seconds that MLflow takes to make a database."""

        def __init__(self, uri: str) -> None:
            Path(uri.removeprefix("sqlite:///")).write_bytes(migrated.read_bytes())

        def search_experiments(self, max_results: int) -> None:
            pass

    return MadeClient


def test_one_that_was_left_half_made_is_set_aside_and_made_anew(
    destination: Destination, half_made: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = half_made.read_bytes()
    monkeypatch.setattr(mlflow, "MlflowClient", copying(migrated))
    database.prepare_database(destination)
    assert half_made.with_name("mlflow.db.half-made").read_bytes() == left
    monkeypatch.undo()
    assert open_store(destination).experiment_id


def test_an_empty_file_is_half_made(destination: Destination, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (destination.root / "mlflow.db").touch()
    monkeypatch.setattr(mlflow, "MlflowClient", copying(migrated))
    database.prepare_database(destination)
    assert (destination.root / "mlflow.db").stat().st_size > 0


def test_one_that_another_process_is_making_is_waited_for(
    destination: Destination, half_made: Path, migrated: Path
) -> None:
    with closing(sqlite3.connect(migrated)) as made:
        (last,) = made.execute("SELECT version_num FROM alembic_version").fetchone()

    def go_on() -> None:
        run(half_made, f"UPDATE alembic_version SET version_num = '{last}'")  # noqa: S608 - MLflow's own

    maker = threading.Timer(0.3, go_on)
    maker.start()
    assert open_store(destination).experiment_id
    maker.join()
    assert not half_made.with_name("mlflow.db.half-made").exists()


def test_one_with_runs_is_never_set_aside(destination: Destination, half_made: Path) -> None:
    run(half_made, "INSERT INTO runs (run_uuid, experiment_id) VALUES ('a', 0)")
    with pytest.raises(StoreError, match="out-of-date database schema"):
        open_store(destination)
    assert half_made.exists()


@pytest.mark.parametrize("content", [b"no database at all, but longer than a header of one" * 3])
def test_a_file_that_is_no_database_is_left_alone(content: bytes, destination: Destination) -> None:
    path = destination.root / "mlflow.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="file is not a database"):
        open_store(destination)
    assert path.read_bytes() == content
