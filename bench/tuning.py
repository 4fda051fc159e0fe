"""What `churn tune` costs beside the bare fits of the very same trials, one job, in alternating rounds.

Run in the project's folder: python -m bench.tuning --rounds 2
"""

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.timing import environment, measure, summarised

BARE = Path(__file__).with_name("bare_trials.py")
TRIALS = 50
MOST_TIMES = 1.5
"""The aim."""


def main() -> None:
    """Print the times of each round, and their ratio."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        settings = {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(clone / "src")}
        _prepare(clone, settings)
        times = [_play(clone, settings, number + 1) for number in range(rounds)]
    searched, bare = (summarised(one) for one in zip(*times, strict=True))
    ratio = summarised([search / fits for search, fits in times])
    print(f"{TRIALS} trials: search {searched.median:.1f} s, bare fits {bare.median:.1f} s")
    print(
        f"ratio {ratio.median:.2f} [{ratio.low:.2f} to {ratio.high:.2f}], aim at most {MOST_TIMES}: "
        f"{'met' if ratio.median <= MOST_TIMES else 'NOT met'}"
    )


def _prepare(clone: Path, settings: dict[str, str]) -> None:
    for command, folder in (
        (["git", "clone", "--quiet", str(Path.cwd()), str(clone)], Path.cwd()),
        (["dvc", "repro", "--quiet", "preprocess"], clone),
    ):
        subprocess.run(command, cwd=folder, env=environment(settings), check=True)  # noqa: S603


def _play(clone: Path, settings: dict[str, str], number: int) -> tuple[float, float]:
    """Seconds of a whole search, MLflow included, and of its fits."""
    shutil.rmtree(clone / ".churn/tuning", ignore_errors=True)
    search = ("churn", "tune", "--trials", str(TRIALS), "--jobs", "1", "--json")
    searched = measure(f"round {number}, search", search, clone, settings)
    trials = clone / "trials.json"
    trials.write_text(searched.output[searched.output.index("{\n") :], encoding="utf-8")
    bare = measure(f"round {number}, bare fits", (sys.executable, str(BARE), str(trials)), clone, settings)
    return searched.seconds, bare.seconds


if __name__ == "__main__":
    main()
