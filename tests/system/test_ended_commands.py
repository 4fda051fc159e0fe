"""Commands that are killed, interrupted or cannot write at some moment: the same command again gives the same result.

Nothing is left behind then: no draft, no temporary file, no lock. All of it happens in `tests.helpers.ended_commands`.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.projects import NO_SERVER, PARAMS, REPOSITORY, made_once, make_project, shell

TABLE = "data/raw/customers.csv"
PREDICT = ["predict", TABLE, "--output", "scores.csv"]
COMMANDS = [
    ["summary"],
    ["report", "--no-open"],
    ["status"],
    ["sync", "--all"],
    ["lineage", "HEAD"],
    ["compare", "HEAD~1", "HEAD"],
    ["changes", "HEAD~1", "HEAD", "--compute", "--output", "comment.md"],
    PREDICT,
    ["monitor", TABLE],
    ["promote", "HEAD"],
    ["tune", "--trials", "3"],
    ["init", TABLE, "--target", "gone", "--positive", "yes", "--yes"],
    ["stage", "preprocess"],
    ["stage", "train"],
    ["stage", "evaluate"],
    ["reproduce"],
]
QUICK: list[list[str]] = [PREDICT, ["stage", "preprocess"]]
MASKS = [0o077, 0o027, 0o022, 0o002]


@pytest.fixture(scope="session")
def _two_states_once(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """A project with two commits, an empty store, and a cache that has the results of the second one only."""

    def make(folder: Path) -> None:
        project = folder / "project"
        make_project(project)
        run = shell(project)
        for value in ("C: 0.0001", "C: 1.0"):
            (project / "params.yaml").write_text(PARAMS.replace("C: 1.0", value))
            run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
            run(f"git add --all && git commit --quiet --message '{value}'")
        run("dvc gc --workspace --force")
        shutil.rmtree(project / ".churn")
        shutil.copy(migrated, project / "mlflow.db")

    return made_once(tmp_path_factory, "two-states", make) / "project"


Try = tuple[object, ...]
"""Name of a function of the helper, the command, and what else the function takes."""


@pytest.fixture
def faults(_two_states_once: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """What is wrong, by what was tried."""

    def of(*tries: Try) -> list[str]:
        places = [_two_states_once, tmp_path / "bench", tmp_path / "answers"]
        command = [sys.executable, "-m", "tests.helpers.ended_commands", *map(str, places)]
        subprocess.run(command, input=json.dumps(tries), cwd=REPOSITORY, text=True, check=True)
        answers = json.loads(places[-1].read_text())
        return [f"{what}: {fault}" for what, told in answers.items() for fault in told]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("command", QUICK, ids=shlex.join)
def test_a_command_that_was_ended_anywhere_gives_the_same_the_next_time_and_leaves_nothing(
    faults: Callable[..., list[str]], command: list[str]
) -> None:
    assert faults(("kills", command, 2, 1), ("signals", command), ("writes", command, 4)) == []


@pytest.mark.slow
def test_what_a_command_writes_has_the_mode_of_the_umask(faults: Callable[..., list[str]]) -> None:
    assert faults(*(("modes", PREDICT, mask) for mask in MASKS)) == []


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_every_command_can_be_ended_at_any_moment_and_any_write_of_it_can_fail(
    faults: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tried = [("kills", command, 30, 2), ("signals", command), ("writes", command, None), ("modes", command, 0o027)]
    assert faults(*tried) == []
