"""Commands that take a table."""

import shlex
import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from churn.cli.app import command, print_json
from churn.cli.help import DATA
from churn.cli.options import Json
from churn.errors import ChurnError

if TYPE_CHECKING:
    from churn.commands.init.proposal import ExaminedTable, Proposal


class OnError(StrEnum):
    """What happens to rows that break the contract."""

    REJECT = "reject"
    FAIL = "fail"


@command(
    DATA,
    "churn predict new.csv -o scores.csv",
    "churn predict new.parquet -o scores.parquet --on-error fail",
    "churn predict new.csv -o scores.csv --json | jq .to_contact",
)
def predict(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="CSV or Parquet file with the columns of data.columns.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Scores: .csv or .parquet.")],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Model file; a pickle can run code.  [default: that of dvc.lock]",
        ),
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(metavar="reject|fail", help="Set invalid rows aside, or stop at the first.")
    ] = OnError.REJECT,
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rows set aside.  [default: beside the scores]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a table of customers with the current model.

    Writes the probability of churn, the decision to contact, and the expected profit of the contact. Memory use does
    not grow with the table.
    """
    from churn.commands.predict import load_decision, rejects_beside, require_not_of_pipeline, score_table
    from churn.config.params import load_params

    params = load_params(Path())
    refused = rejects or rejects_beside(output)
    require_not_of_pipeline(Path(), (output, refused))
    hidden = not sys.stderr.isatty()
    with (
        redirect_stdout(sys.stderr),  # what libraries print; stdout is for the answer
        typer.progressbar(length=1000, file=sys.stderr, hidden=hidden, label="scoring") as bar,
    ):
        scored = score_table(
            load_decision(Path(), model),
            table,
            output,
            refused,
            params.data,
            params.business,
            stop_at_fault=on_error is OnError.FAIL,
            on_progress=lambda done: bar.update(int(1000 * done) - bar.pos),
        )
    print(f"{output}: {scored.scored:,} customers scored, {scored.to_contact:,} to be contacted", file=sys.stderr)
    print(f"{refused}: {scored.rejected:,} rows set aside", file=sys.stderr)
    if as_json:
        print_json(scored.as_json())


@command(
    DATA,
    "churn init customers.csv --target churned --dry-run",
    "churn init customers.csv --target churned --positive yes --id customer_id",
)
def init(
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="CSV (any delimiter, encoding; .gz, .zip) or Parquet.")
    ],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="Column to predict; it holds two values.")],
    positive: Annotated[
        str | None, typer.Option(metavar="VALUE", help="Value that means churned.  [default: recognised, or asked]")
    ] = None,
    identifier: Annotated[
        str | None,
        typer.Option("--id", metavar="COLUMN", help="Column that identifies a customer.  [default: recognised]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the change of params.yaml without writing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: replace the data section, `dvc add` a large table.")
    ] = False,
) -> None:
    """Write the data section of params.yaml for your table."""
    from churn.commands.init import proposal
    from churn.config.yaml_edit import as_diff

    root = Path()
    examined = proposal.examine(root, table, target, identifier)
    print(proposal.as_text(examined))
    if positive is None and examined.profile.target.positive is None and sys.stdin.isatty():
        positive = typer.prompt("which value means churned?")
    outcome = proposal.target_with(examined.profile.target, positive)
    print(f"         {outcome.positive!r} means churned; {outcome.negative!r} means stayed\n")
    proposed = proposal.propose(root, examined, outcome)
    if dry_run:
        print(as_diff(proposed.old, proposed.new), end="")
        return
    _confirm_replacing(proposed, yes=yes)
    _keep_in_dvc(root, examined, yes=yes)
    proposal.write(root, proposed)
    print("params.yaml is written; next: dvc repro")


def _confirm_replacing(proposed: "Proposal", *, yes: bool) -> None:
    if proposed.described is None or yes:
        return
    if not sys.stdin.isatty():
        raise ChurnError(f"params.yaml: data describes {proposed.described}; give --yes to replace it")
    if not typer.confirm(f"params.yaml: data describes {proposed.described}; replace it?"):
        raise ChurnError("params.yaml is unchanged")


def _keep_in_dvc(root: Path, examined: "ExaminedTable", *, yes: bool) -> None:
    """A large table belongs into DVC; without an answer the command is only named."""
    from churn.commands.init import proposal

    if not proposal.is_large_and_untracked(root, examined.source):
        return
    end_of_options = "-- " if examined.source.startswith("-") else ""
    command = f"dvc add {end_of_options}{shlex.quote(examined.source)}"
    print(f"{examined.source} is large, and tracked by neither DVC nor git: {command}")
    if yes or (sys.stdin.isatty() and typer.confirm(f"run `{command}`?")):
        proposal.add_to_dvc(root, examined.source)
