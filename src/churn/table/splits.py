"""Which side and which fold a row is on: a row's key decides, or time.

A row's side depends on the row alone: neither its place in the file, nor other rows, nor columns outside the
contract move it. Rows that are equal in every feature share a side, so none is learned by heart and then tested.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.table.keys import KEY_DIGITS, SEPARATOR, sha256_of


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


def _fractions(keys: pd.Index, salt: str) -> NDArray[np.float64]:
    """A number from 0 to below 1 for each row, uniform over salts, from the key without its repeat number."""
    hashed = [int(sha256_of(f"{salt}{SEPARATOR}{key[:KEY_DIGITS]}")[:13], 16) for key in keys]
    return np.array(hashed, dtype=np.float64) / 16.0**13
