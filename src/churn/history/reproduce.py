"""Check that the committed state is reproduced byte for byte: in a fresh clone, with an empty cache, by all stages."""

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn.errors import ChurnError
from churn.history import state
from churn.history.dvc import cache_folder
from churn.history.git import Clone, blobs_of_commit, changed_files, clone_commit
from churn.runtime import NOWHERE

log = logging.getLogger(__name__)

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NOT_INHERITED = ("DVC_ROOT", "MLFLOW_EXPERIMENT_NAME", "PYTHONPATH")
LAST_LINES = 15
CACHE_AS_REMOTE = "original"


@dataclass(frozen=True)
class Circumstances:
    """Settings that must not change the results."""

    name: str
    environment: Mapping[str, str]


def _circumstances(threads: int, *, bytecode: bool, hash_seed: int) -> Circumstances:
    name = f"OMP_NUM_THREADS={threads}, bytecode {'written' if bytecode else 'not written'}"
    settings = dict.fromkeys(THREADS, str(threads))
    settings |= {"PYTHONDONTWRITEBYTECODE": "" if bytecode else "1", "PYTHONHASHSEED": str(hash_seed)}
    return Circumstances(name, settings)


EVERY_CIRCUMSTANCE = (
    _circumstances(1, bytecode=False, hash_seed=1),
    _circumstances(2, bytecode=True, hash_seed=2),
)


def reproduce(
    repository: Path, circumstances: Sequence[Circumstances] = EVERY_CIRCUMSTANCE, commit: str = "HEAD"
) -> int:
    """Rerun a committed state under each of the circumstances; return the number of reproduced results.

    Raises:
        ChurnError: a stage failed or did not run, or bytes differ: one line for each file.
    """
    uncommitted = changed_files(repository)
    if uncommitted:
        log.warning("%s uncommitted changes are not part of this check", len(uncommitted))
    for one in circumstances:
        with tempfile.TemporaryDirectory(prefix="churn-reproduce-") as folder:
            same = _reproduce_in(clone_commit(repository, commit, Path(folder)), repository, one)
    return same


def recompute(repository: Path, commit: str) -> None:
    """Rerun a committed state in a clone that uses this project's cache, to restore its results there.

    Raises:
        ChurnError: a stage failed.
    """
    log.info("rerunning %s in a clone, because some of its results are missing", commit[:7])
    with tempfile.TemporaryDirectory(prefix="churn-recompute-") as folder:
        clone = clone_commit(repository, commit, Path(folder))
        _run(["dvc", "cache", "dir", "--local", str(cache_folder(repository).resolve())], clone)
        pointers = _pointers_in(clone)
        if pointers:
            _run(["dvc", "checkout", *pointers], clone)
        _run(["dvc", "repro"], clone)


def _pointers_in(clone: Clone) -> list[str]:
    return sorted(path for path in blobs_of_commit(clone.project, "HEAD") if path.endswith(state.POINTER))


def _reproduce_in(clone: Clone, repository: Path, circumstances: Circumstances) -> int:
    _fetch_tracked_data(repository, clone)
    committed = state.stages_from_lock(state.read_lock(clone.project))
    if not committed:
        raise ChurnError(f"{state.LOCK_FILE}: not committed, so nothing can be compared; run `dvc repro` and commit")
    log.info("%s: running %s", circumstances.name, ", ".join(committed))
    story = _run(["dvc", "repro", "--force", "--no-run-cache"], clone, circumstances.environment)
    idle = sorted(set(committed) - set(re.findall(r"Running stage '(.+?)'", story)))
    if idle:
        raise ChurnError(f"{circumstances.name}: did not run: {', '.join(idle)}")
    differences = list(_differences(clone.project, committed))
    if differences:
        raise ChurnError("\n".join(f"{circumstances.name}: {line}" for line in differences))
    results = sum(len(stage.results) for stage in committed.values())
    log.info("%s: %s stages, %s results, the same bytes", circumstances.name, len(committed), results)
    return results


def _fetch_tracked_data(repository: Path, clone: Clone) -> None:
    """Fetch data that is too large for git from the repository's own cache, but no results."""
    pointers = _pointers_in(clone)
    if pointers:
        cache = str(cache_folder(repository).resolve())
        _run(["dvc", "remote", "add", "--quiet", "--local", CACHE_AS_REMOTE, cache], clone)
        _run(["dvc", "pull", "--remote", CACHE_AS_REMOTE, *pointers], clone)


def _differences(clone: Path, committed: state.Stages) -> Iterator[str]:
    now = state.stages_from_lock(state.read_lock(clone))
    for name, stage in committed.items():
        for path, md5 in stage.results.items():
            if now[name].results.get(path) != md5:
                yield f"{path}: bytes differ from those committed (stage {name})"
    explained = {path for stage in committed.values() for path in stage.results} | {state.LOCK_FILE}
    for path in changed_files(clone):
        if path not in explained:
            yield f"{path}: changed by the run"


def _run(command: Sequence[str], clone: Clone, settings: Mapping[str, str] | None = None) -> str:
    inherited = {name: value for name, value in clone.environment.items() if name not in NOT_INHERITED}
    # Use the commands of this environment, even if it is not activated.
    inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
    done = subprocess.run(  # noqa: S603
        command,
        cwd=clone.project,
        env={**inherited, **NOWHERE, **(settings or {})},  # a check is not tracked
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise ChurnError(f"`{' '.join(command)}` ended with exit code {done.returncode}:\n{last}")
    return done.stdout
