"""Drafts, which replace a file once they are whole, and temporary folders.

Both belong to a process by a lock of the kernel; the next process removes those that killed ones left.
"""

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from churn.errors import ChurnError
from churn.runtime import DRAFT, lock_if_free, lock_shared

WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
OWNER_ONLY = stat.S_IRUSR | stat.S_IWUSR
LONGEST_START = 50
"""Characters of a file's name used in the name of its draft, because file systems limit the length."""

TEMPORARY = re.compile(r"churn\.[a-z]+\.[a-z0-9_]{8}")
"""Name of a temporary folder."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft that replaces a file of the pipeline atomically on success.

    A symbolic link is replaced, not followed: with DVC's `cache.type symlink` it points into the cache.
    """
    with _drafts([path]) as (draft,):
        yield draft


@contextmanager
def replacing_outputs(*paths: Path, secret: bool = False) -> Iterator[tuple[Path, ...]]:
    """Yield drafts of files that a user names; on success they replace all of them together.

    A symbolic link is kept: the file that it points to is replaced. Nobody else may read a `secret` file at any moment.

    Raises:
        ChurnError: a path cannot be replaced.
    """
    with _drafts([_replaceable(path) for path in paths], secret=secret) as drafts:
        yield drafts


def _replaceable(path: Path) -> Path:
    """Resolve a path to the regular file to be replaced."""
    target, name = path, str(path)
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        name = f"{path} (a link to {target})"
        if target.is_symlink() or not target.parent.is_dir():
            raise ChurnError(f"{name}: the link is broken; fix it, or name another file")
    if target.is_file() and not (os.access(target, os.W_OK) and target.stat().st_mode & WRITABLE):
        raise ChurnError(
            f"{name}: is read-only; name another file, or make it writable (`dvc unprotect` if DVC tracks it)"
        )
    if os.path.lexists(target) and not target.is_file():
        raise ChurnError(f"{name}: {_kind(target)} and cannot be replaced; name another file")
    return target


def _kind(path: Path) -> str:
    return "is a folder" if path.is_dir() else "is a device, pipe or socket"


@contextmanager
def _drafts(paths: Sequence[Path], *, secret: bool = False) -> Iterator[tuple[Path, ...]]:
    """Drafts are held while they are written: who writes there next removes those of killed processes only."""
    for folder in {path.parent for path in paths}:
        remove_abandoned(folder, DRAFT)
    with ExitStack() as held:
        drafts = {path: _create(path, held, secret=secret) for path in paths}
        yield tuple(drafts.values())
        _put_in_place(drafts, held)


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name[:LONGEST_START]}.{secrets.token_hex(6)}.draft"


def _create(path: Path, held: ExitStack, *, secret: bool) -> Path:
    """Create an empty draft with owner and mode of the file that it will replace, so a private file stays private."""
    earlier = path.lstat() if os.path.lexists(path) else None
    if earlier and not (stat.S_ISREG(earlier.st_mode) or stat.S_ISLNK(earlier.st_mode)):
        raise ChurnError(f"{path}: {_kind(path)}, but a file must be written there; move it away")
    # Files that DVC links to its cache are read-only to protect the cache, so their mode is not copied.
    copied = earlier if earlier and stat.S_ISREG(earlier.st_mode) and earlier.st_mode & stat.S_IWUSR else None
    usual = OWNER_ONLY if secret else 0o666  # the umask applies
    with _faults_with_target_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _claimed(path, stat.S_IMODE(copied.st_mode) & usual if copied else usual, held)
    if copied:
        with suppress(OSError):  # only root may change the owner
            os.chown(draft, copied.st_uid, copied.st_gid)
        draft.chmod(OWNER_ONLY if secret else stat.S_IMODE(copied.st_mode))
    return draft


def _claimed(path: Path, mode: int, held: ExitStack) -> Path:
    """Make a new file beside a path; it belongs to this process until `held` ends, which removes it."""
    while True:
        draft = _beside(path)
        held.callback(_discard, draft)  # first, so that no interruption comes between
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        held.callback(os.close, descriptor)
        if hold(descriptor, draft):
            return draft


def _discard(draft: Path) -> None:
    with suppress(OSError):  # the disk that cannot be written to is reported already; the next write tries again
        draft.unlink()


def _put_in_place(drafts: Mapping[Path, Path], held: ExitStack) -> None:
    """Replace all files or none: if one fails, restore those already replaced."""
    earlier: dict[Path, Path] = {}
    try:
        for path in [path for path in drafts if len(drafts) > 1 and os.path.lexists(path)]:
            with _faults_with_target_name(path):
                earlier[path] = _copy_beside(path, held)
        for path, draft in drafts.items():
            with _faults_with_target_name(path):
                draft.replace(path)
    except BaseException:
        for path in [path for path, draft in drafts.items() if not draft.exists()]:
            if path in earlier:
                earlier[path].replace(path)
            else:
                path.unlink()
        raise


@contextmanager
def _faults_with_target_name(path: Path) -> Iterator[None]:
    """Report system errors with the name of the file instead of its draft."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _copy_beside(path: Path, held: ExitStack) -> Path:
    """A second name of a file that is to be replaced; a copy where the file system has no hard links."""
    with suppress(PermissionError):  # a file that one may write and not read; its second name is then not held
        descriptor = os.open(path, os.O_RDONLY)
        held.callback(os.close, descriptor)
        hold(descriptor, path)
    name = _beside(path)
    held.callback(_discard, name)
    try:
        os.link(path, name)
    except OSError:
        name = _claimed(path, OWNER_ONLY, held)
        shutil.copy2(path, name)
    return name


def hold(descriptor: int, path: Path) -> bool:
    """Claim what was just made, as long as its descriptor is open; false if another process has removed it already."""
    lock_shared(descriptor)
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def remove_abandoned(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what killed processes of this user left in a folder: files and folders that nobody holds any more."""
    with suppress(OSError):  # there is no such folder, or it may not be listed
        for path in [path for path in folder.iterdir() if names.fullmatch(path.name)]:
            with suppress(OSError):  # another process was quicker, or may write there and this one may not
                _remove_unless_held(path)


def _remove_unless_held(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        is_ours = os.geteuid() in (0, os.fstat(descriptor).st_uid)
        if is_ours and lock_if_free(descriptor):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        os.close(descriptor)


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder that is removed at the end; if this process is killed, by the next one that needs such a folder."""
    import tempfile  # here: every stage and command imports this module

    parent = Path(tempfile.gettempdir())
    remove_abandoned(parent, TEMPORARY)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"churn.{purpose}."))
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # removed before it was claimed
            continue
        if hold(descriptor, folder):
            break
        os.close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(descriptor)


@contextmanager
def own_temporary_files() -> Iterator[None]:
    """Have libraries put their temporary files into a folder of this process, so that a kill leaves none for good."""
    import tempfile

    with temporary_folder("libraries") as folder:
        given, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = given
