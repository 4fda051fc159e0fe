"""File locks, kernels, threads and environment variables: what makes a process exclusive and repeatable; log lines."""

import errno
import functools
import json
import logging
import os
import platform
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from churn.errors import ChurnError, DataError, escape_controls
from churn.texts import SHORTEST_SECRET, masked, secrets_in_address, without_quoted

try:
    import fcntl
except ImportError:  # not on POSIX
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import sqlite3

NOWHERE = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
"""A port that refuses connections at once: turns tracking off."""

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

LOG_FORMAT = "CHURN_LOG_FORMAT"
"""Environment variable: `json` writes the lines of the stages as JSON, for a collector of logs."""
SECRET_NAME = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|_PASS|_PWD|TOKEN|_PAT|SECRET|(SECRET|ACCESS|ACCOUNT|API|PRIVATE)_KEY|CONNECTION_STRING)$",
    re.IGNORECASE,
)
"""Environment variables whose value is a secret."""

DRAFT = re.compile(r"\.([^/]+)\.[0-9a-f]+\.draft$")
"""Name of a file while it is written, with the name that it gets."""

DROP_UNUSED = "dvc gc --workspace --all-branches --all-tags --all-experiments"

LIMITS_SETTING = "CHURN_TABLE_LIMITS"
"""Environment variable: a factor for all limits of tables and files; 10 permits ten times as much."""
RAISE_LIMITS = f"if that is right, raise all limits with {LIMITS_SETTING}=10 (ten times)"

ERROR_LOG = Path(".churn/errors.log")

LOCKS_CAN_BE_HANDED_ON = fcntl is not None
"""Whether a child process can inherit a lock."""
FOLDER_LOCK = Path(".churn/folder.db")
LONGEST_WAIT = 2_000_000
"""Seconds; SQLite counts milliseconds in 32 bits."""

SAME_BYTES_ON = "Linux x86_64"
"""The platform where equal inputs give equal bytes: Linux on every processor of the level x86-64-v3."""
OLD_PROCESSOR = "without AVX2"
CPU_INFO = Path("/proc/cpuinfo")
FLAGS_OF_V2 = frozenset({"cx16", "lahf_lm", "pni", "popcnt", "sse4_1", "sse4_2", "ssse3"})
FLAGS_OF_V3 = FLAGS_OF_V2 | {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave"}
"""Flags of a processor of the level x86-64-v3, as Linux calls them: Intel since 2013, AMD since 2015."""
KERNELS_OF_V3 = {"OPENBLAS_CORETYPE": "Haswell", "NPY_ENABLE_CPU_FEATURES": "X86_V3", "NPY_DISABLE_CPU_FEATURES": ""}
"""By default, OpenBLAS and numpy choose the newest instructions of the processor, and each kind rounds differently.

numpy refuses to start with both lists, so the user's list of disabled features is emptied.
"""

_computing = threading.RLock()


def without_secrets(text: str) -> str:
    """A text without passwords and tokens, those of the environment included; for all that is shown or kept."""
    return masked(text, _secrets_in_environment())


def _secrets_in_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if not SECRET_NAME.search(name):
            yield from secrets_in_address(value)
        elif len(value) >= SHORTEST_SECRET:
            yield value


class LineFormatter(logging.Formatter):
    """Text lines without secrets, and without characters that would move a terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return escape_controls(without_secrets(super().format(record)))


class JsonLineFormatter(logging.Formatter):
    """One JSON object for each record. What a message quotes is left out: it can be a value of a customer."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = {"time": round(record.created, 3), "level": record.levelname.lower(), "program": self._program}
        return json.dumps(fields | {"message": without_quoted(without_secrets(record.getMessage()))})


def log_to_stderr(program: str, plain: str) -> None:
    """Log to standard error: as text in the format `plain`, or as JSON if CHURN_LOG_FORMAT says so."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = os.environ.get(LOG_FORMAT) == "json"
    handler.setFormatter(JsonLineFormatter(program) if as_json else LineFormatter(plain))
    logging.basicConfig(handlers=[handler])


def log_text_to_stderr(form: str) -> None:
    """Log to standard error as text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form))
    logging.basicConfig(handlers=[handler])


def named_file(error: OSError) -> str | None:
    """The file that an error is about, by the name that a draft gets when it is whole; None if it names none."""
    return DRAFT.sub(r"\1", str(error.filename)) if error.filename else None


def os_error_line(error: OSError) -> str:
    """What the operating system refuses, on one line."""
    where = named_file(error)
    if error.errno == errno.ENOSPC:
        full = f"no space left on the disk; free some (`{DROP_UNUSED}` drops results that nothing uses)"
        return f"{where}: {full}" if where else full
    return f"{where or type(error).__name__}: {error.strerror or error}"


def unexpected_error_line(error: Exception, project: Path) -> str:
    """A line for an error that nobody foresaw; its traceback goes to the log file that the line names."""
    if isinstance(error, MemoryError):
        return "not enough memory; end other programs, or use a machine with more"
    told = without_secrets("".join(traceback.format_exception(error)))
    what = " ".join(f"{type(error).__name__}: {error}".split())
    try:
        path = _append_to_error_log(told, project)
    except OSError as refused:
        return f"unexpected {what}; its details cannot be written ({refused.strerror}); please report it"
    return f"unexpected {what}; please report it, with the details in {path}"


def _append_to_error_log(text: str, project: Path) -> Path:
    if not (project / "dvc.yaml").is_file():
        import tempfile  # here: every stage and command imports this module

        descriptor, name = tempfile.mkstemp(prefix="churn-error-", suffix=".log", text=True)
        path = Path(name)
    else:
        path = project / ERROR_LOG
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(text)
    return path


class Terminated(KeyboardInterrupt):
    """The process is to end, by SIGTERM or because its terminal is gone."""


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end this process as Ctrl-C does, so that it removes its drafts and temporary folders."""
    for number in (signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        if signal.getsignal(number) == signal.SIG_DFL:  # `nohup` ignores SIGHUP
            signal.signal(number, _terminate)


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def how_it_ended(ended: KeyboardInterrupt) -> str:
    """What a command says that was ended from outside."""
    return "terminated" if isinstance(ended, Terminated) else "interrupted"


def exit_code_of(ended: KeyboardInterrupt) -> int:
    """Exit code of a command that was ended from outside, as shells count it."""
    return 128 + (signal.SIGTERM if isinstance(ended, Terminated) else signal.SIGINT)


@contextmanager
def lock(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[int | None]:
    """Hold a kernel lock on a file, which is created if missing, or on a folder.

    The kernel releases the lock when its holder ends, even if it is killed. Yields the locked descriptor; a child
    process that inherits it holds the lock, too. Yields None if another process holds the lock and `wait` is false.
    """
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        with _database_lock(path, shared=shared, wait=wait) as granted:
            yield -1 if granted else None
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        yield descriptor if _is_granted(descriptor, how if wait else how | fcntl.LOCK_NB) else None
    finally:
        os.close(descriptor)


def lock_shared(descriptor: int) -> None:
    """Hold a shared lock until a descriptor is closed; none where the system or the file system has no such locks."""
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)


def lock_if_free(descriptor: int) -> bool:
    """Hold an exclusive lock until a descriptor is closed, if nobody holds one; false where there are no such locks."""
    return fcntl is not None and _is_granted(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_granted(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _database_lock(path: Path, *, shared: bool, wait: bool) -> Iterator[bool]:
    """Hold a lock by SQLite, which the kernel releases like any other, but which no child process inherits."""
    import sqlite3  # here and below: only without fcntl

    file = path / FOLDER_LOCK if path.is_dir() else path.with_name(f"{path.name}.db")
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=LONGEST_WAIT if wait else 0, isolation_level=None)) as connection:
        yield _begins_transaction(connection, shared=shared)


def _begins_transaction(connection: "sqlite3.Connection", *, shared: bool) -> bool:
    import sqlite3

    try:
        connection.execute("BEGIN" if shared else "BEGIN EXCLUSIVE")
        connection.execute("SELECT 1 FROM sqlite_master")  # the first read takes the shared lock
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds an exclusive or shared lock on a file."""
    with lock(path, wait=False) as held:
        return held is None


def factor_of_limits() -> float:
    """The user's factor for the limits of tables and files.

    Raises:
        DataError: it is not a number from 1 to a million.
    """
    text = os.environ.get(LIMITS_SETTING) or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= 1_000_000:
        raise DataError(f"{LIMITS_SETTING}: {text!r} is not a number from 1 to 1,000,000; 1 keeps the limits")
    return factor


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


@functools.cache
def platform_name() -> str:
    """System and machine, such as "Linux x86_64": equal on machines that should compute the same bytes."""
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system())
    name = f"{system} {platform.machine()}"
    return f"{name} {OLD_PROCESSOR}" if name == SAME_BYTES_ON and not _flags_of_processor() >= FLAGS_OF_V3 else name


def _flags_of_processor() -> frozenset[str]:
    try:
        with CPU_INFO.open(encoding="utf-8") as lines:
            return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
    except OSError:
        return frozenset()


def same_kernels() -> AbstractContextManager[None]:
    """Let libraries that are loaded from now on use the same kernels on every processor, also in child processes."""
    return environment(KERNELS_OF_V3 if platform_name() == SAME_BYTES_ON else {})


def require_posix() -> None:
    """Refuse to start on Windows.

    Raises:
        ChurnError: this is Windows outside WSL.
    """
    if platform.system() == "Windows":
        raise ChurnError("Windows is supported only through WSL; install the project there (`wsl --install`)")


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
