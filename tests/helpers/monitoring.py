"""The servers on the path of an alarm, as `make monitoring-test` unpacks them, and their answers."""

import json
import math
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.helpers.projects import REPOSITORY
from tests.helpers.servers import answering, free_port

CONFIGURATION = REPOSITORY / "deploy/monitoring"
UNPACKED = REPOSITORY / ".monitoring/tools/usr"


def tool(name: str) -> str:
    """Path of a program."""
    path = UNPACKED / "bin" / name
    assert path.exists(), f"{path} is missing: run `make monitoring-test`"
    return str(path)


def checked(*command: str | Path) -> str:
    """What a command prints, which has to succeed."""
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(what: Callable[[], Any], why: str, seconds: float = 30) -> Any:
    """The first true value of a function that is called again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {why}")


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


@contextmanager
def started(command: list[str], address: str, path: str, log: Path) -> Iterator[None]:
    """A server, which answers when the block begins."""
    with log.open("w") as lines, subprocess.Popen(command, stdout=lines, stderr=lines) as process:
        try:
            wait_for(lambda: answers(f"http://{address}{path}") or process.poll(), f"{command[0]} answers")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


def free_address() -> str:
    return f"127.0.0.1:{free_port()}"


def replaced(text: str, values: Mapping[str, str]) -> str:
    """A text with other values; each old one has to be there."""
    for old, new in values.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def in_namespace(command: list[str]) -> list[str]:
    """A command that finds /usr/share of the unpacked packages in place of this machine's.

    Debian's Alertmanager reads its templates there, at an absolute path.
    """
    mount = 'mount --bind "$0" /usr/share && exec "$@"'
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(UNPACKED / "share"), *command]


@dataclass
class Sink:
    """Where Alertmanager sends to: what it sent, as path, token and body."""

    address: str
    received: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], why: str) -> tuple[str, str, dict[str, Any]]:
        """The first that is wanted."""
        found: tuple[str, str, dict[str, Any]] = wait_for(
            lambda: next((one for one in list(self.received) if wanted(one[2])), None), f"{why}: {self.received}", 45
        )
        return found


@contextmanager
def sink() -> Iterator[Sink]:
    """A server that takes everything and remembers it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            taken.received.append((self.path, self.headers.get("Authorization", ""), body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Sink(f"127.0.0.1:{server.server_port}")
        with answering(server):
            yield taken


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    address: str

    def _ask(self, path: str, **given: str) -> Any:
        answer = requests.get(f"http://{self.address}/api/v1/{path}", params=given, timeout=10)
        assert answer.ok, answer.text
        return answer.json()["data"]

    def values(self, query: str) -> list[float]:
        """Every number that a query gives; NaN is none."""
        numbers = [float(one["value"][1]) for one in self._ask("query", query=query)["result"]]
        return [number for number in numbers if not math.isnan(number)]

    def wait_for(self, query: str, why: str) -> None:
        """Wait until a query gives numbers."""
        wait_for(lambda: self.values(query), f"{why}: {query}")

    def labels(self, metric: str, label: str) -> list[str]:
        """Every value that a label of a metric has."""
        found: list[str] = self._ask(f"label/{label}/values", **{"match[]": metric})
        return found

    def firing(self) -> set[str]:
        """Names of the alarms."""
        return {one["labels"]["alertname"] for one in self._ask("alerts")["alerts"] if one["state"] == "firing"}

    def targets(self) -> dict[str, str]:
        """Jobs, and what keeps each from being read."""
        return {one["labels"]["job"]: one["lastError"] for one in self._ask("targets")["activeTargets"]}


def quick_prometheus(folder: Path, addresses: Mapping[str, str]) -> Path:
    """The committed configuration and rules, for other addresses, with seconds in place of minutes."""
    committed = (CONFIGURATION / "prometheus/prometheus.yml").read_text()
    rules = (CONFIGURATION / "prometheus/rules/churn.yml").read_text()
    (folder / "rules").mkdir()
    (folder / "rules/churn.yml").write_text(re.sub(r"^( +for:) \w+$", r"\1 3s", rules, flags=re.MULTILINE))
    (folder / "prometheus.yml").write_text(replaced(committed, {"_interval: 15s": "_interval: 1s", **addresses}))
    return folder / "prometheus.yml"


def quick_alertmanager(folder: Path, addresses: Mapping[str, str]) -> Path:
    """The committed configuration, for other addresses, that waits for a second."""
    committed = (CONFIGURATION / "alertmanager/alertmanager.yml").read_text()
    waits = {"group_wait: 30s": "group_wait: 1s", "group_interval: 5m": "group_interval: 1s"}
    (folder / "alertmanager.yml").write_text(replaced(committed, {**waits, **addresses}))
    return folder / "alertmanager.yml"
