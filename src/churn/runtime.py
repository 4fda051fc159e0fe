"""What a process needs to be alone and to be repeatable: the project's lock, threads, and settings for children."""

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from churn.errors import ChurnError

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""A port that refuses at once: what runs with this setting is not tracked."""

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_computing = threading.RLock()


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[int | None]:
    """Hold a lock on a file, which is made if need be, or on a folder.

    It is the kernel's, so it ends with its holder, however that ends. It gives the descriptor that holds it: a child
    that gets this one holds it, too. None: somebody else holds the lock, and this does not wait.
    """
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        yield descriptor if _is_granted(descriptor, how if wait else how | fcntl.LOCK_NB) else None
    finally:
        os.close(descriptor)


def _is_granted(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock on a file, also a shared one."""
    with lock(path, wait=False) as held:
        return held is None


@contextmanager
def at_work_alone(workspace: Path) -> Iterator[None]:
    """Keep a folder from two stages at once: an orphan that outlived its `dvc`, or one in a container beside this one.

    The lock is on the folder itself, so it leaves nothing behind.

    Raises:
        ChurnError: another stage is at work there.
    """
    with lock(workspace, wait=False) as held:
        if held is None:
            raise ChurnError(
                f"{workspace.resolve()}: another stage is at work here; "
                "wait until it has ended, then run `dvc repro` again"
            )
        yield


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Hold OpenMP and BLAS to a number of threads: those loaded already, those loaded later, and child processes.

    They have one number for the whole process, as matplotlib has one style, so one thread of Python works at a time.
    """
    settings = dict.fromkeys(THREAD_SETTINGS, str(threads))
    with _computing, environment(settings), threadpool_limits(threads):
        yield


_environment_lock = threading.Lock()
_in_force: list[Mapping[str, str]] = []
_given: dict[str, str | None] = {}
"""What every variable was before the first setting in force; None for one that was not set."""


@contextmanager
def environment(settings: Mapping[str, str], *, unless_given: bool = False) -> Iterator[None]:
    """Set variables for this process and what it starts meanwhile; afterwards they are what they were.

    With `unless_given`, what the user has set stays. Of two threads that set one variable the later has it, and the
    last to leave gives it back.
    """
    with _environment_lock:
        for name in settings:
            _given.setdefault(name, os.environ.get(name))
        ours = {name: value for name, value in settings.items() if not unless_given or _given[name] is None}
        _in_force.append(ours)
        _enforce(settings)
    try:
        yield
    finally:
        with _environment_lock:
            _in_force.remove(ours)
            _enforce(settings)


def _enforce(names: Iterable[str]) -> None:
    """Let each variable have the latest value in force, or the given one where there is none."""
    for name in names:
        value = next((one[name] for one in reversed(_in_force) if name in one), None)
        if value is not None:
            os.environ[name] = value
            continue
        given = _given.pop(name, None)
        if given is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = given
