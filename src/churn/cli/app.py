"""The `churn` command itself: how commands are registered, and its own options."""

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.completion import install_callback, show_callback

from churn.cli.help import ExplainedCommand, GroupedCommands
from churn.errors import ChurnError

Function = TypeVar("Function", bound=Callable[..., Any])


class UsageError(ChurnError):
    """Options that exclude each other."""


class Shell(StrEnum):
    """Those that can complete commands and options."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    PWSH = "pwsh"


app = typer.Typer(
    cls=GroupedCommands,
    add_completion=False,  # it guesses the shell, and fails where it cannot; here one names it
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def command(panel: str, *examples: str) -> Callable[[Function], Function]:
    """Register a command under a panel of the help, with examples."""
    return app.command(cls=ExplainedCommand, rich_help_panel=panel, epilog="\n".join(examples))


def print_json(text: str) -> None:
    """Print JSON; what moves a terminal's cursor, or cannot be encoded, is written as JSON writes it in ASCII."""
    print("".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text), flush=True)


def _show_version(asked: bool) -> None:
    from churn.commands.version import version_text

    if asked:
        print(version_text(Path()))
        raise typer.Exit


@app.callback(epilog="churn summary\nchurn predict new.csv -o scores.csv\nchurn compare main HEAD")
def churn(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print version, commit and state."),
    ] = False,
    install_completion: Annotated[
        Shell | None,
        typer.Option(callback=install_callback, metavar="SHELL", help="Set up completion: bash, zsh, fish or pwsh."),
    ] = None,
    show_completion: Annotated[
        Shell | None,
        typer.Option(callback=show_callback, metavar="SHELL", help="Print the completion script."),
    ] = None,
) -> None:
    """Judge, promote and use churn models of this project.

    `dvc repro` runs the pipeline; these commands work on its results, in the current folder. `churn COMMAND --help`
    shows options and examples.
    """
