"""The `churn` command."""

import json
import logging
import shlex
import sys
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from churn.errors import ChurnError, escape_controls
from churn.tracking.destination import without_password

if TYPE_CHECKING:
    from churn.commands.init.proposal import ExaminedTable, Proposal
    from churn.commands.tune.study import EndedTrial
    from churn.tracking.sync import SyncReport


class OnError(StrEnum):
    """What happens to rows that break the contract."""

    REJECT = "reject"
    FAIL = "fail"


TRUST = "branch, tag or commit whose models and code may run beside those of this branch's history; may be repeated"
COMPUTE = "run a commit again whose predictions or model are not here"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def churn() -> None:
    """Work with the churn pipeline; `dvc repro` runs it."""


@app.command()
def summary() -> None:
    """Say what the results in this folder are worth, and where they are."""
    from churn.commands.summary import summary_text

    print(summary_text(Path()))


@app.command()
def report(
    show: Annotated[bool, typer.Option("--open/--no-open", help="in the browser, where there is one")] = True,
) -> None:
    """Write the report with commit, fingerprint and the way back, and open it."""
    from churn.commands.report import open_in_browser, write_copy

    page = write_copy(Path())
    shown = show and open_in_browser(page)
    print(f"{page}{': opened in the browser' if shown else ''}")


@app.command()
def reproduce() -> None:
    """Run the committed state again in fresh clones; fail, naming each file, when other bytes come out."""
    from churn.history.reproduce import reproduce as check

    check(Path.cwd())


@app.command()
def predict(
    table: Annotated[Path, typer.Argument(help="customers to score: CSV or Parquet, with the columns of data.columns")],
    output: Annotated[Path, typer.Option("--output", "-o", help="where the scores go: .csv or .parquet")],
    model: Annotated[Path | None, typer.Option(help="another model than the one dvc.lock vouches for")] = None,
    on_error: Annotated[OnError, typer.Option(help="rows that break the contract: set aside or stop")] = OnError.REJECT,
    rejects: Annotated[Path | None, typer.Option(help="where rows set aside go  [default: beside the output]")] = None,
) -> None:
    """Score a table: probability of churn, whether to contact, and what the contact is expected to earn."""
    from churn.commands.predict import load_decision, rejects_beside, require_not_of_pipeline, score_table
    from churn.config.params import load_params

    params = load_params(Path())
    refused = rejects or rejects_beside(output)
    require_not_of_pipeline(Path(), (output, refused))
    with typer.progressbar(length=1000, file=sys.stderr, hidden=not sys.stderr.isatty(), label="scoring") as bar:
        counts = score_table(
            load_decision(Path(), model),
            table,
            output,
            refused,
            params.data,
            params.business,
            stop_at_fault=on_error is OnError.FAIL,
            on_progress=lambda done: bar.update(int(1000 * done) - bar.pos),
        )
    print(f"{output}: {counts.scored:,} customers scored, {counts.to_contact:,} to be contacted", file=sys.stderr)
    print(f"{refused}: {counts.rejected:,} rows set aside", file=sys.stderr)


@app.command()
def init(
    table: Annotated[Path, typer.Argument(help="CSV (any delimiter and encoding; also .gz, .zip) or Parquet")],
    target: Annotated[str, typer.Option(help="column to predict; it holds two values")],
    positive: Annotated[str | None, typer.Option(help="the value of it that means: has churned")] = None,
    identifier: Annotated[str | None, typer.Option("--id", help="column that names a customer")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would change, and change nothing")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="ask nothing: replace the data part, `dvc add` a large table")
    ] = False,
) -> None:
    """Look at another table and write the data part of params.yaml for it."""
    from churn.commands.init import proposal
    from churn.config.yaml_edit import as_diff

    root = Path()
    examined = proposal.examine(root, table, target, identifier)
    print(proposal.as_text(examined))
    if positive is None and examined.profile.target.positive is None and sys.stdin.isatty():
        positive = typer.prompt("which value means: has churned?")
    outcome = proposal.target_with(examined.profile.target, positive)
    print(f"         {outcome.positive!r} means: has churned; {outcome.negative!r}: has stayed\n")
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
        raise ChurnError("params.yaml is left as it is")


def _keep_in_dvc(root: Path, examined: "ExaminedTable", *, yes: bool) -> None:
    """A large table belongs into DVC; without an answer the command is only named."""
    from churn.commands.init import proposal

    if not proposal.is_large_and_untracked(root, examined.source):
        return
    end_of_options = "-- " if examined.source.startswith("-") else ""
    command = f"dvc add {end_of_options}{shlex.quote(examined.source)}"
    print(f"{examined.source} is large, and neither DVC nor git has it: {command}")
    if yes or (sys.stdin.isatty() and typer.confirm(f"run `{command}`?")):
        proposal.add_to_dvc(root, examined.source)


@app.command()
def sync(
    everything: Annotated[
        bool, typer.Option("--all", help="every state that git records, DVC experiments too")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="also states whose row was deleted in MLflow")] = False,
    trust: Annotated[list[str] | None, typer.Option(help=TRUST)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="fail when anything is left unpublished")] = False,
) -> None:
    """Bring MLflow up to date: what waits in the outbox, and this state if it is not shown yet."""
    from churn.tracking.sync import SyncRequest
    from churn.tracking.sync import sync as bring_up_to_date

    _tell(bring_up_to_date(Path.cwd(), SyncRequest(everything, again, tuple(trust or ()))), strict=strict)


@app.command()
def status(
    strict: Annotated[bool, typer.Option("--strict", help="fail when something is not as it should be")] = False,
) -> None:
    """Say where tracking goes, what waits, and whether this state is shown in MLflow."""
    from churn.tracking.sync import status as look

    _tell(look(Path.cwd()), strict=strict)


@app.command()
def lineage(
    of: Annotated[
        str, typer.Argument(help="model file, MLflow run id, registered model as name/version, fingerprint or commit")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Say what belongs together: commit, experiment, data, model, rows in MLflow, and how to bring that state back."""
    from churn.tracking.lineage import lineage_of

    found = lineage_of(Path.cwd(), of)
    print(json.dumps(found.as_json(), indent=2) if as_json else escape_controls(found.as_text()))


def _tell(report: "SyncReport", *, strict: bool) -> None:
    for line in report.lines:
        print(escape_controls(" ".join(line.splitlines())))
    for fault in report.faults:
        print(escape_controls(without_password(fault)), file=sys.stderr)
    if strict and report.faults:
        sys.exit(1)


@app.command()
def compare(
    old: Annotated[str, typer.Argument(help="commit, DVC experiment, fingerprint, or workspace")] = "HEAD",
    new: Annotated[str, typer.Argument(help="the state that is to be better")] = "workspace",
    compute: Annotated[bool, typer.Option("--compute", help=COMPUTE)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    as_markdown: Annotated[bool, typer.Option("--md", help="for a pull request")] = False,
) -> None:
    """Say whether a state is better than another, and how sure that is, by rows that neither model had seen."""
    from churn.commands.compare import compare_states

    contest = compare_states(Path.cwd(), old, new, compute=compute)
    print(
        contest.as_json() if as_json else contest.as_markdown() if as_markdown else escape_controls(contest.as_text())
    )


@app.command()
def promote(
    state: Annotated[str, typer.Argument(help="commit whose model is to become the champion")] = "HEAD",
    force: Annotated[bool, typer.Option("--force", help="promote although a gate is closed; needs --reason")] = False,
    reason: Annotated[str, typer.Option(help="why; it is written down")] = "",
    trust: Annotated[list[str] | None, typer.Option(help=TRUST)] = None,
) -> None:
    """Let a model become the champion in MLflow's registry if it passes every gate."""
    from churn.commands.promote import promotion

    if force and not reason.strip():
        raise ChurnError("--force needs --reason: it is written down with the promotion")
    outcome = promotion.promote(Path.cwd(), state, forced=force, reason=reason.strip(), trusted=trust or ())
    print(escape_controls("\n".join(outcome.lines)))
    if not outcome.promoted:
        sys.exit(1)


@app.command()
def rollback(reason: Annotated[str, typer.Option(help="why; it is written down")] = "") -> None:
    """Let the champion before the present one be the champion again."""
    from churn.commands.promote import promotion

    print("\n".join(promotion.roll_back(Path.cwd(), reason.strip()).lines))


@app.command()
def changes(
    base: Annotated[str, typer.Argument(help="git revision of the old state")] = "HEAD",
    head: Annotated[str | None, typer.Argument(help="git revision of the new state  [default: the workspace]")] = None,
    merge_base: Annotated[bool, typer.Option("--merge-base", help="the old state is where HEAD left BASE")] = False,
    compute: Annotated[bool, typer.Option("--compute", help=COMPUTE)] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="a file instead of standard output")] = None,
    repository: Annotated[
        str | None, typer.Option(envvar="GITHUB_REPOSITORY", help="owner/name: pictures are shown from there")
    ] = None,
    head_repository: Annotated[str | None, typer.Option(help="owner/name of the fork that has HEAD")] = None,
    server: Annotated[str, typer.Option(envvar="GITHUB_SERVER_URL", help="where both are")] = "https://github.com",
) -> None:
    """Print what differs in parameters, metrics and pictures, as the Markdown of a pull-request comment."""
    from churn.commands.changes.comment import comment
    from churn.commands.changes.differences import Forge, compare
    from churn.files import replacing_outputs

    forge = Forge(server, repository or None, head_repository or None)
    text = comment(compare(Path.cwd(), base, head or None, forge, from_merge_base=merge_base, compute=compute))
    if output is None:
        print(text, end="")
        return
    try:
        with replacing_outputs(output) as (draft,):
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ChurnError(f"{output}: cannot be written: {error.strerror}") from None


@app.command()
def tune(
    trials: Annotated[
        int | None, typer.Option(min=1, help="how many there are to be in all  [default: tune.trials]")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="trials at once; with one, a search can be repeated exactly")] = 1,
    estimator: Annotated[str | None, typer.Option(help="only this one of tune.space, by its import path")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="write the best into params.yaml")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Search for better arguments on training rows; say what is left of the gain when corrected for the choosing."""
    if find_spec("optuna") is None:
        raise ChurnError("optuna is not installed; `make tune` installs it and runs the search")
    from churn.commands.tune import search

    plan = search.prepare(Path.cwd(), trials=trials, estimator=estimator)
    print(plan.as_text(), file=sys.stderr)
    quiet = not sys.stderr.isatty()
    try:
        with typer.progressbar(length=plan.trials, file=sys.stderr, hidden=quiet, label="trials") as bar:

            def on_trial(_: "EndedTrial", best: float, left: int) -> None:
                bar.length = bar.pos + 1 + left  # an earlier search may have made some of the trials
                bar.label = f"trials, best {best:{plan.objective.form}}"
                bar.update(1)

            result = search.run(plan, jobs, on_trial)
        print(result.as_json() if as_json else result.as_text(), flush=True)
        if apply and search.apply(result):
            print("params.yaml is written; next: dvc repro", file=sys.stderr)
        search.show(result)
    except KeyboardInterrupt:
        print("interrupted; trials that have ended are kept, and the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None


def main() -> None:
    """Run a command; a fault that the user can mend is told in a line, without a traceback."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("churn").setLevel(logging.INFO)
    try:
        app()
    except ChurnError as error:
        sys.exit(escape_controls(f"churn: {error}"))
    except KeyboardInterrupt:
        sys.exit("interrupted")
