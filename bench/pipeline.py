"""What the pipeline costs beside a bare script, and how it grows; written to bench/results.md.

Run in the project's folder: python -m bench.pipeline. It measures clones of the committed state in a temporary folder.
"""

import argparse
import logging
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.growth import measure_growth
from bench.report import Machine, Results, Start, report_text
from bench.rounds import Places, call, play, prepare
from bench.timing import log, measure, summarised
from churn.errors import ChurnError

RESULTS = Path("bench/results.md")
PACKAGES = ("dvc", "mlflow", "scikit-learn")
STARTS = {
    "empty interpreter": "pass",
    "import of the stage preprocess": "import churn.stages.preprocess",
    "import of the stage train": "import churn.stages.train",
    "import of the stage evaluate": "import churn.stages.evaluate",
    "import of tracking with MLflow, by itself": "import churn.tracking.store.rows",
}
REPEATS = 3


def main() -> None:
    """Measure, print, write."""
    logging.basicConfig(format="bench: %(message)s", stream=sys.stderr, level=logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    arguments = _arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="churn-bench-") as folder:
            text = report_text(run(Path.cwd(), Path(folder), arguments.rounds, sorted(set(arguments.sizes))))
    except ChurnError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    print(text, end="")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text, encoding="utf-8")


def run(repository: Path, folder: Path, rounds: int, sizes: Sequence[int]) -> Results:
    """Every measurement, in a folder that is thrown away."""
    places = prepare(repository, folder)
    changes = call(places, repository, "git", "status", "--porcelain", "--", ".", f":!{RESULTS}").splitlines()
    if changes:
        log.warning("%s uncommitted changes are not measured", len(changes))
    play(places, 0, "warm-up")
    counted = tuple(play(places, number, f"round {number} of {rounds}") for number in range(1, rounds + 1))
    return Results(
        machine=_machine(places),
        rounds=counted,
        growth=measure_growth(places.tracked, folder, sizes),
        starts=tuple(_starts(places)),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds that count (default: 5)")
    parser.add_argument(
        "--sizes",
        type=_positive,
        nargs="+",
        default=[10_000, 100_000, 1_000_000],
        help="customers of the tables for growth (default: 10000 100000 1000000)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _machine(places: Places) -> Machine:
    return Machine(
        cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        packages=tuple(f"{name} {version(name)}" for name in PACKAGES),
        commit=call(places, places.tracked, "git", "rev-parse", "--short", "HEAD").strip(),
    )


def _starts(places: Places) -> list[Start]:
    commands = {name: [sys.executable, "-c", code] for name, code in STARTS.items()}
    commands["`dvc --version`"] = ["dvc", "--version"]
    settings = {**places.settings, "PYTHONPATH": str(places.tracked / "src")}
    return [
        Start(name, summarised([measure(name, command, places.tracked, settings).seconds for _ in range(REPEATS)]))
        for name, command in commands.items()
    ]


if __name__ == "__main__":
    main()
