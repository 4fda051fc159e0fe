"""Read a customer table as text, whole or in batches, without type inference."""

import codecs
import csv
import functools
import gzip
import io
import itertools
import re
import string
import zipfile
import zlib
from collections.abc import Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from churn.config.contract import TableContract, TableFormat
from churn.errors import DataError
from churn.table.opening import (
    LARGEST_BATCH,
    LONGEST_ROW,
    MOST_COLUMNS,
    TableTooLargeError,
    beyond,
    csv_blocks,
    limit,
    open_table,
    require_regular,
    require_unpacked_size,
)
from churn.table.sniffing import HEAD_BYTES, difference, encoding_of, require_text
from churn.table.validation import header_problem

PARQUET = ".parquet"
BLOCK_BYTES = LONGEST_ROW
"""Arrow requires that a row fits in a block."""
ROWS_A_BATCH = 65_536
LONGEST_CELL = 2**31 - 1
"""Maximum characters of a cell; the csv module's default is lower than what Arrow reads."""
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", '"': "double quotes", "'": "single quotes"}
NOT_PACKED = (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error)
"""Errors of decompression; RuntimeError: the file is encrypted."""


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a table.

    Attributes:
        texts: the columns of the table as text; an empty text is a missing value.
        numbers: row number of each row in the table, from 1, without the header.
        ragged: reason by row number, for rows dropped because their number of cells differs from the header.
        done: share of the table that has been read after this batch, 0 to 1.
    """

    texts: pd.DataFrame
    numbers: NDArray[np.int64]
    ragged: dict[int, str]
    done: float


@dataclass(frozen=True)
class _Advice:
    """Advice in error messages; it depends on whether the path comes from params.yaml or from an argument."""

    absent: str
    folder: str
    rowless: str


OF_SOURCE = _Advice(
    absent="put the table there, or set data.source",
    folder="set data.source to a CSV or Parquet file",
    rowless="check data.source",
)
OF_ARGUMENT = _Advice(
    absent="name a CSV or Parquet file",
    folder="name a CSV or Parquet file",
    rowless="name a table with a header and rows",
)


def read_source(path: Path, how: TableFormat) -> pd.DataFrame:
    """Read a whole table as text, with the column names of the header, including duplicates.

    A CSV table may be compressed (.gz, .zip). Values of a Parquet table are converted to text, nulls to ''.

    Raises:
        DataError: the file is missing, empty, not in the given encoding, has an unclosed quote, or a row whose number
            of cells differs from the header.
    """
    batches = list(_batches(path, how, OF_SOURCE))
    ragged = {number: reason for batch in batches for number, reason in batch.ragged.items()}
    if ragged:
        first = min(ragged)
        delimiter = NAMES.get(how.delimiter, repr(how.delimiter))
        raise DataError(
            f"{path}: data row {first:,} {ragged[first]}; quote a cell that contains a {delimiter}, "
            "or set data.format.delimiter"
        )
    return pd.concat([batch.texts for batch in batches], ignore_index=True)


def read_batches(path: Path, contract: TableContract) -> Generator[Batch]:
    """Read a CSV or Parquet table in batches; the target column is optional. Close it if you leave it early.

    Raises:
        DataError: the file is missing, cannot be read, or has no rows or lacks a column of the contract.
    """
    with closing(_batches(path, contract.format, OF_ARGUMENT)) as batches:
        for batch in batches:
            problem = header_problem(list(batch.texts.columns), contract, target=False)
            if problem:
                raise DataError(f"{path}: {difference_of(path, contract.format) or problem}")
            yield batch


def difference_of(path: Path, how: TableFormat) -> str | None:
    """In what a table's format seems to differ from the expected one; None if nothing is noticed."""
    return None if path.suffix == PARQUET else difference(head_of(path), how)


def head_of(path: Path) -> bytes:
    """The first bytes of a CSV table, unpacked."""
    with open_table(path) as (_, stream):
        return stream.read(HEAD_BYTES)


def read_columns(path: Path, how: TableFormat, names: Sequence[str]) -> pd.DataFrame:
    """Read some columns of a CSV or Parquet table as text; rows whose number of cells is wrong are refused.

    Raises:
        DataError: the file is missing, cannot be read, has no rows or lacks a column.
    """
    with closing(_batches(path, how, OF_ARGUMENT)) as batches:
        return pd.concat([_columns_of(batch, path, names) for batch in batches], ignore_index=True)


def _columns_of(batch: Batch, path: Path, names: Sequence[str]) -> pd.DataFrame:
    columns = list(batch.texts.columns)
    repeated = [name for name in names if columns.count(name) > 1]
    if repeated:
        raise DataError(f"{path}: column {repeated[0]!r} appears more than once; rename or remove the duplicates")
    absent = [name for name in names if name not in columns]
    if absent:
        raise DataError(f"{path}: no column {absent[0]!r}; the file has: {', '.join(map(str, batch.texts))}")
    for number, reason in batch.ragged.items():
        raise DataError(f"{path}: data row {number:,} {reason}; correct it")
    return batch.texts[list(names)]


def _batches(path: Path, how: TableFormat, advice: _Advice) -> Generator[Batch]:
    is_parquet = path.suffix == PARQUET
    empty = True
    try:
        with closing(_parquet_batches(path, how) if is_parquet else _csv_batches(path, how, advice)) as batches:
            for batch in batches:
                empty = False
                yield batch
    except TableTooLargeError as error:
        raise DataError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {advice.absent}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder; {advice.folder}") from None
    # Before NOT_PACKED, since one of Arrow's errors is a RuntimeError; UnicodeError: UTF-16 without its mark.
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowIndexError, UnicodeError) as error:
        if "straddl" in str(error):
            raise DataError(f"{path}: {beyond('has a row that is too long', LONGEST_ROW, ' bytes')}") from None
        cure = "save the table as CSV or Parquet, and check data.format"
        raise DataError(f"{path}: {first_line(error)}; {cure}") from None
    except NOT_PACKED as error:
        raise DataError(f"{path}: cannot be decompressed ({first_line(error)}); compress it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or first_line(error)}") from None
    if empty:
        raise DataError(f"{path}: holds no rows; {advice.rowless}")


def _csv_batches(path: Path, how: TableFormat, advice: _Advice) -> Generator[Batch]:
    ragged: dict[int, str] = {}

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        cells, expected = row.actual_columns, row.expected_columns
        ragged[row.number - 1] = f"differs from the header in its number of cells ({cells} instead of {expected})"
        return "skip"

    _require_text(path, how, advice)
    size, following = path.stat().st_size, 1
    options = (
        # With threads, Arrow does not report the numbers of ragged rows.
        pyarrow.csv.ReadOptions(use_threads=False, block_size=limit(BLOCK_BYTES), encoding=_encoding(how)),
        pyarrow.csv.ParseOptions(
            delimiter=how.delimiter, quote_char=how.quote, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        pyarrow.csv.ConvertOptions(default_column_type=pa.string()),
    )
    with open_table(path) as (file, stream), csv_blocks(stream, *options) as (schema, blocks):
        for block in filter(len, blocks):  # a block of only ragged rows is empty
            numbers = _numbers(following, len(block), ragged)
            following = int(numbers[-1]) + 1
            # Arrow reads ahead: ragged rows beyond this block belong to a later batch.
            here = {number: ragged.pop(number) for number in sorted(ragged) if number < following}
            yield Batch(block.to_pandas(), numbers, here, file.tell() / size)
        if ragged:
            yield Batch(schema.empty_table().to_pandas(), np.array([], dtype=np.int64), ragged, 1.0)


def _require_text(path: Path, how: TableFormat, advice: _Advice) -> None:
    """Check that a table can be decoded, has rows, and has no open quote (all text after it would be one cell)."""
    decoder = codecs.getincrementaldecoder(_encoding(how))()
    place = lines = quotes = 0
    start = ""
    with open_table(path) as (_, stream):
        for block in itertools.chain(iter(functools.partial(stream.read, BLOCK_BYTES), b""), [b""]):
            if not place:
                _require_own_kind(path, block)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                earlier = error.object[: len(error.object) - len(block)]  # a character begun in the previous block
                place += error.start - len(earlier)
                lines += error.object.count(b"\n", 0, error.start) - earlier.count(b"\n")
                seeming = encoding_of(head_of(path))
                told = f"it seems to be {seeming}: " if seeming and seeming.upper() != _encoding(how).upper() else ""
                raise DataError(
                    f"{path}: byte {place:,} (line {lines + 1:,}) is not valid {_encoding(how)}; {told}"
                    "save the table as UTF-8, or set data.format.encoding"
                ) from None
            if not start:
                start = text
                _require_columns(re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0].count(how.delimiter) + 1)
            place += len(block)
            lines += block.count(b"\n")
            quotes += text.count(how.quote)
    start = start.strip(string.whitespace)
    if "\n" not in start and "\r" not in start:
        raise DataError(f"{path}: {'holds no rows' if start else 'is empty'}; {advice.rowless}")
    if quotes % 2:
        name = NAMES.get(how.quote, repr(how.quote))
        raise DataError(f"{path}: has an odd number of {name}; close the open quote, or double those inside a cell")


def _require_own_kind(path: Path, head: bytes) -> None:
    try:
        require_text(head)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _require_columns(count: int) -> None:
    if count > limit(MOST_COLUMNS):
        raise beyond(f"has {count:,} columns", MOST_COLUMNS, "")


def _encoding(how: TableFormat) -> str:
    """Name of the encoding for Arrow, which reads UTF-8 with or without a byte order mark."""
    return "UTF-8" if codecs.lookup(how.encoding).name in ("utf-8", "utf-8-sig") else how.encoding


def _numbers(first: int, count: int, ragged: Collection[int]) -> NDArray[np.int64]:
    """Row numbers of the next `count` rows from `first` on, without the numbers of ragged rows."""
    places = np.arange(first, first + count + len(ragged), dtype=np.int64)
    return places[~np.isin(places, list(ragged))][:count]


def _parquet_batches(path: Path, how: TableFormat) -> Generator[Batch]:
    following = 1
    require_regular(path)
    with path.open("rb") as stream, pyarrow.parquet.ParquetFile(stream) as plain:
        total, names = plain.metadata.num_rows, _require_small_parquet(path, plain)
        # As a dictionary, a long label that stands for many cells is held once, until the size of the cells is known.
        file = pyarrow.parquet.ParquetFile(stream, metadata=plain.metadata, read_dictionary=names)
        for block in file.iter_batches(ROWS_A_BATCH):
            _require_small_batch(block)
            columns = [_texts_of(column, how) for column in block.columns]
            texts = pa.RecordBatch.from_arrays(columns, names=block.schema.names).to_pandas()
            numbers = np.arange(following, following + len(texts), dtype=np.int64)
            following += len(texts)
            yield Batch(texts, numbers, {}, min((following - 1) / max(total, 1), 1.0))


def _require_small_parquet(path: Path, file: pyarrow.parquet.ParquetFile) -> list[str]:
    """Names of the columns of texts; the table stays within the limits, as far as its footer is right.

    Raises:
        DataError: a column holds lists or other values that are no cells.
    """
    groups = range(file.metadata.num_row_groups)
    require_unpacked_size(
        max((file.metadata.row_group(n).total_byte_size for n in groups), default=0), path.stat().st_size
    )
    _require_columns(file.metadata.num_columns)
    for one in file.schema_arrow:
        if pa.types.is_nested(one.type):
            told = f"column {one.name!r} holds {one.type} instead of one value a cell"
            raise DataError(f"{path}: {told}; remove it, or write it as text")
    return [one.name for one in file.schema_arrow if pa.types.is_string(one.type) or pa.types.is_large_string(one.type)]


def _require_small_batch(block: pa.RecordBatch) -> None:
    sizes = [_bytes_as_text(column) for column in block.columns if pa.types.is_dictionary(column.type)]
    if sum(sizes) > limit(LARGEST_BATCH):
        raise beyond(f"has {sum(sizes):,} bytes of text in {len(block):,} rows", LARGEST_BATCH, " bytes")


def _bytes_as_text(column: pa.DictionaryArray) -> int:
    if pa.types.is_nested(column.dictionary.type):
        return 0
    lengths = pyarrow.compute.binary_length(column.dictionary.cast(pa.string())).cast(pa.int64())
    return pyarrow.compute.sum(lengths.take(column.indices)).as_py() or 0


def _texts_of(column: pa.Array, how: TableFormat) -> pa.Array:
    """Values of a typed column as text, numbers with the format's decimal separator, null and NaN as ''."""
    kind = column.type
    if pa.types.is_floating(kind):
        column = pyarrow.compute.if_else(pyarrow.compute.is_nan(column), None, column)
        if how.decimal != ".":  # exponents are parsed only with "." as decimal separator
            numbers = column.to_pylist()
            plain = [None if one is None else np.format_float_positional(one, trim="-") for one in numbers]
            column = pa.array(plain, pa.string())
    texts = column.cast(pa.string()).fill_null("")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        texts = pyarrow.compute.replace_substring(texts, ".", how.decimal)
    return texts


def lines_of(path: Path, how: TableFormat, rows: Sequence[int]) -> list[int]:
    """Line of the file on which each row ends, from 1; for a Parquet table the row number, from 1.

    Reads the table again, so use it only for error messages. `rows`: positions from 0, in any order.
    """
    if path.suffix == PARQUET:
        return [row + 1 for row in rows]
    csv.field_size_limit(LONGEST_CELL)
    with open_table(path) as (_, stream), io.TextIOWrapper(stream, encoding=how.encoding, newline="") as text:
        reader = csv.reader(text, delimiter=how.delimiter, quotechar=how.quote)
        _, *ends = (reader.line_num for cells in reader if cells)
    return [ends[row] for row in rows]


def first_line(error: Exception) -> str:
    """The first line of a library's error message."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
