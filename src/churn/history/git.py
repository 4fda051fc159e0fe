"""What git says of a project, asked by its command line."""

import functools
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

from churn.errors import ChurnError, excerpt

AS_IT_IS = {"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
"""git without replacements, which a fetch may bring and which forge a history; in words that code can read."""
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
    done = _run_git(root, *asked)
    if done is None or done.returncode:
        return None
    commit, base = done.stdout.decode().strip(), re.split(r"[~^@:]", name)[0]
    hides_a_commit = re.fullmatch(r"[0-9a-f]{4,40}", base) and base == name and not commit.startswith(base)
    if hides_a_commit or (b"is ambiguous" in done.stderr and base != "HEAD"):
        raise ChurnError(
            f"{excerpt(name)}: more than one branch, tag or commit has that name (`git show-ref {base}`); write it in "
            "full, such as refs/heads/main, or give all 40 digits of the commit"
        )
    return commit


@dataclass(frozen=True)
class Change:
    """A commit as people know it: its subject line, its author, and its time in seconds since 1970."""

    subject: str
    author: str
    when: float


def last_change(root: Path, commit: str, paths: Iterable[str] = ()) -> Change | None:
    """The last commit, up to the given one, that changed any of the files; without files the commit itself."""
    told = git(root, "--literal-pathspecs", "log", "-1", "--format=%s%x00%an%x00%ct", commit, "--", *paths)
    parts = (told or "").split("\0")
    return Change(parts[0], parts[1], float(parts[2])) if len(parts) == 3 else None


def git_bytes(root: Path, commit: str, path: str, *, as_checked_out: bool = False) -> bytes | None:
    """A file of a commit, as git keeps it or as a checkout brings it; None when it is not there."""
    return _call_git(root, "cat-file", "--filters" if as_checked_out else "blob", f"{commit}:./{path}")


ReadBlob = Callable[[str, str], bytes | None]
"""Gives a file of a commit, as git keeps it; None when it is not there."""


@contextmanager
def blob_reader(root: Path) -> Iterator[ReadBlob]:
    """Reads files of commits, all by one process of git."""
    command, environment = ["git", "cat-file", "--batch"], {**os.environ, **AS_IT_IS}
    try:
        process = subprocess.Popen(command, cwd=root, env=environment, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)  # noqa: S603
    except OSError:  # no git, no files of it
        yield lambda commit, path: None
        return
    with process:
        yield functools.partial(_read_blob, process)


def _read_blob(process: "subprocess.Popen[bytes]", commit: str, path: str) -> bytes | None:
    asked, answer = process.stdin, process.stdout
    if asked is None or answer is None or "\n" in path:
        return None
    try:
        asked.write(f"{commit}:./{path}\n".encode())
        asked.flush()
    except BrokenPipeError:  # no repository
        return None
    _, *about = answer.readline().split()
    if len(about) != 2 or not about[1].isdigit():
        return None
    content = answer.read(int(about[1]))
    answer.read(1)
    return content if about[0] == b"blob" else None  # a folder of that name


def git_files(root: Path, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
    """Those files of a commit that are there, as git keeps them, by path."""
    with blob_reader(root) as read:
        found = {path: read(commit, path) for path in paths}
    return {path: content for path, content in found.items() if content is not None}


def blobs_of_commit(root: Path, commit: str) -> dict[str, str]:
    """Name of the blob of each regular file of a commit, by path. A link holds where it points to, and not the file."""
    listed = (git(root, "ls-tree", "-r", "-z", commit) or "").split("\0")
    entries = [entry.split("\t", 1) for entry in listed if entry.startswith(REGULAR_FILES)]
    return {path: about.split(" ")[2] for about, path in entries}


def _call_git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    done = _run_git(root, *arguments, given=given)
    return None if done is None or done.returncode else done.stdout


def _run_git(root: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes] | None:
    """None without git."""
    command, environment = ["git", *arguments], {**os.environ, **AS_IT_IS}
    try:
        return subprocess.run(command, cwd=root, input=given, capture_output=True, check=False, env=environment)  # noqa: S603
    except OSError:
        return None
