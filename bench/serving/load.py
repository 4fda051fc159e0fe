"""Load by wrk, and what it costs the server."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.serving.servers import StartedServer
from churn.errors import ChurnError

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open(os.getenv("BODY")); wrk.body = file:read("*a"); file:close()
function done(summary, latency, requests)
  print(string.format("RESULT %d %d %d %d %d", summary.requests, summary.duration,
    summary.errors.status + summary.errors.read + summary.errors.timeout + summary.errors.connect,
    latency:percentile(50), latency:percentile(99)))
end
"""
LONGEST = 30
"""Seconds after which a server without an answer has failed."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes:
        a_second: requests a second.
        cpu: milliseconds of processor time of the server, for each request.
        p50, p99: milliseconds.
    """

    a_second: float
    cpu: float
    p50: float
    p99: float


def measure_load(
    started: StartedServer, customers: Sequence[Mapping[str, Any]], folder: Path, connections: int, seconds: int
) -> Load:
    """Send the same customers again and again.

    Raises:
        ChurnError: wrk is not installed, or requests failed.
    """
    body, script = folder / "body.json", folder / "post.lua"
    body.write_text(json.dumps(started.server.body(customers)))
    script.write_text(SCRIPT)
    before = _cpu_seconds(started.process.pid)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
    try:
        done = subprocess.run(  # noqa: S603
            [*command, f"{started.url}{started.server.path}"],
            env={**os.environ, "BODY": str(body)},
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise ChurnError(
            "wrk is not installed (Debian, Ubuntu: apt-get install wrk; macOS: brew install wrk)"
        ) from None
    spent = _cpu_seconds(started.process.pid) - before
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise ChurnError(f"wrk: {done.stdout[-300:]}")
    requests, microseconds, errors, p50, p99 = map(int, found.groups())
    if not requests and not errors and seconds < LONGEST:  # none was complete in the time
        return measure_load(started, customers, folder, connections, 3 * seconds)
    if errors or not requests:
        raise ChurnError(f"{started.server.name}: {errors:,} of {requests:,} requests failed")
    return Load(1e6 * requests / microseconds, 1e3 * spent / requests, p50 / 1e3, p99 / 1e3)


def resident_megabytes(pid: int) -> float:
    """Memory of a process and its children."""
    pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in _family(pid)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_seconds(pid: int) -> float:
    ticks = 0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]
