"""Find rows that are equal in all columns, by hashes of their values."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.audit.columns import AuditedColumn, Places

Hashes = NDArray[np.uint64]

FILTER_BITS = 22
GAP = np.uint64(0xFFF8_0000_0000_0001)

HashOf = Callable[[AuditedColumn, pd.Series], Hashes]
"""Hash of each value of a column; equal for values that count as equal."""


def in_train(
    columns: Sequence[AuditedColumn], training_rows: int, compared: Places, hash_of: HashOf
) -> NDArray[np.bool_]:
    """Which of the compared test rows equal a training row in all columns; pass columns with many values first."""
    train, test = np.arange(training_rows), np.arange(len(compared))
    of_train, of_test = np.zeros(len(train), dtype=np.uint64), np.zeros(len(test), dtype=np.uint64)
    for column in columns:
        hashes = add_salt(column, hash_of(column, column.some(train, compared[test])))
        of_train, of_test = of_train + hashes[: len(train)], of_test + hashes[len(train) :]
        # Only rows that still have a match are compared in the next column.
        paired = _may_be_among(of_train, of_test)
        train, of_train = train[paired], of_train[paired]
        paired = np.isin(of_test, of_train)
        test, of_test = test[paired], of_test[paired]
    found = np.zeros(len(compared), dtype=np.bool_)
    found[test] = True
    return found


def _may_be_among(many: Hashes, few: Hashes) -> NDArray[np.bool_]:
    """Which hashes share their first bits with one of `few`; a fast filter with false positives."""
    first = np.uint64(64 - FILTER_BITS)
    seen = np.zeros(1 << FILTER_BITS, dtype=np.bool_)
    seen[few >> first] = True
    found: NDArray[np.bool_] = seen[many >> first]
    return found


def add_salt(column: AuditedColumn, hashes: Hashes) -> Hashes:
    """Mix hashes with the column's name, so that equal hashes of different columns differ."""
    return _mix_bits(hashes ^ np.uint64(zlib.crc32(column.name.encode()) << 31))


def exact_hash(column: AuditedColumn, values: pd.Series) -> Hashes:
    """Hash that is equal for equal values, independent of their numeric type."""
    if column.kind == "categorical":
        return pd.factorize(values, use_na_sentinel=False)[0].astype(np.int64, copy=False).view(np.uint64)
    numbers = values.to_numpy(dtype=np.float64) + 0.0  # -0.0 is 0.0
    hashes = numbers.view(np.uint64)
    hashes[np.isnan(numbers)] = GAP
    return hashes


def _mix_bits(numbers: Hashes) -> Hashes:
    """Mix the bits of 64-bit integers: the finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers
