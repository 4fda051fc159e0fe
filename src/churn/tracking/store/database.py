"""Creation of an embedded database: whole or not at all, and by one process only.

MLflow creates its tables in some fifty steps. A process that is killed between them, or a second one that starts
meanwhile, leaves a database that neither can open again. So the project's own database is made beside and then given
its name, and a database that somebody else is making is waited for.
"""

import logging
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import mlflow
from mlflow.store.db.utils import _get_latest_schema_revision

from churn.tracking.destination import Destination, address_of_database

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_WITHOUT_PROGRESS = 6.0
"""A step of MLflow takes less than a second; without one for so long, whoever made the database is gone."""


def prepare_database(destination: Destination) -> None:
    """Make sure that an embedded database is whole before MLflow opens it. The caller holds the destination's lock.

    A database that was left half made, without any run, is set aside as `mlflow.db.half-made` and made anew.

    Raises:
        OSError: it cannot be made.
        sqlite3.Error: it cannot be read.
    """
    path = destination.database
    if path is None or _has_experiment(path, destination.experiment):
        return
    if path.exists():
        if _is_finished(path) or not _is_without_runs(path):
            return  # whole, or of another version of MLflow, which says so itself
        half_made = path.with_name(f"{path.name}.half-made")
        path.replace(half_made)
        log.warning("%s: was left half made; set aside as %s and made anew", path, half_made.name)
    _make(path, destination.root / ".churn" / "new-store")


def _make(path: Path, workshop: Path) -> None:
    shutil.rmtree(workshop, ignore_errors=True)  # of a process that was killed
    workshop.mkdir(parents=True)
    draft = workshop / "mlflow.db"
    draft.touch()  # with the mode of the umask: SQLite would let nobody else write
    mlflow.MlflowClient(address_of_database(draft.absolute())).search_experiments(max_results=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another process was quicker
        try:
            os.link(draft, path)
        except FileExistsError:
            raise
        except OSError:  # another disk, or one without links
            shutil.copyfile(draft, path)
    shutil.rmtree(workshop, ignore_errors=True)


def _is_finished(path: Path) -> bool:
    """Whether a database has all of MLflow's steps; waits while somebody is making it."""
    last, seen, since = _get_latest_schema_revision(), None, time.monotonic()
    while time.monotonic() - since < SECONDS_WITHOUT_PROGRESS:
        reached = _revision(path)
        if reached == last:
            return True
        if reached != seen:
            seen, since = reached, time.monotonic()
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return False


def _revision(path: Path) -> str | None:
    return _first(path, "SELECT version_num FROM alembic_version")


def _has_experiment(path: Path, name: str) -> bool:
    return path.exists() and _first(path, "SELECT name FROM experiments WHERE name = ?", name) is not None


def _is_without_runs(path: Path) -> bool:
    """Whether a database holds nothing of anybody: no run, and no experiment but MLflow's first one."""
    runs = "SELECT run_uuid FROM runs"
    return _first(path, runs) is None and _first(path, "SELECT name FROM experiments WHERE experiment_id > 0") is None


def _first(path: Path, query: str, *values: str) -> str | None:
    """First value that a query finds; None if it finds none, or if its table is not there yet."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute(query, values).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):  # not readable, or locked: nothing is known of it
            raise
        return None
    return None if found is None else str(found[0])
