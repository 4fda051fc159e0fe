"""Open a table's file within limits: packed or not, and read ahead by a thread that ends when its reader does."""

import gzip
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from churn.errors import DataError
from churn.runtime import RAISE_LIMITS, factor_of_limits

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv

MOST_COLUMNS = 10_000
LONGEST_ROW = 8_000_000
"""Bytes; a row is held in memory as a whole."""
LARGEST_REQUEST = 64_000_000
"""Bytes of a file with customers that `churn score` sends."""
UNPACKED_UNQUESTIONED = 1_000_000_000
"""Bytes that any packed table may have unpacked."""
MOST_UNPACKED_TIMES = 200
"""Times its packed size that a larger one may have. Tables of customers have 3 to 30, a file of zeros has 1,000."""
LARGEST_BATCH = 1_000_000_000
"""Bytes of text in a batch of a Parquet table, where one long label may stand for many cells."""
BLOCKS_AHEAD = 2
"""Blocks read while nobody waits for them."""


class TableTooLargeError(DataError):
    """A table exceeds a limit; the message names it, without the table's name."""


def limit(standard: int) -> int:
    """A limit, times the factor in CHURN_TABLE_LIMITS.

    Raises:
        DataError: the factor is not one.
    """
    return int(standard * factor_of_limits())


def beyond(what: str, standard: int, unit: str) -> TableTooLargeError:
    """The error for a table beyond a limit, which says how to raise it."""
    return TableTooLargeError(f"{what}, more than the limit of {limit(standard):,}{unit}; {RAISE_LIMITS}")


def require_regular(path: Path) -> None:
    """Check that a path, if it exists, is no device, pipe or socket: those have no end, or can be read only once.

    Raises:
        DataError: it is one.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a NUL in its name
        raise DataError(f"{str(path)!r}: is no name of a file") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path}: is a device, pipe or socket, and a table is read more than once; save it as a file")


def require_unpacked_size(unpacked: int, packed: int) -> None:
    """Check that unpacking yields no more than a table of customers could.

    Raises:
        TableTooLargeError: it does.
    """
    if unpacked > limit(UNPACKED_UNQUESTIONED) and unpacked > limit(MOST_UNPACKED_TIMES) * packed:
        raise beyond(
            f"unpacks to more than {unpacked // 1_000_000:,} MB, over {unpacked // max(packed, 1):,} times its size",
            MOST_UNPACKED_TIMES,
            " times",
        )


class Unpacking:
    """The unpacked content of a file, as long as it stays within the limits."""

    closed = False

    def __init__(self, stream: IO[bytes], packed: int) -> None:
        self._stream, self._packed, self._unpacked = stream, packed, 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        content = self._stream.read(size)
        self._unpacked += len(content)
        require_unpacked_size(self._unpacked, self._packed)
        return content

    def readable(self) -> bool:
        """For `io.TextIOWrapper`, as the rest of them."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def seekable(self) -> bool:
        """Never."""
        return False

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """`open_table` closes the file."""

    read1 = read


@contextmanager
def open_table(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a table; yield the file and the stream of its decompressed content.

    The position in the file shows the progress of the stream.

    Raises:
        DataError: it is not a regular file, or a .zip file does not contain exactly one file.
        TableTooLargeError: while it is read, it unpacks to more than a table would.
    """
    require_regular(path)
    with path.open("rb") as file:
        size = path.stat().st_size
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as stream:
                yield file, Unpacking(stream, size)  # type: ignore[arg-type, misc]  # a binary stream in all but name
        elif path.suffix == ".zip":
            with zipfile.ZipFile(file) as archive, archive.open(_only_member(path, archive)) as stream:
                yield file, Unpacking(stream, size)  # type: ignore[misc]
        else:
            yield file, file


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [one for one in archive.infolist() if not one.is_dir()]
    if len(members) != 1:
        raise DataError(f"{path}: contains {len(members)} files; compress only the table")
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # bzip2 and LZMA are unpacked in one piece, of any size, before a limit can be checked.
        raise DataError(f"{path}: packed with another method than deflate; compress it again with the usual one")
    return members[0]


class _Feed:
    """A stream that a thread of Arrow reads from, at most BLOCKS_AHEAD blocks ahead of the reader."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._turn = stream, threading.Condition()
        self._ahead, self._awaited, self._ended = 0, True, False

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none after the end."""
        with self._turn:
            self._turn.wait_for(lambda: self._awaited or self._ended or self._ahead < BLOCKS_AHEAD)
            if self._ended:
                return b""
            self._ahead += 1
            return self._stream.read(size)

    def set_awaited(self, awaited: bool) -> None:
        """Whether the reader waits for rows."""
        with self._turn:
            self._awaited, self._ahead = awaited, 0
            self._turn.notify_all()

    def end(self) -> None:
        """Let every later read find the end of the table."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def close(self) -> None:
        """`open_table` closes the stream."""


@contextmanager
def csv_blocks(stream: IO[bytes], *options: object) -> Iterator[tuple["pa.Schema", Iterator["pa.RecordBatch"]]]:
    """Columns and blocks of rows of a CSV table.

    Arrow's thread reads ahead, and calls Python for it. A reader that is destroyed meanwhile waits for the thread with
    the interpreter's lock held, which the thread needs: both wait forever. A process that ends meanwhile aborts.
    So, however this context ends, the thread has ended before: it found the end of the table.
    """
    import pyarrow.csv  # here: `churn score` reads no table

    feed = _Feed(stream)
    blocks = pyarrow.csv.open_csv(feed, *options)
    try:
        yield blocks.schema, _awaited(blocks, feed)
    finally:
        feed.end()
        _read_to_the_end(blocks)


def _awaited(blocks: "pyarrow.csv.CSVStreamingReader", feed: _Feed) -> Iterator["pa.RecordBatch"]:
    while True:
        feed.set_awaited(True)
        try:
            block = blocks.read_next_batch()
        except StopIteration:
            return
        feed.set_awaited(False)
        yield block


def _read_to_the_end(blocks: "pyarrow.csv.CSVStreamingReader") -> None:
    import pyarrow as pa

    while True:
        try:
            blocks.read_next_batch()
        # The end, or a fault of rows that nobody asked for: one of Arrow's or of unpacking.
        except (StopIteration, pa.ArrowException, OSError, EOFError, RuntimeError, zlib.error, UnicodeError, DataError):
            return
