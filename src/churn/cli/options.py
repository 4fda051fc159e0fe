"""Options and arguments of `churn`, with their help texts and shell completion."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.completion import install_callback, show_callback

PLAIN = re.compile(r"[\w./@+-]+")
"""Names that are safe in every shell; a fetched branch can have any name."""


class OnError(StrEnum):
    """What to do with rows that violate the contract."""

    REJECT = "reject"
    FAIL = "fail"


class Shell(StrEnum):
    """Shells with completion of commands and options."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    PWSH = "pwsh"


def revisions(incomplete: str) -> list[str]:
    """Branches and tags that begin with the typed text."""
    from churn.history.git import GitRefusalError, git  # imported here: every start of `churn` imports this module

    try:
        listed = git(Path(), "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags") or ""
    except GitRefusalError:  # the shell has nothing to complete with, and the command itself says why
        return []
    return [name for name in listed.splitlines() if name.startswith(incomplete) and PLAIN.fullmatch(name)]


# Shared by several commands.
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


def _show_version(asked: bool) -> None:
    from churn.commands.version import version_text

    if asked:
        typer.echo(version_text(Path()))
        raise typer.Exit


# `churn` itself. Typer's own options for completion guess the shell and can fail; these take its name.
Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print version, commit and state.")
]
InstallCompletion = Annotated[
    Shell | None,
    typer.Option(callback=install_callback, metavar="SHELL", help="Set up completion: bash, zsh, fish or pwsh."),
]
ShowCompletion = Annotated[
    Shell | None, typer.Option(callback=show_callback, metavar="SHELL", help="Print the completion script.")
]

# report, tune
Show = Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser, if there is one.")]
Trials = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Trials after the portfolio, earlier ones included.  [default: tune.trials]"),
]
Jobs = Annotated[int, typer.Option(min=1, metavar="N", help="Parallel trials; only 1 is repeatable.")]
Estimator = Annotated[str | None, typer.Option(metavar="PATH", help="Import path of the only estimator to try.")]
OnlyPortfolio = Annotated[
    bool, typer.Option("--portfolio", help="Judge only the configurations of tune.portfolio; search no further.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Write the best parameters into params.yaml.")]

# compare, promote, changes
Old = Annotated[
    str,
    typer.Argument(
        metavar="OLD",
        autocompletion=revisions,
        help="Commit, branch, tag, DVC experiment, fingerprint, or `workspace`.",
    ),
]
New = Annotated[
    str,
    typer.Argument(metavar="NEW", autocompletion=revisions, help="The state that should be better, in the same forms."),
]
Markdown = Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")]
Promoted = Annotated[
    str, typer.Argument(metavar="REVISION", autocompletion=revisions, help="Commit of a branch or tag, by any name.")
]
Force = Annotated[bool, typer.Option("--force", help="Promote although a gate is closed; needs --reason.")]
ByOutcomes = Annotated[
    Path | None,
    typer.Option(metavar="TABLE", help="Judge by these outcomes of customers that it scored in shadow."),
]
Base = Annotated[
    str, typer.Argument(metavar="BASE", autocompletion=revisions, help="Old state, named as for `churn compare`.")
]
Head = Annotated[
    str | None,
    typer.Argument(metavar="HEAD", autocompletion=revisions, help="New state.  [default: the workspace]"),
]
MergeBase = Annotated[bool, typer.Option("--merge-base", help="Compare with where HEAD branched from BASE.")]
Comment = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the Markdown there.  [default: standard output]"),
]
Repository = Annotated[
    str | None,
    typer.Option(metavar="OWNER/NAME", envvar="GITHUB_REPOSITORY", help="Repository that shows pictures."),
]
Fork = Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Fork that has HEAD.")]
Server = Annotated[str, typer.Option(metavar="URL", envvar="GITHUB_SERVER_URL", help="Server of both repositories.")]

# predict, init
Customers = Annotated[
    Path, typer.Argument(metavar="TABLE", help="CSV or Parquet file with the columns of data.columns.")
]
Scores = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Scores: .csv or .parquet.")]
Model = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Model file; a pickle can run code.  [default: that of dvc.lock]"),
]
Invalid = Annotated[OnError, typer.Option(metavar="reject|fail", help="Set invalid rows aside, or stop at the first.")]
Rejects = Annotated[Path | None, typer.Option(metavar="FILE", help="Rows set aside.  [default: next to the scores]")]
ScoredOn = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Day of the scores, to join outcomes later.  [default: monitor.date_column]"),
]
Holdout = Annotated[
    float,
    typer.Option(min=0, max=0.5, metavar="SHARE", help="Share of the customers not contacted, to measure the effect."),
]
Top = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Write only the N customers to call first, best first.  [default: all]"),
]
NewTable = Annotated[Path, typer.Argument(metavar="TABLE", help="CSV (any delimiter, encoding; .gz, .zip) or Parquet.")]
Target = Annotated[str, typer.Option(metavar="COLUMN", help="Column to predict; it holds two values.")]
Positive = Annotated[
    str | None,
    typer.Option(metavar="VALUE", help="Value that means churned.  [default: recognised, or asked]"),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        "--drop", metavar="VALUE", help="Leave out rows with this value of the target, such as Joined. Can be repeated."
    ),
]
Identifier = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="Column that identifies a customer.  [default: recognised]"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the change of params.yaml without writing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: replace the data section, `dvc add` a large table.")]

# sync, status, lineage
Everything = Annotated[bool, typer.Option("--all", help="All states in git, DVC experiments included.")]
Again = Annotated[bool, typer.Option("--again", help="Also states whose run was deleted in MLflow.")]
StrictSync = Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything is left unpublished.")]
StrictStatus = Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything needs attention.")]
Traced = Annotated[
    str,
    typer.Argument(
        metavar="OBJECT",
        autocompletion=revisions,
        help="Model file, MLflow run id, registered model as NAME/VERSION or NAME@ALIAS, state named as for "
        "`churn compare`, or request id of the service.",
    ),
]
ReadLog = Annotated[
    Path, typer.Option("--log", metavar="FOLDER", envvar="CHURN_SERVE_LOG", help="Prediction log of the service.")
]

# monitor, outcomes
Looked = Annotated[
    Path, typer.Argument(metavar="TABLE|LOG", help="Table of customers, or folder with the log of the service.")
]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="From this time on (ISO 8601; UTC without a zone).")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")]
OnAlarm = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND", envvar="CHURN_MONITOR_ON_ALARM", help="Run this after an alarm.  [default: nothing]"
    ),
]
Outcomes = Annotated[
    Path, typer.Argument(metavar="TABLE", help="Table with data.id and the day on which a customer left, if any.")
]
EarlierScores = Annotated[
    list[Path] | None,
    typer.Option(
        "--scores",
        metavar="FILE|LOG",
        help="Scores of `churn predict`, or the log of the service. Repeatable.  [default: predictions/service]",
    ),
]
KnownUntil = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Outcomes are complete before this day.  [default: the newest past day in it]"),
]

# serve, score, replay, token
LOG, TOKENS = Path("predictions/service"), Path(".churn/tokens.json")
Host = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(metavar="N", help="Port; 0 takes a free one.  [default: 8000]")]
Champion = Annotated[bool, typer.Option("--champion", help="Serve the champion of the registry, and follow it.")]
Shadow = Annotated[
    str | None, typer.Option(metavar="challenger", help="Also score with that version, outside requests.")
]
WrittenLog = Annotated[
    Path | None, typer.Option("--log", metavar="FOLDER", help="Write a prediction log there.  [default: none]")
]
LogFeatures = Annotated[
    str | None, typer.Option(metavar="none|sample|all", help="Log the customers' columns.  [default: none]")
]
CustomerFile = Annotated[Path, typer.Argument(metavar="FILE", help="JSON: a customer or a list; - reads stdin.")]
Url = Annotated[str, typer.Option(metavar="URL", envvar="CHURN_URL", help="Address of the service.")]
Reasons = Annotated[int, typer.Option(min=0, max=100, metavar="N", help="Reasons for each customer.")]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="Request id that an answer has.")]
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Who or what uses the token.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", metavar="score|metrics|admin", help="What it allows. Repeatable.  [default: score]"),
]
Days = Annotated[int, typer.Option(min=0, metavar="N", help="Days until it expires; 0: never.")]
TokenFile = Annotated[
    Path, typer.Option("--file", metavar="FILE", envvar="CHURN_SERVE_TOKENS", help="File with the hashes of tokens.")
]
