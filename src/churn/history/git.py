"""Query a git repository through git's command line, and clone a commit for a check.

"No answer" is never "nothing there": a git that refuses (a folder of another owner, a damaged repository) raises an
error with git's own reason, and None only stands for what git says does not exist.
"""

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

from churn.drafts import temporary_folder
from churn.errors import ChurnError, excerpt

AS_IT_IS = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
"""Ignores replacement refs, which can forge a history and come with a fetch; prints messages in parsable English."""
PLAIN_OUTPUT = ("-c", "log.showSignature=false")
"""A setting of a user that would add lines to an answer."""
OF_ANOTHER_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""Variables that git sets for its hooks: they redirect every git below to that repository.

From `git rev-parse --local-env-vars`, without those of settings.
"""
NO_SETTING: Mapping[str, str] = {}
REGULAR_FILES = ("100644", "100755")
"""git's modes of regular files."""

NO_REPOSITORY = re.compile(r"not a git repository(?!: )", re.IGNORECASE)
"""Without a path behind it: a worktree or submodule whose repository is gone is a fault."""
NOTHING_THERE = re.compile(
    "needed a single revision|unknown revision|bad revision|not a valid object name|invalid object name"
    "|does not exist in|exists on disk, but not in|does not have any commits yet|ambiguous argument 'HEAD",
    re.IGNORECASE,
)
"""What git says of a name that does not exist."""
ADVICE = re.compile(r"^\s+(git config .*safe\.directory.*)$", re.MULTILINE)


class GitRefusalError(ChurnError):
    """git gives no answer, for a reason of its own."""


def git(root: Path, *arguments: str) -> str | None:
    """Output of a git command; None outside a repository, before the first commit, and for what does not exist.

    Raises:
        GitRefusalError: git refuses.
    """
    answer = _call_git(root, *arguments)
    return None if answer is None else answer.decode(errors="replace").strip("\n")


def git_diff(root: Path, *arguments: str) -> str | None:
    """Output of `git diff` against files of the folder; None as for `git`, and with `--quiet` if there are differences.

    `git diff` writes the index, whatever GIT_OPTIONAL_LOCKS says: a kill would leave a lock that stops the user's git,
    and a commit at that moment would fail. So it gets a copy of the index.

    Raises:
        GitRefusalError: git refuses.
    """
    with ExitStack() as held:
        setting = {}
        with suppress(OSError):  # no room for a copy: a lock for a moment is better than no answer
            setting = {"GIT_INDEX_FILE": str(_copy_of_index(root, held))}
        answer = _call_git(root, "diff", *arguments, setting=setting)
    return None if answer is None else answer.decode(errors="replace").strip("\n")


def _copy_of_index(root: Path, held: ExitStack) -> Path:
    index = root / (git(root, "rev-parse", "--git-path", "index") or "")
    copy = held.enter_context(temporary_folder("index")) / "index"
    if index.is_file():
        shutil.copy2(index, copy)  # with its time: git trusts the size and time of files that are older
    return copy


def commit_of(root: Path, name: str) -> str | None:
    """Resolve a branch, tag or abbreviated commit; None if there is none.

    Raises:
        ChurnError: the name is ambiguous. A fetch can bring a tag with the name of a branch, which it then hides.
        GitRefusalError: git refuses.
    """
    # The suffix and --end-of-options keep git from reading a text such as `--all` as an option.
    asked = ["-c", "core.warnAmbiguousRefs=true", "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}"]
    done = _run_git(root, *asked)
    if done is None:
        return None
    if done.returncode:
        git(root, "rev-parse", "--git-dir")  # whatever is wrong with the name, a git that refuses is told
        return None
    commit, base = done.stdout.decode().strip(), re.split(r"[~^@:]", name)[0]
    hides_a_commit = re.fullmatch(r"[0-9a-f]{4,40}", base) and base == name and not commit.startswith(base)
    if hides_a_commit or (b"is ambiguous" in done.stderr and base != "HEAD"):
        raise ChurnError(
            f"{excerpt(name)}: more than one branch, tag or commit has that name (`git show-ref {base}`); write it in "
            "full, such as refs/heads/main, or give all 40 digits of the commit"
        )
    return commit


def require_repository(root: Path) -> None:
    """Check that a folder is in a git repository.

    Raises:
        ChurnError: it is not, as after the download of a ZIP file.
    """
    if git(root, "rev-parse", "--git-dir") is None:
        made = "`git init`, `git add --all` and `git commit --message start` make it one"
        raise ChurnError(f"{root.resolve()}: no git repository; {made}")


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
    """Read files of commits through one git process.

    Raises:
        GitRefusalError: git refuses.
    """
    if git(root, "rev-parse", "--git-dir") is None:
        yield lambda commit, path: None
        return
    command = ["git", "cat-file", "--batch"]
    with subprocess.Popen(command, cwd=root, env=_environment(), stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:  # noqa: S603
        yield functools.partial(_read_blob, process)


def _read_blob(process: "subprocess.Popen[bytes]", commit: str, path: str) -> bytes | None:
    asked, answer, faults = process.stdin, process.stdout, process.stderr
    if asked is None or answer is None or faults is None or "\n" in path:
        return None
    try:
        asked.write(f"{commit}:./{path}\n".encode())
        asked.flush()
        header = answer.readline()
    except BrokenPipeError:
        header = b""
    if not header:
        raise GitRefusalError(_reason(faults.read()))
    _, *about = header.split()
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


def changed_files(root: Path, commit: str = "HEAD") -> list[str]:
    """Files of a project that differ from a commit or are in none, ignored ones apart; paths within the project."""
    if commit_of(root, commit) is None:
        return []
    tracked = git_diff(root, "--name-only", "--no-renames", "--relative", "-z", commit, "--", ".") or ""
    others = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or ""
    return [path for path in (tracked + "\0" + others).split("\0") if path]


@dataclass(frozen=True)
class Clone:
    """A commit of a project, checked out in a folder of its own.

    Attributes:
        project: folder of the project in the clone; the repository may hold more.
        environment: of git and of all that runs there: no setting and no hook of the user's applies.
    """

    project: Path
    environment: Mapping[str, str]


def clone_commit(root: Path, commit: str, folder: Path) -> Clone:
    """Clone the repository of a project into an empty folder, with a commit checked out.

    Hooks, templates, aliases, signing and line ends of the user's settings are left out. Filters are not: they decide
    the content of files, such as those of large-file storage.

    Raises:
        GitRefusalError: git refuses.
        ChurnError: the project is in no repository, or the commit does not exist.
    """
    require_repository(root)
    top, prefix = (str(git(root, "rev-parse", asked)) for asked in ("--show-toplevel", "--show-prefix"))
    sha = commit_of(root, commit)
    if sha is None:
        raise ChurnError(f"{excerpt(commit)}: no branch, tag or commit has that name")
    settings = folder / "gitconfig"
    folder.mkdir(parents=True, exist_ok=True)
    settings.touch()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = {**inherited, **AS_IT_IS, "GIT_CONFIG_GLOBAL": str(settings), "GIT_CONFIG_NOSYSTEM": "1"}
    clone = folder / "clone"
    # git has answered here, so it may read this repository, whoever owns it; any commit of it may be fetched.
    for name, value in [("safe.directory", "*"), ("uploadpack.allowAnySHA1InWant", "true"), *_filters(root)]:
        _in_clone(folder, environment, "config", "--global", "--add", name, value)
    _in_clone(folder, environment, "clone", "--quiet", "--no-checkout", "--template=", "--", top, str(clone))
    if commit_of(clone, sha) is None:  # of a shallow repository git copies only what a branch or tag has
        _in_clone(clone, environment, "fetch", "--quiet", "--depth=1", "origin", sha)
    _in_clone(clone, environment, "checkout", "--quiet", "--detach", sha)
    return Clone(clone / prefix, environment)


def _filters(root: Path) -> Iterator[tuple[str, str]]:
    listed = git(root, "config", "--null", "--get-regexp", r"^filter\.") or ""
    for entry in filter(None, listed.split("\0")):
        name, _, value = entry.partition("\n")
        yield name, value


def _in_clone(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise GitRefusalError(_reason(done.stderr))


def _call_git(root: Path, *arguments: str, given: bytes = b"", setting: Mapping[str, str] = NO_SETTING) -> bytes | None:
    done = _run_git(root, *arguments, given=given, setting=setting)
    if done is None:
        return None
    if done.returncode == 0:
        return done.stdout
    told = done.stderr.decode(errors="replace")
    if not told.strip() or NO_REPOSITORY.search(told) or NOTHING_THERE.search(told):
        return None
    raise GitRefusalError(_reason(done.stderr))


def _run_git(
    root: Path, *arguments: str, given: bytes = b"", setting: Mapping[str, str] = NO_SETTING
) -> subprocess.CompletedProcess[bytes] | None:
    """Run git; None if it is not installed and the folder is in no repository."""
    command = ["git", *PLAIN_OUTPUT, *arguments]
    environment = {**_environment(), **setting}
    try:
        return subprocess.run(command, cwd=root, input=given, capture_output=True, check=False, env=environment)  # noqa: S603
    except OSError as error:
        if any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents)):
            raise GitRefusalError(f"git: {error.strerror}; install it, since this folder is in a repository") from error
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


def _environment() -> dict[str, str]:
    """The environment of this process, without what would redirect git to another repository."""
    inherited = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER_REPOSITORY}
    return inherited | AS_IT_IS


def _reason(told: bytes) -> str:
    """Reason that git gives, on one line, with the command that it advises."""
    text = told.decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()] or ["no answer"]
    first = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[0])
    advice = ADVICE.search(text)
    return f"git: {first.partition(': ')[2] or first}{f'; `{advice[1].strip()}` allows it' if advice else ''}"
