"""Read scores that `churn predict` wrote, as far as outcomes need them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from churn.errors import DataError, excerpt
from churn.model.scoring import FINGERPRINT, HELD_OUT, SCORED_ON
from churn.table.opening import require_regular
from churn.table.parsing import parse_dates
from churn.table.reader import PARQUET, first_line
from churn.types import ROW_KEY

TEXTS = (ROW_KEY, SCORED_ON, FINGERPRINT)
NEEDED = (ROW_KEY, SCORED_ON, FINGERPRINT, "probability", "contact", HELD_OUT)


def scores_of_file(path: Path) -> pd.DataFrame:
    """Scores of a file, with the day on which each customer was scored.

    Raises:
        DataError: the file cannot be read, or has no dates.
    """
    table = _read(path)
    repeated = [name for name in NEEDED if list(table.columns).count(name) > 1]
    if repeated:
        raise DataError(f"{path}: column {repeated[0]!r} appears more than once; remove the duplicates")
    absent = [name for name in NEEDED if name not in table.columns]
    if absent:
        raise DataError(
            f"{path}: no column {absent[0]!r}; score the customers again with `churn predict --scored-on DATE`, or set "
            "monitor.date_column to the column of the table that has the date"
        )
    day = parse_dates(table[SCORED_ON].astype("str"), None)
    unread = table[SCORED_ON][day.isna()]
    if len(unread):
        raise DataError(f"{path}: column {SCORED_ON!r}: {excerpt(unread.iloc[0])} is not a date")
    return pd.DataFrame(
        {
            "row_key": table[ROW_KEY].astype("str"),
            "day": day,
            "fingerprint": table[FINGERPRINT].astype("str"),
            "probability": _numbers(table, "probability", path),
            "contact": _numbers(table, "contact", path) == 1,
            "held_out": _numbers(table, HELD_OUT, path) == 1,
            "shadow_probability": np.nan,
            "shadow_fingerprint": None,
        }
    )


def _numbers(table: pd.DataFrame, name: str, path: Path) -> pd.Series:
    numbers = pd.to_numeric(table[name], errors="coerce").astype("float64")
    outside = ~numbers.between(0, 1)
    if outside.any():
        raise DataError(f"{path}: column {name!r}: {excerpt(table[name][outside].iloc[0])} is not between 0 and 1")
    return numbers


def _read(path: Path) -> pd.DataFrame:
    try:
        require_regular(path)
        if path.suffix == PARQUET:
            return _with_texts(pyarrow.parquet.read_table(path))
        convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(TEXTS, pa.string()))
        frame: pd.DataFrame = pyarrow.csv.read_csv(path, convert_options=convert).to_pandas()
        return frame
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; name scores of `churn predict`, or the log of the service") from None
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read: {first_line(error)}") from None


def _with_texts(table: pa.Table) -> pd.DataFrame:
    """A table whose columns of texts are texts, and the others numbers, whatever types they have in the file."""
    for place, name in enumerate(table.column_names):
        if name in NEEDED and not pa.types.is_boolean(table.schema.field(place).type):
            kind = pa.string() if name in TEXTS else pa.float64()
            table = table.set_column(place, name, table.column(place).cast(kind))
    frame: pd.DataFrame = table.to_pandas()
    return frame
