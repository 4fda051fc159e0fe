"""Differences between two states of this project, from the command lines of DVC and git."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn.commands.changes.comment import CURRENCY, Changes, Difference, Picture, Side, Value
from churn.commands.compare import compare_states
from churn.config.economics import FORMER_CURRENCY, present_name
from churn.config.shapes import parse_json
from churn.errors import ChurnError, DataError, excerpt
from churn.files import DETAILED_METRICS, METRICS, OVERVIEW
from churn.history.dvc import is_below_dvc
from churn.history.git import git, git_diff, git_files, require_repository
from churn.history.predictions.of_states import WORKSPACE
from churn.history.snapshot import commit_named, require_no_conflict, state_in_git
from churn.history.state import FINGERPRINT_FORM, LOCK_FILE, content_of, read_lock, stages_from_lock
from churn.history.verify import FROM_GIT

PICTURES = f":(glob){METRICS}/*.png"
NOT_FROM_DVC = {str(OVERVIEW), *map(str, DETAILED_METRICS)}
"""The overview only repeats metrics. The others are metrics to DVC only in old states, so they are read here."""


@dataclass(frozen=True)
class Forge:
    """A server that shows the files of a commit: GitHub or a similar one."""

    server: str
    base: str | None
    head: str | None

    def address(self, repository: str | None, commit: str | None) -> str | None:
        """URL prefix of the files of a commit; None if there is none.

        Raises:
            ChurnError: server or repository cannot be part of a URL.
        """
        if not repository or not commit:
            return None
        if not re.fullmatch(r"https?://[A-Za-z0-9.:/-]+", self.server):
            raise ChurnError(f"server {excerpt(self.server)}: not an address; write it like https://github.com")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", repository):
            raise ChurnError(f"repository {excerpt(repository)}: write it as owner/name")
        return f"{self.server.rstrip('/')}/{repository}/raw/{commit}"


@dataclass(frozen=True)
class _Revision:
    """A commit by its full hash, None for the workspace, and its label."""

    commit: str | None
    label: str


def compare(
    folder: Path, base: str, head: str | None, forge: Forge, *, from_merge_base: bool = False, compute: bool = False
) -> Changes:
    """Differences of `head` (None: the workspace) from `base`, or from their merge base.

    With `compute`, states whose predictions are missing are rerun.

    Raises:
        ChurnError: a revision is unknown, or DVC or git fails.
    """
    if not is_below_dvc(folder):  # without it, DVC reports no differences
        raise ChurnError(".dvc: not in this folder or above it; run the command in the project's folder")
    if head in (None, WORKSPACE):
        _require_figures(folder)
        new = _Revision(None, WORKSPACE)
    else:
        new = _revision(folder, head)
    old = _revision(folder, base)
    if from_merge_base:
        old = _merge_base(folder, old, new)
    between = [commit for commit in (old.commit, new.commit) if commit]
    declared, declared_whole = _differences(folder, "metrics", "--all", *between)
    detailed, detailed_whole = _detailed_differences(folder, old, new)
    parameters, parameters_whole = _differences(folder, "params", *between)
    lock_differs = bool(git_diff(folder, "--name-only", "-z", *between, "--", LOCK_FILE))
    readable = {"metrics": declared_whole and detailed_whole, "parameters": parameters_whole}
    return Changes(
        Side(old.label, forge.address(forge.base, old.commit)),
        Side(new.label, forge.address(forge.head or forge.base, new.commit)),
        [one for one in parameters if one.differs],
        sorted([*detailed, *(one for one in declared if one.file not in NOT_FROM_DVC)], key=_place),
        list(_pictures(folder, between)),
        lock_differs=lock_differs,
        unreadable=[noun for noun, whole in readable.items() if not whole],
        verdict=_verdict(folder, old, new, compute=compute) if lock_differs else None,
    )


def _verdict(folder: Path, old: "_Revision", new: "_Revision", *, compute: bool) -> str:
    """Verdict of the paired comparison; an error does not fail the comment."""
    try:
        return compare_states(folder, str(old.commit), new.commit or WORKSPACE, compute=compute).verdict
    except ChurnError as error:
        return f"not compared on the same customers: {str(error).splitlines()[0]}"


def _revision(folder: Path, name: str) -> _Revision:
    state = state_in_git(folder, name) if FINGERPRINT_FORM.fullmatch(name) else None
    commit = state.commit if state else commit_named(folder, name)
    if commit is None:
        require_repository(folder)
        raise ChurnError(
            f"{excerpt(name)}: unknown revision; name a branch, tag, commit, DVC experiment or fingerprint "
            "(`git fetch --tags` and `dvc exp pull` get more)"
        )
    return _Revision(commit, commit[:7] if commit.startswith(name) else f"{name} ({commit[:7]})")


def _require_figures(folder: Path) -> None:
    """Check that the figures in the folder are not those of another branch, and that none is missing.

    Raises:
        ChurnError: git has stopped at a conflict, or a metrics file that dvc.lock records is not there.
    """
    require_no_conflict(folder)
    recorded = {path for stage in stages_from_lock(read_lock(folder)).values() for path in stage.results}
    for path in map(str, DETAILED_METRICS):
        if path in recorded and not (folder / path).is_file():
            raise ChurnError(f"{path}: {FROM_GIT}")


def _merge_base(folder: Path, old: _Revision, new: _Revision) -> _Revision:
    commit = git(folder, "merge-base", str(old.commit), new.commit or "HEAD")
    if commit is None:
        raise ChurnError(
            f"{old.label} and {new.label}: no common commit in this clone; `git fetch --unshallow` gets all commits"
        )
    return old if commit == old.commit else _Revision(commit, commit[:7])


def _differences(folder: Path, kind: str, *arguments: str) -> tuple[list[Difference], bool]:
    """Output of `dvc metrics diff` or `dvc params diff`, sorted by name, and whether DVC could read all files."""
    # -P: modules in the current folder must not shadow DVC's.
    command = [sys.executable, "-P", "-m", "dvc", kind, "diff", "--json", *arguments]
    done = _run(folder, command)
    try:
        answer = json.loads(done.stdout or "{}", parse_constant=str) if not done.returncode else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        reason = said[-1].removeprefix("ERROR: ") if said else "no answer"
        raise ChurnError(f"`dvc {kind} diff` cannot compare: {reason}")
    return sorted(_read(answer), key=_place), f"failed to load some {kind}" not in done.stderr


def _place(one: Difference) -> tuple[str, str]:
    return one.file, one.name


def _read(answer: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Difference]:
    for file, values in answer.items():
        merged: dict[str, dict[str, Any]] = defaultdict(dict)
        for name, sides in values.items():  # a former name has only an old value, and the present name only a new one
            merged[present_name(name)] |= {side: value for side, value in sides.items() if value is not None}
        if CURRENCY in merged and any(present_name(name) != name for name in values):
            merged[CURRENCY].setdefault("old", FORMER_CURRENCY)
        for name, sides in merged.items():
            yield Difference(file, name, _value(sides.get("old")), _value(sides.get("new")))


def _detailed_differences(folder: Path, old: _Revision, new: _Revision) -> tuple[list[Difference], bool]:
    """All detailed metrics of both states, and whether every file can be read."""
    before, before_whole = _detailed_figures(folder, old)
    after, after_whole = _detailed_figures(folder, new)
    differences = [Difference(*key, before.get(key), after.get(key)) for key in before.keys() | after.keys()]
    return differences, before_whole and after_whole


def _detailed_figures(folder: Path, revision: _Revision) -> tuple[dict[tuple[str, str], Value], bool]:
    """Value of each metric by file and dotted name, and whether every file can be read."""
    figures: dict[tuple[str, str], Value] = {}
    whole = True
    for file, content in _detailed_files(folder, revision).items():
        try:
            parse_json(content, file)
            found = json.loads(content, parse_constant=str)
        except DataError:  # the file may come from an untrusted branch
            whole = False
        else:
            figures |= {(file, present_name(name)): value for name, value in _leaves("", found)}
    return figures, whole


def _detailed_files(folder: Path, revision: _Revision) -> dict[str, bytes]:
    """Contents of the files that exist."""
    paths = [str(path) for path in DETAILED_METRICS]
    if revision.commit:
        return git_files(folder, revision.commit, paths)
    return {path: content for path in paths if (content := content_of(folder / path)) is not None}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Value]]:
    """Values by dotted name, without lists and nulls, as in DVC."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, inner)
    elif name and isinstance(value, str | int | float):
        yield name, value


def _value(value: Any) -> Value:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _pictures(folder: Path, between: Sequence[str]) -> Iterator[Picture]:
    fields = _listed(folder, "diff", "--name-status", "--no-renames", "--relative", "-z", *between, "--", PICTURES)
    for status, path in zip(fields[::2], fields[1::2], strict=True):
        yield Picture(path, in_old=status != "A", in_new=status != "D")
    if len(between) == 1:
        for path in _listed(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", PICTURES):
            yield Picture(path, in_old=False, in_new=True)


def _listed(folder: Path, *arguments: str) -> list[str]:
    return (git(folder, *arguments) or "").split("\0")[:-1]


def _run(folder: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            command, cwd=folder, text=True, encoding="utf-8", errors="replace", capture_output=True, check=False
        )
    except FileNotFoundError:
        raise ChurnError(f"{command[0]}: not found; install it") from None
