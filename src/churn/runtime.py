"""File locks, thread limits and environment variables, which make a process exclusive and repeatable; its log lines."""

import fcntl
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from churn.errors import ChurnError

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""A port that refuses connections at once: turns tracking off."""

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

LOG_FORMAT = "CHURN_LOG_FORMAT"
"""Environment variable: `json` writes the lines of the stages as JSON, for a collector of logs."""
QUOTED_START = re.compile(r"""(?<!\w)['"]""")
QUOTED = re.compile(r"""(?<!\w)(['"])(?:\\.|(?!\1).)*\1""")
CUT = "..."
"""End of a value that a message has in part, and without its second quotation mark."""

_computing = threading.RLock()


class JsonLineFormatter(logging.Formatter):
    """One JSON object for each record. What a message quotes is left out: it can be a value of a customer."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = {"time": round(record.created, 3), "level": record.levelname.lower(), "program": self._program}
        return json.dumps(fields | {"message": without_quoted(record.getMessage())})


def without_quoted(message: str) -> str:
    """A message without the texts in quotation marks; from the first one on, if one of them was cut."""
    first = QUOTED_START.search(message)
    if first and CUT in message:
        return f"{message[: first.start()]}…"
    return QUOTED.sub("'…'", message)


def log_to_stderr(program: str, plain: str) -> None:
    """Log to standard error: as text in the format `plain`, or as JSON if CHURN_LOG_FORMAT says so."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = os.environ.get(LOG_FORMAT) == "json"
    handler.setFormatter(JsonLineFormatter(program) if as_json else logging.Formatter(plain))
    logging.basicConfig(handlers=[handler])


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[int | None]:
    """Hold a kernel lock on a file, which is created if missing, or on a folder.

    The kernel releases the lock when its holder ends, even if it is killed. Yields the locked descriptor; a child
    process that inherits it holds the lock, too. Yields None if another process holds the lock and `wait` is false.
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
    """Whether a process holds an exclusive or shared lock on a file."""
    with lock(path, wait=False) as held:
        return held is None


@contextmanager
def at_work_alone(workspace: Path) -> Iterator[None]:
    """Allow only one stage at a time in a folder.

    The other one may be an orphan of a killed `dvc`, or run in a container. The lock is on the folder itself, so no
    lock file remains.

    Raises:
        ChurnError: another stage is running there.
    """
    with lock(workspace, wait=False) as held:
        if held is None:
            raise ChurnError(
                f"{workspace.resolve()}: another stage is running here; wait until it ends, then run `dvc repro` again"
            )
        yield


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit the threads of OpenMP and BLAS, also in libraries loaded later and in child processes.

    The limit, like matplotlib's style, is global to the process, so only one Python thread at a time can be in here.
    """
    settings = dict.fromkeys(THREAD_SETTINGS, str(threads))
    with _computing, environment(settings), threadpool_limits(threads):
        yield


_environment_lock = threading.Lock()
_in_force: list[Mapping[str, str]] = []
_given: dict[str, str | None] = {}
"""Value of each variable before the first active setting; None if it was not set."""


@contextmanager
def environment(settings: Mapping[str, str], *, unless_given: bool = False) -> Iterator[None]:
    """Set environment variables for this process and its children, and restore them afterwards.

    With `unless_given`, variables that the user has set are kept. If several threads set a variable, the latest value
    applies, and the last thread to leave restores the original.
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
    """Set each variable to its latest active value, or restore the original."""
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
