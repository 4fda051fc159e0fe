"""Tracking destination: settings from the environment, and a quick check that the server answers."""

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from churn.errors import ChurnError
from churn.runtime import without_secrets

DEFAULT_EXPERIMENT = "churn"
LOCAL_PAGES = "http://localhost:5000"
"""Where `make ui` serves the embedded store."""
SECONDS_TO_ANSWER = 0.3
SECONDS_BETWEEN_LOOKS = 0.01
EMBEDDED = "sqlite:///mlflow.db"
PORTS = {"http": 80, "https": 443}
TEMPORARY_COPY = re.compile(r"(?P<holder>.*)/\.dvc/tmp/exps/(?:standalone/)?tmp[^/]+(?P<below>/.*|)")
"""Path in which DVC runs an experiment of `--temp` or of its queue."""

CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults for unset variables: with MLflow's own, a server that refuses costs four minutes a call."""


class StoreError(ChurnError):
    """A store is unavailable, or refuses."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(without_secrets(reason))
        self.refused = refused
        """Whether a retry will not help."""


@dataclass(frozen=True)
class Destination:
    """A tracking store, the name of its experiment, and the folder of the project."""

    uri: str
    experiment: str
    root: Path
    pages: str | None = None
    """Address of its pages for a browser, where that is another one."""

    @property
    def executions(self) -> str:
        """Name of the experiment with executions of stages."""
        return f"{self.experiment}-executions"

    @property
    def tuning(self) -> str:
        """Name of the experiment with trials of searches."""
        return f"{self.experiment}-tuning"

    @property
    def promotions(self) -> str:
        """Name of the experiment with judgements of promotions: the ledger."""
        return f"{self.experiment}-promotions"

    @property
    def monitoring(self) -> str:
        """Name of the experiment with the looks of `churn monitor`."""
        return f"{self.experiment}-monitoring"

    def description_of(self, experiment: str) -> str:
        """What a person reads above the rows of one of these experiments."""
        return {
            self.experiment: "One row for each state of the pipeline: code, parameters, data and environment. "
            "Running a state again adds no second row.",
            self.executions: "One row for each run of a stage: how long it took, on which host, and its error.",
            self.tuning: "One row for each search of `churn tune`, and below it one for each trial.",
            self.promotions: "One row for each decision of `churn promote` and `churn rollback`, with its gates.",
            self.monitoring: "One row for each look of `churn monitor`, with its checks and the estimated profit.",
        }[experiment]

    @property
    def is_embedded(self) -> bool:
        """Whether the store is a database that this process opens itself."""
        return "://" in self.uri and urlsplit(self.uri).scheme not in PORTS

    @property
    def database(self) -> Path | None:
        """File of an SQLite store; None for any other store."""
        return _file_of(self.uri)

    @property
    def artifacts(self) -> Path:
        """Folder for the files of an embedded store.

        They lie beside a database outside the project, because it may be the database of several projects.
        """
        apart = self.database is not None and not self.database.is_relative_to(self.root)
        return (self.database.parent if self.database and apart else self.root) / "mlruns"

    @property
    def needs_ui(self) -> bool:
        """Whether its pages are there only while `make ui` serves the project's own database."""
        return self.pages is None and self.uri == _anchor(EMBEDDED, self.root)

    def pages_of(self, experiment_id: str) -> str:
        """Address at which a browser shows the runs of an experiment; empty if none is known.

        By default MLflow opens on its pages for generative AI, so the address names the kind of work.
        """
        served = self.address if urlsplit(self.uri).scheme in PORTS else ""
        at = self.pages or (LOCAL_PAGES if self.needs_ui else served)
        return at and f"{at.rstrip('/')}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"

    @property
    def lock(self) -> Path:
        """Lock that is held while a run is looked up and created."""
        return self.root / ".churn" / "tracking.lock"

    @property
    def publisher_lock(self) -> Path:
        """Lock of the publisher for this destination; its name depends on all settings of the store and its client."""
        settings = sorted((name, value) for name, value in os.environ.items() if name.startswith("MLFLOW_"))
        key = hashlib.sha256(repr((self.uri, self.experiment, settings)).encode()).hexdigest()[:12]
        return self.root / ".churn" / f"publisher-{key}.lock"

    @property
    def address(self) -> str:
        """The URI without credentials, for logs."""
        return without_secrets(self.uri)


PATIENT_SETTINGS = {**CLIENT_SETTINGS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""For commands that a user waits for, such as `churn sync`, in contrast to stages."""
PATIENCE = 5.0


def find_destination(root: Path) -> Destination:
    """Destination from the environment; by default mlflow.db in the project's folder."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or EMBEDDED
    return Destination(
        uri=_anchor(uri, root),
        experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT,
        root=root,
        pages=os.environ.get("CHURN_MLFLOW_PAGES") or None,
    )


def project_root(workspace: Path) -> Path:
    """Folder of the project, even for a stage that DVC runs in a temporary copy of it (`dvc exp run --temp`).

    The path decides, not DVC_ROOT: that is the folder of `.dvc`, which can be above the project, and is inherited.
    """
    workspace = workspace.resolve()
    copy = TEMPORARY_COPY.fullmatch(workspace.as_posix())
    if copy is None:
        return workspace
    # The copy has the whole repository. Its part down to the folder of `.dvc` is in both paths.
    holder, below = Path(copy["holder"]), Path(copy["below"].lstrip("/")).parts
    common = next(
        count for count in range(len(below), -1, -1) if holder.parts[len(holder.parts) - count :] == below[:count]
    )
    return holder.joinpath(*below[common:])


def refusal(destination: Destination, patience: float = SECONDS_TO_ANSWER) -> str | None:
    """Why a server cannot be reached within `patience` seconds; None if it can. Does not import mlflow.

    A proxy that answers may reach what this machine does not: then MLflow's client finds out.
    """
    try:
        parts = urlsplit(destination.uri)
        if parts.scheme not in PORTS:
            return None
        routes = [(parts.hostname or "", parts.port or PORTS[parts.scheme]), *_proxies(parts.scheme)]
    except ValueError as error:
        what = str(error).partition(" as ")[0]  # behind it Python quotes a part of the address
        return f"not an address ({what}); a password has %2F for / and so on"
    reasons: list[str] = []
    answered = threading.Event()
    # In threads, because name resolution has no timeout.
    looks = [threading.Thread(target=_look, args=[route, patience, reasons, answered], daemon=True) for route in routes]
    for look in looks:
        look.start()
    end = time.monotonic() + patience
    while not answered.is_set() and len(reasons) < len(routes) and time.monotonic() < end:
        answered.wait(SECONDS_BETWEEN_LOOKS)
    if answered.is_set():
        return None
    return reasons[0] if reasons else f"no answer within {patience:g} s"


def _proxies(scheme: str) -> Iterator[tuple[str, int]]:
    """Host and port of each proxy that MLflow's client might take for an address of this scheme."""
    from urllib.request import getproxies  # here: an embedded store does not need it

    given = getproxies()
    for address in filter(None, (given.get(scheme), given.get("all"))):
        parts = urlsplit(address if "://" in address else f"http://{address}")
        yield parts.hostname or "", parts.port or PORTS.get(parts.scheme, 1080)


def _look(address: tuple[str, int], patience: float, reasons: list[str], answered: threading.Event) -> None:
    try:
        socket.create_connection(address, timeout=patience).close()
    except (OSError, ValueError) as error:
        reasons.append(str(error))
    else:
        answered.set()


def _anchor(uri: str, root: Path) -> str:
    """Make a relative database path relative to the project's folder, whatever folder a stage runs in."""
    head, separator, rest = uri.partition(":///")
    path, mark, settings = rest.partition("?")
    if not separator or not _is_sqlite(uri) or path.startswith((":memory:", "file:")):
        return uri
    return f"{head}{separator}{_escaped(root / unquote(path))}{mark}{settings}"


def address_of_database(path: Path) -> str:
    """The address by which MLflow opens an SQLite database; an absolute path."""
    return f"sqlite:///{_escaped(path)}"


def _file_of(uri: str) -> Path | None:
    path = unquote(uri.partition(":///")[2].partition("?")[0])
    return Path(path) if _is_sqlite(uri) and path.startswith("/") else None


def _is_sqlite(uri: str) -> bool:
    return uri.partition(":")[0].partition("+")[0] == "sqlite"


def _escaped(database: Path) -> str:
    """Path of a database for an address.

    MLflow creates the folder before the last slash without resolving escapes, so an escaped path has no second slash.
    """
    path = str(database)
    return f"/{quote(path[1:], safe='')}" if {"%", "?"} & set(path) else path
