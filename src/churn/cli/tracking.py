"""Commands that ask MLflow, or bring it up to date."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from churn.cli.app import command, print_json
from churn.cli.completion import revisions
from churn.cli.help import TRACKING
from churn.cli.options import Json, Trust
from churn.errors import escape_controls
from churn.tracking.destination import without_password

if TYPE_CHECKING:
    from churn.tracking.reports import StatusReport, SyncReport


@command(TRACKING, "churn sync", "churn sync --all", "churn sync --strict --json | jq .published")
def sync(
    everything: Annotated[bool, typer.Option("--all", help="All states in git, DVC experiments included.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also states whose run was deleted in MLflow.")] = False,
    trust: Trust = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything is left unpublished.")] = False,
    as_json: Json = False,
) -> None:
    """Publish pending runs to MLflow.

    Publishes what waits in the outbox, and the state of this folder if MLflow does not show it yet. Repeating it is
    safe: nothing is published twice.
    """
    from churn.tracking.sync import SyncRequest
    from churn.tracking.sync import sync as bring_up_to_date

    with redirect_stdout(sys.stderr):
        done = bring_up_to_date(Path.cwd(), SyncRequest(everything, again, tuple(trust or ())))
    _tell(done, strict=strict, as_json=as_json)


@command(TRACKING, "churn status", "churn status --strict", "churn status --json | jq .shown_as")
def status(
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything needs attention.")] = False,
    as_json: Json = False,
) -> None:
    """Show where runs are tracked and what is unpublished."""
    from churn.tracking.sync import status as look

    with redirect_stdout(sys.stderr):
        found = look(Path.cwd())
    _tell(found, strict=strict, as_json=as_json)


@command(
    TRACKING,
    "churn lineage HEAD",
    "churn lineage models/churn_model.pkl",
    "churn lineage churn@champion --json | jq .commits",
)
def lineage(
    of: Annotated[
        str,
        typer.Argument(
            metavar="OBJECT",
            autocompletion=revisions,
            help="Model file, MLflow run id, registered model as NAME/VERSION or NAME@ALIAS, fingerprint or commit.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Trace a model, run or commit to its state.

    Prints the commits, DVC experiments, data, model and MLflow runs of that state, and the commands that restore it.
    """
    from churn.tracking.lineage import lineage_of

    with redirect_stdout(sys.stderr):
        found = lineage_of(Path.cwd(), of)
    print(json.dumps(found.as_json(), indent=2) if as_json else escape_controls(found.as_text()))


def _tell(report: "SyncReport | StatusReport", *, strict: bool, as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
    else:
        for line in report.lines:
            print(escape_controls(" ".join(line.splitlines())))
    for fault in report.faults:
        print(escape_controls(without_password(fault)), file=sys.stderr)
    if strict and report.faults:
        sys.exit(1)
