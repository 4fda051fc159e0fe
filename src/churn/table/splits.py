"""Assign rows to training or test set and to folds, by row key or by time.

With a split by key, the assignment depends on the row's key alone: not on its position in the file, other rows, or
columns outside the contract. Rows of one customer (equal id or, without an id, equal features) are in the same split.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.table.keys import KEY_DIGITS, SEPARATOR, sha256_of


def is_test(keys: pd.Index, salt: str, share: float) -> NDArray[np.bool_]:
    """Which rows are test rows; `share` is the expected share of the customers."""
    return fractions_of(keys, f"split {salt}") < share


def is_newest(times: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Which rows are test rows in a split by time: the newest ones, as close to `share` as equal times allow.

    If all times are equal, no row is a test row.
    """
    moments, counts = np.unique(times, return_counts=True)
    if len(moments) < 2:
        return np.zeros(len(times), dtype=bool)
    from_here = counts[::-1].cumsum()[::-1] / len(times)
    first = moments[1:][np.argmin(np.abs(from_here[1:] - share))]
    newest: NDArray[np.bool_] = times >= first
    return newest


def fold_of(keys: pd.Index, salt: str, folds: int) -> NDArray[np.int64]:
    """Fold of each row, 0 to folds - 1; rows with equal canonical texts are in the same fold."""
    return np.floor(fractions_of(keys, f"folds {salt}") * folds).astype(np.int64)


def fractions_of(keys: pd.Index, salt: str) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, uniform over salts, from the key without the suffix for repeats."""
    hashed = [int(sha256_of(f"{salt}{SEPARATOR}{key[:KEY_DIGITS]}")[:13], 16) for key in keys]
    return np.array(hashed, dtype=np.float64) / 16.0**13
