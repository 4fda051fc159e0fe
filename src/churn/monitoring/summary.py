"""What a look needs of any number of customers, summed block by block in bounded memory."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.metrics.estimated_profit import GainSums
from churn.metrics.slices import text_of
from churn.model.reference import MOST_ROWS, LabelDistribution, NumberDistribution, Reference
from churn.types import Floats, Labels

SEED = 2013
"""Of the sample of rows."""
OF_OTHER_LABELS = 10_000
"""Unseen labels of a column that are counted by name; further ones are counted together."""


@dataclass(frozen=True)
class ScoredBlock:
    """Some customers, some of them scored.

    Attributes:
        columns: typed columns of the customers that have them; in a log they can be left out.
        scored: columns of the scored customers that have them.
        has_columns: which of the scored customers these are.
        probability, contacted: of the scored customers.
        times: days since 1970 of all customers; empty if they have none.
        refused: customers that break the contract, including the unread.
        unread: customers whose row cannot be read.
        of_other_models: customers that another model scored; they are in none of the other attributes.
        done: share of everything that has been read after this block, 0 to 1.
    """

    columns: pd.DataFrame
    scored: pd.DataFrame
    has_columns: NDArray[np.bool_]
    probability: Floats
    contacted: NDArray[np.bool_]
    times: Floats
    refused: int
    unread: int
    of_other_models: int
    done: float


Slice = tuple[str, str]
"""A column and one of its values; empty: missing."""


def gains_by_slice(
    rows: pd.DataFrame, columns: Sequence[str], gains_of: Callable[[NDArray[np.intp]], GainSums]
) -> dict[Slice, GainSums]:
    """Gains of each slice; `gains_of` gets the positions of its rows."""
    places = pd.Series(range(len(rows)))
    return {
        (name, text_of(value)): gains_of(np.asarray(inside, dtype=np.intp))
        for name in columns
        for value, inside in places.groupby(rows[name].to_numpy(), dropna=False)
    }


@dataclass
class NumberCounts:
    """Counts of a number at the thresholds of its reference.

    Attributes:
        between: values up to each threshold and above the one before; the last entry counts those above all.
    """

    reference: NumberDistribution
    missing: int = 0
    between: Labels = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def add(self, values: pd.Series) -> None:
        """Count values."""
        known = values.dropna().to_numpy(dtype=np.float64)
        self.missing += len(values) - len(known)
        places = np.searchsorted(self.reference.thresholds, known, side="left")
        counted = np.bincount(places, minlength=len(self.reference.thresholds) + 1)
        self.between = counted if not len(self.between) else self.between + counted

    @property
    def at_or_below(self) -> Labels:
        """Values up to each threshold, then all."""
        if not len(self.between):
            return np.zeros(len(self.reference.thresholds) + 1, dtype=np.int64)
        return self.between.cumsum()


@dataclass
class LabelCounts:
    """Counts of the labels of a column; those of the reference are always counted by name."""

    reference: LabelDistribution
    missing: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    others: int = 0

    def add(self, values: pd.Series) -> None:
        """Count labels."""
        self.missing += int(values.isna().sum())
        for label, count in values.dropna().value_counts().items():
            name = text_of(label)
            if name in self.counts or name in self.reference.counts or len(self.counts) < OF_OTHER_LABELS:
                self.counts[name] += int(count)
            else:
                self.others += int(count)


class RowSample:
    """A random sample of at most MOST_ROWS rows of any number, the same for the same rows in the same order."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(SEED)
        self._rows: list[pd.DataFrame] = []
        self._places = np.zeros(0)

    def add(self, rows: pd.DataFrame) -> None:
        """Offer rows: those with the smallest random numbers stay."""
        if not len(rows):
            return
        places = np.concatenate([self._places, self._random.random(len(rows))])
        kept = np.argsort(places, kind="stable")[:MOST_ROWS]
        self._rows = [pd.concat([*self._rows, rows], ignore_index=True).iloc[kept]]
        self._places = places[kept]

    @property
    def rows(self) -> pd.DataFrame:
        """The sample so far."""
        return self._rows[0].reset_index(drop=True) if self._rows else pd.DataFrame()


class LookSummary:
    """Everything that is counted about the customers of a look."""

    def __init__(self, reference: Reference, slices: Sequence[str], economics: Economics) -> None:
        self._reference, self._slices, self._economics = reference, slices, economics
        self.columns: dict[str, NumberCounts | LabelCounts] = {
            name: NumberCounts(known) if isinstance(known, NumberDistribution) else LabelCounts(known)
            for name, known in reference.columns.items()
        }
        self.scores = NumberCounts(reference.scores)
        self.gains = GainSums()
        self.gains_with_columns = GainSums()
        self.gains_of_slices: dict[Slice, GainSums] = {}
        self.sample = RowSample()
        self.scored = self.with_columns = self.refused = self.unread = self.of_other_models = 0
        self.oldest, self.newest = float("nan"), float("nan")

    def add(self, block: ScoredBlock) -> None:
        """Count a block."""
        if len(block.columns.columns):
            self.with_columns += len(block.columns)
            self.sample.add(block.columns)
            for name, counts in self.columns.items():
                counts.add(block.columns[name])
        self.scored += len(block.probability)
        self.refused += block.refused
        self.unread += block.unread
        self.of_other_models += block.of_other_models
        self.scores.add(pd.Series(block.probability))
        self.gains += self._gains(block.probability, block.contacted)
        if len(block.scored):
            self._add_slices(block.scored, block.probability[block.has_columns], block.contacted[block.has_columns])
        if len(block.times) and not np.isnan(block.times).all():
            self.oldest = float(np.nanmin([self.oldest, np.nanmin(block.times)]))
            self.newest = float(np.nanmax([self.newest, np.nanmax(block.times)]))

    @property
    def customers(self) -> int:
        """Customers of the look, including those that are only scored, only compared or cannot be read."""
        return max(self.scored, self.with_columns) + self.unread

    def _add_slices(self, rows: pd.DataFrame, probability: Floats, contacted: NDArray[np.bool_]) -> None:
        self.gains_with_columns += self._gains(probability, contacted)
        found = gains_by_slice(rows, self._slices, lambda inside: self._gains(probability[inside], contacted[inside]))
        for slice_named, gains in found.items():
            self.gains_of_slices[slice_named] = self.gains_of_slices.get(slice_named, GainSums()) + gains

    def _gains(self, probability: Floats, contacted: NDArray[np.bool_]) -> GainSums:
        return GainSums.of(probability, contacted, self._reference.calibration, self._economics)
