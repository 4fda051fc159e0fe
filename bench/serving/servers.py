"""The servers that are measured, each a process of its own on the loopback address."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import requests
from mlflow.models import infer_signature

from churn import files
from churn.errors import ChurnError
from churn.model.decision import pipeline_of
from churn.model.encoding import column_types
from churn.model.plain.encoder import Customer
from churn.service.sources import customers_of

HERE = Path(__file__).parent
SECONDS_TO_START = 120
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
Body = Callable[[Sequence[Mapping[str, Any]]], Any]
"""Makes the body of a request from customers."""


@dataclass(frozen=True)
class Server:
    """A server: how to start it, and how to ask it.

    Attributes:
        command: with {port} for the port.
        ready: path that answers 200 when it takes requests; "" if a request has to be tried.
    """

    name: str
    command: Sequence[str]
    folder: Path
    path: str
    ready: str
    body: Body
    settings: Mapping[str, str]


@dataclass(frozen=True)
class StartedServer:
    """A running server, and the seconds from its start until it was ready."""

    server: Server
    process: subprocess.Popen[bytes]
    url: str
    seconds_to_ready: float


def one_or_many(customers: Sequence[Mapping[str, Any]]) -> Any:
    """A customer alone as an object, several as a list."""
    return customers[0] if len(customers) == 1 else list(customers)


def all_servers(project: Path, folder: Path) -> list[Server]:
    """Every server; the last one is left out where BentoML is not installed in an environment of its own."""
    python = sys.executable
    command = "from churn.cli.main import main; main()"
    found = [
        Server(
            "churn serve",
            (python, "-W", "ignore", "-c", command, "serve", "--port", "{port}"),
            project,
            "/v1/score",
            "/health/ready",
            one_or_many,
            {},
        ),
        _around("bare FastAPI", "bare", project),
        _around("FastAPI around the object", "around_object", project),
        Server(
            "mlflow models serve",
            ("mlflow", "models", "serve", "-m", str(folder / "mlflow-model"), "--env-manager", "local", "-p", "{port}"),
            folder,
            "/invocations",
            "/ping",
            lambda customers: {"dataframe_records": list(customers)},
            {"MLFLOW_DISABLE_TELEMETRY": "true"},
        ),
    ]
    bento = os.environ.get("BENTOML")
    if bento:
        found.append(
            Server(
                "BentoML around the object",
                (bento, "serve", "bento_service:Churn", "--port", "{port}"),
                HERE,
                "/score",
                "/readyz",
                lambda customers: {"customers": list(customers)},
                {"MODEL": str(project / "models/churn_model.pkl"), "BENTOML_DO_NOT_TRACK": "True"},
            )
        )
    return found


def _around(name: str, module: str, project: Path) -> Server:
    application = ("-m", "uvicorn", f"bench.serving.applications:{module}", "--port", "{port}", *UVICORN)
    repository = str(HERE.parents[1])
    settings = {"PYTHONPATH": repository, "OMP_NUM_THREADS": "1"}
    return Server(name, (sys.executable, *application), project, "/score", "/ready", one_or_many, settings)


@contextmanager
def started(server: Server, port: int, logs: Path) -> Iterator[StartedServer]:
    """Start a server, and end it afterwards with all its processes; `logs` is where its output goes.

    Raises:
        ChurnError: it does not get ready.
    """
    command = [part.replace("{port}", str(port)) for part in server.command]
    environment = {**os.environ, **server.settings}
    log = logs / f"{port}.log"
    begun = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603
            command, cwd=server.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, f"{url}{server.ready}", server.name, log)
            yield StartedServer(server, process, url, time.monotonic() - begun)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def _wait(process: subprocess.Popen[bytes], url: str, name: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(url, timeout=1).status_code == requests.codes.ok:
                return
        time.sleep(0.02)
    raise ChurnError(f"{name}: not ready: {log.read_text(errors='replace')[-500:]}")


def save_mlflow_model(project: Path, folder: Path) -> None:
    """The model as `mlflow models serve` reads it; it needs a signature with types to answer JSON."""
    model, rows = _model_and_rows(project, 5)
    mlflow.sklearn.save_model(
        model,
        str(folder / "mlflow-model"),
        signature=infer_signature(rows, model.predict(rows)),
        serialization_format="pickle",
        pyfunc_predict_fn="predict_proba",
    )


def customers_of_project(project: Path, count: int) -> list[Customer]:
    """Test customers as JSON objects."""
    return customers_of(_model_and_rows(project, count)[1])


def _model_and_rows(project: Path, count: int) -> tuple[Any, pd.DataFrame]:
    path = project / files.MODEL
    model = files.read_pickle(path, {files.md5(path)})
    types = column_types(pipeline_of(model).named_steps["encoders"])
    return model, files.read_rows(project / files.TEST_ROWS, types).head(count)
