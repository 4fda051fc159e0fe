"""Run commands in forks of one process, which imports the packages once: `python -m … PROJECT COMMANDS PLACE MODULES`.

A command can begin with settings of its environment, as in a shell.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from churn.cli.main import main
from churn.stages import start

SECONDS = 600


def run(folder: Path, arguments: list[str], told: Path, before: Callable[[], None] = lambda: None) -> int:
    """Exit code of a command in a folder, with what is to be called before; what it prints goes to a file."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(SECONDS)
    os.chdir(folder)
    while "=" in arguments[0]:
        name, _, value = arguments[0].partition("=")
        os.environ[name] = value
        arguments = arguments[1:]
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    code: object = 0
    before()
    try:
        if arguments[0] == "stage":
            sys.argv = ["churn.stages", *arguments[1:]]
            start.main()
        else:
            sys.argv = ["churn", *arguments]
            main()
    except SystemExit as left:
        code = left.code
        if isinstance(code, str):  # Python would print it
            sys.stderr.write(f"{code}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    project, given, place = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
    for module in sys.argv[4:]:
        importlib.import_module(module)
    answers = []
    for one in given:
        ended = run(project, one, place / "told")
        answers.append([ended, (place / "told").read_text(errors="replace")])
    (place / "answers").write_text(json.dumps(answers))
