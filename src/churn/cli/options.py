"""Options that several commands have."""

from typing import Annotated

import typer

from churn.cli.completion import revisions

STATE = "Commit, branch, tag, DVC experiment, fingerprint, or `workspace`."
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Compute = Annotated[bool, typer.Option("--compute", help="Rerun a commit whose predictions or model are missing here.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", show_default=False, help="Why; recorded with the decision.")]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REVISION",
        autocompletion=revisions,
        help="Also load models and run code of this branch, tag or commit. Repeatable.",
    ),
]
