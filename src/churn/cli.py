"""The `churn` command."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer._completion_classes import completion_init
from typer.models import CommandFunctionType

from churn.commands import options
from churn.commands.help import DATA, JUDGE, RUN, TRACKING, ExplainedCommand, GroupedCommands
from churn.errors import ChurnError, DataError, escape_controls
from churn.texts import escaped_json
from churn.tracking.destination import without_password

if TYPE_CHECKING:
    from churn.commands.tune.study import EndedTrial
    from churn.tracking.reports import StatusReport, SyncReport


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


def _require_project() -> Path:
    """The current folder.

    Raises:
        ParameterError: it is not a project's.
    """
    from churn.config.params import read_yaml

    read_yaml(Path.cwd() / "dvc.yaml")
    return Path.cwd()


@command(RUN, "churn summary", "churn summary --json | jq .profit_per_1000")
def summary(as_json: options.Json = False) -> None:
    """Show the headline metrics of the current results."""
    from churn.commands.summary import summarize, summary_text

    _require_project()
    print(escaped_json(summarize(Path()).as_json()) if as_json else summary_text(Path()))


@command(RUN, "churn report", "churn report --no-open")
def report(show: options.Show = True) -> None:
    """Open the HTML report, labelled with commit and fingerprint.

    The copy in .churn/report.html also says how to restore its state.
    """
    from churn.commands.report import open_in_browser, write_copy

    _require_project()
    page = write_copy(Path())
    shown = show and open_in_browser(page)
    print(f"{page}{': opened in the browser' if shown else ''}")


@command(RUN, "churn reproduce", "churn reproduce && git push")
def reproduce() -> None:
    """Rerun the committed state and compare every byte.

    Runs all stages in two fresh clones with different thread counts. Names each file that differs.
    """
    from churn.history.reproduce import reproduce as check

    check(_require_project())


@command(RUN, "churn tune --trials 50", "churn tune --jobs 4 --apply", "churn tune --json | jq .best")
def tune(
    trials: options.Trials = None,
    jobs: options.Jobs = 1,
    estimator: options.Estimator = None,
    apply: options.Apply = False,
    as_json: options.Json = False,
) -> None:
    """Search hyperparameters by cross-validation.

    Uses training rows only, and corrects the gain of the best trial for selection bias. You can interrupt it: the same
    command resumes the study.
    """
    if find_spec("optuna") is None:
        raise ChurnError("optuna is not installed; `make tune` installs it and runs the search")
    from churn.commands.tune import search

    plan = search.prepare(Path.cwd(), trials=trials, estimator=estimator)
    print(plan.as_text(), file=sys.stderr)
    quiet = not sys.stderr.isatty()
    try:
        with (
            redirect_stdout(sys.stderr),  # libraries print; stdout is for the result
            typer.progressbar(length=plan.trials, file=sys.stderr, hidden=quiet, label="trials") as bar,
        ):

            def on_trial(_: "EndedTrial", best: float, left: int) -> None:
                bar.length = bar.pos + 1 + left  # trials of an earlier search need not run again
                bar.label = f"trials, best {best:{plan.objective.form}}"
                bar.update(1)

            result = search.run(plan, jobs, on_trial)
        print(escaped_json(result.as_json()) if as_json else result.as_text(), flush=True)
        if apply and search.apply(result):
            print("params.yaml is written; next: dvc repro", file=sys.stderr)
        search.show(result)
    except KeyboardInterrupt:
        print("interrupted; finished trials are kept, and the same command resumes the study", file=sys.stderr)
        raise typer.Exit(130) from None


@command(JUDGE, "churn compare", "churn compare main HEAD", "churn compare v1 workspace --json | jq .verdict")
def compare(
    old: options.Old = "HEAD",
    new: options.New = "workspace",
    compute: options.Compute = False,
    as_json: options.Json = False,
    as_markdown: options.Markdown = False,
) -> None:
    """Compare two states by profit, with confidence intervals.

    Uses out-of-fold predictions for the training rows that both states share. Test rows only confirm the result.
    """
    from churn.commands.compare import compare_states

    if as_json and as_markdown:
        raise UsageError("--json and --md cannot be combined; give one of them")
    with redirect_stdout(sys.stderr):
        contest = compare_states(_require_project(), old, new, compute=compute)
    if as_json:
        print(escaped_json(contest.as_json()))
    else:
        print(contest.as_markdown() if as_markdown else escape_controls(contest.as_text()))


@command(
    JUDGE,
    "churn promote",
    "churn promote v2 --json | jq '.gates[] | select(.passed | not)'",
    'churn promote HEAD --force --reason "approved in review"',
)
def promote(
    state: options.Promoted = "HEAD",
    force: options.Force = False,
    reason: options.Reason = "",
    trust: options.Trust = None,
    as_json: options.Json = False,
) -> None:
    """Promote a commit's model to champion if all gates pass.

    Registers the model in MLflow, evaluates it against the current champion, and reruns the commit. Every decision is
    recorded in MLflow, refusals included.
    """
    from churn.commands.promote import promotion

    if force and not reason.strip():
        raise ChurnError("--force needs --reason: it is recorded with the promotion")
    with redirect_stdout(sys.stderr):
        outcome = promotion.promote(_require_project(), state, forced=force, reason=reason.strip(), trusted=trust or ())
    print(escaped_json(outcome.as_json()) if as_json else escape_controls("\n".join(outcome.lines)))
    if not outcome.promoted:
        sys.exit(1)


@command(JUDGE, 'churn rollback --reason "complaints since Monday"', "churn rollback --json | jq .version")
def rollback(reason: options.Reason = "", as_json: options.Json = False) -> None:
    """Restore the previous champion."""
    from churn.commands.promote import promotion

    with redirect_stdout(sys.stderr):
        outcome = promotion.roll_back(_require_project(), reason.strip())
    print(escaped_json(outcome.as_json()) if as_json else escape_controls("\n".join(outcome.lines)))


@command(JUDGE, "churn changes", "churn changes main HEAD --merge-base", "churn changes origin/main -o comment.md")
def changes(
    base: options.Base = "HEAD",
    head: options.Head = None,
    merge_base: options.MergeBase = False,
    compute: options.Compute = False,
    output: options.Comment = None,
    repository: options.Repository = None,
    head_repository: options.Fork = None,
    server: options.Server = "https://github.com",
) -> None:
    """Print what changed between two revisions, as Markdown.

    Covers parameters, metrics and pictures; meant as a comment on a pull request.
    """
    from churn.commands.changes.comment import comment
    from churn.commands.changes.differences import Forge, compare
    from churn.files import replacing_outputs

    forge = Forge(server, repository or None, head_repository or None)
    text = comment(compare(_require_project(), base, head or None, forge, from_merge_base=merge_base, compute=compute))
    if output is None:
        print(text, end="")
        return
    try:
        with replacing_outputs(output) as (draft,):
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ChurnError(f"{output}: cannot be written: {error.strerror}") from None


@command(
    DATA,
    "churn predict new.csv -o scores.csv",
    "churn predict new.parquet -o scores.parquet --on-error fail",
    "churn predict new.csv -o scores.csv --json | jq .to_contact",
)
def predict(
    table: options.Customers,
    output: options.Scores,
    model: options.Model = None,
    on_error: options.Invalid = options.OnError.REJECT,
    rejects: options.Rejects = None,
    as_json: options.Json = False,
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
        redirect_stdout(sys.stderr),  # libraries print; stdout is for the result
        typer.progressbar(length=1000, file=sys.stderr, hidden=hidden, label="scoring") as bar,
    ):
        scored = score_table(
            load_decision(Path(), model),
            table,
            output,
            refused,
            params.data,
            params.business,
            stop_at_fault=on_error is options.OnError.FAIL,
            on_progress=lambda done: bar.update(int(1000 * done) - bar.pos),
        )
    print(f"{output}: {scored.scored:,} customers scored, {scored.to_contact:,} to be contacted", file=sys.stderr)
    print(f"{refused}: {scored.rejected:,} rows set aside", file=sys.stderr)
    if as_json:
        print(escaped_json(scored.as_json()))
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
    identifier: options.Identifier = None,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
) -> None:
    """Write the data section of params.yaml for your table."""
    from churn.commands.init import proposal, questions
    from churn.config.yaml_edit import as_diff

    root = Path()
    examined = proposal.examine(root, table, target, identifier)
    print(proposal.as_text(examined))
    if positive is None and examined.profile.target.positive is None and sys.stdin.isatty():
        positive = questions.ask_which(examined.profile.target.values)
    outcome = proposal.target_with(examined.profile.target, positive)
    print(f"         {outcome.positive!r} means churned; {outcome.negative!r} means stayed\n")
    proposed = proposal.propose(root, examined, outcome)
    if dry_run:
        print(as_diff(proposed.old, proposed.new), end="")
        return
    questions.confirm_replacing(proposed, yes=yes)
    questions.keep_in_dvc(root, examined, yes=yes)
    proposal.write(root, proposed)
    print("params.yaml is written; next: set your costs under `business` there, then run dvc repro")


@command(TRACKING, "churn sync", "churn sync --all", "churn sync --strict --json | jq .published")
def sync(
    everything: options.Everything = False,
    again: options.Again = False,
    trust: options.Trust = None,
    strict: options.StrictSync = False,
    as_json: options.Json = False,
) -> None:
    """Publish pending runs to MLflow.

    Publishes the outbox, and the state of this folder if MLflow does not have it yet. Nothing is published twice.
    """
    from churn.tracking.sync import SyncRequest
    from churn.tracking.sync import sync as bring_up_to_date

    with redirect_stdout(sys.stderr):
        done = bring_up_to_date(Path.cwd(), SyncRequest(everything, again, tuple(trust or ())))
    _tell(done, strict=strict, as_json=as_json)


@command(TRACKING, "churn status", "churn status --strict", "churn status --json | jq .shown_as")
def status(strict: options.StrictStatus = False, as_json: options.Json = False) -> None:
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
def lineage(of: options.Traced, as_json: options.Json = False) -> None:
    """Trace a model, run or commit to its state.

    Prints the commits, DVC experiments, data, model and MLflow runs of that state, and the commands that restore it.
    """
    from churn.tracking.lineage import lineage_of

    with redirect_stdout(sys.stderr):
        found = lineage_of(_require_project(), of)
    print(json.dumps(found.as_json(), indent=2) if as_json else escape_controls(found.as_text()))


def _tell(report: "SyncReport | StatusReport", *, strict: bool, as_json: bool) -> None:
    lines = (escape_controls(" ".join(line.splitlines())) for line in report.lines)
    print(escaped_json(report.as_json()) if as_json else "\n".join(lines))
    for fault in report.faults:
        print(escape_controls(without_password(fault)), file=sys.stderr)
    if strict and report.faults:
        sys.exit(1)


def main() -> None:
    """Run a command. An error that the user can fix is printed without a traceback."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("churn").setLevel(logging.INFO)
    completion_init()  # Typer does this only with its own completion options
    try:
        app(prog_name="churn")
    except UsageError as error:
        print(escape_controls(f"churn: {error}"), file=sys.stderr)
        sys.exit(2)
    except ChurnError as error:
        sys.exit(escape_controls(f"churn: {error}"))
