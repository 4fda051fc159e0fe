"""Measure the scoring service beside other servers of the same model; written to bench/serving.md.

Run in the project's folder after `make run`: make bench-serve. It needs wrk; BENTOML=PATH names BentoML's command in an
environment of its own.
"""

import argparse
import logging
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.serving.load import Load, measure_load, resident_megabytes
from bench.serving.servers import Server, all_servers, customers_of_project, save_mlflow_model, started
from churn.errors import ChurnError

RESULTS = Path("bench/serving.md")
FIRST_PORT = 18_000
CONNECTIONS = (1, 16, 64)
BATCHES = (100, 1_000)
SINGLE = ("one customer a request", "p50 ms", "p99 ms", "p99 / p50", "CPU ms")
PACKAGES = ("fastapi", "uvicorn", "mlflow", "scikit-learn")

log = logging.getLogger(__name__)


class Case:
    """All that was measured of a server; a value a round."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ready: list[float] = []
        self.memory: list[float] = []
        self.single: dict[int, list[Load]] = {count: [] for count in CONNECTIONS}
        self.batch: dict[int, list[Load]] = {rows: [] for rows in BATCHES}


def main() -> None:
    """Measure, print, write."""
    logging.basicConfig(format="bench: %(message)s", stream=sys.stderr, level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="churn-bench-") as folder:
            cases = run(Path.cwd(), Path(folder), arguments.rounds, arguments.seconds)
    except ChurnError as error:
        sys.exit(f"bench: {error}")
    text = report_text(cases, arguments.rounds, arguments.seconds)
    print(text, end="")
    RESULTS.write_text(text, encoding="utf-8")


def run(project: Path, folder: Path, rounds: int, seconds: int) -> list[Case]:
    """Every server in every round, one after another."""
    save_mlflow_model(project, folder)
    cases = [Case(server) for server in all_servers(project, folder)]
    for number in range(rounds):
        for place, case in enumerate(cases):
            log.info("round %s of %s: %s", number + 1, rounds, case.server.name)
            _measure(case, project, folder, FIRST_PORT + len(cases) * number + place, seconds)
    return cases


def _measure(case: Case, project: Path, folder: Path, port: int, seconds: int) -> None:
    customers = customers_of_project(project, max(BATCHES))
    with started(case.server, port, folder) as running:
        case.ready.append(running.seconds_to_ready)
        measure_load(running, customers[:1], folder, 1, 1)  # warm
        for connections, loads in case.single.items():
            loads.append(measure_load(running, customers[:1], folder, connections, seconds))
        for rows, loads in case.batch.items():
            loads.append(measure_load(running, customers[:rows], folder, 1, seconds))
        case.memory.append(resident_megabytes(running.process.pid))


def report_text(cases: Sequence[Case], rounds: int, seconds: int) -> str:
    """The results as Markdown."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    ours, bare, _, mlflow, *_ = cases
    lines = [
        "## Scoring service",
        "",
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, {packages}. One process a server, loopback, "
        f"load by wrk on the same machine. Medians of {rounds} rounds of {seconds} s; in each, every server runs once. "
        "Bare FastAPI parses the JSON and answers a constant.",
        "",
        *_table(
            SINGLE,
            [
                [
                    case.server.name,
                    f"{_median(case, 1, 'p50'):.2f}",
                    f"{_median(case, 1, 'p99'):.2f}",
                    f"{_spread(case):.1f}",
                    f"{_median(case, 1, 'cpu'):.3f}",
                ]
                for case in cases
            ],
        ),
        "",
        *_table(
            ["requests a second", *(f"{count} connection{'s' if count > 1 else ''}" for count in CONNECTIONS)],
            [
                [case.server.name, *(f"{_median(case, count, 'a_second'):,.0f}" for count in CONNECTIONS)]
                for case in cases
            ],
        ),
        "",
        *_table(
            ["customers a second", *(f"lists of {rows:,}" for rows in BATCHES), "memory MB", "start to ready s"],
            [
                [
                    case.server.name,
                    *(f"{rows * statistics.median(one.a_second for one in case.batch[rows]):,.0f}" for rows in BATCHES),
                    f"{statistics.median(case.memory):,.0f}",
                    f"{statistics.median(case.ready):.1f}",
                ]
                for case in cases
            ],
        ),
        "",
        *_table(
            ["aim", "measured", ""],
            [
                _aim("requests a second at 16 connections, times `mlflow models serve`: at least 15",
                     _median(ours, 16, "a_second") / _median(mlflow, 16, "a_second"), 15, at_least=True),
                _aim("CPU a request, part of `mlflow models serve`: at most 1/50",
                     _median(ours, 1, "cpu") / _median(mlflow, 1, "cpu"), 1 / 50),
                _aim("p99 / p50, times that of bare FastAPI: at most 1", _spread(ours) / _spread(bare), 1),
                _aim("memory in MB: at most 300", statistics.median(ours.memory), 300),
                _aim("start to ready in s: at most 3", statistics.median(ours.ready), 3),
            ],
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _median(case: Case, connections: int, what: str) -> float:
    return statistics.median(float(getattr(one, what)) for one in case.single[connections])


def _spread(case: Case) -> float:
    return _median(case, 1, "p99") / _median(case, 1, "p50")


def _aim(text: str, value: float, bound: float, *, at_least: bool = False) -> list[str]:
    met = value >= bound if at_least else value <= bound
    return [text, f"{value:.3g}", "met" if met else "not met"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    main()
