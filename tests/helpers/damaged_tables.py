"""Tables as careless and hostile people make them: texts, encodings, types and bytes that nobody expects."""

import csv
import datetime
import decimal
import gzip
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.helpers.damage import damaged_bytes
from tests.helpers.table_shapes import zipped

Rows = list[list[str]]

ODD_CELLS = ["", "NA", "yes", "no", "1e999", "-1", "nan", "inf", "=1+1", "\x1b[31m", "\u202e", "\0", '"', "a,b", "x\ny"]
ODD_CELLS += [
    "\r",
    "2026-01-01",
    "9999-12-31",
    "9" * 400,
    "x" * 70_000,
    "1_000",
    "１２",
    "0x10",
    "true",
    "\ufeff",
    " ",
    "12,5",
]
CELLS = st.text(max_size=8) | st.sampled_from(ODD_CELLS)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis")
ENDINGS = {".csv": lambda content: content, ".csv.gz": gzip.compress, ".zip": lambda content: zipped(content, "t.csv")}

OF_ANOTHER_TYPE: list[Any] = [
    [1, 2],
    {"a": 1},
    decimal.Decimal("1.50"),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    datetime.date(1, 1, 1),
    datetime.timedelta(days=3),
    datetime.time(12, 0),
    b"\xff\x00",
    True,
    2**63 - 1,
    float("nan"),
    float("inf"),
    None,
    "\x1b[31m",
]
"""A value of each kind that Parquet has."""


@st.composite
def csv_tables(draw: DrawFn, rows: Rows) -> bytes:
    """A table with some cells, rows and names changed, in some encoding."""
    changed = [list(row) for row in rows]
    for _ in range(draw(st.integers(0, 4))):
        row = changed[draw(st.integers(0, min(len(changed) - 1, 3)))] if changed else []
        place = draw(st.integers(0, max(len(row) - 1, 0)))
        match draw(st.integers(0, 5)):
            case 0 if row:
                row[place] = draw(CELLS)
            case 1 if row:
                del row[place]
            case 2:
                row.insert(place, draw(CELLS))
            case 3:
                del changed[draw(st.integers(0, 2)) :]
            case 4:
                changed.insert(draw(st.integers(0, len(changed))), [])
            case 5 if row:
                row[place] = row[0]
    text = io.StringIO()
    delimiter, ending = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(text, delimiter=delimiter, lineterminator=ending).writerows(changed)
    return text.getvalue().encode(draw(st.sampled_from(ENCODINGS)), errors="replace")


@st.composite
def parquet_tables(draw: DrawFn, rows: Rows) -> bytes:
    """A table whose columns are texts, or some of them of another type."""
    names, cells = rows[0], list(zip(*rows[1:], strict=True))
    columns = [pa.array(column, pa.string()) for column in cells]
    for place in draw(st.lists(st.integers(0, len(names) - 1), max_size=2)):
        columns[place] = pa.array([draw(st.sampled_from(OF_ANOTHER_TYPE))] * len(columns[place]))
        kind = columns[place].type
        if draw(st.booleans()) and not (pa.types.is_nested(kind) or pa.types.is_null(kind)):
            columns[place] = columns[place].dictionary_encode()
    names = [draw(st.just(name) | CELLS) if draw(st.integers(0, 9)) == 0 else name for name in names]
    packed = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_arrays(columns, names=names), packed)
    return packed.getvalue()


@st.composite
def damaged_tables(draw: DrawFn, rows: Rows) -> tuple[str, bytes]:
    """Ending of the name, and content, of a table that is damaged somewhere."""
    if draw(st.integers(0, 3)) == 0:
        ending, content = ".parquet", draw(parquet_tables(rows))
    else:
        ending = draw(st.sampled_from(sorted(ENDINGS)))
        content = ENDINGS[ending](draw(csv_tables(rows)))  # type: ignore[no-untyped-call]
    return ending, draw(damaged_bytes(content)) if draw(st.integers(0, 2)) == 0 else content
