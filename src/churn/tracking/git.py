"""What git and DVC say of a project, asked by their command lines."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from churn.errors import ChurnError, shown

PLAIN_ENGLISH = {**os.environ, "LC_ALL": "C"}
REGULAR_FILES = ("100644", "100755")
"""Modes of git."""


def git(root: Path, *arguments: str) -> str | None:
    """What git answers; None outside a repository, before the first commit, or without git."""
    answer = _call_git(root, *arguments)
    return None if answer is None else answer.decode(errors="replace").strip()


def commit_of(root: Path, name: str) -> str | None:
    """The commit that a branch, tag or start of a commit names; None where there is none.

    Raises:
        ChurnError: git knows more than one by that name. A tag comes with a branch that is fetched, and hides what is
            called the same; whoever typed the name may mean either.
    """
    # Without a commit to end with, a text such as `--all` would be an option of git.
    asked = ["-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}"]
    try:
        done = subprocess.run(["git", *asked], cwd=root, capture_output=True, check=False, env=PLAIN_ENGLISH)  # noqa: S603, S607
    except OSError:
        return None
    if done.returncode:
        return None
    commit, base = done.stdout.decode().strip(), re.split(r"[~^@:]", name)[0]
    hides_a_commit = re.fullmatch(r"[0-9a-f]{4,40}", base) and base == name and not commit.startswith(base)
    if hides_a_commit or (b"is ambiguous" in done.stderr and base != "HEAD"):
        raise ChurnError(
            f"{shown(name)}: more than one branch, tag or commit has that name (`git show-ref {base}`); write it in "
            "full, such as refs/heads/main, or give all 40 digits of the commit"
        )
    return commit


def git_bytes(root: Path, commit: str, path: str, *, as_checked_out: bool = False) -> bytes | None:
    """A file of a commit, as git keeps it or as a checkout brings it; None when it is not there."""
    return _call_git(root, "cat-file", "--filters" if as_checked_out else "blob", f"{commit}:./{path}")


def git_files(root: Path, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
    """Those files of a commit that are there, as git keeps them, by path: one process for all of them."""
    asked = [path for path in paths if "\n" not in path]
    answer = _call_git(root, "cat-file", "--batch", given="".join(f"{commit}:./{path}\n" for path in asked).encode())
    stream = io.BytesIO(answer or b"")
    found: dict[str, bytes] = {}
    for path in asked:
        head = stream.readline().split()
        if len(head) == 3 and head[1] == b"blob":
            found[path] = stream.read(int(head[2]))
            stream.read(1)
        elif len(head) == 3 and head[2].isdigit():  # a folder of that name
            stream.seek(int(head[2]) + 1, io.SEEK_CUR)
    return found


def blobs_of_commit(root: Path, commit: str) -> dict[str, str]:
    """Name of the blob of each regular file of a commit, by path. A link holds where it points to, and not the file."""
    listed = (git(root, "ls-tree", "-r", "-z", commit) or "").split("\0")
    entries = [entry.split("\t", 1) for entry in listed if entry.startswith(REGULAR_FILES)]
    return {path: about.split(" ")[2] for about, path in entries}


def _call_git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    try:
        return subprocess.run(["git", *arguments], cwd=root, input=given, capture_output=True, check=True).stdout  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None


def cache_folder(root: Path) -> Path:
    """Where DVC keeps data and models."""
    told = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    )
    return Path(told.stdout.strip() or root / ".dvc" / "cache")
