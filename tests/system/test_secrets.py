"""No secret of the environment is shown, kept or handed on, whatever a server answers that refuses it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.helpers.projects import NO_SERVER
from tests.helpers.refusing import ESCAPED, PASSWORD, TOKEN, Refusing, forms_in, refusing
from tests.helpers.servers import free_port

pytestmark = pytest.mark.slow


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
        subprocess.run(run, check=True, timeout=3600)
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
