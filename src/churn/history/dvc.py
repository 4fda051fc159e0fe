"""What DVC keeps of a project: its cache, and its experiments, which are references of git."""

import subprocess
import sys
from pathlib import Path

from churn.history.git import git


def cache_folder(root: Path) -> Path:
    """Where DVC keeps data and models."""
    told = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    )
    return root / (told.stdout.strip() or Path(".dvc", "cache"))


NOT_EXPERIMENTS = ("refs/exps/exec/", "refs/exps/apply/", "refs/exps/celery/", "refs/exps/temp/")
"""What DVC notes beside its experiments."""


def experiments(root: Path) -> dict[str, tuple[str, ...]]:
    """Names of the DVC experiments at each commit; a name may stand at several, as `dvc exp pull` brings others'."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/") or ""
    found: dict[str, tuple[str, ...]] = {}
    for commit, name in (line.split(" ", 1) for line in listed.splitlines()):
        if not name.startswith(NOT_EXPERIMENTS) and name.count("/") == 4:
            found[commit] = (*found.get(commit, ()), name.rpartition("/")[2])
    return found
