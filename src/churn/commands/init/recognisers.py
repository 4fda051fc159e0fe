"""Infer the role of a column from its distinct values and its name."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from churn.commands.init.dates import DATES, SERIAL_DATES
from churn.config.contract import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    MissingPolicy,
    NumericColumn,
    UnusedColumn,
    UnusedKind,
)
from churn.errors import excerpt
from churn.table.numbers import number_pattern, read_amounts
from churn.table.parsing import BOOLEAN_TEXTS
from churn.types import ROW_KEY

Role = Literal["numeric", "categorical", "boolean", "id", "target", "unused"]

MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "<na>", "null", "none", "nan", "?", "-", "--", "."})
"""Texts that mean missing, whatever their case. `unknown` is an answer and stays a label."""

LISTED_LABELS = 50
"""Up to this number, labels are listed as the valid values of a column."""

MOST_LABELS = 300
"""A column with more labels is not used: each label would become an input of the model."""

ROWS_A_LABEL = 10
"""With fewer rows per label on average, a column of many labels identifies customers rather than groups."""

NEAR_UNIQUE = 0.95
"""Share of distinct values above which a column identifies rows."""

ENOUGH_ROWS = 20
"""In shorter tables, distinct values prove nothing."""

NEARLY_ALL = 0.95
"""Share of known cells that must be numbers (or dates) for a column of numbers (or dates)."""

ID_WORDS = frozenset({"id", "ids", "uuid", "guid", "identifier", "key"})
ID_ENDS = frozenset({"no", "nr", "num", "number", "nummer"})
GLUED_ID = re.compile(
    r"(?:account|client|contract|customer|cust|member|order|record|row|subscriber|user)(?:id|no|nr|num|number)"
)
DATE_WORDS = frozenset({"date", "dates", "datum", "datetime", "timestamp"})
CODE_WORDS = frozenset({"code", "codes", "zip", "plz", "postcode", "postal", "id"})
GROUP_WORDS = frozenset(
    {"area", "branch", "category", "channel", "class", "cluster", "group", "plan", "region", "segment", "type"}
)


@dataclass(frozen=True)
class ColumnCells:
    """A column reduced to its distinct values, so that no function below scans rows.

    Attributes:
        labels: known values without surrounding spaces, in order of appearance.
        counts: number of rows of each.
        gap_texts: texts that mean missing, except the empty one.
        pattern: hash of which rows share a value; equal for columns that map one to one.
    """

    name: str
    rows: int
    labels: pa.Array
    counts: NDArray[np.int64]
    gaps: int
    gap_texts: tuple[str, ...]
    pattern: bytes
    decimal: str

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
        """The words of the name, separated by signs or capitals."""
        return [word.lower() for word in re.findall(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|\d+", self.name)]

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


@dataclass(frozen=True)
class ColumnVerdict:
    """Role of a column and the reason, with its entry under `columns` or `unused` of the contract."""

    role: Role
    reason: str
    spec: Column | None = None
    unused: UnusedColumn | None = None


def leave_out(kind: UnusedKind, reason: str, form: str | None = None) -> ColumnVerdict:
    """Verdict that a column is not used; `form` is its date format."""
    return ColumnVerdict("unused", reason, unused=UnusedColumn(kind=kind, format=form, reason=reason))


def cells_of(name: str, texts: pd.Series, decimal: str) -> ColumnCells:
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
    is_gap = pc.is_in(pc.utf8_lower(labels), pa.array(sorted(MISSING_TEXTS), pa.large_string()))
    is_gap = is_gap.to_numpy(zero_copy_only=False)
    if is_gap.any():
        codes = np.where(is_gap, -1, np.cumsum(~is_gap) - 1)[codes]
    known = labels.filter(pa.array(~is_gap))
    counts = np.bincount(codes + 1, minlength=len(known) + 1)
    gap_texts = tuple(text for text in labels.filter(pa.array(is_gap)).to_pylist() if text)
    pattern = hashlib.blake2b(codes.astype(np.int32).tobytes()).digest()
    return ColumnCells(name, len(texts), known, counts[1:], int(counts[0]), gap_texts, pattern, decimal)


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


def verdict_on(cells: ColumnCells) -> ColumnVerdict:
    """Verdict of the first recogniser that knows the column."""
    return next(verdict for recognise in RECOGNISERS if (verdict := recognise(cells)) is not None)


def _no_value(cells: ColumnCells) -> ColumnVerdict | None:
    return None if cells.known else leave_out("no_value", "no value at all")


def _name_taken(cells: ColumnCells) -> ColumnVerdict | None:
    if cells.name != ROW_KEY:
        return None
    reason = "has the reserved name of the row key; rename it in the table to use it"
    return leave_out("reserved_name", reason)


def _constant(cells: ColumnCells) -> ColumnVerdict | None:
    if cells.distinct > 1 or cells.gaps:
        return None
    return leave_out("constant", f"constant: always {excerpt(cells.labels[0].as_py())}")


def _date(cells: ColumnCells) -> ColumnVerdict | None:
    written = next((form for pattern, form in DATES.items() if cells.share_matching(pattern) >= NEARLY_ALL), None)
    if written is None and DATE_WORDS & set(cells.words) and cells.whole:
        low, high = np.nanmin(cells.numbers), np.nanmax(cells.numbers)
        written = next((form for (first, last), form in SERIAL_DATES.items() if first <= low <= high <= last), None)
    if written is None:
        return None
    reason = f"date ({written.words}): a model needs a duration; the split can use it"
    return leave_out("date", reason, written.format)


def _value_or_gap(cells: ColumnCells) -> ColumnVerdict | None:
    if cells.distinct > 1:
        return None
    return _labels(cells, f"{excerpt(cells.labels[0].as_py())} or missing, which may carry information")


def _row_name(cells: ColumnCells) -> ColumnVerdict | None:
    if not cells.near_unique or cells.distinct < 2:
        return None
    says_so = bool(ID_WORDS & set(cells.words)) or cells.words[-1:] in [[end] for end in ID_ENDS]
    says_so = says_so or GLUED_ID.search("".join(cells.words)) is not None
    if cells.whole:
        if cells.known >= ENOUGH_ROWS and _counts_rows(cells):
            return leave_out("row_number", "row number; if it identifies customers, name it with --id")
        if says_so:
            return ColumnVerdict("id", "almost unique, and the name says id")
        if cells.known >= ENOUGH_ROWS and cells.share_matching(r"^\d{6,}$") == 1 and _are_equally_long(cells):
            return ColumnVerdict("id", "almost unique long numbers of equal length")
        return None
    if cells.number_share > 0.5 or cells.share_matching(r"^\S+$") < NEARLY_ALL:
        return None
    if says_so:
        return ColumnVerdict("id", "almost unique, and the name says id")
    if cells.known >= ENOUGH_ROWS and cells.share_matching(r"\d") >= NEARLY_ALL:
        return ColumnVerdict("id", "almost unique codes")
    return None


def _are_equally_long(cells: ColumnCells) -> bool:
    return len(pc.unique(pc.utf8_length(cells.labels))) == 1


def _counts_rows(cells: ColumnCells) -> bool:
    """Whether the values are 0, 1, 2, … or 1, 2, 3, … in row order."""
    steps = np.diff(cells.numbers)
    return cells.numbers[0] in (0, 1) and cells.distinct == cells.rows and bool((steps == 1).all())


def _boolean(cells: ColumnCells) -> ColumnVerdict | None:
    if cells.distinct > len(BOOLEAN_TEXTS):
        return None
    truths = {BOOLEAN_TEXTS.get(label.lower()) for label in cells.labels.to_pylist()}
    if truths != {0, 1}:
        return None
    written = " / ".join(sorted(cells.labels.to_pylist()))
    return ColumnVerdict("boolean", written, BooleanColumn(type="boolean", missing=cells.missing, on_error="fail"))


def _code(cells: ColumnCells) -> ColumnVerdict | None:
    if not cells.whole:
        return None
    reasons = {
        "whole numbers with leading zeros are codes": pc.any(pc.match_substring_regex(cells.labels, r"^0\d")).as_py(),
        "whole numbers, and the name says code": bool(CODE_WORDS & set(cells.words)),
        "a few whole numbers, and the name says group": bool(GROUP_WORDS & set(cells.words))
        and cells.distinct <= LISTED_LABELS,
        "two whole numbers, which are labels": cells.distinct == 2,
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    return None if reason is None else _labels(cells, reason)


def _quantity(cells: ColumnCells) -> ColumnVerdict | None:
    if cells.number_share < NEARLY_ALL:
        return None
    low, high = float(np.nanmin(cells.numbers)), float(np.nanmax(cells.numbers))
    reason = f"numbers from {low:.10g} to {high:.10g}"
    if cells.whole and cells.distinct <= 10:
        reason = f"{cells.distinct} whole numbers from {low:.10g} to {high:.10g}; no sign that they are codes"
    if np.count_nonzero(cells.numbers < 0) == 1:
        reason += f"; if {low:.10g}, the only negative value, means missing, list it in missing_values"
    others = np.isnan(cells.numbers)
    if others.any():
        count, first = int(cells.counts[others].sum()), excerpt(cells.texts(others)[0])
        reason += f"; {count:,} are not numbers, such as {first}: correct them, or list them in missing_values"
    floor = 0.0 if low >= 0 else None
    spec = NumericColumn(type="numeric", min=floor, max=None, missing=cells.missing, on_error="fail")
    return ColumnVerdict("numeric", reason, spec)


def _text(cells: ColumnCells) -> ColumnVerdict:
    if cells.near_unique and cells.known >= ENOUGH_ROWS:
        return leave_out("free_text", f"{_kind_of_text(cells)}: almost unique")
    if cells.distinct > LISTED_LABELS and (cells.name.lower().endswith("name") or _is_prose(cells)):
        return leave_out("free_text", f"{_kind_of_text(cells)}: {cells.distinct:,} different values")
    return _labels(cells, "repeated texts")


def _is_prose(cells: ColumnCells) -> bool:
    glance = cells.labels[:: max(1, cells.distinct // 1000)]
    return float(pc.mean(pc.utf8_length(glance)).as_py()) >= 40


def _kind_of_text(cells: ColumnCells) -> str:
    return "free text" if _is_prose(cells) else "names or free text"


def _labels(cells: ColumnCells, reason: str) -> ColumnVerdict:
    """A categorical column, unless it has too many labels for its rows."""
    crowded = cells.distinct > LISTED_LABELS and cells.distinct * ROWS_A_LABEL > cells.known
    if crowded or cells.distinct > MOST_LABELS:
        return leave_out(
            "too_many_labels", f"{reason}, but {cells.distinct:,} different values in {cells.known:,} rows: too many"
        )
    values: tuple[str, ...] | None = None
    if cells.distinct <= LISTED_LABELS:
        order: Callable[[str], float | str] = float if cells.whole else str.casefold
        values = tuple(sorted(sorted(cells.labels.to_pylist()), key=order))
    if values is None or any(label != label.strip() for label in values):
        values, reason = None, f"{reason}: {cells.distinct}, not listed"
    spec = CategoricalColumn(type="categorical", values=values, missing=cells.missing, on_error="fail")
    return ColumnVerdict("categorical", reason, spec)


RECOGNISERS: tuple[Callable[[ColumnCells], ColumnVerdict | None], ...] = (
    _no_value,
    _name_taken,
    _constant,
    _date,
    _value_or_gap,
    _row_name,
    _boolean,
    _code,
    _quantity,
    _text,
)
"""The first that returns a verdict decides; the last one always does."""
