"""What a store shows, and executions to be shown there."""

import time
from collections.abc import Callable

import mlflow
from mlflow.entities import Run

from churn.tracking.destination import Destination
from churn.tracking.record import (
    Execution,
)


def ended(stage: str, fault: str | None = None, started: float = 100.0, **measurements: float) -> Execution:
    return Execution(stage, started, started + 1.5, fault, measurements)


def rows(destination: Destination) -> list[Run]:
    return runs_of(destination, destination.experiment)


def runs_of(destination: Destination, experiment: str) -> list[Run]:
    client = mlflow.MlflowClient(destination.uri)
    number = client.get_experiment_by_name(experiment).experiment_id
    return list(client.search_runs([number], order_by=["start_time ASC"]))


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does; a minute is more than it ever needs."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.1)


def executions(destination: Destination) -> list[Run]:
    return runs_of(destination, destination.executions)
