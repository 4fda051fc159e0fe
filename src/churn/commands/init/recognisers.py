"""Infer the role of a column from its distinct values and its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from churn.commands.init.cells import ColumnCells
from churn.commands.init.dates import serial_date, written_date
from churn.config.contract import (
    BooleanColumn,
    CategoricalColumn,
    Column,
    MissingPolicy,
    NumericColumn,
    OnError,
    UnusedColumn,
    UnusedKind,
)
from churn.errors import excerpt
from churn.table.column_names import CODE_WORDS, DATE_WORDS, GROUP_WORDS, says_customers, says_key
from churn.table.parsing import BOOLEAN_TEXTS
from churn.types import ROW_KEY

Role = Literal["numeric", "categorical", "boolean", "id", "target", "unused"]

LISTED_LABELS = 50
"""Up to this number, labels are listed as the valid values of a column."""

MOST_LABELS = 300
"""A column with more labels is not used: each label would become an input of the model."""

ROWS_A_LABEL = 10
"""With fewer rows per label on average, a column of many labels identifies customers rather than groups."""

ENOUGH_ROWS = 20
"""In shorter tables, distinct values prove nothing."""

NEARLY_ALL = 0.95
"""Share of known cells that must be numbers (or dates) for a column of numbers (or dates)."""

ENOUGH_NUMBERS = 0.2
"""Share of numbers that is enough if all other cells hold one of NOTES texts without a digit, such as `unknown`."""
NOTES = 3
NUMBERS_OF_A_QUANTITY = 10
"""Fewer different numbers beside texts are labels, such as 1, 2 and `none of these`."""

MOST_LISTED_TEXTS = 10
"""Up to this number, texts among numbers are listed as missing; more of them are taken for faults of single cells."""


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
    if cells.whole:
        written = serial_date(cells.numbers, says_date=bool(DATE_WORDS & set(cells.words)))
    else:
        written = written_date(lambda pattern: cells.share_matching(rf"^(?:{pattern})$"), NEARLY_ALL)
    if written is None:
        return None
    reason = f"date ({written.words}): a model needs a duration; the split can use it"
    return leave_out("date", reason, written.format)


def _value_or_gap(cells: ColumnCells) -> ColumnVerdict | None:
    if cells.distinct > 1:
        return None
    return _labels(cells, f"{excerpt(cells.labels[0].as_py())} or missing, which may carry information")


def _customer_in_several_rows(cells: ColumnCells) -> ColumnVerdict | None:
    if not says_customers(cells.name) or cells.near_unique or cells.distinct < ENOUGH_ROWS:
        return None
    if cells.share_matching(r"^\S+$") < NEARLY_ALL:
        return None
    return ColumnVerdict("id", id_of_panel(cells))


def id_of_panel(cells: ColumnCells) -> str:
    """Reason for an id whose values come again."""
    return f"names customers: {cells.distinct:,} in {cells.known:,} rows"


def _row_name(cells: ColumnCells) -> ColumnVerdict | None:
    if not cells.near_unique or cells.distinct < 2:
        return None
    says_so = says_key(cells.name)
    if cells.whole:
        if cells.known >= ENOUGH_ROWS and _counts_rows(cells) and not says_customers(cells.name):
            return leave_out("row_number", "row number; if it identifies customers, name it with --id")
        if says_so:
            return ColumnVerdict("id", "almost unique, and the name says id")
        if cells.known >= ENOUGH_ROWS and cells.share_matching(r"^\d{6,}$") == 1 and _are_equally_long(cells):
            return ColumnVerdict("id", "almost unique long numbers of equal length")
        return None
    are_numbers = max(cells.number_share, cells.with_other_decimal.number_share) > 0.5
    if are_numbers or cells.share_matching(r"^\S+$") < NEARLY_ALL:
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
    read = next((one for one in (cells, cells.with_other_decimal) if _are_numbers(one)), None)
    if read is None:
        return None
    numbers = read.numbers[~np.isnan(read.numbers)]
    low, high = float(numbers.min()), float(numbers.max())
    reason = f"numbers from {low:.10g} to {high:.10g}"
    if read.whole and read.distinct <= 10:
        reason = f"{read.distinct} whole numbers from {low:.10g} to {high:.10g}; no sign that they are codes"
    if read is not cells:
        reason += f", decimal sign {read.decimal}"
    if np.count_nonzero(numbers < 0) == 1:
        reason += f"; if {low:.10g}, the only negative value, means missing, list it in missing_values of this column"
    others = read.texts(np.isnan(read.numbers))
    missing: MissingPolicy = "allow" if others else read.missing
    listed = tuple(others) if _are_notes(others) else ()
    on_error: OnError = "missing" if others and not listed else "fail"
    if others:
        count, shown = int(read.counts[np.isnan(read.numbers)].sum()), ", ".join(map(excerpt, others[:NOTES]))
        reason += f"; {count:,} are not numbers, such as {shown}, and are read as missing"
    spec = NumericColumn(
        type="numeric",
        min=0.0 if low >= 0 else None,
        max=None,
        missing=missing,
        on_error=on_error,
        missing_values=listed,
        decimal=None if read is cells else read.decimal,
    )
    return ColumnVerdict("numeric", reason, spec)


def _are_numbers(cells: ColumnCells) -> bool:
    """Whether nearly all cells are numbers, or all but a few texts that come again."""
    if cells.number_share >= NEARLY_ALL:
        return True
    if cells.number_share < ENOUGH_NUMBERS:
        return False
    others = cells.texts(np.isnan(cells.numbers))
    few = len(others) <= NOTES and _are_notes(others)
    return few and cells.distinct - len(others) >= NUMBERS_OF_A_QUANTITY


def _are_notes(texts: list[str]) -> bool:
    """Whether a few texts among numbers are words, rather than ranges such as 10+ or numbers with a slip."""
    return len(texts) <= MOST_LISTED_TEXTS and not any(sign.isdigit() for text in texts for sign in text)


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
    _customer_in_several_rows,
    _row_name,
    _boolean,
    _code,
    _quantity,
    _text,
)
"""The first that returns a verdict decides; the last one always does."""
