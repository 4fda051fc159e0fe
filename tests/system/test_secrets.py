"""No secret of the environment is shown, kept or handed on, whatever a server answers that refuses it."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers.projects import NO_SERVER
from tests.helpers.servers import answering, free_port

pytestmark = pytest.mark.slow

PASSWORD, TOKEN = "s3cr%t/W0rd+x", "tok-ABC/def+123=="
ESCAPED = quote(PASSWORD, safe="")


def forms_of(secret: str) -> set[str]:
    """A secret as it is, escaped, and the signs of it that base64 has behind any name."""
    encoded = {base64.b64encode(before + secret.encode()).decode()[4:-4] for before in (b"12:", b"123:", b"1234:")}
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], *encoded}


FORMS = forms_of(PASSWORD) | forms_of(TOKEN)


def forms_in(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


class Refusing(ThreadingHTTPServer):
    """Refuses every request with all that it was told, and looks at the processes of the machine meanwhile."""

    daemon_threads = True

    def __init__(self, status: int, elsewhere: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.status, self.elsewhere = status, elsewhere
        self.authorizations: list[str] = []
        self.arguments: set[str] = set()


class Answers(BaseHTTPRequestHandler):
    server: Refusing

    def refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = self.headers.get("Authorization", "")
        self.server.authorizations.append(sent)
        self.server.arguments |= set(map(_read, Path("/proc").glob("[0-9]*/cmdline")))
        told = f"{self.command} {self.path}\n{self.headers}\nbad login {sent.rpartition(' ')[2]}"
        content = json.dumps({"error_code": "INTERNAL_ERROR", "message": told}).encode()
        self.send_response(self.server.status)
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere + self.path)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = refuse  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def refusing(status: int, elsewhere: str = "") -> Iterator[Refusing]:
    with Refusing(status, elsewhere) as server, answering(server):
        yield server


def ways_to_refuse(ports: dict[str, int]) -> dict[str, list[str]]:
    """Settings of the environment by what is tried: each way to give a secret, and each way to refuse it."""
    at = {answer: f"127.0.0.1:{port}" for answer, port in ports.items()}
    name = "MLFLOW_TRACKING_USERNAME=ann"
    return {
        "401, address": [f"MLFLOW_TRACKING_URI=http://ann:{ESCAPED}@{at['401']}"],
        "401, token": [f"MLFLOW_TRACKING_URI=http://{at['401']}", f"MLFLOW_TRACKING_TOKEN={TOKEN}"],
        "500, password": [f"MLFLOW_TRACKING_URI=http://{at['500']}", name, f"MLFLOW_TRACKING_PASSWORD={PASSWORD}"],
        "500, parameter": [f"MLFLOW_TRACKING_URI=http://{at['500']}/?token={quote(TOKEN, safe='')}"],
        "302, password": [f"MLFLOW_TRACKING_URI=http://{at['302']}", name, f"MLFLOW_TRACKING_PASSWORD={PASSWORD}"],
        "no TLS": [f"MLFLOW_TRACKING_URI=https://ann:{ESCAPED}@{at['500']}"],
        "not escaped": [f"MLFLOW_TRACKING_URI=http://ann:{PASSWORD}@{at['500']}"],
        "no scheme of MLflow": [f"MLFLOW_TRACKING_URI=htp://ann:{PASSWORD}@{at['500']}"],
        "PostgreSQL away": [f"MLFLOW_TRACKING_URI=postgresql://ann:{ESCAPED}@127.0.0.1:{free_port()}/mlflow"],
        "pages": [f"MLFLOW_TRACKING_URI={NO_SERVER}", f"CHURN_MLFLOW_PAGES=https://ann:{ESCAPED}@mlflow.example"],
    }


ONCE = (
    ["status", "--json"],
    ["lineage", "models/churn_model.pkl"],
    ["promote"],
    ["rollback"],
    ["report"],
    ["stage", "evaluate"],
)


@dataclass(frozen=True)
class Story:
    """What commands printed and left in a project, and what the servers were told."""

    told: dict[str, str]
    servers: list[Refusing]
    project: Path


@pytest.fixture(scope="module")
def story(_finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    place = tmp_path_factory.mktemp("secrets")
    project = shutil.copytree(_finished_once / "project", place / "project", symlinks=True)
    with ExitStack() as stack:
        refused, broken = (stack.enter_context(refusing(status)) for status in (401, 500))
        moved = stack.enter_context(refusing(302, f"http://localhost:{refused.server_port}"))
        servers = [refused, broken, moved]
        ports = {"401": refused.server_port, "500": broken.server_port, "302": moved.server_port}
        ways = ways_to_refuse(ports)
        labels = [*((way, ["sync"]) for way in ways), *(("401, address", command) for command in ONCE)]
        given = [[*ways[way], *command] for way, command in labels]
        run = [
            sys.executable,
            "-m",
            "tests.helpers.commands_in_forks",
            str(project),
            json.dumps(given),
            str(place),
            "mlflow",
        ]
        subprocess.run(run, check=True, timeout=300)
        answers = json.loads((place / "answers").read_text())
        told = {
            f"{way}: churn {' '.join(command)}": answer
            for (way, command), (_, answer) in zip(labels, answers, strict=True)
        }
        yield Story(told, servers, project)


def test_each_server_was_given_the_secret_and_refused_it(story: Story) -> None:
    refused, broken, moved = ([*filter(None, server.authorizations)] for server in story.servers)
    assert refused
    assert broken
    assert moved
    assert all(map(forms_in, refused + broken + moved))
    assert any("bad login ***" in answer for answer in story.told.values())


def test_nothing_that_is_printed_has_a_form_of_the_secret(story: Story) -> None:
    assert {label: forms_in(answer) for label, answer in story.told.items() if forms_in(answer)} == {}


def test_no_file_of_the_project_has_a_form_of_the_secret(story: Story) -> None:
    files = [path for path in story.project.rglob("*") if path.is_file()]
    assert any(".churn" in path.parts for path in files)
    assert [path for path in files if forms_in(path.read_bytes().decode("latin1"))] == []


def test_no_object_of_git_has_a_form_of_the_secret(story: Story) -> None:
    asked = ["git", "cat-file", "--batch", "--batch-all-objects"]
    objects = subprocess.run(asked, cwd=story.project, capture_output=True, check=True).stdout.decode("latin1")
    assert "params.yaml" in objects or "customers" in objects
    assert not forms_in(objects)


def test_no_process_has_the_secret_among_its_arguments(story: Story) -> None:
    arguments = set.union(*(server.arguments for server in story.servers))
    ours = {line for line in arguments if "commands_in_forks" in line}
    assert ours
    assert [line for line in arguments - ours if forms_in(line)] == []
