"""The pipeline's state with its results, wherever they are: in the workspace, or in a commit and the DVC cache."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from churn.errors import ChurnError
from churn.params import parse_yaml
from churn.tracking import state
from churn.tracking.state import LOCK_FILE, PIPELINE_FILE, Stages

NOT_EXPERIMENTS = ("refs/exps/exec/", "refs/exps/apply/", "refs/exps/celery/", "refs/exps/temp/")
"""What DVC notes beside its experiments."""

Reader = Callable[[str], bytes | None]
"""Gives what a file of the project holds, by its path; None when it is not to be had."""


@dataclass(frozen=True)
class Snapshot:
    """Stages as they were run, and their files."""

    stages: Stages
    counted: frozenset[str]
    """Stages whose results belong to this state."""
    read: Reader
    commit: str | None
    edited: bool
    """Whether anything that decides the results differs from the commit; results themselves do not count."""
    experiment: str | None = None
    """Name that DVC gave it."""
    baseline: str | None = None
    results: Mapping[str, str | None] = field(init=False)
    """md5 of the results that belong to this state, by path."""

    def __post_init__(self) -> None:
        """Gather the results."""
        results = {path: md5 for name in self.counted for path, md5 in self.stages[name].results.items()}
        object.__setattr__(self, "results", results)

    @property
    def fingerprint(self) -> str:
        """Identity of the experiment."""
        return state.fingerprint(self.stages)

    @property
    def complete(self) -> bool:
        """Whether the results of every stage are there."""
        return self.counted == set(self.stages)

    def results_called(self, kind: str) -> set[str]:
        """What dvc.yaml calls metrics, or plots, by path."""
        content = self.read(PIPELINE_FILE)
        pipeline = parse_yaml((content or b"").decode(), PIPELINE_FILE)
        return state.results_called(kind, pipeline).intersection(self.results)


def of_workspace(root: Path, just_ended: str | None = None, *, failed: bool = False) -> Snapshot:
    """What the files say, when a stage has just ended or, without one, as dvc.lock vouches for them.

    Results count only of that stage and of those that dvc.lock vouches for, so none is of another state.

    Raises:
        UnidentifiedError: the files belong to no experiment.
    """
    files = state.stages_from_files(root)
    commit, edited = _commit(root, files)
    return Snapshot(
        stages=files,
        counted=frozenset(_stages_that_count(files, state.stages_from_lock(state.read_lock(root)), just_ended, failed)),
        read=lambda path: bytes_of(root / path),
        commit=commit,
        edited=edited,
        experiment=os.environ.get("DVC_EXP_NAME"),
        baseline=os.environ.get("DVC_EXP_BASELINE_REV"),
    )


def _stages_that_count(files: Stages, locked: Stages, ended: str | None, failed: bool) -> set[str]:
    vouched = state.vouched_for(files, locked)
    if ended is None:
        return state.of_this_state(files, vouched)
    if ended not in files:
        raise state.UnidentifiedError(f"{PIPELINE_FILE}: no stage {ended}, so this run belongs to no experiment")
    counted = state.of_this_state(files, vouched | {ended})
    if ended not in counted:
        raise state.UnidentifiedError(
            f"{ended} read results of another state; run `dvc repro` to have all of one state"
        )
    return state.of_this_state(files, vouched - {ended}) if failed else counted


def recorded_in_git(root: Path) -> Iterator[Snapshot]:
    """Every state that a dvc.lock of a commit or of a DVC experiment records, oldest first.

    Only what the dvc.lock vouches for counts: results whose md5 is the recorded one.
    """
    names = _experiments(root)
    commits = git(root, "log", "--all", "--reverse", "--format=%H", "--", LOCK_FILE) or ""
    cache = functools.cache(lambda: cache_folder(root))
    for commit in [*(one for one in commits.split() if one not in names), *names]:
        snapshot = _of_commit(root, commit, names.get(commit), cache)
        if snapshot is not None:
            yield snapshot


def of_revision(root: Path, revision: str) -> Snapshot | None:
    """What the dvc.lock of any revision that git knows records; None where there is none."""
    commit = git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return _of_commit(root, commit, None, functools.cache(lambda: cache_folder(root))) if commit else None


def is_kept(root: Path, commit: str) -> bool:
    """Whether a branch or a tag holds a commit. A DVC experiment is none of theirs until it gets one."""
    return bool(
        git(root, "for-each-ref", "--count=1", f"--contains={commit}", "refs/heads", "refs/remotes", "refs/tags")
    )


def _of_commit(root: Path, commit: str, name: str | None, cache: Callable[[], Path]) -> Snapshot | None:
    content = git_bytes(root, commit, LOCK_FILE)
    if content is None:
        return None
    try:
        locked = state.stages_from_lock(parse_yaml(content.decode(), LOCK_FILE))
        declared = parse_yaml((git_bytes(root, commit, PIPELINE_FILE) or b"").decode(), PIPELINE_FILE)["stages"]
        stages = {name: locked[name] for name in declared}  # DVC keeps those that were renamed, too
        state.fingerprint(stages)
    except (ChurnError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no lock, a broken one, or one that lacks a stage: it records no state
    md5s = {path: md5 for stage in stages.values() for path, md5 in stage.results.items()}
    md5s |= {path: md5 for stage in stages.values() for path, md5 in stage.inputs.dependencies.items() if md5}

    def read(path: str) -> bytes | None:
        found = git_bytes(root, commit, path)
        md5 = md5s.get(path)
        if found is None and md5 is not None:
            found = bytes_of(cache() / "files" / "md5" / md5[:2] / md5[2:])
        return found if md5 is None or found is None or state.md5_of_bytes(found) == md5 else None

    baseline = git(root, "rev-parse", f"{commit}^") if name else None
    return Snapshot(
        stages, frozenset(_consistent(stages)), read, commit, edited=False, experiment=name, baseline=baseline
    )


def _consistent(stages: Stages) -> set[str]:
    """Stages that read what the others made, by the lock alone."""
    made = {path: md5 for stage in stages.values() for path, md5 in stage.results.items()}
    fitting = {
        name
        for name, stage in stages.items()
        if all(made.get(path, md5) == md5 for path, md5 in stage.inputs.dependencies.items())
    }
    return state.of_this_state(stages, fitting)


def _experiments(root: Path) -> dict[str, str]:
    """Name of each DVC experiment by its commit."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/") or ""
    entries = [line.split(" ", 1) for line in listed.splitlines()]
    return {
        commit: name.rpartition("/")[2]
        for commit, name in entries
        if not name.startswith(NOT_EXPERIMENTS) and name.count("/") == 4
    }


def cache_folder(root: Path) -> Path:
    """Where DVC keeps data and models."""
    told = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    )
    return Path(told.stdout.strip() or root / ".dvc" / "cache")


def _commit(root: Path, files: Stages) -> tuple[str | None, bool]:
    sha = git(root, "rev-parse", "HEAD")
    made = {path for stage in files.values() for path in stage.results}
    given = {path for stage in files.values() for path in [*stage.inputs.dependencies, *stage.inputs.parameters]} - made
    by_dvc = {f"{path}.dvc" for path in given}
    changes = git(root, "status", "--porcelain", "--", PIPELINE_FILE, *sorted(given | by_dvc))
    return (None, False) if sha is None or changes is None else (sha, bool(changes))


def git(root: Path, *arguments: str) -> str | None:
    """What git answers; None outside a repository, before the first commit, or without git."""
    answer = _call_git(root, *arguments)
    return None if answer is None else answer.decode(errors="replace").strip()


def git_bytes(root: Path, commit: str, path: str, *, as_checked_out: bool = False) -> bytes | None:
    """A file of a commit, as git keeps it or as a checkout brings it; None when it is not there."""
    return _call_git(root, "cat-file", "--filters" if as_checked_out else "blob", f"{commit}:./{path}")


def _call_git(root: Path, *arguments: str) -> bytes | None:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None


def bytes_of(path: Path) -> bytes | None:
    """What a file holds; None when it is not there."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None
