"""deploy/pin-images writes the digests that a registry gives, and none that no registry gave."""

import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from churn.config.params import read_yaml
from tests.helpers.projects import REPOSITORY

INDEX = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
DIGEST = f"sha256:{hashlib.sha256(INDEX).hexdigest()}"
LOCK = "deploy/compose/images.lock"


@contextmanager
def registry() -> Iterator[str]:
    """Address of a registry that has the tag v1.0.0 of every image, and no other."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/v2/" or self.path.endswith(("/v1.0.0", DIGEST))
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", json.loads(INDEX)["mediaType"])
            self.send_header("Docker-Content-Digest", DIGEST)
            self.send_header("Content-Length", str(len(INDEX)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(INDEX)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What the script needs of the project, with a lock of an earlier day."""
    (tmp_path / "deploy/compose").mkdir(parents=True)
    for name in ("docker-compose.yml", ".env.example", "deploy/pin-images"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / LOCK).write_text("of an earlier day\n")
    return tmp_path


def pin(project: Path, *overlays: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), "deploy/pin-images", *overlays]
    return subprocess.run(command, cwd=project, text=True, capture_output=True, check=False)


def write_overlay(project: Path, image: str) -> str:
    (project / "deploy/compose/one.yml").write_text(f"services:\n  one: {{image: {image}}}\n")
    return "deploy/compose/one.yml"


def test_it_asks_which_overlays(project: Path) -> None:
    done = pin(project)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_where_nobody_answers_one_line_says_so_and_nothing_is_written(project: Path) -> None:
    done = pin(project, write_overlay(project, "example/image:v1.0.0"), DOCKER_HOST=f"unix://{project}/none")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"no digests, so {LOCK} is as it was: ")
    assert len(done.stderr.splitlines()) == 1
    assert (project / LOCK).read_text() == "of an earlier day\n"
    assert sorted(path.name for path in (project / "deploy/compose").iterdir()) == ["images.lock", "one.yml"]


@pytest.mark.stack
def test_the_lock_holds_the_digest_that_the_registry_gave(project: Path) -> None:
    with registry() as address:
        done = pin(project, write_overlay(project, f"{address}/example/image:v1.0.0"))
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{LOCK}: 1 images\n")
    services = read_yaml(project / LOCK)["services"]
    assert services["one"] == {"image": f"{address}/example/image:v1.0.0@{DIGEST}"}
    assert not services["api"], "an image that is built here has no registry"


@pytest.mark.stack
def test_a_tag_that_the_registry_does_not_have_gets_no_digest(project: Path) -> None:
    with registry() as address:
        done = pin(project, write_overlay(project, f"{address}/example/image:v2.0.0"))
    assert done.returncode == 1
    assert (project / LOCK).read_text() == "of an earlier day\n"
