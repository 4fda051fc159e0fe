"""Commands that read tables of customers."""

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

import typer

from churn.cli import options
from churn.cli.app import command, print_remark, print_result
from churn.cli.help import DATA
from churn.errors import DataError


@command(
    DATA,
    "churn predict new.csv -o scores.csv",
    "churn predict new.parquet -o scores.parquet --on-error fail",
    "churn predict new.csv -o scores.csv --reasons 3",
    "churn predict april.csv -o scores.csv --scored-on 2026-04-01 --holdout 0.05",
    "churn predict new.csv -o calls.csv --top 100 --reasons 3",
    "churn predict new.csv -o scores.csv --json | jq .to_contact",
)
def predict(
    table: options.Customers,
    output: options.Scores,
    model: options.Model = None,
    on_error: options.Invalid = options.OnError.REJECT,
    rejects: options.Rejects = None,
    reasons: options.Reasons = 0,
    scored_on: options.ScoredOn = None,
    holdout: options.Holdout = 0.0,
    top: options.Top = None,
    as_json: options.Json = False,
) -> None:
    """Score a table of customers with the current model.

    Writes the probability of churn, the decision to contact, and the expected profit of the contact. Memory use does
    not grow with the table.
    """
    from churn.commands.predict import (
        load_decision,
        make_campaign,
        make_reasons,
        rejects_beside,
        require_not_of_pipeline,
        score_table,
    )
    from churn.config.params import load_params

    params = load_params(Path())
    refused = rejects or rejects_beside(output)
    require_not_of_pipeline(Path(), (output, refused))
    hidden = not sys.stderr.isatty()
    with (
        redirect_stdout(sys.stderr),  # libraries print; stdout is for the result
        typer.progressbar(length=1000, file=sys.stderr, hidden=hidden, label="scoring") as bar,
    ):
        decision = load_decision(Path(), model)
        scored = score_table(
            decision,
            table,
            output,
            refused,
            params.data,
            params.business,
            reasons=make_reasons(Path(), decision, reasons) if reasons else None,
            campaign=make_campaign(Path(), params, scored_on, holdout, model, top),
            top=top,
            stop_at_fault=on_error is options.OnError.FAIL,
            on_progress=lambda done: bar.update(int(1000 * done) - bar.pos),
        )
    print_remark(f"{output}: {scored.scored:,} customers scored, {scored.to_contact:,} to be contacted")
    if top is not None:
        print_remark(f"{output}: has the {min(top, scored.to_contact):,} of them to call first, best first")
    print_remark(f"{refused}: {scored.rejected:,} rows set aside")
    if as_json:
        print_result(scored.as_json(), is_json=True)
    if scored.rejected and not scored.scored:
        raise DataError(f"{table}: every row was set aside; {refused} has the reasons")


@command(
    DATA,
    "churn init customers.csv --target churned --dry-run",
    "churn init customers.csv --target churned --positive yes --id customer_id",
)
def init(
    table: options.NewTable,
    target: options.Target,
    positive: options.Positive = None,
    drop: options.Drop = None,
    identifier: options.Identifier = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
) -> None:
    """Write the data section of params.yaml for your table."""
    from churn.commands.init import proposal, questions
    from churn.config.yaml_edit import as_diff

    root = Path()
    examined = proposal.examine(root, table, target, identifier, tuple(drop or ()))
    print_result(proposal.as_text(examined))
    if positive is None and examined.profile.target.positive is None and sys.stdin.isatty():
        positive = questions.ask_which(examined.profile.target.values)
    outcome = proposal.target_with(examined.profile.target, positive)
    print_result(f"         {outcome.positive!r} means churned; {outcome.negative!r} means stayed\n")
    proposed = proposal.propose(root, examined, outcome)
    if dry_run:
        print_result(as_diff(proposed.old, proposed.new), end="")
        return
    questions.confirm_replacing(proposed, yes=yes)
    questions.keep_in_dvc(root, examined, yes=yes)
    proposal.write(root, proposed)
    print_result("params.yaml is written; next: set your costs under `business` there, then run")
    if proposal.is_untracked(root, examined.source):
        print_result(f"  git add {shlex.quote(examined.source)}  # or dvc add, if customers must not be in git")
    print_result(
        '  dvc repro preprocess\n  make tune ARGS="--portfolio --apply"  # chooses a model for this table\n  dvc repro'
    )
