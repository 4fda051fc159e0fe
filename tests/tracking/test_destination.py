"""Where tracking goes, and that a stage does not wait for a server that is away."""

import socket
import sys
import threading
from pathlib import Path

import pytest

from churn.tracking.destination import Destination, find_destination, project_root, refusal
from tests.helpers.projects import shell
from tests.helpers.servers import free_port


def test_without_settings_it_is_a_database_in_the_projects_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    destination = find_destination(Path("/project"))
    assert (destination.uri, destination.is_embedded) == ("sqlite:////project/mlflow.db", True)
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
    assert find_destination(Path("/project")).is_embedded == embedded


@pytest.mark.parametrize(
    ("uri", "pages", "opened"),
    [
        ("", "", "http://localhost:5000"),
        ("", "http://localhost:5001/", "http://localhost:5001"),
        ("http://user:secret@mlflow:5000", "", "http://mlflow:5000"),
        ("http://mlflow:5000", "https://mlflow.example.com", "https://mlflow.example.com"),
    ],
)
def test_a_link_leads_to_the_runs_on_the_server_that_a_browser_reaches(
    uri: str, pages: str, opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("CHURN_MLFLOW_PAGES", pages)
    destination = find_destination(Path("/project"))
    assert destination.pages_of("7") == f"{opened}/#/experiments/7/runs?workflowType=machine_learning"
    assert destination.needs_ui == (uri == pages == "")


@pytest.mark.parametrize("uri", ["sqlite:////elsewhere/runs.db", "postgresql://host/runs", "databricks"])
def test_without_a_server_that_is_known_there_is_no_link(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert find_destination(Path("/project")).pages_of("7") == ""


@pytest.mark.parametrize(
    ("workspace", "root"),
    [
        ("m", "m"),
        ("m/.dvc/tmp/exps/tmpab1", "m"),
        ("m/.dvc/tmp/exps/standalone/tmpab1", "m"),
        pytest.param("m/.dvc/tmp/exps/tmpab1/teams/churn", "m/teams/churn", id=".dvc at the top of the repository"),
        pytest.param("m/churn/.dvc/tmp/exps/tmpab1/churn", "m/churn", id=".dvc in the project"),
        pytest.param("m/teams/.dvc/tmp/exps/tmpab1/teams/churn", "m/teams/churn", id=".dvc between"),
        pytest.param("m/tmp/exps/tmpab1", "m/tmp/exps/tmpab1", id="a folder of such a name"),
    ],
)
def test_a_temporary_copy_of_the_project_tracks_to_the_projects_own_folder(
    workspace: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
    assert project_root(tmp_path / workspace) == tmp_path / root


def test_only_servers_can_be_away_and_say_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert refusal(Destination(f"http://127.0.0.1:{port}", "churn", Path())) is None
    assert refusal(Destination("sqlite:////nowhere/mlflow.db", "churn", Path())) is None
    assert "refused" in str(refusal(Destination(f"http://127.0.0.1:{free_port()}", "churn", Path())))
    for broken in ("http://[::1", "http://mlflow..example:5000"):
        assert refusal(Destination(broken, "churn", Path())), broken
    assert "Port out of range" in str(refusal(Destination("http://127.0.0.1:99999", "churn", Path())))


@pytest.mark.parametrize("sign", "/?#@")
def test_a_password_with_an_unescaped_sign_is_in_no_reason(sign: str) -> None:
    reason = refusal(Destination(f"http://ann:s3cret{sign}hunter@mlflow.invalid:5000", "churn", Path()))
    assert reason
    assert not any(part in reason for part in ("s3cret", "hunter"))


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_server_behind_a_proxy_is_left_to_the_client_that_knows_the_way(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Destination("http://mlflow.corp.invalid:5000", "churn", Path())
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(variable, f"http://ann:secret@127.0.0.1:{proxy.getsockname()[1]}")
        assert refusal(server, 5) is None
    monkeypatch.setenv(variable, f"127.0.0.1:{free_port()}")
    assert refusal(server, 5)


def test_a_server_beside_a_proxy_that_is_away_answers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert refusal(Destination(f"http://127.0.0.1:{listening.getsockname()[1]}", "churn", Path())) is None


def test_a_name_that_takes_for_ever_to_look_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait() and [])
    assert refusal(Destination("http://slow.example:5000", "churn", Path())) == "no answer within 0.3 s"
    assert not answered.is_set()
    answered.set()


@pytest.mark.slow
def test_a_stage_ends_well_without_its_server_and_does_not_even_import_mlflow(project: Path) -> None:
    uri = f"http://ann:secret@127.0.0.1:{free_port()}"
    command = f"PYTHONPATH=src {sys.executable} -X importtime -m churn.stages preprocess"
    stage = shell(project)(command, MLFLOW_TRACKING_URI=uri)
    imports = [line for line in stage.stderr.splitlines() if line.startswith("import time:")]
    story = [line for line in stage.stderr.splitlines() if line.startswith("preprocess:")]
    where = uri.replace("ann:secret@", "")
    assert story[-1].startswith(f"preprocess: kept for MLflow at {where}, `churn sync` publishes it: ")
    assert story[-1].endswith("Connection refused")
    assert any("churn.tracking.recorder" in line for line in imports)
    assert not any("mlflow" in line.partition("churn.")[0] for line in imports)
    assert "mlflow_store" not in stage.stderr
