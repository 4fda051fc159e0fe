"""Commands on MLflow and on the origin of results."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from churn.cli import options
from churn.cli.app import command, print_remark, print_result, require_project
from churn.cli.help import TRACKING
from churn.runtime import without_secrets

if TYPE_CHECKING:
    from churn.tracking.reports import StatusReport, SyncReport


@command(TRACKING, "churn sync", "churn sync --all", "churn sync --strict --json | jq .published")
def sync(
    everything: options.Everything = False,
    again: options.Again = False,
    trust: options.Trust = None,
    strict: options.StrictSync = False,
    as_json: options.Json = False,
) -> None:
    """Publish pending runs to MLflow.

    Publishes the outbox, and the state of this folder if MLflow does not have it yet. Nothing is published twice. Exit
    code 1 if results of this folder cannot be used, such as before `dvc pull`.
    """
    from churn.tracking.sync import SyncRequest
    from churn.tracking.sync import sync as bring_up_to_date

    with redirect_stdout(sys.stderr):
        done = bring_up_to_date(Path.cwd(), SyncRequest(everything, again, tuple(trust or ())))
    _tell(done, strict=strict, as_json=as_json)


@command(TRACKING, "churn status", "churn status --strict", "churn status --json | jq .shown_as")
def status(strict: options.StrictStatus = False, as_json: options.Json = False) -> None:
    """Show where runs are tracked and what is unpublished.

    Exit code 1 if results of this folder cannot be used, such as before `dvc pull`.
    """
    from churn.tracking.sync import status as look

    with redirect_stdout(sys.stderr):
        found = look(Path.cwd())
    _tell(found, strict=strict, as_json=as_json)


@command(
    TRACKING,
    "churn lineage HEAD",
    "churn lineage models/churn_model.pkl",
    "churn lineage 1fb208cc-8877-4a4a-8f67-e04711e5a480",
    "churn lineage churn@champion --json | jq .commits",
)
def lineage(of: options.Traced, log: options.ReadLog = options.LOG, as_json: options.Json = False) -> None:
    """Trace a model, run, commit or logged request to its state.

    Prints the commits, DVC experiments, data, model and MLflow runs of that state, and the commands that restore it.
    """
    from churn.tracking.lineage import lineage_of

    with redirect_stdout(sys.stderr):
        found = lineage_of(require_project(), of, log)
    print_result(json.dumps(found.as_json(), indent=2) if as_json else found.as_text(), is_json=as_json)


def _tell(report: "SyncReport | StatusReport", *, strict: bool, as_json: bool) -> None:
    lines = (without_secrets(" ".join(line.splitlines())) for line in report.lines)
    print_result(report.as_json() if as_json else "\n".join(lines), is_json=as_json)
    for fault in report.faults:
        print_remark(fault)
    if report.obstacle or (strict and report.faults):
        sys.exit(1)
