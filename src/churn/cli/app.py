"""The `churn` command itself: how commands are registered, and what all of them share."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer
from typer.models import CommandFunctionType

from churn.cli import options
from churn.cli.help import ExplainedCommand, GroupedCommands
from churn.errors import ChurnError, escape_controls
from churn.runtime import without_secrets
from churn.texts import escaped_json


class UsageError(ChurnError):
    """Options that exclude each other."""


app = typer.Typer(
    cls=GroupedCommands,
    add_completion=False,  # options.py defines it
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def command(panel: str, *examples: str) -> Callable[[CommandFunctionType], CommandFunctionType]:
    """Register a command under a panel of the help, with examples."""
    return app.command(cls=ExplainedCommand, rich_help_panel=panel, epilog="\n".join(examples))


@app.callback(epilog="churn summary\nchurn predict new.csv -o scores.csv\nchurn compare main HEAD")
def churn(
    version: options.Version = False,
    install_completion: options.InstallCompletion = None,
    show_completion: options.ShowCompletion = None,
) -> None:
    """Compare, promote and use churn models of this project.

    `dvc repro` runs the pipeline; these commands work on its results, in the current folder. `churn COMMAND --help`
    shows options and examples.
    """


def require_project() -> Path:
    """The current folder.

    Raises:
        ParameterError: it is not a project's.
    """
    from churn.config.params import read_yaml

    read_yaml(Path.cwd() / "dvc.yaml")
    return Path.cwd()


def print_result(text: str, *, is_json: bool = False, end: str = "\n") -> None:
    """Print to standard output; what it quotes can neither move the cursor nor hide or reorder characters."""
    print(escaped_json(text) if is_json else escape_controls(text), end=end)


def print_remark(text: str) -> None:
    """Print to standard error, without secrets."""
    print(escape_controls(without_secrets(text)), file=sys.stderr)
