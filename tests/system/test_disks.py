"""A disk that is full or cannot be written to gives one line and an exit code that is not 0, whatever the command."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.projects import REPOSITORY

TABLE = "data/raw/customers.csv"
COMMANDS = [
    ["summary"],
    ["report", "--no-open"],
    ["status", "--strict"],
    ["sync", "--strict"],
    ["lineage", "HEAD"],
    ["compare", "HEAD", "HEAD"],
    ["changes", "HEAD", "HEAD", "--output", "comment.md"],
    ["predict", TABLE, "--output", "scores.csv"],
    ["monitor", TABLE],
    ["outcomes", TABLE, "--scores", TABLE],
    ["promote", "HEAD", "--force", "--reason", "a test"],
    ["rollback"],
    ["tune", "--trials", "1"],
    ["init", TABLE, "--target", "gone", "--positive", "yes", "--yes"],
    ["stage", "preprocess"],
    ["stage", "train"],
    ["stage", "evaluate"],
]
READING = {"summary", "compare", "lineage", "status", "sync", "rollback"}
"""Commands that can do their work without writing a file: those of the store where nothing is new."""

READ_ONLY = "mount --bind {project} {project} && mount -o remount,ro,bind {project}"
FULL = (
    "mount -t tmpfs -o size=48m tmpfs {disk} && cp -a {project}/. {disk} && rm -rf {disk}/src "
    "&& (cat /dev/zero > {disk}/filling 2>/dev/null || true) && mount --bind {disk} {project}"
)


IN_A_NAMESPACE = ["unshare", "--mount", "--map-root-user", "bash", "-c"]
"""So that mounts end with the command, and need no root."""


def why_not_in_a_namespace() -> str:
    """Why this machine cannot mount for a command alone; '' if it can."""
    if sys.platform != "linux":
        return f"mounts for one command alone are of Linux, and this is {sys.platform}"
    done = subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True, text=True, check=False)
    advice = "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` may allow it"
    told = f"no disk can be made full or read-only for a command alone: {done.stderr.strip()}; {advice}"
    return told if done.returncode else ""


WHY_NOT = why_not_in_a_namespace()


@dataclass(frozen=True)
class Ended:
    """What a command left with, and what it printed."""

    code: int
    told: str


def commands_on(disk: str, project: Path, place: Path) -> dict[str, Ended]:
    """Run every command where the disk under the project is as a shell command makes it, in a namespace of its own."""
    (place / "disk").mkdir(parents=True)
    making = disk.format(project=shlex.quote(str(project)), disk=shlex.quote(str(place / "disk")))
    running = shlex.join(
        [sys.executable, "-m", "tests.helpers.commands_in_forks", str(project), json.dumps(COMMANDS), str(place)]
    )
    subprocess.run([*IN_A_NAMESPACE, f"{making} && {running}"], cwd=REPOSITORY, check=True)
    answers = json.loads((place / "answers").read_text())
    return {shlex.join(one): Ended(*answer) for one, answer in zip(COMMANDS, answers, strict=True)}


@pytest.mark.slow
@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@pytest.mark.parametrize("disk", [READ_ONLY, FULL], ids=["read-only", "full"])
def test_every_command_says_in_a_line_what_it_cannot_write_or_needs_no_disk(
    disk: str, embedded: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in embedded.rglob("*") if path.is_file()}
    for command, ended in commands_on(disk, embedded, tmp_path / "place").items():
        assert "Traceback" not in ended.told, f"{command}: {ended.told}"
        assert ended.code in ((0, 1) if command.split()[0] in READING else (1,)), f"{command}: {ended.told}"
        assert "unexpected" not in ended.told, f"{command}: {ended.told}"
    assert {path: path.read_bytes() for path in embedded.rglob("*") if path.is_file()} == before
