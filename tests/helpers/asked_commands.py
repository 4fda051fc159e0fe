"""Commands in forks of one process that stays, asked for one by one; each answer has the files that it opened.

The process imports the packages once, so that hundreds of commands can be tried.
`python -m tests.helpers.asked_commands PLACE MODULES` reads a folder and a command from each line of standard input,
and answers with a line.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.commands_in_forks import run
from tests.helpers.projects import REPOSITORY

MODULES = ("mlflow", "churn.commands.tune.search", "churn.commands.monitor.look", "churn.tracking.store.registry")
"""What takes long to import."""
TUNE = ("tune", "--trials", "3")
"""The search that the project of the fixture `_stores_once` has made."""


@dataclass(frozen=True)
class Asked:
    """How a command ended, what it printed, and the files of its folder that it opened to read."""

    code: int
    told: str
    opened: frozenset[str]

    @property
    def fall(self) -> str:
        """What a user must never see; '' if the command gave a result or a line."""
        if self.code not in (0, 1, 3):
            return f"exit code {self.code}: {self.told[-500:]}"
        if "Traceback" in self.told or "unexpected" in self.told:
            return self.told[-2000:]
        return "" if self.code == 0 or self.told.strip() else "no line"


Ask = Callable[..., Asked]


@contextmanager
def commands(place: Path) -> Iterator[Ask]:
    """Yield a function from a folder and the arguments of a command to its answer; each tracks to its own folder."""
    own_store = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-m", "tests.helpers.asked_commands", str(place), *MODULES]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=REPOSITORY, env=own_store, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(folder: Path, *arguments: str) -> Asked:
            process.stdin.write(f"{json.dumps([str(folder), arguments])}\n")
            process.stdin.flush()
            code, told, opened = json.loads(process.stdout.readline())
            return Asked(code, told, frozenset(opened))

        yield ask
        process.stdin.close()


def noting_what_is_opened(folder: Path, notes: Path) -> Callable[[], None]:
    """A hook that notes each file below a folder that this process opens to read, also as a database."""
    descriptor = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    def hook(event: str, given: tuple[object, ...]) -> None:
        if event == "open" and isinstance(given[2], int) and given[2] & os.O_ACCMODE == os.O_WRONLY:
            return
        if event in ("open", "sqlite3.connect") and isinstance(given[0], str | bytes):
            path = os.path.join(folder, os.fsdecode(given[0]).removeprefix("file://").partition("?")[0])  # noqa: PTH118
            if path.startswith(f"{folder}/") and os.path.isfile(path):  # noqa: PTH113 - a hook must open nothing
                os.write(descriptor, f"{path[len(str(folder)) + 1 :]}\n".encode())

    return lambda: sys.addaudithook(hook)


def _answer(folder: Path, arguments: Sequence[str], place: Path) -> tuple[int, str, list[str]]:
    told, notes = place / "told", place / "opened"
    code = run(folder, [*arguments], told, before=noting_what_is_opened(folder, notes))
    return code, told.read_text(errors="replace"), sorted(set(notes.read_text(errors="replace").splitlines()))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    for module in sys.argv[2:]:
        importlib.import_module(module)
    for line in sys.stdin:
        folder, arguments = json.loads(line)
        sys.stdout.write(f"{json.dumps(_answer(Path(folder), arguments, place))}\n")
        sys.stdout.flush()
