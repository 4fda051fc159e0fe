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
from churn.history.git import AS_IT_IS
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
    uncommitted = _run(["git", "status", "--porcelain"], repository).stdout.splitlines()
    if uncommitted:
        log.warning("%s uncommitted changes are not part of this check", len(uncommitted))
    for one in circumstances:
        with tempfile.TemporaryDirectory(prefix="churn-reproduce-") as folder:
            same = _reproduce_in(Path(folder) / "clone", repository, one, commit)
    return same


def recompute(repository: Path, commit: str) -> None:
    """Rerun a committed state in a clone that uses this project's cache, to restore its results there.

    Raises:
        ChurnError: a stage failed.
    """
    log.info("rerunning %s in a clone, because some of its results are missing", commit[:7])
    with tempfile.TemporaryDirectory(prefix="churn-recompute-") as folder:
        clone = Path(folder) / "clone"
        _clone(repository, clone, commit)
        _run(["dvc", "cache", "dir", "--local", str(_cache_of(repository))], clone)
        pointers = _pointers_in(clone)
        if pointers:
            _run(["dvc", "checkout", *pointers], clone)
        _run(["dvc", "repro"], clone)


def _clone(repository: Path, clone: Path, commit: str) -> None:
    sha = _run(["git", "rev-parse", "--verify", f"{commit}^{{commit}}"], repository).stdout.strip()
    # A clone of a local folder copies all objects, so the commit need not be on a branch.
    _run(["git", "clone", "--quiet", "--no-checkout", str(repository), str(clone)], repository)
    _run(["git", "checkout", "--quiet", "--detach", sha], clone)


def _cache_of(repository: Path) -> Path:
    return (repository / _run(["dvc", "cache", "dir"], repository).stdout.strip()).resolve()


def _pointers_in(clone: Path) -> list[str]:
    return _run(["git", "ls-files", "-z", "*.dvc"], clone).stdout.split("\0")[:-1]


def _reproduce_in(clone: Path, repository: Path, circumstances: Circumstances, commit: str) -> int:
    _clone(repository, clone, commit)
    _fetch_tracked_data(repository, clone)
    committed = state.stages_from_lock(state.read_lock(clone))
    if not committed:
        raise ChurnError(f"{state.LOCK_FILE}: not committed, so nothing can be compared; run `dvc repro` and commit")
    log.info("%s: running %s", circumstances.name, ", ".join(committed))
    story = _run(["dvc", "repro", "--force", "--no-run-cache"], clone, circumstances.environment).stdout
    idle = sorted(set(committed) - set(re.findall(r"Running stage '(.+?)'", story)))
    if idle:
        raise ChurnError(f"{circumstances.name}: did not run: {', '.join(idle)}")
    differences = list(_differences(clone, committed))
    if differences:
        raise ChurnError("\n".join(f"{circumstances.name}: {line}" for line in differences))
    results = sum(len(stage.results) for stage in committed.values())
    log.info("%s: %s stages, %s results, the same bytes", circumstances.name, len(committed), results)
    return results


def _fetch_tracked_data(repository: Path, clone: Path) -> None:
    """Fetch data that is too large for git from the repository's own cache, but no results."""
    pointers = _pointers_in(clone)
    if pointers:
        _run(["dvc", "remote", "add", "--quiet", "--local", CACHE_AS_REMOTE, str(_cache_of(repository))], clone)
        _run(["dvc", "pull", "--remote", CACHE_AS_REMOTE, *pointers], clone)


def _differences(clone: Path, committed: state.Stages) -> Iterator[str]:
    now = state.stages_from_lock(state.read_lock(clone))
    for name, stage in committed.items():
        for path, md5 in stage.results.items():
            if now[name].results.get(path) != md5:
                yield f"{path}: bytes differ from those committed (stage {name})"
    explained = {path for stage in committed.values() for path in stage.results} | {state.LOCK_FILE}
    for line in _run(["git", "status", "--porcelain"], clone).stdout.splitlines():
        path = line[3:]
        if path not in explained:
            yield f"{path}: changed by the run"


def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    # Use the commands of this environment, even if it is not activated.
    inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
    done = subprocess.run(  # noqa: S603
        command,
        cwd=folder,
        env={**inherited, **NOWHERE, **AS_IT_IS, **(environment or {})},  # a check is not tracked
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise ChurnError(f"`{' '.join(command)}` ended with exit code {done.returncode}:\n{last}")
    return done
