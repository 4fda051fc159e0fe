"""Commands that compare states and choose the champion."""

import sys
from contextlib import redirect_stdout

from churn.cli import options
from churn.cli.app import UsageError, command, print_result, require_project
from churn.cli.help import JUDGE
from churn.errors import ChurnError


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
        contest = compare_states(require_project(), old, new, compute=compute)
    if as_json:
        print_result(contest.as_json(), is_json=True)
    else:
        print_result(contest.as_markdown() if as_markdown else contest.as_text())


@command(
    JUDGE,
    "churn promote",
    "churn promote v2 --by-outcomes left.csv",
    "churn promote v2 --json | jq '.gates[] | select(.passed | not)'",
    'churn promote HEAD --force --reason "approved in review"',
)
def promote(
    state: options.Promoted = "HEAD",
    force: options.Force = False,
    reason: options.Reason = "",
    trust: options.Trust = None,
    by_outcomes: options.ByOutcomes = None,
    log: options.ReadLog = options.LOG,
    known_until: options.KnownUntil = None,
    as_json: options.Json = False,
) -> None:
    """Promote a commit's model to champion if all gates pass.

    Registers the model in MLflow, evaluates it against the current champion, and reruns the commit. Every decision is
    recorded in MLflow, refusals included.
    """
    from churn.commands.promote import promotion
    from churn.commands.promote.by_outcomes import OutcomeEvidence

    evidence = None if by_outcomes is None else OutcomeEvidence(by_outcomes, (log,), known_until)
    if force and not reason.strip():
        raise ChurnError("--force needs --reason: it is recorded with the promotion")
    with redirect_stdout(sys.stderr):
        outcome = promotion.promote(
            require_project(), state, forced=force, reason=reason.strip(), trusted=trust or (), by_outcomes=evidence
        )
    print_result(outcome.as_json() if as_json else "\n".join(outcome.lines), is_json=as_json)
    if not outcome.promoted:
        sys.exit(1)


@command(JUDGE, 'churn rollback --reason "complaints since Monday"', "churn rollback --json | jq .version")
def rollback(reason: options.Reason = "", as_json: options.Json = False) -> None:
    """Restore the previous champion."""
    from churn.commands.promote import promotion

    with redirect_stdout(sys.stderr):
        outcome = promotion.roll_back(require_project(), reason.strip())
    print_result(outcome.as_json() if as_json else "\n".join(outcome.lines), is_json=as_json)


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
    from churn.drafts import replacing_outputs

    forge = Forge(server, repository or None, head_repository or None)
    text = comment(compare(require_project(), base, head or None, forge, from_merge_base=merge_base, compute=compute))
    if output is None:
        print_result(text, end="")
        return
    try:
        with replacing_outputs(output) as (draft,):
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ChurnError(f"{output}: cannot be written: {error.strerror}") from None
