"""Helpers for calls to MLflow: uniform errors, no log messages, and one thread at a time."""

import logging
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import fluent
from mlflow.tracking._tracking_service import utils as service

from churn.drafts import own_temporary_files
from churn.runtime import environment, os_error_line
from churn.texts import one_line
from churn.tracking.destination import Destination, StoreError
from churn.tracking.record import DESCRIPTION
from churn.tracking.store.places import artifact_location, require_here
from churn.tracking.store.relocation import follow_folder

try:
    from sqlalchemy.exc import SQLAlchemyError
except ImportError:  # in the image of the service, which reaches servers only

    class SQLAlchemyError(Exception):  # type: ignore[no-redef]
        """Never raised."""


ENTRIES_A_CALL = 100  # MLflow's limit for parameters

KIND, MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"
"""Tag by which MLflow opens an experiment on its runs, and not on the pages for generative AI."""

TRANSIENT = (408, 429)
ALREADY_THERE = "RESOURCE_ALREADY_EXISTS"
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
CLIENT_ERRORS = range(400, 500)

Found = TypeVar("Found")

_in_use = threading.RLock()
"""One thread at a time: MLflow's tracking URI and Python's warning filters are global to the process."""


def open_client(destination: Destination) -> mlflow.MlflowClient:
    """A client of the store, which names the folder that its files are in; it creates nothing there.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    with faults_as_store_errors():
        follow_folder(destination)
        return mlflow.MlflowClient(destination.uri)


def open_experiment(client: mlflow.MlflowClient, destination: Destination, name: str) -> mlflow.entities.Experiment:
    """Get an experiment by name, with its description; create it if it does not exist.

    Raises:
        StoreError: it was deleted, or its files are on another machine.
    """
    tags = {KIND: MODEL_TRAINING, DESCRIPTION: destination.description_of(name)}
    found = client.get_experiment_by_name(name)
    if found is None:
        found = _made_experiment(client, destination, name, tags)
    if found.lifecycle_stage == "deleted":
        raise StoreError(
            f"experiment {name!r} was deleted in MLflow; restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or set MLFLOW_EXPERIMENT_NAME to another name",
            refused=True,
        )
    require_here(destination, name, found.artifact_location)
    for tag, value in tags.items():
        if tag not in found.tags:
            client.set_experiment_tag(found.experiment_id, tag, value)
    return found


def _made_experiment(
    client: mlflow.MlflowClient, destination: Destination, name: str, tags: Mapping[str, str]
) -> mlflow.entities.Experiment:
    try:
        client.create_experiment(name, artifact_location=artifact_location(destination, name), tags=dict(tags))
    except MlflowException as error:
        if error.error_code != ALREADY_THERE:  # another machine was quicker
            raise
    return client.get_experiment_by_name(name)


def if_there(look: Callable[[], Found]) -> Found | None:
    """Result of a lookup; None if the store does not have it."""
    with faults_as_store_errors():
        try:
            return look()
        except MlflowException as error:
            if error.error_code in NOT_THERE:
                return None
            raise


def milliseconds(seconds: float) -> int:
    """Convert seconds to the unit of MLflow."""
    return int(seconds * 1000)


@contextmanager
def faults_as_store_errors() -> Iterator[None]:
    """Raise errors of MLflow, its database and the disk as StoreError."""
    try:
        with _in_use, _quiet():
            yield
    except MlflowException as error:
        status = error.get_http_status_code()
        raise StoreError(_reason(error), refused=status in CLIENT_ERRORS and status not in TRANSIENT) from error
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(_reason(error), refused=False) from error
    except ImportError as error:  # a missing database driver
        raise StoreError(str(error), refused=True) from error


def _reason(error: Exception) -> str:
    """What went wrong on one line, without the statement that a database repeats."""
    if isinstance(error, OSError):
        return os_error_line(error)
    return one_line(str(error).partition("[SQL:")[0].partition("(Background on")[0]) or type(error).__name__


@contextmanager
def default_store(destination: Destination, experiment_id: str = "0") -> Iterator[None]:
    """Set MLflow's global store and experiment, for calls that do not take them, and restore them afterwards."""
    tracked_to, was_active = service._tracking_uri, fluent._active_experiment_id
    # MLflow writes these settings to the environment, too.
    settings = {"MLFLOW_TRACKING_URI": destination.uri, "MLFLOW_EXPERIMENT_ID": experiment_id}
    with _in_use, environment(settings), own_temporary_files():
        mlflow.set_tracking_uri(destination.uri)
        fluent._active_experiment_id = experiment_id
        try:
            yield
        finally:
            fluent._active_experiment_id = was_active
            mlflow.set_tracking_uri(tracked_to)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress log messages and warnings of MLflow and Alembic; errors are raised, not printed."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
