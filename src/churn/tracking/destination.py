"""Where tracking goes: settings from the environment, and a look at whether anybody is there."""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_EXPERIMENT = "churn"
SECONDS_TO_ANSWER = 0.3
SQLITE = "sqlite:///"
PORTS = {"http": 80, "https": 443}


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
    def embedded(self) -> bool:
        """Whether the store is a database that this process opens itself."""
        return "://" in self.uri and urlsplit(self.uri).scheme not in PORTS

    @property
    def lock(self) -> Path:
        """Held while a row is looked for and made."""
        return self.root / ".churn" / "tracking.lock"


def find_destination(root: Path) -> Destination:
    """By MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME; without them, mlflow.db in the project's folder."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    return Destination(
        uri=_anchored(uri, root),
        experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT,
        root=root,
    )


def project_root(workspace: Path) -> Path:
    """The project's own folder, also for a stage that DVC runs in a temporary copy of it."""
    return Path(os.environ.get("DVC_ROOT") or workspace).resolve()


def refusal(destination: Destination) -> str | None:
    """Why a server cannot be reached, found out in a moment and without importing mlflow; None when it can."""
    parts = urlsplit(destination.uri)
    if parts.scheme not in PORTS:
        return None
    try:
        address = (parts.hostname or "", parts.port or PORTS[parts.scheme])
        socket.create_connection(address, timeout=SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        return str(error)
    return None


def without_password(text: str) -> str:
    """A text fit for a log: addresses in it without the name and password that they may carry."""
    return re.sub(r"://[^/\s]*@", "://", text)


def _anchored(uri: str, root: Path) -> str:
    """A relative database path counts from the project's folder, whatever folder a stage runs in."""
    path = uri.removeprefix(SQLITE)
    if path == uri or path.startswith("/") or path == ":memory:":
        return uri
    return f"{SQLITE}{root / path}"
