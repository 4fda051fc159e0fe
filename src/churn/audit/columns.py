"""Columns as used by the checks: values of the training rows, then of the test rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class AuditedColumn:
    """One customer column, for training and test rows."""

    name: str
    kind: str
    train: pd.Series
    test: pd.Series

    @cached_property
    def both(self) -> pd.Series:
        """Training rows, then test rows."""
        return pd.concat([self.train, self.test], ignore_index=True)

    @cached_property
    def codes(self) -> Codes:
        """Integer code of each value of `both`, in order of first appearance; missing values share one code.

        Columns that determine each other have equal codes.
        """
        return pd.factorize(self.both, use_na_sentinel=False)[0].astype(np.int64, copy=False)

    @property
    def train_codes(self) -> Codes:
        """Codes of the training rows."""
        return self.codes[: len(self.train)]

    def labels(self, rows: slice) -> Codes:
        """Codes of some training rows only, which is faster than `codes`."""
        return pd.factorize(self.train.iloc[rows], use_na_sentinel=False)[0].astype(np.int64, copy=False)

    def some(self, train: Places, test: Places) -> pd.Series:
        """Values of the given training rows, then of the given test rows."""
        return pd.concat([self.train.iloc[train], self.test.iloc[test]], ignore_index=True)

    def bins(self, rows: slice, count: int) -> Codes:
        """Bins of some training rows: quantiles or labels; missing values form a separate bin. Ignores the outcome.

        A value that is as frequent as a whole bin gets a separate bin.
        """
        if self.kind == "categorical":
            return self.labels(rows)
        values = self.train.iloc[rows].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        binned = np.full(len(values), -1, dtype=np.int64)
        place, size = np.unique(values[known], return_inverse=True, return_counts=True)[1:]
        middle = (np.cumsum(size) - size / 2) / max(1, known.sum())
        bin_of = np.floor(middle * count).astype(np.int64)
        heavy = size * count >= known.sum()
        bin_of[heavy] = count + np.arange(heavy.sum())
        binned[known] = bin_of[place]
        return np.unique(binned, return_inverse=True)[1].astype(np.int64, copy=False)


def nearly_a_key(codes: Codes) -> bool:
    """Whether values repeat so rarely that they would determine any other column."""
    return len(codes) < 2 * (int(codes.max(initial=0)) + 1)


def _step(count: int, at_most: int) -> int:
    return max(1, -(-count // at_most))


def evenly_spread(count: int, at_most: int) -> Places:
    """At most `at_most` positions out of `count`, evenly spaced."""
    return np.arange(0, count, _step(count, at_most))
