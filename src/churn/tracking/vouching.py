"""Whose code may run: that of this branch's history, and of what is named on the command line.

A pickle, a command of dvc.yaml and a module are code. States of other branches, which a `git fetch` or a server may
bring, are read as text; nothing of them is unpickled, imported or run.
"""

from collections.abc import Sequence
from pathlib import Path

from churn.errors import ChurnError, shown
from churn.tracking.git import git
from churn.tracking.snapshot import Snapshot


def is_vouched(root: Path, one: Snapshot, named: Sequence[str] = ()) -> bool:
    """Whether a state is of the workspace, of HEAD's history, or of that of a revision that was named."""
    commit = one.commit
    if commit is None:
        return True
    return any(_holds(root, revision, commit) for revision in ("HEAD", *named))


def require_vouched(root: Path, one: Snapshot, named: Sequence[str]) -> None:
    """See that a state's code may run.

    Raises:
        ChurnError: nobody vouches for it.
    """
    if one.experiment in named or is_vouched(root, one, named):
        return
    raise ChurnError(
        f"commit {(one.commit or '')[:7]} is neither in the history of this branch nor of one that you named, so "
        "nothing of it is run or unpickled; look at it, then merge it or name a branch that holds it (--trust BRANCH)"
    )


def require_revisions(root: Path, names: Sequence[str]) -> None:
    """See that names which are to be trusted are revisions here.

    Raises:
        ChurnError: one is not.
    """
    for name in names:
        if _commit_of(root, name) is None:
            raise ChurnError(f"--trust {shown(name)}: no such branch, tag or commit here")


def _holds(root: Path, revision: str, commit: str) -> bool:
    found = _commit_of(root, revision)
    return found is not None and git(root, "merge-base", "--is-ancestor", commit, found) is not None


def _commit_of(root: Path, revision: str) -> str | None:
    # Without a commit to end with, a text such as `--all` would be an option of git.
    return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
