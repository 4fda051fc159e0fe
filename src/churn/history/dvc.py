"""DVC's cache and remotes of a project, and its experiments, which are git refs."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from churn.history.git import git


def cache_folder(root: Path) -> Path:
    """Folder in which DVC stores data and models."""
    return root / (_dvc(root, "cache", "dir").strip() or Path(".dvc", "cache"))


def path_in_cache(cache: Path, md5: str) -> Path:
    """Where the cache keeps the file with an md5."""
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def remedy_for_absent(root: Path, md5s: Iterable[str]) -> str:
    """The step that brings files into the folder which dvc.lock records by their md5."""
    cache = cache_folder(root)
    if all(path_in_cache(cache, md5).is_file() for md5 in md5s):
        return "`dvc checkout` brings them from DVC's cache"
    remotes = _dvc(root, "remote", "list").splitlines()
    if not remotes:
        return (
            "no DVC remote is configured here: ask the person who ran it to set one up and `dvc push`, then "
            "`dvc pull`; or run `dvc repro`"
        )
    named = "" if any(line.endswith("(default)") for line in remotes) else f" --remote {remotes[0].split()[0]}"
    return (
        f"`dvc pull{named}` brings them; if the remote lacks some, ask the person who ran it to `dvc push`, or run "
        "`dvc repro`"
    )


def _dvc(root: Path, *arguments: str) -> str:
    # -P: modules in the current folder must not shadow DVC's.
    command = [sys.executable, "-P", "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False).stdout  # noqa: S603


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
