"""The `churn` command in this process, which saves what Python and MLflow take to start."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

from churn.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command left with, and what it printed."""

    code: int
    out: str
    err: str


def churn(*arguments: str) -> Answer:
    """Run a command in the current folder."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "argv", ["churn", *arguments]):
        try:
            main()
        except SystemExit as left:
            code = left.code
    if isinstance(code, str):  # Python prints it and leaves with 1
        return Answer(1, out.getvalue(), f"{err.getvalue()}{code}\n")
    return Answer(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())
