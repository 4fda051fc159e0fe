"""Scoring services for tests: real processes on free ports."""

import csv
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

SECONDS_TO_START = 60


@dataclass
class RunningService:
    """A service, and what it has printed."""

    process: subprocess.Popen[str]
    folder: Path
    url: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for connections that are no requests."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def post(self, path: str, given: Any = None, **how: Any) -> requests.Response:
        return requests.post(f"{self.url}{path}", json=given, timeout=30, **how)

    def get(self, path: str, **how: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=30, **how)

    def wait_until(self, text: str, seconds: float = 30) -> str:
        """The first line that has a text."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{text!r} was not printed within {seconds:g} s:\n" + "\n".join(self.lines))

    def end(self, how: int = signal.SIGTERM, seconds: float = 60) -> int:
        """End the process with a signal; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(seconds)


@contextmanager
def running_service(folder: Path, *options: str, **environment: str) -> Iterator[RunningService]:
    """A service for the project in a folder, until the block ends."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHURN_SERVE_")}
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from churn.cli.main import main; main()",
        "serve",
        "--port",
        "0",
        *options,
    ]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**clean, "CHURN_SERVE_DRAIN_SECONDS": "0.2", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        service = RunningService(process, folder)
        reader = threading.Thread(target=_collect, args=[service], daemon=True)
        reader.start()
        try:
            service.url = _address_in(service)
            yield service
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
            reader.join()


def _collect(service: RunningService) -> None:
    assert service.process.stdout is not None
    for line in service.process.stdout:
        service.lines.append(line.rstrip("\n"))


def _address_in(service: RunningService) -> str:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        found = re.search(r"listening on (http://\S+),", "\n".join(service.lines))
        if found:
            return found[1]
        if service.process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError("the service did not start:\n" + "\n".join(service.lines))


GAPS = ("", "NA")


def customers_of(table: Path, columns: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Customers of a CSV table as JSON objects: labels as texts, everything else as numbers, gaps as null."""

    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {
            name: None if row[name].strip() in GAPS else row[name] if name in labels else float(row[name])
            for name in columns
        }
        for row in rows
    ]
