"""Decide which code may run: that of this branch's history, and of revisions named on the command line.

Pickles, commands in dvc.yaml and modules are code. States of other branches, which can come from a `git fetch` or a
server, are read as text; nothing of them is unpickled, imported or run.
"""

from collections.abc import Sequence
from pathlib import Path

from churn.errors import ChurnError, excerpt
from churn.history.git import git
from churn.history.snapshot import Snapshot, commit_named


def vouched_commits(root: Path, named: Sequence[str] = ()) -> frozenset[str]:
    """Trusted commits: the history of HEAD and of the named revisions and DVC experiments."""
    tips = filter(None, (commit_named(root, name) for name in ("HEAD", *named)))
    return frozenset((git(root, "rev-list", *tips) or "").split())


def is_vouched(one: Snapshot, commits: frozenset[str]) -> bool:
    """Whether a state is that of the workspace or of a trusted commit."""
    return one.commit is None or one.commit in commits


def require_vouched(root: Path, one: Snapshot, named: Sequence[str], what: str = "") -> None:
    """Check that a state's code may run.

    Raises:
        ChurnError: the state is not trusted. `what` describes it in the message, such as the champion.
    """
    if not is_vouched(one, vouched_commits(root, named)):
        commit = f"{f'{what}, ' if what else ''}commit {(one.commit or '')[:7]}"
        raise ChurnError(
            f"{commit} is not in the history of this branch or of one that you named, so nothing of it is run or "
            "unpickled; review it, then merge it or pass --trust BRANCH"
        )


def require_names(root: Path, names: Sequence[str]) -> None:
    """Check that revisions to be trusted exist.

    Raises:
        ChurnError: one does not.
    """
    for name in names:
        if commit_named(root, name) is None:
            raise ChurnError(f"--trust {excerpt(name)}: no branch, tag, commit or DVC experiment has that name")
