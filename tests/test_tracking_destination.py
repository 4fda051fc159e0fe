"""Where tracking goes, and that a stage goes on when nobody is there or what is there refuses."""

import logging
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from churn.tracking.destination import Destination, find_destination, project_root, refusal, without_password
from churn.tracking.handover import Execution
from churn.tracking.publisher import log_to_mlflow
from tests.conftest import shell
from tests.test_tracking_state import GIVEN, MADE, write

ENDED = Execution("preprocess", started=100.0, ended=101.5, fault=None, measurements={})


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """As preprocess leaves it."""
    write(tmp_path, GIVEN | MADE["preprocess"])
    return tmp_path


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def server_answering(status: int) -> Iterator[str]:
    """Address of a server that answers every request with one status."""

    class Answer(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"no entry\nfor you")

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def told(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = [record for record in caplog.records if record.name.startswith("churn")]
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()
    return record.getMessage()


def test_without_settings_it_is_a_database_in_the_projects_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    destination = find_destination(Path("/project"))
    assert (destination.uri, destination.embedded) == ("sqlite:////project/mlflow.db", True)
    assert (destination.experiment, destination.executions) == ("churn", "churn-executions")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.setenv(name, "")
    assert find_destination(Path("/project")) == destination


@pytest.mark.parametrize(
    ("setting", "uri", "embedded"),
    [
        ("sqlite:///store/runs.db", "sqlite:////project/store/runs.db", True),
        ("sqlite:////elsewhere/runs.db", "sqlite:////elsewhere/runs.db", True),
        ("postgresql://host/runs", "postgresql://host/runs", True),
        ("http://mlflow:5000", "http://mlflow:5000", False),
        ("https://mlflow.example", "https://mlflow.example", False),
        ("databricks", "databricks", False),
    ],
)
def test_settings_of_the_environment_hold_and_relative_databases_count_from_the_project(
    monkeypatch: pytest.MonkeyPatch, setting: str, uri: str, embedded: bool
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", setting)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "autumn")
    assert find_destination(Path("/project")) == Destination(uri, "autumn", Path("/project"))
    assert find_destination(Path("/project")).embedded == embedded


def test_a_temporary_copy_of_the_project_tracks_to_the_projects_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert project_root(tmp_path / "copy") == tmp_path / "copy"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    assert project_root(tmp_path / "copy") == tmp_path / "project"


def test_only_servers_can_be_away_and_say_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert refusal(Destination(f"http://127.0.0.1:{port}", "churn", Path())) is None
    assert refusal(Destination("sqlite:////nowhere/mlflow.db", "churn", Path())) is None
    assert "refused" in str(refusal(Destination(f"http://127.0.0.1:{free_port()}", "churn", Path())))
    assert "Port out of range" in str(refusal(Destination("http://127.0.0.1:99999", "churn", Path())))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:s3cr@t@mlflow:5000/x: refused", "http://mlflow:5000/x: refused"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    ],
)
def test_no_password_gets_into_a_log(text: str, shown: str) -> None:
    assert without_password(text) == shown


def test_a_stage_ends_well_without_its_server_and_does_not_even_import_mlflow(project: Path) -> None:
    uri = f"http://ann:secret@127.0.0.1:{free_port()}"
    command = f"PYTHONPATH=src {sys.executable} -X importtime -m churn.stages preprocess"
    stage = shell(project)(command, MLFLOW_TRACKING_URI=uri)
    imports = [line for line in stage.stderr.splitlines() if line.startswith("import time:")]
    story = [line for line in stage.stderr.splitlines() if line.startswith("preprocess:")]
    assert story[-1].startswith(f"preprocess: not recorded in MLflow: {uri.replace('ann:secret@', '')}: ")
    assert story[-1].endswith("Connection refused")
    assert any("churn.tracking.recording" in line for line in imports)
    assert not any("mlflow" in line.partition("churn.")[0] for line in imports)
    assert "mlflow_store" not in stage.stderr


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_server_that_answers_with_an_error_is_warned_of_in_one_line(
    workspace: Path, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with server_answering(status) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        log_to_mlflow(workspace, ENDED)
    message = told(caplog)
    assert message.startswith(f"not recorded in MLflow: {uri}: ")
    assert str(status) in message


def test_a_run_that_belongs_to_no_experiment_is_said_not_to_be_recorded(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (workspace / "raw.csv").unlink()
    log_to_mlflow(workspace, ENDED)
    assert told(caplog) == "not recorded in MLflow: raw.csv: not there, so this run belongs to no experiment"


def test_a_folder_without_a_pipeline_is_said_not_to_be_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, {"params.yaml": GIVEN["params.yaml"]})
    log_to_mlflow(tmp_path, ENDED)
    assert told(caplog).startswith("not recorded in MLflow: dvc.yaml: not found in ")


def test_a_fault_that_nobody_foresaw_is_named_and_does_not_reach_the_stage(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(workspace, {"metrics/data.json": "{half written"})
    log_to_mlflow(workspace, ENDED)
    assert told(caplog).startswith("not recorded in MLflow: JSONDecodeError: ")
