"""The key of each row, by which rows are known again: the start of a hash of who the customer is."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from churn.config.contract import TableContract
from churn.types import ROW_KEY

KEY_DIGITS = 16
SEPARATOR = "\x1f"
GAP = "\x00"
# The other type of text is limited to 2 GB a column.
TEXT = pa.large_string()


def canonical_text(table: pd.DataFrame, contract: TableContract) -> list[str]:
    """One text a row that says who the customer is: his id, or without one all his features.

    Made by the contract's types: 1, 1.0 and True in a numeric or boolean column are the same text.
    """
    if contract.id is not None:
        return table[contract.id].tolist()
    parts = [
        _texts(table[name], numeric=contract.columns[name].type != "categorical") for name in sorted(contract.columns)
    ]
    joined = pyarrow.compute.binary_join_element_wise(
        *parts, pa.scalar(SEPARATOR, TEXT), null_handling="replace", null_replacement=GAP
    )
    rows: list[str] = joined.to_pylist()
    return rows


def _texts(column: pd.Series, *, numeric: bool) -> pa.Array:
    """Each value as a text, a gap as null; written once for all rows that share it."""
    codes, values = pd.factorize(column, use_na_sentinel=True)
    # + 0.0 turns -0.0 into 0.0
    texts = map(repr, (values.astype("float64") + 0.0).tolist()) if numeric else map(str, values)
    return pa.array(texts, TEXT).take(pa.array(codes, mask=codes < 0))


def row_keys(table: pd.DataFrame, contract: TableContract) -> list[str]:
    """Key of each row, in the order of the table; rows with one text have one key."""
    return [sha256_of(text)[:KEY_DIGITS] for text in canonical_text(table, contract)]


def with_row_keys(
    table: pd.DataFrame, contract: TableContract, then_by: Sequence[pd.Series] = ()
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Index the rows by key and sort by it, so that the order in the file changes nothing; also where each row was.

    The key is the start of the SHA-256 of the canonical text; the second and later rows with one text get -2, -3, …
    `then_by`: values of each row that decide, beside those of the contract, which of them is the second.
    """
    keys = row_keys(table, contract)
    # The target comes last: rows that still tie are equal throughout, whichever is numbered first.
    ties = [*(table[name] for name in contract.columns), *then_by, table[contract.target.column]]
    order = np.lexsort([pd.factorize(column, sort=True)[0] for column in reversed(ties)] + [np.array(keys)])
    ordered = table.iloc[order]
    base = pd.Series([keys[position] for position in order])
    repeat = base.groupby(base).cumcount()
    names = [key if again == 0 else f"{key}-{again + 1}" for key, again in zip(base, repeat, strict=True)]
    return ordered.set_axis(pd.Index(names, name=ROW_KEY), axis=0), order


def equal_rows(keyed: pd.DataFrame) -> int:
    """Rows whose canonical text another row has too, the first of each apart."""
    return int(keyed.index.str.contains("-").sum())


def customer_of(keys: pd.Index) -> NDArray[np.int64]:
    """Number of each row's customer, from 0 on: rows with one text are one customer."""
    numbers, _ = pd.factorize(keys.astype("str").str[:KEY_DIGITS])
    return numbers.astype(np.int64)


def sha256_of(text: str) -> str:
    """In hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


SKETCHED = 64
"""Row keys by which test rows are known again."""


def sketch(keys: pd.Index) -> tuple[str, ...]:
    """The smallest row keys. They are hashes, so they are a fair sample, and the same one of the same rows."""
    return tuple(sorted(keys)[:SKETCHED])


def mostly_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two sets of rows share at least half of all their rows, as their sketches tell (Broder 1997)."""
    smallest = sorted({*one, *other})[:SKETCHED]
    return 2 * len(set(one) & set(other) & set(smallest)) >= len(smallest)
