"""What `churn init` asks at a terminal; without one, options answer it."""

import shlex
import sys
from pathlib import Path

import typer

from churn.commands.init import proposal
from churn.commands.init.proposal import ExaminedTable, Proposal
from churn.errors import ChurnError, excerpt


def ask_which(values: tuple[str, str]) -> str:
    """Ask which value of the target means churned, until the answer is one of them."""
    choices = " or ".join(map(excerpt, values))
    while (answer := str(typer.prompt(f"Which value means churned, {choices}?")).strip()) not in values:
        typer.echo(f"{excerpt(answer)} is neither of them", err=True)
    return answer


def confirm_replacing(proposed: Proposal, *, yes: bool) -> None:
    """Ask before a description of another table is replaced.

    Raises:
        ChurnError: it is not to be replaced.
    """
    if proposed.described is None or yes:
        return
    if not sys.stdin.isatty():
        raise ChurnError(f"params.yaml: data describes {proposed.described}; give --yes to replace it")
    if not typer.confirm(f"params.yaml: data describes {proposed.described}; replace it?"):
        raise ChurnError("params.yaml is unchanged")


def keep_in_dvc(root: Path, examined: ExaminedTable, *, yes: bool) -> None:
    """Print the `dvc add` command for a large untracked table, and run it after confirmation."""
    if not proposal.is_large_and_untracked(root, examined.source):
        return
    end_of_options = "-- " if examined.source.startswith("-") else ""
    command = f"dvc add {end_of_options}{shlex.quote(examined.source)}"
    typer.echo(f"{examined.source} is large, and tracked by neither DVC nor git: {command}")
    if yes or (sys.stdin.isatty() and typer.confirm(f"run `{command}`?")):
        proposal.add_to_dvc(root, examined.source)
