"""Commands that are ended at some moment, or at some write, and then run again, each in a fork of one process.

`python -m tests.helpers.ended_commands TEMPLATE PLACE ANSWERS`, with commands on standard input. The process has
imported the packages, so that most of a command's time is its work.
"""

import errno
import json
import os
import shlex
import shutil
import signal
import sqlite3
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import churn.commands.predict
import churn.commands.promote.promotion
import churn.commands.tune.search
import churn.tracking.store.registry  # noqa: F401 - as the two above: forks need not import it
from churn.cli.main import main
from churn.runtime import is_locked
from churn.stages import start
from churn.tracking.destination import find_destination

LONGEST = 3600
"""Seconds until a command is killed that does not end."""
NOT_COMPARED = (".churn/", ".git/", ".dvc/tmp/", ".dvc/cache/runs/", "mlflow.db", "mlruns/", "src/")
"""They hold times, paths or ids of runs; `rows_of` compares what MLflow has."""
OPENED_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TEMPORARY = "tmp"
"""Folder for temporary files, beside the project."""
TOLD = "told"
"""File of what a command prints, beside the project."""
CHANGES = {"os.rename": 1, "os.link": 1, "os.mkdir": 0, "os.truncate": 0}
"""Audited calls that write, and which of their arguments is the path."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it printed and how long it took."""

    code: int
    told: str
    seconds: float


def run(
    folder: Path,
    arguments: Sequence[str],
    place: Path,
    *,
    before: Callable[[], None] = lambda: None,
    after: float | None = None,
    how: int = signal.SIGKILL,
    whole_group: bool = True,
) -> Ended:
    """Run a command in a folder, with a folder for temporary files in `place`; after some seconds, a signal ends it.

    SIGKILL can come at any moment. For other signals the seconds count from when the command has begun to handle them.
    """
    (place / TEMPORARY).mkdir(parents=True, exist_ok=True)
    (place / TOLD).write_bytes(b"")
    began = time.monotonic()
    handles, tell = os.pipe()
    child = os.fork()
    if not child:
        _be_the_command(folder, arguments, place, before, tell)
    os.close(tell)
    ended = threading.Event()

    def send() -> None:
        if after and how != signal.SIGKILL:
            os.read(handles, 1)
        if not ended.wait(after or LONGEST):
            _send(child, how if after else signal.SIGKILL, whole_group)

    sender = threading.Thread(target=send)
    sender.start()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ended.set()
    sender.join()
    os.close(handles)
    return Ended(code, (place / TOLD).read_text(errors="replace"), time.monotonic() - began)


def _send(child: int, how: int, whole_group: bool) -> None:
    try:
        os.killpg(child, how) if whole_group else os.kill(child, how)
    except ProcessLookupError:
        return


def _be_the_command(
    folder: Path, arguments: Sequence[str], place: Path, before: Callable[[], None], tell: int
) -> NoReturn:
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.environ["TMPDIR"] = str(place / TEMPORARY)
        tempfile.tempdir = None
        descriptor = os.open(place / TOLD, os.O_WRONLY | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        before()
        sys.addaudithook(telling_that_signals_are_handled(tell))
        code = _code_of(arguments)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # the command is over
    except BaseException as error:  # noqa: BLE001 - the fork must end here
        sys.stderr.write(f"Traceback {error!r}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _code_of(arguments: Sequence[str]) -> int:
    sys.argv = ["churn", *arguments]
    try:
        start.main() if arguments[0] == "stage" and sys.argv.pop(1) else main()
    except SystemExit as left:
        if isinstance(left.code, str):
            sys.stderr.write(f"{left.code}\n")
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    return 0


def telling_that_signals_are_handled(tell: int) -> Callable[[str, tuple[object, ...]], None]:
    """A hook that closes a pipe as soon as this process has a handler for SIGTERM."""
    waiting = [tell]

    def hook(event: str, given: tuple[object, ...]) -> None:
        if waiting and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            os.close(waiting.pop())

    return hook


def failing_at(number: int, folder: Path, fault: int, count: Path) -> Callable[[], None]:
    """A hook that lets the write of a number in a project or of temporary files fail, and then all but renames.

    Writes are counted from 1: opening a file to write, making a folder or a link, and renaming. Their number is the
    size of the file `count`.
    """
    below = (f"{folder}/", f"{folder.with_name(TEMPORARY)}/")

    def hook(event: str, given: tuple[object, ...]) -> None:
        path = _written_path(event, given)
        if path is None or not str(Path.cwd() / path).startswith(below):
            return
        os.write(counting, b".")
        written = os.fstat(counting).st_size
        if written == number or (written > number > 0 and event != "os.rename"):
            raise OSError(fault, os.strerror(fault), path)

    counting = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    return lambda: sys.addaudithook(hook)


def _written_path(event: str, given: tuple[object, ...]) -> str | None:
    if event == "open":
        path, _, flags = given
        writes = isinstance(flags, int) and flags & OPENED_TO_WRITE
    elif event in CHANGES:
        path, writes = given[CHANGES[event]], 1
    else:
        return None
    return os.fsdecode(path) if writes and isinstance(path, str | bytes) else None


def files_of(folder: Path) -> dict[str, bytes]:
    """Content of the files of a project that two runs of a command must have in common."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(NOT_COMPARED)}


def rows_of(folder: Path) -> dict[str, list[str]]:
    """What MLflow's database of a project has, without ids, times and the executions, which are one for each run."""
    queries = {
        "runs": "SELECT e.name, r.name, r.status, (SELECT count(DISTINCT key) FROM metrics WHERE run_uuid = r.run_uuid)"
        " FROM runs r JOIN experiments e USING (experiment_id) WHERE e.name NOT LIKE '%executions%'",
        "models": "SELECT name, status FROM logged_models WHERE lifecycle_stage = 'active' AND status = 2",
        "versions": "SELECT name, version FROM model_versions",
        "aliases": "SELECT alias, version FROM registered_model_aliases",
        "judgements": "SELECT key, value FROM tags WHERE key = 'promotion.outcome'",
    }
    if not (folder / "mlflow.db").exists():
        return {}
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        return {name: sorted(repr(row) for row in database.execute(query)) for name, query in queries.items()}


def left_behind(folder: Path, place: Path) -> Iterator[str]:
    """What an ended command left that nobody uses: drafts, temporary files, locks of git, journals of databases."""
    for path in [*folder.rglob("*"), *(place / TEMPORARY).rglob("*")]:
        name = str(path)
        if path.suffix == ".draft" or name.endswith(("-journal", "-wal", "index.lock", "new-store")):
            yield name
    yield from (str(path) for path in (place / TEMPORARY).iterdir())


def fresh(template: Path, folder: Path, place: Path) -> None:
    """A project as a template has it, at the same path each time."""
    for path in (folder, place / TEMPORARY):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)


Result = tuple[dict[str, bytes], dict[str, list[str]], list[str]]
"""Files, rows in MLflow, and what is left behind."""


@dataclass(frozen=True)
class Bench:
    """A project as a template has it, and how it is after a command that nothing ended."""

    template: Path
    place: Path
    command: Sequence[str]

    @property
    def project(self) -> Path:
        """Where each run finds the project: a store notes the paths of its files."""
        return self.place / "project"

    def run(self, **ending: Any) -> Ended:
        """Run the command in the project."""
        return run(self.project, self.command, self.place, **ending)

    def anew(self) -> None:
        """Take the project from the template."""
        fresh(self.template, self.project, self.place)

    def result(self) -> Result:
        """What two runs have in common."""
        wait_for_publisher(self.project)
        return files_of(self.project), rows_of(self.project), sorted(left_behind(self.project, self.place))


def wait_for_publisher(project: Path) -> None:
    """Wait until no process publishes for a project any more."""
    lock = find_destination(project).publisher_lock
    while lock.exists() and is_locked(lock):
        time.sleep(0.1)


def faults_of_kills(bench: Bench, times: int, seed: int) -> Iterator[str]:
    """What is wrong after a command was killed at random moments, with and without its children, and run again."""
    bench.anew()
    whole = bench.run()
    expected = bench.result()
    random = np.random.default_rng(seed)
    for number in range(times):
        bench.anew()
        moment = random.uniform(0.0, whole.seconds)
        bench.run(after=moment, whole_group=number % 2 == 0)
        yield from _faults_of_next(bench, whole, expected, f"killed after {moment:.2f} s")


def _interrupted(bench: Bench, seconds: float, how: signal.Signals) -> Ended:
    """How a command ends by a signal in the middle; earlier, if it was quicker this time and done by then."""
    for part in (2, 4, 8):
        bench.anew()
        ended = bench.run(after=seconds / part, how=how)
        if ended.code:
            break
    return ended


def faults_of_signals(bench: Bench) -> Iterator[str]:
    """What is wrong after Ctrl-C and SIGTERM in the middle: what they print, and what they leave."""
    bench.anew()
    whole = bench.run()
    expected = bench.result()
    for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        ended = _interrupted(bench, whole.seconds, how)
        lines = ended.told.splitlines()
        usual = 1 if bench.command[0] == "stage" else code  # DVC says itself that a stage failed
        if ended.code not in (usual, whole.code) or "Traceback" in ended.told:
            yield f"{signal.Signals(how).name}: exit code {ended.code}, {lines[-2:]}"
        yield from (f"{signal.Signals(how).name} left {path}" for path in left_behind(bench.project, bench.place))
        yield from _faults_of_next(bench, whole, expected, signal.Signals(how).name)


def faults_of_writes(bench: Bench, most: int | None) -> Iterator[str]:
    """What is wrong after a write of a command failed: each one in turn, or as many of them as given, evenly spaced."""
    bench.anew()
    before = files_of(bench.project)
    counted = bench.place / "writes"
    whole = bench.run(before=failing_at(0, bench.project, 0, counted))
    expected = bench.result()
    writes = counted.stat().st_size
    for number in sorted({round(one) for one in np.linspace(1, writes, min(most or writes, writes))}):
        fault = (errno.ENOSPC, errno.EROFS, errno.EIO)[number % 3]
        bench.anew()
        ended = bench.run(before=failing_at(number, bench.project, fault, counted))
        what = f"write {number} of {writes}: {errno.errorcode[fault]}"
        if "Traceback" in ended.told or "unexpected" in ended.told:
            yield f"{what}: exit code {ended.code}, {ended.told.splitlines()[-2:]}"
        wait_for_publisher(bench.project)
        found, done = files_of(bench.project), expected[0]
        if ended.code == 0 and found != done:
            yield f"{what}: exit code 0 without {_differing(found, done)}"
        if ended.code and found not in (before, done):
            odd = [name for name in found if found[name] not in (before.get(name), done.get(name))]
            yield f"{what}: exit code {ended.code}, half written: {odd or 'some of the files are new'}"
        yield from _faults_of_next(bench, whole, expected, what)


def faults_of_modes(bench: Bench, mask: int) -> Iterator[str]:
    """Files and folders that a command made with another mode than a umask gives."""
    bench.anew()
    before = set(bench.project.rglob("*"))
    bench.run(before=lambda: (os.umask(mask), None)[1])
    wait_for_publisher(bench.project)
    for path in sorted(set(bench.project.rglob("*")) - before):
        ours = path.relative_to(bench.project).parts[0] not in (".dvc", ".git")
        mode, usual = stat.S_IMODE(path.lstat().st_mode), (0o777 if path.is_dir() else 0o666) & ~mask
        if ours and mode != usual:
            yield f"{path.relative_to(bench.project)}: {mode:o} instead of {usual:o}"


def _faults_of_next(bench: Bench, whole: Ended, expected: Result, what: str) -> Iterator[str]:
    again = bench.run()
    if again.code != whole.code:
        yield f"{what}: the next run: exit code {again.code}, {again.told.splitlines()[-2:]}"
    for name, found, wanted in zip(("files", "rows", "left behind"), bench.result(), expected, strict=True):
        if found != wanted:
            yield f"{what}: {name} differ: {_differing(found, wanted)}"


def _differing(found: object, wanted: object) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return ", ".join(sorted(str(name) for name in found.keys() | wanted if found.get(name) != wanted.get(name)))
    return f"{found} instead of {wanted}"


FAULTS: dict[str, Callable[..., Iterator[str]]] = {
    "kills": faults_of_kills,
    "signals": faults_of_signals,
    "writes": faults_of_writes,
    "modes": faults_of_modes,
}

if __name__ == "__main__":
    template, place, answers = map(Path, sys.argv[1:])
    told = {}
    for name, command, *how in json.load(sys.stdin):
        told[f"{name} of {shlex.join(command)}"] = list(FAULTS[name](Bench(template, place, command), *how))
        sys.stderr.write(f"{name} {command}: {told[f'{name} of {shlex.join(command)}']}\n")
    answers.write_text(json.dumps(told))
