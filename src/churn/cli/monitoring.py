"""Commands that watch a model in use."""

import sys
from contextlib import redirect_stdout

import typer

from churn.cli import options
from churn.cli.app import command, print_result, require_project
from churn.cli.help import MONITOR

ALARM = 3
"""Exit code of an alarm."""


@command(
    MONITOR,
    "churn monitor april.csv",
    "churn monitor predictions/service --since 2026-04-01 --until 2026-05-01",
    "churn monitor april.csv --json | jq .is_alarm",
)
def monitor(
    source: options.Looked,
    since: options.Since = None,
    until: options.Until = None,
    on_alarm: options.OnAlarm = None,
    as_json: options.Json = False,
) -> None:
    """Compare scored customers with the training customers.

    Raises an alarm, with exit code 3, if they differ by more than chance explains at the rate of false alarms in
    params.yaml. Writes monitoring/ and a row in MLflow.
    """
    from churn.commands.monitor import look as looking
    from churn.config.params import load_params

    root = require_project()
    with (
        redirect_stdout(sys.stderr),
        typer.progressbar(length=1000, file=sys.stderr, hidden=not sys.stderr.isatty(), label="reading") as bar,
    ):
        found = looking.look_at(
            root, source, load_params(root), since, until, lambda done: bar.update(int(1000 * done) - bar.pos)
        )
    print_result(looking.as_json(found) if as_json else "\n".join(found.lines()), is_json=as_json)
    if found.is_alarm:
        if on_alarm:
            with redirect_stdout(sys.stderr):
                looking.run_on_alarm(root, on_alarm, found)
        sys.exit(ALARM)


@command(
    MONITOR,
    "churn outcomes left.csv",
    "churn outcomes left.csv --scores april.csv --scores may.csv",
    "churn outcomes left.csv --known-until 2026-07-01",
    "churn outcomes left.csv --json | jq .cohorts",
)
def outcomes(
    table: options.Outcomes,
    scores: options.EarlierScores = None,
    known_until: options.KnownUntil = None,
    as_json: options.Json = False,
) -> None:
    """Compare earlier scores with what became of the customers.

    Prints realised and estimated profit, ROC-AUC and calibration of each month, of the model in use and of its shadow.
    Customers are joined by data.id. Writes monitoring/.
    """
    from churn.commands.monitor import outcomes as joining
    from churn.config.params import load_params

    root = require_project()
    with redirect_stdout(sys.stderr):
        found = joining.join(root, table, scores or [options.LOG], load_params(root), known_until)
    print_result(found.as_json() if as_json else "\n".join(found.lines()), is_json=as_json)
