"""The pipeline beside a bare script and an empty project, case after case and round after round."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.sameness import Sameness, compare
from bench.timing import Measurement, environment, measure
from churn.config.params import PARAMS_FILE, load_params
from churn.errors import ChurnError
from churn.history import state
from churn.runtime import NOWHERE

BARE = Path(__file__).with_name("bare.py")
RUN_ALL = ("dvc", "repro", "--force", "--no-run-cache")
KEPT = "kept for MLflow"

EMPTY_PIPELINE = """\
stages:
  first: {cmd: cp a b, deps: [a], outs: [b]}
  second: {cmd: cp b c, deps: [b], outs: [c]}
  third: {cmd: cp c d, deps: [c], outs: [d]}
"""


@dataclass(frozen=True)
class Round:
    """Seconds of each case, measured one after another."""

    untracked: float
    tracked: float
    bare: float
    evaluate_only: float
    up_to_date: float
    empty_project: float
    other_bytes: tuple[str, ...]
    """Results of the bare script with the same content as the pipeline's in other bytes."""


@dataclass(frozen=True)
class Places:
    """A folder for each case that must not see another's files."""

    tracked: Path
    untracked: Path
    bare: Path
    empty: Path
    site_cache: Path

    @property
    def settings(self) -> dict[str, str]:
        """What every command is given: nothing is sent, and nothing is kept outside the temporary folder."""
        return {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(self.site_cache)}


def prepare(repository: Path, folder: Path) -> Places:
    """Clone the committed state for each case, and make the empty project."""
    places = Places(
        **{name: folder / name for name in ("tracked", "untracked", "bare", "empty")}, site_cache=folder / "site-cache"
    )
    for clone in (places.tracked, places.untracked, places.bare):
        call(places, repository, "git", "clone", "--quiet", str(repository), str(clone))
    _make_empty_project(places)
    return places


def play(places: Places, number: int, name: str) -> Round:
    """Measure every case once, those that are compared next to each other.

    The seed is another in each round, so that MLflow gets a new row, as by a user's experiment.

    Raises:
        ChurnError: a case did other work than it is said to do.
    """
    for clone in (places.untracked, places.tracked, places.bare):
        set_parameter(clone, ("compute", "seed"), 1 + number)
    stages = set(state.stages_from_files(places.tracked))
    untracked = _repro(f"{name}, without tracking", places, places.untracked, RUN_ALL, stages, NOWHERE)
    _require(KEPT in untracked.output, "without tracking: was recorded")
    tracked = _repro(f"{name}, pipeline", places, places.tracked, RUN_ALL, stages)
    bare, sameness = _bare(f"{name}, bare script", places)
    points = load_params(places.bare).evaluate.curve_points
    set_parameter(places.tracked, ("evaluate", "curve_points"), points + 1 + number)
    evaluate_only = _repro(f"{name}, evaluate alone", places, places.tracked, ("dvc", "repro"), {"evaluate"})
    for recorded in (tracked, evaluate_only):
        _require(KEPT not in recorded.output, "with tracking: the last row was not ready when the pipeline ended")
    up_to_date = _repro(f"{name}, nothing to do", places, places.tracked, ("dvc", "repro"), set())
    empty = _repro(f"{name}, nothing to do in an empty project", places, places.empty, ("dvc", "repro"), set())
    call(places, places.tracked, "git", "checkout", "--quiet", PARAMS_FILE)
    return Round(
        untracked=untracked.seconds,
        tracked=tracked.seconds,
        bare=bare.seconds,
        evaluate_only=evaluate_only.seconds,
        up_to_date=up_to_date.seconds,
        empty_project=empty.seconds,
        other_bytes=sameness.other_bytes,
    )


def set_parameter(folder: Path, keys: tuple[str, str], value: Any) -> None:
    """Edit one value of params.yaml, the rest staying as it is written."""
    yaml = YAML()
    yaml.width = 1000
    content = yaml.load(folder / PARAMS_FILE)
    section, name = keys
    content[section][name] = value
    yaml.dump(content, folder / PARAMS_FILE)


def call(places: Places, folder: Path, *command: str) -> str:
    """Run a command that is not measured.

    Raises:
        ChurnError: it failed.
    """
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, env=environment(places.settings), text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise ChurnError(f"`{' '.join(command)}` ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _make_empty_project(places: Places) -> None:
    """Three stages that copy a small file, run once, committed like the pipeline and with its settings of DVC."""
    places.empty.mkdir()
    (places.empty / "a").write_text("a\n")
    (places.empty / "dvc.yaml").write_text(EMPTY_PIPELINE)
    call(places, places.empty, "git", "init", "--quiet")
    call(places, places.empty, "dvc", "init", "--quiet")
    shutil.copy(places.tracked / ".dvc/config", places.empty / ".dvc/config")
    call(places, places.empty, "dvc", "repro")
    call(places, places.empty, "git", "add", "--all")
    author = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid")
    call(places, places.empty, "git", *author, "commit", "--quiet", "--message", "empty")


def _repro(
    name: str,
    places: Places,
    folder: Path,
    command: tuple[str, ...],
    expected: set[str],
    settings: Mapping[str, str] | None = None,
) -> Measurement:
    measured = measure(name, command, folder, {**places.settings, **(settings or {})})
    ran = set(re.findall(r"Running stage '(.+?)'", measured.output))
    _require(ran == expected, f"{name}: ran {sorted(ran)}, not {sorted(expected)}")
    return measured


def _bare(name: str, places: Places) -> tuple[Measurement, Sameness]:
    """The bare script, held to what the pipeline has just made: a ratio of different work says nothing."""
    made = state.stages_from_lock(state.read_lock(places.tracked))
    for stage in made.values():
        for path in stage.results:
            (places.bare / path).unlink(missing_ok=True)
    measured = measure(name, (sys.executable, str(BARE)), places.bare, {"PYTHONPATH": str(places.bare / "src")})
    sameness = compare(made, places.tracked, places.bare)
    _require(not sameness.different, f"{name}: other results than the pipeline's: {', '.join(sameness.different)}")
    return measured, sameness


def _require(fulfilled: bool, fault: str) -> None:
    if not fulfilled:
        raise ChurnError(fault)
