"""The process that records a stage in MLflow: it gets ready while the stage computes, and waits for how that ended.

MLflow takes two seconds to import and to open a store; beside the computation they cost the stage nothing.
"""

import logging
import os
import signal
import sys
from pathlib import Path

from churn.errors import ChurnError
from churn.tracking.description import Experiment, describe_experiment
from churn.tracking.destination import Destination, find_destination, project_root, refusal
from churn.tracking.handover import Execution, execution_from, say_not_recorded

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
        say_not_recorded(reason)


def main() -> None:
    """Get ready, wait for the execution on standard input, record it; without one the stage was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stage, which then ends this process
    stage = sys.argv[1]
    logging.basicConfig(format=f"{stage}: %(message)s", stream=sys.stderr)
    _get_ready(find_destination(project_root(Path.cwd())))
    text = sys.stdin.read()
    if text:
        log_to_mlflow(Path.cwd(), execution_from(text))


def _get_ready(destination: Destination) -> None:
    try:
        _settle()
        from churn.tracking import mlflow_store

        mlflow_store.get_ready(destination)
    except Exception:  # what is wrong will be as wrong when the execution is recorded, and is told then
        log.debug("not ready", exc_info=True)


def _publish(destination: Destination, experiment: Experiment, execution: Execution) -> str | None:
    _settle()
    from churn.tracking import mlflow_store  # late: mlflow takes a second to import, and may not be needed

    return mlflow_store.publish(destination, experiment, execution)


def _settle() -> None:
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    main()
