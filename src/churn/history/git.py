"""Query a git repository through git's command line."""

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
"""Ignores replacement refs, which can forge a history and come with a fetch; prints messages in parsable English."""
REGULAR_FILES = ("100644", "100755")
"""git's modes of regular files."""


def git(root: Path, *arguments: str) -> str | None:
    """Output of a git command; None if it fails: outside a repository, before the first commit, or without git."""
    answer = _call_git(root, *arguments)
    return None if answer is None else answer.decode(errors="replace").strip()


def commit_of(root: Path, name: str) -> str | None:
    """Resolve a branch, tag or abbreviated commit; None if there is none.

    Raises:
        ChurnError: the name is ambiguous. A fetch can bring a tag with the name of a branch, which it then hides.
    """
    # The suffix and --end-of-options keep git from reading a text such as `--all` as an option.
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
class CommitSummary:
    """A commit as people know it: its subject line, its author, and its time in seconds since 1970."""

    subject: str
    author: str
    when: float


def last_change(root: Path, commit: str, paths: Iterable[str] = ()) -> CommitSummary | None:
    """The last commit, up to the given one, that changed any of the files; without files the commit itself."""
    told = git(root, "--literal-pathspecs", "log", "-1", "--format=%s%x00%an%x00%ct", commit, "--", *paths)
    parts = (told or "").split("\0")
    return CommitSummary(parts[0], parts[1], float(parts[2])) if len(parts) == 3 else None


def git_bytes(root: Path, commit: str, path: str, *, as_checked_out: bool = False) -> bytes | None:
    """Content of a file of a commit, as stored in git or as checked out; None if it does not exist."""
    return _call_git(root, "cat-file", "--filters" if as_checked_out else "blob", f"{commit}:./{path}")


ReadBlob = Callable[[str, str], bytes | None]
"""Returns the content of a file of a commit, as stored in git; None if it does not exist."""


@contextmanager
def blob_reader(root: Path) -> Iterator[ReadBlob]:
    """Read files of commits through one git process."""
    command, environment = ["git", "cat-file", "--batch"], {**os.environ, **AS_IT_IS}
    try:
        process = subprocess.Popen(command, cwd=root, env=environment, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)  # noqa: S603
    except OSError:  # git is not installed
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
    """Content of files of a commit by path, as stored in git; missing files are left out."""
    with blob_reader(root) as read:
        found = {path: read(commit, path) for path in paths}
    return {path: content for path, content in found.items() if content is not None}


def blobs_of_commit(root: Path, commit: str) -> dict[str, str]:
    """Blob id of each regular file of a commit, by path; not of symbolic links, whose blobs contain their target."""
    listed = (git(root, "ls-tree", "-r", "-z", commit) or "").split("\0")
    entries = [entry.split("\t", 1) for entry in listed if entry.startswith(REGULAR_FILES)]
    return {path: about.split(" ")[2] for about, path in entries}


def _call_git(root: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    done = _run_git(root, *arguments, given=given)
    return None if done is None or done.returncode else done.stdout


def _run_git(root: Path, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes] | None:
    """Run git; None if it is not installed."""
    command, environment = ["git", *arguments], {**os.environ, **AS_IT_IS}
    try:
        return subprocess.run(command, cwd=root, input=given, capture_output=True, check=False, env=environment)  # noqa: S603
    except OSError:
        return None


STOPPED = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""What git leaves in its folder while an operation waits for you; a rebase also leaves some of the others."""


def unfinished_operation(root: Path) -> str | None:
    """The operation that git has begun and not finished, such as a merge with conflicts; None if there is none."""
    asked = [argument for name in STOPPED for argument in ("--git-path", name)]
    paths = (git(root, "rev-parse", *asked) or "").splitlines()
    begun = (operation for path, operation in zip(paths, STOPPED.values(), strict=False) if (root / path).exists())
    return next(begun, None)
