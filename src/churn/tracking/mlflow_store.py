"""Rows in MLflow: one an experiment, found again by its fingerprint; one an execution, in an experiment apart.

The only module that imports mlflow, and itself imported late: that takes a second.
"""

import fcntl
import json
import logging
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import packages_distributions, version
from pathlib import Path

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.base import BaseEstimator
from sqlalchemy.exc import SQLAlchemyError

from churn import artifacts, decision, features
from churn.tracking import description
from churn.tracking.description import (
    COMPLETE,
    FAILED,
    FINGERPRINT,
    FINISHED,
    MODEL_MD5,
    RUNNING,
    Experiment,
)
from churn.tracking.destination import Destination
from churn.tracking.handover import Execution

ENTRIES_A_CALL = 100  # the most parameters that MLflow takes at once
MODEL_PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "joblib", "cloudpickle")
EXAMPLE_ROWS = 5


def get_ready(destination: Destination) -> None:
    """Open an embedded store, or make it; a server needs nothing beforehand."""
    if destination.embedded:
        with _quiet(), _held(destination.lock):
            mlflow.MlflowClient(destination.uri).get_experiment_by_name(destination.experiment)


def publish(destination: Destination, experiment: Experiment, execution: Execution) -> str | None:
    """Bring the row up to date and add the execution; why not, when the store refuses or is away."""
    try:
        with _quiet(), _held(destination.lock):
            mlflow.set_tracking_uri(destination.uri)
            client = mlflow.MlflowClient(destination.uri)
            _add_execution(client, destination, experiment, execution)
            _bring_up_to_date(client, destination, experiment, execution)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        return str(error) or type(error).__name__
    return None


def _bring_up_to_date(
    client: mlflow.MlflowClient, destination: Destination, experiment: Experiment, execution: Execution
) -> None:
    experiment_id = _experiment_id(client, destination, destination.experiment)
    row = _find_or_create(client, experiment_id, experiment, execution)
    if row.data.tags.get(COMPLETE) == "true" and experiment.status != FINISHED:
        return  # all of it is there from an earlier execution of the same state
    run_id = row.info.run_id
    _log_parameters(client, row, experiment.parameters)
    model_id = _find_or_log_model(client, row, experiment)
    _log_metrics(client, row, {**experiment.metrics, **execution.measurements}, execution.ended, model_id)
    _log_dataset(client, run_id, experiment.dataset)
    for path in experiment.files:
        folder = str(path.parent) if path.parent.parts else None
        client.log_artifact(run_id, str(experiment.workspace / path), folder)
    # Last, so that a row says complete only when all of it is there.
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in experiment.tags.items()])
    _set_status(client, run_id, experiment.status, execution.ended)


def _find_or_create(
    client: mlflow.MlflowClient, experiment_id: str, experiment: Experiment, execution: Execution
) -> Run:
    found = client.search_runs(
        [experiment_id],
        filter_string=f"tags.`{FINGERPRINT}` = '{experiment.fingerprint}'",
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    if found:
        return found[0]
    return client.create_run(
        experiment_id,
        start_time=_milliseconds(execution.started),
        run_name=experiment.name,
        tags={FINGERPRINT: experiment.fingerprint, COMPLETE: "false"},
    )


def _log_parameters(client: mlflow.MlflowClient, row: Run, parameters: Mapping[str, str]) -> None:
    # What DVC holds equal may be written otherwise (1, 1.0), and MLflow lets no value be changed.
    absent = [Param(name, value) for name, value in parameters.items() if name not in row.data.params]
    for start in range(0, len(absent), ENTRIES_A_CALL):
        client.log_batch(row.info.run_id, params=absent[start : start + ENTRIES_A_CALL])


def _log_metrics(
    client: mlflow.MlflowClient, row: Run, metrics: Mapping[str, float], when: float, model_id: str | None = None
) -> None:
    """Log what the row does not say yet; a metric that is new to it is one of the model, too."""
    known = row.data.metrics
    logged = [
        Metric(name, value, _milliseconds(when), 0, model_id=None if name in known else model_id)
        for name, value in metrics.items()
        if known.get(name) != value
    ]
    for start in range(0, len(logged), ENTRIES_A_CALL):
        client.log_batch(row.info.run_id, metrics=logged[start : start + ENTRIES_A_CALL])


def _log_dataset(client: mlflow.MlflowClient, run_id: str, dataset: description.Dataset | None) -> None:
    """Note the table, when its rows are counted; MLflow keeps one of a name and digest."""
    if dataset is None or dataset.rows is None:
        return
    entry = Dataset(
        name=dataset.name,
        digest=dataset.md5,
        source_type="local",
        source=json.dumps({"uri": dataset.source}),
        profile=json.dumps({"num_rows": dataset.rows}),
    )
    client.log_inputs(run_id, [DatasetInput(entry, [InputTag("mlflow.data.context", "training")])])


def _find_or_log_model(client: mlflow.MlflowClient, row: Run, experiment: Experiment) -> str | None:
    """MLflow's id of the row's model. Before the metrics: a model logged after them asks the server for each one."""
    md5 = experiment.model_md5
    if md5 is None:
        return None
    of_row = f"source_run_id = '{row.info.run_id}' AND tags.`{MODEL_MD5}` = '{md5}'"
    for found in client.search_logged_models([row.info.experiment_id], filter_string=of_row):
        if found.status == LoggedModelStatus.READY:
            return str(found.model_id)
    return _log_model(row.info.run_id, experiment.workspace, md5)


def _log_model(run_id: str, workspace: Path, md5: str) -> str:
    model = artifacts.read_pickle(workspace / artifacts.MODEL)
    pipeline = decision.pipeline_of(model)
    types = features.column_types(pipeline.named_steps["encoders"])
    example = artifacts.read_rows(workspace / artifacts.TRAIN_ROWS, types).head(EXAMPLE_ROWS).reset_index(drop=True)
    with mlflow.start_run(run_id=run_id):
        logged = mlflow.sklearn.log_model(
            model,
            name="model",
            tags={MODEL_MD5: md5},
            signature=infer_signature(example, model.predict(example)),
            input_example=example,
            pip_requirements=pinned_requirements(pipeline.named_steps["classifier"]),
            # MLflow's default, skops, refuses tree models unless each type is named.
            serialization_format="cloudpickle",
        )
    return str(logged.model_id)


def pinned_requirements(classifier: BaseEstimator) -> list[str]:
    """The packages that the model needs, as installed here; also those of a classifier inside the classifier."""
    parts = [classifier, *classifier.get_params().values()]
    modules = {type(part).__module__.partition(".")[0] for part in parts} - {"builtins", "sklearn"}
    packages_by_module = packages_distributions() if modules else {}
    its_own = {package for module in modules for package in packages_by_module.get(module, [])}
    return [f"{package}=={version(package)}" for package in sorted({*MODEL_PACKAGES, *its_own})]


def _add_execution(
    client: mlflow.MlflowClient, destination: Destination, experiment: Experiment, execution: Execution
) -> None:
    run = client.create_run(
        _experiment_id(client, destination, destination.executions),
        start_time=_milliseconds(execution.started),
        run_name=execution.stage,
        tags={
            FINGERPRINT: experiment.fingerprint,
            "stage": execution.stage,
            "host": socket.gethostname(),
            "pid": str(execution.pid),
            **({"fault": execution.fault} if execution.fault else {}),
        },
    )
    measurements = {"duration": execution.ended - execution.started, **execution.measurements}
    _log_metrics(client, run, measurements, execution.ended)
    _set_status(client, run.info.run_id, FAILED if execution.fault else FINISHED, execution.ended)


def _experiment_id(client: mlflow.MlflowClient, destination: Destination, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name, artifact_location=_artifact_location(destination, name)))
    if found.lifecycle_stage == "deleted":
        raise MlflowException(
            f"experiment {name!r} was deleted there; bring it back with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or set MLFLOW_EXPERIMENT_NAME to another name"
        )
    return str(found.experiment_id)


def _artifact_location(destination: Destination, name: str) -> str | None:
    """For the embedded store a folder of the project, fixed now; a server knows its own."""
    if not destination.embedded:
        return None
    return (destination.root / "mlruns" / name).as_uri()


def _set_status(client: mlflow.MlflowClient, run_id: str, status: str, when: float) -> None:
    if status == RUNNING:
        client.update_run(run_id, status=RUNNING)
    else:
        client.set_terminated(run_id, status, end_time=_milliseconds(when))


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """One process at a time looks for a row and makes it, or makes the database."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's and Alembic's own news out of the story that a stage tells; errors are raised, not printed."""
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
