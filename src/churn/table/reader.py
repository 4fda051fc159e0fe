"""A table of customers as texts, whole or some rows at a time: nothing interpreted, nothing filled in silently."""

import codecs
import csv
import functools
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from churn.config.contract import TableContract, TableFormat
from churn.errors import DataError
from churn.table.validation import header_problem

NO_ROWS = "holds no rows; check data.source"
PARQUET = ".parquet"
LONGEST_CELL = 2**31 - 1
"""Characters; the csv module's own limit is shorter than what the reader of tables takes."""
NOT_PACKED = (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error)
"""What unpacking raises; RuntimeError: packed with a password."""


def read_source(path: Path, how: TableFormat) -> pd.DataFrame:
    """Read a table as texts, nothing interpreted; names as in the header, repeated ones included.

    A CSV table may be packed (.gz, .zip); the values of a Parquet table are written out, a null as ''.

    Raises:
        DataError: missing, empty, not in that encoding, with a quote left open, or a row of another length than the
            header.
    """
    try:
        table = _read_parquet(path, how) if path.suffix == PARQUET else _read_csv(path, how)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the table there, or set data.source") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder; set data.source to a CSV or Parquet file") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # before NOT_PACKED: one of them is a RuntimeError
        advice = "; save the table as CSV or Parquet, and check data.format"
        raise DataError(f"{path}: {first_line(error)}{advice}") from None
    except NOT_PACKED as error:
        raise DataError(f"{path}: cannot be unpacked ({first_line(error)}); pack it anew") from None
    if table.num_rows == 0:
        raise DataError(f"{path}: {NO_ROWS}")
    texts: pd.DataFrame = table.to_pandas()
    return texts


def _read_csv(path: Path, how: TableFormat) -> pa.Table:
    ragged: list[pyarrow.csv.InvalidRow] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    with open_table(path) as (_, stream):
        content = _in_utf8(path, stream.read(), how)
    _require_rows(path, content, how)
    header = pyarrow.csv.open_csv(pa.BufferReader(content), parse_options=parse_options(how, lambda _: "skip"))
    table = pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(use_threads=False),  # with threads, ragged rows have no number
        parse_options=parse_options(how, set_aside),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header.schema.names, pa.string())),
    )
    if ragged:
        first = ragged[0]
        raise DataError(
            f"{path}: data row {first.number - 1:,} has another number of cells ({first.actual_columns}) than "
            f"the header ({first.expected_columns}); mend it, with quotes around a cell that holds a "
            f"{delimiter_name(how)}, or set data.format.delimiter"
        )
    return table


def delimiter_name(how: TableFormat) -> str:
    """The delimiter in a word."""
    return {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(how.delimiter, repr(how.delimiter))


@contextmanager
def open_table(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A file, and the stream of what is packed in it; the place in the first tells how far the second has come.

    Raises:
        DataError: a .zip file that holds other than one file.
    """
    with path.open("rb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=file) as stream:
                yield file, stream  # type: ignore[misc]  # a binary stream, though not typed as one
        elif path.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
                if len(names) != 1:
                    raise DataError(f"{path}: holds {len(names)} files; pack the table alone")
                with archive.open(names[0]) as stream:
                    yield file, stream
        else:
            yield file, file


def _in_utf8(path: Path, content: bytes, how: TableFormat) -> bytes:
    try:
        text = content.decode(how.encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        name = "UTF-8" if is_utf8(how) else how.encoding
        raise DataError(
            f"{path}: byte {error.start:,} is not {name}, in line {line:,}; save the table as UTF-8, or name its "
            "encoding in data.format"
        ) from None
    return content if is_utf8(how) else text.encode()


def is_utf8(how: TableFormat) -> bool:
    """Whether a table can be read as it is."""
    return codecs.lookup(how.encoding).name in ("utf-8", "utf-8-sig")


def _require_rows(path: Path, content: bytes, how: TableFormat) -> None:
    content = content.strip()
    if not content:
        raise DataError(f"{path}: is empty; check data.source")
    if b"\n" not in content and b"\r" not in content:
        raise DataError(f"{path}: {NO_ROWS}")
    if content.count(how.quote.encode()) % 2:
        raise DataError(f"{path}: {open_quote(how)}")


def open_quote(how: TableFormat) -> str:
    """What is said of a table with an open quote: the rest of it would be read as one cell."""
    name = {'"': "double quotes", "'": "single quotes"}.get(how.quote, repr(how.quote))
    return f"has an odd number of {name}; close the open one, or double it inside a cell"


def _read_parquet(path: Path, how: TableFormat) -> pa.Table:
    if path.is_dir():
        raise IsADirectoryError(path)
    table = pyarrow.parquet.read_table(path)
    return pa.table([texts_of(column, how) for column in table.columns], names=table.column_names)


def texts_of(column: pa.ChunkedArray | pa.Array, how: TableFormat) -> pa.ChunkedArray | pa.Array:
    """Values of a typed column written out, numbers with the format's decimal sign; null and not-a-number as ''."""
    kind = column.type
    if pa.types.is_floating(kind):
        column = pyarrow.compute.if_else(pyarrow.compute.is_nan(column), None, column)
        if how.decimal != ".":  # beside another sign, an exponent could not be read
            numbers = column.to_pylist()
            plain = [None if one is None else np.format_float_positional(one, trim="-") for one in numbers]
            column = pa.array(plain, pa.string())
    texts = column.cast(pa.string()).fill_null("")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        texts = pyarrow.compute.replace_substring(texts, ".", how.decimal)
    return texts


def lines_of(path: Path, how: TableFormat, rows: Sequence[int]) -> list[int]:
    """Line of the file on which each row ends, counting from 1; of a Parquet table its place, the first being 1.

    Reads the table once more, so only for a table that is refused. `rows`: places from 0, in any order.
    """
    if path.suffix == PARQUET:
        return [row + 1 for row in rows]
    csv.field_size_limit(LONGEST_CELL)
    wanted = set(rows)
    found: dict[int, int] = {}
    with open_table(path) as (_, stream), io.TextIOWrapper(stream, encoding=how.encoding, newline="") as text:
        reader = csv.reader(text, delimiter=how.delimiter, quotechar=how.quote)
        number = -2  # the header comes first
        for cells in reader:
            if not cells:
                continue
            number += 1
            if number in wanted:
                found[number] = reader.line_num
    return [found[row] for row in rows]


def parse_options(how: TableFormat, on_ragged_row: Callable[[pyarrow.csv.InvalidRow], str]) -> pyarrow.csv.ParseOptions:
    """How a CSV table is cut into cells; what happens to a row of another length than the header is said there."""
    return pyarrow.csv.ParseOptions(
        delimiter=how.delimiter, quote_char=how.quote, newlines_in_values=True, invalid_row_handler=on_ragged_row
    )


def first_line(error: Exception) -> str:
    """What a library says, without its explanations."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")


BLOCK_BYTES = 8 * 1024 * 1024
ROWS_A_BATCH = 65_536


@dataclass(frozen=True)
class Batch:
    """Some rows of a table.

    Attributes:
        texts: one column a column of the table; an empty text is a gap.
        numbers: place of each row in the table, from 1, the header apart.
        ragged: rows left out because they have another number of cells: place and reason.
        done: share of the table that this batch ends at.
    """

    texts: pd.DataFrame
    numbers: NDArray[np.int64]
    ragged: dict[int, str]
    done: float


def read_batches(path: Path, contract: TableContract) -> Iterator[Batch]:
    """Read a CSV or Parquet table of customers; it needs the contract's columns, but no target.

    Raises:
        DataError: missing, not readable, or without rows or a column of the contract.
    """
    batches = _parquet_batches(path, contract.format) if path.suffix == PARQUET else _csv_batches(path, contract.format)
    empty = True
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a CSV or Parquet file")
    try:
        for batch in batches:
            problem = header_problem(list(batch.texts.columns), contract, target=False)
            if problem:
                raise DataError(f"{path}: {problem}")
            empty = False
            yield batch
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; name a CSV or Parquet file") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:  # before NOT_PACKED: one of them is a RuntimeError
        raise DataError(f"{path}: {first_line(error)}; save the table as data.format says, or as Parquet") from None
    except NOT_PACKED as error:
        raise DataError(f"{path}: cannot be unpacked ({first_line(error)}); pack it anew") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    if empty:
        raise DataError(f"{path}: holds no rows")


def _csv_batches(path: Path, how: TableFormat) -> Iterator[Batch]:
    ragged: dict[int, str] = {}

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        ragged[row.number - 1] = f"has {row.actual_columns} cells, the header has {row.expected_columns}"
        return "skip"

    _require_closed_quotes(path, how)
    size = path.stat().st_size
    # With threads, ragged rows have no number.
    options = pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=how.encoding)
    with open_table(path) as (_, stream):
        header = pyarrow.csv.open_csv(stream, options, parse_options(how, lambda _: "skip")).schema.names
    texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    following = 1
    with open_table(path) as (file, stream):
        for block in pyarrow.csv.open_csv(stream, options, parse_options(how, set_aside), texts):
            numbers = _numbers(following, len(block), ragged)
            following = int(numbers[-1]) + 1 if len(numbers) else following
            # The reader looks ahead: what it met beyond this block belongs to the next one.
            here = {number: ragged.pop(number) for number in sorted(ragged) if number < following}
            yield Batch(block.to_pandas(), numbers, here, file.tell() / size)
    if ragged:
        nobody = pd.DataFrame(columns=header, dtype="str")
        yield Batch(nobody, np.array([], dtype=np.int64), dict(sorted(ragged.items())), 1.0)


def _require_closed_quotes(path: Path, how: TableFormat) -> None:
    """Else the rows behind an open quote would be one cell, and lost without a word."""
    decoder = codecs.getincrementaldecoder(how.encoding)(errors="replace")
    with open_table(path) as (_, stream):
        blocks = iter(functools.partial(stream.read, BLOCK_BYTES), b"")
        if sum(decoder.decode(block).count(how.quote) for block in blocks) % 2:
            raise DataError(f"{path}: {open_quote(how)}")


def _numbers(first: int, count: int, ragged: Collection[int]) -> NDArray[np.int64]:
    """Places of as many rows from the first place on, those of ragged rows left out."""
    places = np.arange(first, first + count + len(ragged), dtype=np.int64)
    return places[~np.isin(places, list(ragged))][:count]


def _parquet_batches(path: Path, how: TableFormat) -> Iterator[Batch]:
    following = 1
    with pyarrow.parquet.ParquetFile(path) as file:
        total = file.metadata.num_rows
        for block in file.iter_batches(ROWS_A_BATCH):
            columns = [texts_of(column, how) for column in block.columns]
            texts = pa.RecordBatch.from_arrays(columns, names=block.schema.names).to_pandas()
            numbers = np.arange(following, following + len(texts), dtype=np.int64)
            following += len(texts)
            yield Batch(texts, numbers, {}, (following - 1) / total)
