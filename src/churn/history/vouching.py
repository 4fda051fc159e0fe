"""Whose code may run: that of this branch's history, and of what is named on the command line.

A pickle, a command of dvc.yaml and a module are code. States of other branches, which a `git fetch` or a server may
bring, are read as text; nothing of them is unpickled, imported or run.
"""

from collections.abc import Sequence
from pathlib import Path

from churn.errors import ChurnError, excerpt
from churn.history.dvc import experiments
from churn.history.git import commit_of, git
from churn.history.snapshot import Snapshot
from churn.history.state import FINGERPRINT_FORM


def vouched_commits(root: Path, named: Sequence[str] = ()) -> frozenset[str]:
    """Every commit in the history of HEAD and of the revisions and DVC experiments that were named."""
    tips = filter(None, (_commit_of(root, name) for name in ("HEAD", *named)))
    return frozenset((git(root, "rev-list", *tips) or "").split())


def is_vouched(one: Snapshot, commits: frozenset[str]) -> bool:
    """Whether a state is of the workspace, or of one of the commits."""
    return one.commit is None or one.commit in commits


def require_vouched(root: Path, one: Snapshot, named: Sequence[str], what: str = "") -> None:
    """See that a state's code may run.

    Raises:
        ChurnError: nobody vouches for it. It names the state by what it is, such as the champion.
    """
    if not is_vouched(one, vouched_commits(root, named)):
        commit = f"{f'{what}, ' if what else ''}commit {(one.commit or '')[:7]}"
        raise ChurnError(
            f"{commit} is neither in the history of this branch nor of one that you named, so nothing of it is run or "
            "unpickled; look at it, then merge it or name a branch that holds it (--trust BRANCH)"
        )


def require_names(root: Path, names: Sequence[str]) -> None:
    """See that what is to be trusted is here.

    Raises:
        ChurnError: it is not.
    """
    for name in names:
        if _commit_of(root, name) is None:
            raise ChurnError(f"--trust {excerpt(name)}: no branch, tag, commit or DVC experiment of that name is here")


def _commit_of(root: Path, name: str) -> str | None:
    """Of a revision, or of the one DVC experiment that has the name."""
    found = commit_of(root, name)
    if found is not None or FINGERPRINT_FORM.fullmatch(name):  # which says of no commit that one vouches for it
        return found
    called = [commit for commit, names in experiments(root).items() if name in names]
    return called[0] if len(called) == 1 else None
