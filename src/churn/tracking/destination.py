"""Where tracking goes: settings from the environment, and a look at whether anybody is there."""

import hashlib
import os
import re
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from churn.errors import ChurnError

DEFAULT_EXPERIMENT = "churn"
SECONDS_TO_ANSWER = 0.3
SQLITE = "sqlite:///"
PORTS = {"http": 80, "https": 443}

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


class StoreError(ChurnError):
    """A store that is away, or refuses."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(without_password(reason))
        self.refused = refused
        """Whether asking again later will not help."""


@dataclass(frozen=True)
class Destination:
    """A store, the name of its experiment, and the folder of the project."""

    uri: str
    experiment: str
    root: Path

    @property
    def executions(self) -> str:
        """Name of the experiment that lists single runs of stages."""
        return f"{self.experiment}-executions"

    @property
    def tuning(self) -> str:
        """Name of the experiment that lists the trials of searches."""
        return f"{self.experiment}-tuning"

    @property
    def promotions(self) -> str:
        """Name of the experiment that lists what was decided of models: the ledger."""
        return f"{self.experiment}-promotions"

    def description_of(self, experiment: str) -> str:
        """What a person reads above the rows of one of these experiments."""
        return {
            self.experiment: "One row for each state of the pipeline: code, parameters, data and environment. "
            "Running a state again adds no second row.",
            self.executions: "One row for each run of a stage: how long it took, on which host, and its error.",
            self.tuning: "One row for each search of `churn tune`, and below it one for each trial.",
            self.promotions: "One row for each decision of `churn promote` and `churn rollback`, with its gates.",
        }[experiment]

    @property
    def is_embedded(self) -> bool:
        """Whether the store is a database that this process opens itself."""
        return "://" in self.uri and urlsplit(self.uri).scheme not in PORTS

    @property
    def lock(self) -> Path:
        """Held while a row is looked for and made."""
        return self.root / ".churn" / "tracking.lock"

    @property
    def publisher_lock(self) -> Path:
        """Held by the process that publishes there; one for all settings that a store or its client goes by."""
        settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("MLFLOW_"))
        key = hashlib.sha256(repr((self.uri, self.experiment, settings)).encode()).hexdigest()[:12]
        return self.root / ".churn" / f"publisher-{key}.lock"

    @property
    def address(self) -> str:
        """The address, fit for a log."""
        return without_password(self.uri)


PATIENT_SETTINGS = {**CLIENT_SETTINGS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""For what a person waits for, such as a sync, and not a stage."""
PATIENCE = 5.0


def find_destination(root: Path) -> Destination:
    """By MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME; without them, mlflow.db in the project's folder."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    return Destination(
        uri=_anchor(uri, root),
        experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT,
        root=root,
    )


def project_root(workspace: Path) -> Path:
    """The project's own folder, also for a stage that DVC runs in a temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT") or workspace).resolve()


def refusal(destination: Destination, patience: float = SECONDS_TO_ANSWER) -> str | None:
    """Why a server cannot be reached, found out in a moment and without importing mlflow; None when it can."""
    try:
        parts = urlsplit(destination.uri)
        if parts.scheme not in PORTS:
            return None
        address = (parts.hostname or "", parts.port or PORTS[parts.scheme])
    except ValueError as error:
        return str(error)
    reasons = [f"no answer within {patience:g} s"]
    # In a thread, since looking up a name has no time limit of its own.
    look = threading.Thread(target=_look, args=[address, patience, reasons], daemon=True)
    look.start()
    look.join(patience)
    return reasons[-1] or None


def _look(address: tuple[str, int], patience: float, reasons: list[str]) -> None:
    try:
        socket.create_connection(address, timeout=patience).close()
    except (OSError, ValueError) as error:
        reasons.append(str(error))
    else:
        reasons.append("")


def without_password(text: str) -> str:
    """A text fit for a log: addresses in it without the name and password that they may carry."""
    return re.sub(r"://[^/\s]*@", "://", text)


def _anchor(uri: str, root: Path) -> str:
    """A relative database path counts from the project's folder, whatever folder a stage runs in."""
    path = uri.removeprefix(SQLITE)
    if path == uri or path.startswith("/") or path == ":memory:":
        return uri
    return f"{SQLITE}{root / path}"
