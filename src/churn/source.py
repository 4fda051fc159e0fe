"""The table as it comes: CSV read as texts, nothing interpreted, nothing filled in silently."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from churn.errors import DataError

NO_ROWS = "holds no rows; check data.source"


def read_source(path: Path) -> pd.DataFrame:
    """Read a CSV table as texts, nothing interpreted; names as in the header, repeated ones included.

    Raises:
        DataError: missing, empty, not UTF-8, with a quote left open, or a row of another length than the header.
    """
    ragged: list[pyarrow.csv.InvalidRow] = []

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    try:
        header = _read_header(path)
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(use_threads=False),  # with threads, ragged rows have no number
            parse_options=parse_options(set_aside),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the table there, or set data.source") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder; set data.source to a CSV file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: byte {error.start:,} is not UTF-8, in line {line:,}; save the table as UTF-8"
        ) from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {first_line(error)}; save the table as CSV (comma, UTF-8)") from None
    if ragged:
        first = ragged[0]
        raise DataError(
            f"{path}: data row {first.number - 1:,} has another number of cells ({first.actual_columns}) than "
            f"the header ({first.expected_columns}); mend it, with quotes around a cell that holds a comma"
        )
    if table.num_rows == 0:
        raise DataError(f"{path}: {NO_ROWS}")
    texts: pd.DataFrame = table.to_pandas()
    return texts


def _read_header(path: Path) -> list[str]:
    content = path.read_bytes()
    content.decode("utf-8")
    content = content.strip()
    if not content:
        raise DataError(f"{path}: is empty; check data.source")
    if b"\n" not in content and b"\r" not in content:
        raise DataError(f"{path}: {NO_ROWS}")
    if content.count(b'"') % 2:  # else the rest of the table would be read as one cell
        raise DataError(f"{path}: has an odd number of double quotes; close the open one, or double it inside a cell")
    return list(pyarrow.csv.open_csv(path, parse_options=parse_options(lambda _: "skip")).schema.names)


def parse_options(on_ragged_row: Callable[[pyarrow.csv.InvalidRow], str]) -> pyarrow.csv.ParseOptions:
    """How a CSV table is cut into cells; what happens to a row of another length than the header is said there."""
    return pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=on_ragged_row)


def first_line(error: Exception) -> str:
    """What a library says, without its explanations."""
    return str(error).splitlines()[0].rstrip(". ")
