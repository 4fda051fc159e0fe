"""Row keys, which identify a row across runs: the start of a hash of the customer's id or features."""

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
# pa.string() is limited to 2 GB per column.
TEXT = pa.large_string()


def canonical_text(table: pd.DataFrame, contract: TableContract) -> list[str]:
    """One text per row that identifies the customer: the id or, without an id, all features.

    Values are written by the contract's types: 1, 1.0 and True in a numeric or boolean column give the same text.
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
    """Each value as text, missing values as null. Converts each distinct value once."""
    codes, values = pd.factorize(column, use_na_sentinel=True)
    # + 0.0 turns -0.0 into 0.0
    texts = map(repr, (values.astype("float64") + 0.0).tolist()) if numeric else map(str, values)
    return pa.array(texts, TEXT).take(pa.array(codes, mask=codes < 0))


def row_keys(table: pd.DataFrame, contract: TableContract) -> list[str]:
    """Key of each row, in the order of the table; rows with equal canonical texts have equal keys."""
    return [sha256_of(text)[:KEY_DIGITS] for text in canonical_text(table, contract)]


def with_row_keys(
    table: pd.DataFrame, contract: TableContract, then_by: Sequence[pd.Series] = ()
) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Sort the rows by key, so that their order in the file has no effect; also return each original position.

    The index holds the keys: the start of the SHA-256 of the canonical text. Further rows with the same text get the
    suffixes -2, -3, … `then_by`: columns outside the contract that break ties in the order of such rows.
    """
    keys = row_keys(table, contract)
    # The target comes last: rows that still tie are equal in all columns, so their order does not matter.
    ties = [*(table[name] for name in contract.columns), *then_by, table[contract.target.column]]
    order = np.lexsort([pd.factorize(column, sort=True)[0] for column in reversed(ties)] + [np.array(keys)])
    ordered = table.iloc[order]
    base = pd.Series([keys[position] for position in order])
    repeat = base.groupby(base).cumcount()
    names = [key if again == 0 else f"{key}-{again + 1}" for key, again in zip(base, repeat, strict=True)]
    return ordered.set_axis(pd.Index(names, name=ROW_KEY), axis=0), order


def equal_rows(keyed: pd.DataFrame) -> int:
    """Number of rows that repeat the canonical text of an earlier row."""
    return int(keyed.index.str.contains("-").sum())


def customer_of(keys: pd.Index) -> NDArray[np.int64]:
    """Index of each row's customer, from 0; rows with equal canonical texts are one customer."""
    numbers, _ = pd.factorize(keys.astype("str").str[:KEY_DIGITS])
    return numbers.astype(np.int64)


def sha256_of(text: str) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


SKETCHED = 64
"""Number of row keys in a sketch."""


def sketch(keys: pd.Index) -> tuple[str, ...]:
    """The smallest row keys. Keys are hashes, so this is a random sample that is the same for equal sets of rows."""
    return tuple(sorted(keys)[:SKETCHED])


def mostly_the_same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two sets of rows have a Jaccard similarity of at least 0.5, estimated from sketches (Broder 1997)."""
    smallest = sorted({*one, *other})[:SKETCHED]
    return 2 * len(set(one) & set(other) & set(smallest)) >= len(smallest)
