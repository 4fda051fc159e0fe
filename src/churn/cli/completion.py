"""What a shell offers for an argument of `churn`."""

import re
from pathlib import Path

PLAIN = re.compile(r"[\w./@+-]+")
"""Of a name that every shell takes as it stands; a branch that was fetched may be called anything."""


def revisions(incomplete: str) -> list[str]:
    """Branches and tags of the repository here that begin with what was typed."""
    from churn.history.git import git  # here: every start of `churn` imports this module

    listed = git(Path(), "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags") or ""
    return [name for name in listed.splitlines() if name.startswith(incomplete) and PLAIN.fullmatch(name)]
