"""Check that the committed state is reproduced: in a fresh clone, with an empty cache, by all stages.

Byte for byte where the platform promises it; between other platforms, the values within a tolerance.
"""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn.drafts import temporary_folder
from churn.errors import ChurnError
from churn.files import md5_of_bytes
from churn.history import provenance, state
from churn.history.dvc import cache_folder
from churn.history.git import Clone, blobs_of_commit, changed_files, clone_commit
from churn.metrics.agreement import TOLERANCE, distance_of_files
from churn.runtime import NOWHERE, SAME_BYTES_ON, platform_name
from churn.texts import counted

log = logging.getLogger(__name__)

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
NOT_INHERITED = ("DVC_ROOT", "MLFLOW_EXPERIMENT_NAME", "PYTHONPATH")
LAST_LINES = 15
CACHE_AS_REMOTE = "original"


class NotReproducedError(ChurnError):
    """The committed state was rerun and gave other results; any other error says nothing about the state."""


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


@dataclass(frozen=True)
class Reproduction:
    """Results that came out again, and on which platforms."""

    results: int
    committed_on: str
    rerun_on: str
    apart: Mapping[str, float] | None
    """Largest distance of two values by file, of those whose values are compared; None if all bytes are the same."""

    def __str__(self) -> str:
        """One line."""
        if self.apart is None:
            return f"{self.results} results, the same bytes"
        largest, path = max(((largest, path) for path, largest in self.apart.items()), default=(0.0, ""))
        return (
            f"{self.results} results, committed on {self.committed_on}, rerun on {self.rerun_on}: the same values in "
            f"{counted(len(self.apart), 'file')}; largest difference {largest:.1e}{f' in {path}' if largest else ''}, "
            f"{TOLERANCE:g} is allowed"
        )


def reproduce(
    repository: Path, circumstances: Sequence[Circumstances] = EVERY_CIRCUMSTANCE, commit: str = "HEAD"
) -> Reproduction:
    """Rerun a committed state under each of the circumstances.

    Raises:
        NotReproducedError: a stage did not run, or results differ: one line for each file.
        ChurnError: a stage failed, which a full disk can cause as well as the state.
    """
    uncommitted = changed_files(repository)
    if uncommitted:
        log.warning("%s uncommitted changes are not part of this check", len(uncommitted))
    for one in circumstances:
        with temporary_folder("reproduce") as folder:
            same = _reproduce_in(clone_commit(repository, commit, folder), repository, one)
    return same


def recompute(repository: Path, commit: str) -> None:
    """Rerun a committed state in a clone that uses this project's cache, to restore its results there.

    Raises:
        ChurnError: a stage failed.
    """
    log.info("rerunning %s in a clone, because some of its results are missing", commit[:7])
    with temporary_folder("recompute") as folder:
        clone = clone_commit(repository, commit, folder)
        _run(["dvc", "cache", "dir", "--local", str(cache_folder(repository).resolve())], clone)
        pointers = _pointers_in(clone)
        if pointers:
            _run(["dvc", "checkout", *pointers], clone)
        _run(["dvc", "repro"], clone)


def _pointers_in(clone: Clone) -> list[str]:
    return sorted(path for path in blobs_of_commit(clone.project, "HEAD") if path.endswith(state.POINTER))


def _reproduce_in(clone: Clone, repository: Path, circumstances: Circumstances) -> Reproduction:
    _fetch_tracked_data(repository, clone)
    committed = state.stages_from_lock(state.read_lock(clone.project))
    if not committed:
        raise NotReproducedError(
            f"{state.LOCK_FILE}: not committed, so nothing can be compared; run `dvc repro` and commit"
        )
    before = _CommittedFiles(clone.project, repository, committed)
    log.info("%s: running %s", circumstances.name, ", ".join(committed))
    story = _run(["dvc", "repro", "--force", "--no-run-cache"], clone, circumstances.environment)
    idle = sorted(set(committed) - set(re.findall(r"Running stage '(.+?)'", story)))
    if idle:
        raise NotReproducedError(f"{circumstances.name}: did not run: {', '.join(idle)}")
    try:
        done = _judged(clone.project, committed, before)
    except NotReproducedError as error:
        raise NotReproducedError(
            "\n".join(f"{circumstances.name}: {line}" for line in str(error).splitlines())
        ) from None
    log.info("%s: %s stages, %s", circumstances.name, len(committed), done)
    return done


class _CommittedFiles:
    """Contents of the committed results: those in git, read before the run replaces them, and those in DVC's cache."""

    def __init__(self, clone: Path, repository: Path, committed: state.Stages) -> None:
        self._cache = cache_folder(repository) / "files" / "md5"
        self._md5s = {path: md5 for stage in committed.values() for path, md5 in stage.results.items()}
        self._in_git = {path: (clone / path).read_bytes() for path in self._md5s if (clone / path).is_file()}
        platforms = [provenance.platform_in(self._in_git.get(provenance.path_of(name))) for name in committed]
        self.platforms = sorted({one or SAME_BYTES_ON for one in platforms})  # older states were promised only there

    def content(self, path: str) -> bytes | None:
        """Content of a result; None if it is not on this machine."""
        md5 = self._md5s[path] or ""
        found = self._in_git.get(path) or state.content_of(self._cache / md5[:2] / md5[2:])
        return found if found is not None and md5_of_bytes(found) == md5 else None


def _judged(clone: Path, committed: state.Stages, before: _CommittedFiles) -> Reproduction:
    """The verdict on a rerun.

    Raises:
        NotReproducedError: results differ more than they may, or other files changed: one line for each.
    """
    here, there = platform_name(), ", ".join(before.platforms)
    done = state.stages_from_lock(state.read_lock(clone))
    other = {
        path: name
        for name, stage in committed.items()
        for path, md5 in stage.results.items()
        if done[name].results.get(path) != md5
    }
    faults = [f"{path}: changed by the run" for path in _strays(clone, committed)]
    if here == there == SAME_BYTES_ON:
        faults += [f"{path}: bytes differ from those committed (stage {name})" for path, name in other.items()]
        other = {}
    apart = {path: largest for path, largest in _distances(clone, before, other) if largest is not None}
    faults += [
        f"{path}: differs by {largest:.1e} from the committed values, and only {TOLERANCE:g} is allowed between "
        f"platforms (committed on {there}, rerun on {here})"
        for path, largest in sorted(apart.items())
        if largest > TOLERANCE
    ]
    if faults:
        raise NotReproducedError("\n".join(faults))
    results = sum(len(stage.results) for stage in committed.values())
    return Reproduction(results, there, here, apart if other else None)


def _fetch_tracked_data(repository: Path, clone: Clone) -> None:
    """Fetch data that is too large for git from the repository's own cache, but no results."""
    pointers = _pointers_in(clone)
    if pointers:
        cache = str(cache_folder(repository).resolve())
        _run(["dvc", "remote", "add", "--quiet", "--local", CACHE_AS_REMOTE, cache], clone)
        _run(["dvc", "pull", "--remote", CACHE_AS_REMOTE, *pointers], clone)


def _distances(clone: Path, before: _CommittedFiles, paths: Iterable[str]) -> Iterator[tuple[str, float | None]]:
    """Largest distance by file; pictures, pages, models and provenance have no values to compare."""
    for path in paths:
        content = before.content(path)
        if content is not None and not path.startswith(provenance.FOLDER):
            yield path, distance_of_files(path, content, (clone / path).read_bytes())


def _strays(clone: Path, committed: state.Stages) -> Iterator[str]:
    """Files that the run changed although they are no results."""
    explained = {path for stage in committed.values() for path in stage.results} | {state.LOCK_FILE}
    for path in changed_files(clone):
        if path not in explained:
            yield path


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
