"""Commands that set states against each other, and say which model is used."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from churn.cli.app import UsageError, command, print_json
from churn.cli.completion import revisions
from churn.cli.help import JUDGE
from churn.cli.options import STATE, Compute, Json, Reason, Trust
from churn.errors import ChurnError, escape_controls


@command(JUDGE, "churn compare", "churn compare main HEAD", "churn compare v1 workspace --json | jq .verdict")
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", autocompletion=revisions, help=STATE)] = "HEAD",
    new: Annotated[
        str,
        typer.Argument(
            metavar="NEW", autocompletion=revisions, help="The state that should be better, in the same forms."
        ),
    ] = "workspace",
    compute: Compute = False,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--md", help="Print Markdown, for a pull request.")] = False,
) -> None:
    """Compare two states by profit, with confidence intervals.

    Uses out-of-fold predictions for the training rows that both states share. Test rows only confirm the result.
    """
    from churn.commands.compare import compare_states

    if as_json and as_markdown:
        raise UsageError("--json and --md cannot be combined; give one of them")
    with redirect_stdout(sys.stderr):
        contest = compare_states(Path.cwd(), old, new, compute=compute)
    if as_json:
        print_json(contest.as_json())
    else:
        print(contest.as_markdown() if as_markdown else escape_controls(contest.as_text()))


@command(
    JUDGE,
    "churn promote",
    "churn promote v2 --json | jq '.gates[] | select(.passed | not)'",
    'churn promote HEAD --force --reason "approved in review"',
)
def promote(
    state: Annotated[
        str, typer.Argument(metavar="REVISION", autocompletion=revisions, help="Commit of a branch or tag.")
    ] = "HEAD",
    force: Annotated[bool, typer.Option("--force", help="Promote although a gate is closed; needs --reason.")] = False,
    reason: Reason = "",
    trust: Trust = None,
    as_json: Json = False,
) -> None:
    """Promote a commit's model to champion if all gates pass.

    Registers the model in MLflow, judges it against the current champion, and reruns the commit. Every decision is
    recorded in MLflow, refusals included.
    """
    from churn.commands.promote import promotion

    if force and not reason.strip():
        raise ChurnError("--force needs --reason: it is recorded with the promotion")
    with redirect_stdout(sys.stderr):
        outcome = promotion.promote(Path.cwd(), state, forced=force, reason=reason.strip(), trusted=trust or ())
    if as_json:
        print_json(outcome.as_json())
    else:
        print(escape_controls("\n".join(outcome.lines)))
    if not outcome.promoted:
        sys.exit(1)


@command(JUDGE, 'churn rollback --reason "complaints since Monday"', "churn rollback --json | jq .version")
def rollback(reason: Reason = "", as_json: Json = False) -> None:
    """Make the previous champion the champion again."""
    from churn.commands.promote import promotion

    with redirect_stdout(sys.stderr):
        outcome = promotion.roll_back(Path.cwd(), reason.strip())
    if as_json:
        print_json(outcome.as_json())
    else:
        print(escape_controls("\n".join(outcome.lines)))


@command(JUDGE, "churn changes", "churn changes main HEAD --merge-base", "churn changes origin/main -o comment.md")
def changes(
    base: Annotated[str, typer.Argument(metavar="BASE", autocompletion=revisions, help="Old git revision.")] = "HEAD",
    head: Annotated[
        str | None,
        typer.Argument(metavar="HEAD", autocompletion=revisions, help="New git revision.  [default: the workspace]"),
    ] = None,
    merge_base: Annotated[
        bool, typer.Option("--merge-base", help="Compare with where HEAD branched from BASE.")
    ] = False,
    compute: Compute = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the Markdown there.  [default: standard output]"),
    ] = None,
    repository: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", envvar="GITHUB_REPOSITORY", help="Repository that shows pictures."),
    ] = None,
    head_repository: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Fork that has HEAD.")] = None,
    server: Annotated[
        str, typer.Option(metavar="URL", envvar="GITHUB_SERVER_URL", help="Server of both repositories.")
    ] = "https://github.com",
) -> None:
    """Print what changed between two revisions, as Markdown.

    Covers parameters, metrics and pictures; meant as a comment on a pull request.
    """
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
