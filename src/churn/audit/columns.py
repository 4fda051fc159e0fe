"""A column as the checks see it: values of the training rows, then of the test rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class AuditedColumn:
    """One column of customers, on both sides of the split."""

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
        """A number for each value of `both`, counted by first appearance; gaps share one too.

        Columns that are functions of one another have equal codes.
        """
        return pd.factorize(self.both, use_na_sentinel=False)[0].astype(np.int64, copy=False)

    @property
    def train_codes(self) -> Codes:
        """Those of the training rows."""
        return self.codes[: len(self.train)]

    def labels(self, rows: slice) -> Codes:
        """The same for some training rows, without the cost of all."""
        return pd.factorize(self.train.iloc[rows], use_na_sentinel=False)[0].astype(np.int64, copy=False)

    def some(self, train: Places, test: Places) -> pd.Series:
        """Values of some training rows, then of some test rows."""
        return pd.concat([self.train.iloc[train], self.test.iloc[test]], ignore_index=True)

    def bins(self, rows: slice, count: int) -> Codes:
        """Classes of some training rows, made without the outcome: quantiles or labels; gaps are a class of their own.

        A value with the share of a whole bin has one to itself.
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
    """Whether values are so seldom repeated that any column would go with them."""
    return len(codes) < 2 * (int(codes.max(initial=0)) + 1)


def _step(count: int, at_most: int) -> int:
    return max(1, -(-count // at_most))


def evenly_spread(count: int, at_most: int) -> Places:
    """Places of at most so many of some rows, evenly spread."""
    return np.arange(0, count, _step(count, at_most))
