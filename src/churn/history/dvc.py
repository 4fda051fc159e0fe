"""DVC's cache of a project, and its experiments, which are git refs."""

import subprocess
import sys
from pathlib import Path

from churn.history.git import git


def cache_folder(root: Path) -> Path:
    """Folder in which DVC stores data and models."""
    told = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    )
    return root / (told.stdout.strip() or Path(".dvc", "cache"))


def is_below_dvc(root: Path) -> bool:
    """Whether a folder, or one above it, is under DVC."""
    return any((folder / ".dvc").is_dir() for folder in (root.resolve(), *root.resolve().parents))


NOT_EXPERIMENTS = ("refs/exps/exec/", "refs/exps/apply/", "refs/exps/celery/", "refs/exps/temp/")
"""Refs for internal use of DVC."""


def experiments(root: Path) -> dict[str, tuple[str, ...]]:
    """Names of DVC experiments by commit; after `dvc exp pull`, several commits can have the same name."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps/") or ""
    found: dict[str, tuple[str, ...]] = {}
    for commit, name in (line.split(" ", 1) for line in listed.splitlines()):
        if not name.startswith(NOT_EXPERIMENTS) and name.count("/") == 4:
            found[commit] = (*found.get(commit, ()), name.rpartition("/")[2])
    return found
