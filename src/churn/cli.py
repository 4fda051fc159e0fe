"""The `churn` command."""

import logging
import sys
from pathlib import Path

import typer

from churn.errors import ChurnError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def churn() -> None:
    """Work with the churn pipeline; `dvc repro` runs it."""


@app.command()
def summary() -> None:
    """Say what the results in this folder are worth, and where they are."""
    from churn.summary import summary_text

    print(summary_text(Path()))


@app.command()
def reproduce() -> None:
    """Run the committed state again in fresh clones; fail, naming each file, when other bytes come out."""
    from churn.reproduction import reproduce as check

    check(Path.cwd())


def main() -> None:
    """Run a command; a fault that the user can mend is told in a line, without a traceback."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("churn").setLevel(logging.INFO)
    try:
        app()
    except ChurnError as error:
        sys.exit(f"churn: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
