"""From a typed table to the rows that are learned from, each with a key that decides its side and its fold.

A row's side depends on the row alone: neither its place in the file, nor other rows, nor columns outside the
contract move it. Rows that are equal in every feature share a side, so none is learned by heart and then tested.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from churn.contract import ROW_KEY, TableContract

KEY_DIGITS = 16
SEPARATOR = "\x1f"
GAP = "\x00"
# The other type of text is limited to 2 GB a column.
TEXT = pa.large_string()


def drop_incomplete(table: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out the rows with a gap where the policy says drop; also how many, by the first column that said so."""
    policies: dict[str, str] = {contract.target.column: contract.target.missing}
    policies |= {name: column.missing for name, column in contract.columns.items()}
    dropped: dict[str, int] = {}
    for name, policy in policies.items():
        if policy == "drop":
            gaps = table[name].isna()
            dropped[name] = int(gaps.sum())
            table = table[~gaps]
    return table, dropped


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
    return [_digest(text)[:KEY_DIGITS] for text in canonical_text(table, contract)]


def with_row_keys(table: pd.DataFrame, contract: TableContract, then_by: Sequence[str] = ()) -> pd.DataFrame:
    """Index the rows by key and sort by it, so that the order in the file changes nothing.

    The key is the start of the SHA-256 of the canonical text; the second and later rows with one text get -2, -3, …
    `then_by`: columns outside the contract that decide which of them is the second.
    """
    keys = row_keys(table, contract)
    # The target comes last: rows that still tie are equal throughout, whichever is numbered first.
    ties = [table[name] for name in (*contract.columns, *then_by, contract.target.column)]
    order = np.lexsort([pd.factorize(column, sort=True)[0] for column in reversed(ties)] + [np.array(keys)])
    ordered = table.iloc[order]
    base = pd.Series([keys[position] for position in order])
    repeat = base.groupby(base).cumcount()
    names = [key if again == 0 else f"{key}-{again + 1}" for key, again in zip(base, repeat, strict=True)]
    return ordered.set_axis(pd.Index(names, name=ROW_KEY), axis=0)


def equal_rows(keyed: pd.DataFrame) -> int:
    """Rows whose canonical text another row has too, the first of each apart."""
    return int(keyed.index.str.contains("-").sum())


def is_test(keys: pd.Index, salt: str, share: float) -> NDArray[np.bool_]:
    """Which rows are kept aside; `share` is the expected part of the customers."""
    return _fractions(keys, f"split {salt}") < share


def is_newest(times: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Which rows are kept aside when time decides: the newest, as near to `share` of them as equal times allow.

    Without two different times, none.
    """
    moments, counts = np.unique(times, return_counts=True)
    if len(moments) < 2:
        return np.zeros(len(times), dtype=bool)
    from_here = counts[::-1].cumsum()[::-1] / len(times)
    first = moments[1:][np.argmin(np.abs(from_here[1:] - share))]
    newest: NDArray[np.bool_] = times >= first
    return newest


def fold_of(keys: pd.Index, salt: str, folds: int) -> NDArray[np.int64]:
    """Fold of each row, 0 to folds - 1; rows with one text share a fold."""
    return np.floor(_fractions(keys, f"folds {salt}") * folds).astype(np.int64)


def customer_of(keys: pd.Index) -> NDArray[np.int64]:
    """Number of each row's customer, from 0 on: rows with one text are one customer."""
    numbers, _ = pd.factorize(keys.astype("str").str[:KEY_DIGITS])
    return numbers.astype(np.int64)


def _fractions(keys: pd.Index, salt: str) -> NDArray[np.float64]:
    """A number from 0 to below 1 for each row, uniform over salts, from the key without its repeat number."""
    hashed = [int(_digest(f"{salt}{SEPARATOR}{key[:KEY_DIGITS]}")[:13], 16) for key in keys]
    return np.array(hashed, dtype=np.float64) / 16.0**13


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
