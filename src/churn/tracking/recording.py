"""What a stage calls when it has ended. Tracking can fail; the stage that it watches cannot fail by it."""

import logging
import os
from pathlib import Path

from churn.errors import ChurnError
from churn.tracking.description import Execution, Experiment, describe_experiment
from churn.tracking.destination import Destination, find_destination, project_root, refusal, without_password

CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Taken where the user has set nothing: by default a server that refuses costs MLflow four minutes a call."""

log = logging.getLogger(__name__)


def log_to_mlflow(workspace: Path, execution: Execution) -> None:
    """Bring the experiment's row up to date and add the execution; what cannot be recorded is said, and why."""
    destination = find_destination(project_root(workspace))
    try:
        experiment = describe_experiment(workspace, execution)
        refused = refusal(destination) or _publish(destination, experiment, execution)
        reason = f"{destination.uri}: {refused}" if refused else None
    except (ChurnError, OSError) as error:
        reason = str(error)
    except Exception as error:  # results are there and good, whatever MLflow or a plugin of it makes of them
        reason = f"{type(error).__name__}: {error}"
        log.debug("the fault in full", exc_info=True)
    if reason:
        log.warning("not recorded in MLflow: %s", " ".join(without_password(reason).split()))


def _publish(destination: Destination, experiment: Experiment, execution: Execution) -> str | None:
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from churn.tracking import mlflow_store  # late: mlflow takes a second to import, and may not be needed

    return mlflow_store.publish(destination, experiment, execution)
