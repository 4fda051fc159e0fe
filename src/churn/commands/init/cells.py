"""A column of an unknown table, reduced to its distinct values."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from churn.config.contract import DecimalSign, MissingPolicy
from churn.table.column_names import words_of
from churn.table.numbers import number_pattern, read_amounts
from churn.types import Labels

MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "<na>", "null", "none", "nan", "?", "-", "--", "."})
"""Texts that mean missing, whatever their case. `unknown` is an answer and stays a label."""

NONE = frozenset({"none"})
"""Of these, texts that are a label among labels: an offer of `None` is no offer, which is known."""

NEAR_UNIQUE = 0.95
"""Share of distinct values above which a column identifies rows."""


@dataclass(frozen=True)
class ColumnCells:
    """A column reduced to its distinct values, so that no function below scans rows.

    Attributes:
        labels: known values without surrounding spaces, in order of appearance.
        counts: number of rows of each.
        gap_texts: texts that mean missing, except the empty one.
        codes: of each row, the position of its value in `labels`; -1 for a gap.
    """

    name: str
    rows: int
    labels: pa.Array
    counts: NDArray[np.int64]
    gaps: int
    gap_texts: tuple[str, ...]
    codes: Labels
    decimal: DecimalSign

    @property
    def known(self) -> int:
        """Number of rows with a value."""
        return self.rows - self.gaps

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return len(self.labels)

    @property
    def near_unique(self) -> bool:
        """Whether nearly every row has a value of its own."""
        return self.distinct >= NEAR_UNIQUE * self.known

    @property
    def missing(self) -> MissingPolicy:
        """Missing policy for the contract."""
        return "allow" if self.gaps else "fail"

    @cached_property
    def words(self) -> list[str]:
        """The words of the name."""
        return words_of(self.name)

    @cached_property
    def pattern(self) -> bytes:
        """Hash of which rows share a value; equal for columns that map one to one."""
        return hashlib.blake2b(self.codes.astype(np.int32).tobytes()).digest()

    @cached_property
    def with_other_decimal(self) -> "ColumnCells":
        """The same column read with the other decimal sign."""
        return replace(self, decimal="," if self.decimal == "." else ".")

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Value of each label; NaN if it is not a number."""
        return _numbers(self.labels, self.decimal)

    @cached_property
    def number_share(self) -> float:
        """Share of known rows with a number."""
        return self._share(~np.isnan(self.numbers))

    @cached_property
    def whole(self) -> bool:
        """Whether every value is a whole number."""
        return self.share_matching(r"^-?\d+$") == 1 and self.number_share == 1

    @cached_property
    def bits(self) -> float:
        """Improbability, in bits, that another column with these counts agrees by chance."""
        counts = np.append(self.counts, self.gaps) if self.gaps else self.counts
        return float((counts * np.log2(self.rows / counts)).sum())

    def share_matching(self, pattern: str) -> float:
        """Share of known rows whose value matches; a sample first, which is enough for most columns."""
        glance = self.labels[:: max(1, self.distinct // 200)]
        if pc.mean(pc.match_substring_regex(glance, pattern)).as_py() < 0.5:
            return 0.0
        return self._share(pc.match_substring_regex(self.labels, pattern).to_numpy(zero_copy_only=False))

    def texts(self, where: NDArray[np.bool_]) -> list[str]:
        """The labels that a mask selects."""
        chosen: list[str] = self.labels.filter(pa.array(where)).to_pylist()
        return chosen

    def examples(self) -> tuple[str, ...]:
        """The three most common values."""
        if self.distinct > 1000:
            return tuple(self.labels[:3].to_pylist())
        return tuple(self.labels.take(np.argsort(-self.counts, kind="stable")[:3]).to_pylist())

    def _share(self, which: NDArray[np.bool_]) -> float:
        return float(self.counts[which].sum() / self.known)


def cells_of(
    name: str, texts: pd.Series, decimal: DecimalSign, missing_texts: frozenset[str] = MISSING_TEXTS
) -> ColumnCells:
    """Reduce a column of texts to its distinct values."""
    array = pa.array(texts, type=pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    encoded = array.fill_null("").dictionary_encode()
    codes = encoded.indices.to_numpy()
    labels = encoded.dictionary
    stripped = pc.utf8_trim_whitespace(labels)
    if not stripped.equals(labels):
        merged = stripped.dictionary_encode()
        codes = merged.indices.to_numpy()[codes]
        labels = merged.dictionary
    is_gap = pc.is_in(pc.utf8_lower(labels), pa.array(sorted(missing_texts), pa.large_string()))
    is_gap = is_gap.to_numpy(zero_copy_only=False)
    if is_gap.any():
        codes = np.where(is_gap, -1, np.cumsum(~is_gap) - 1)[codes]
    known = labels.filter(pa.array(~is_gap))
    counts = np.bincount(codes + 1, minlength=len(known) + 1)
    gap_texts = tuple(text for text in labels.filter(pa.array(is_gap)).to_pylist() if text)
    return ColumnCells(name, len(texts), known, counts[1:], int(counts[0]), gap_texts, codes.astype(np.int64), decimal)


def _numbers(labels: pa.Array, decimal: str) -> NDArray[np.float64]:
    if decimal == ".":
        # Fast path for columns of plain numbers.
        try:
            values = pc.cast(labels, pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            pass
        else:
            if np.isfinite(values).all():
                return np.asarray(values, dtype=np.float64)
    glance = labels[:: max(1, len(labels) // 1000)]
    if pc.mean(pc.match_substring_regex(glance, number_pattern(decimal))).as_py() < 0.5:
        return np.full(len(labels), np.nan)
    values = read_amounts(labels, decimal)
    return np.where(np.isinf(values), np.nan, values)
