"""A table to be scored, as texts, some rows at a time, so that its length does not matter."""

import codecs
import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from churn.contract import TableContract, TableFormat
from churn.errors import DataError
from churn.schema import header_problem
from churn.source import NOT_PACKED, PARQUET, first_line, open_quote, opened, parse_options, texts_of

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
    with opened(path) as (_, stream):
        header = pyarrow.csv.open_csv(stream, options, parse_options(how, lambda _: "skip")).schema.names
    texts = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string()))
    following = 1
    with opened(path) as (file, stream):
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
    with opened(path) as (_, stream):
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
