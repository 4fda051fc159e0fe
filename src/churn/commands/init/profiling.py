"""Profile an unknown table: the role of each column and the reason, the customer id, and copies of columns."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from churn.commands.init.recognisers import ColumnCells, ColumnVerdict, Role, cells_of, leave_out, verdict_on
from churn.config.contract import Column, UnusedColumn
from churn.errors import DataError, excerpt
from churn.table.parsing import BOOLEAN_TEXTS

ANSWERS = BOOLEAN_TEXTS | {"ja": 1, "nein": 0}
"""Target values that confirm (1) or deny (0) the target's name."""

COPY_BITS = 20
"""Two columns are copies if they agree by chance with a probability of at most 2 to the power of minus this."""

SAME_CORRELATION = 0.999999
"""Correlation from which two columns of different amounts are copies."""

LEFT = (
    *("attrited", "attrition", "cancel", "canceled", "cancelled", "churn", "churned", "churner", "closed", "departed"),
    *("ended", "exit", "exited", "expired", "gone", "inactive", "leave", "leaver", "leaving", "left", "lost", "quit"),
    *("terminated", "unsubscribed"),
)
STAYED = (
    *("active", "current", "existing", "keep", "kept", "loyal", "open", "remained", "retained", "stay", "stayed"),
    *("staying", "subscribed"),
)
LEAVING_WORDS = frozenset({*LEFT, "cancellation", "churners", "gekündigt", "kündigung", "kuendigung"})
"""Words in the target's name with which a yes means that the customer left."""

MEANINGS = dict.fromkeys(LEFT, True) | dict.fromkeys(STAYED, False)
"""Words in the target's values: whether they mean that the customer left."""

NEGATIONS = frozenset({"no", "non", "not", "never", "didn", "hasn"})


@dataclass(frozen=True)
class ColumnProfile:
    """Role of a column, with statistics.

    Attributes:
        spec: its entry under `columns` of the contract; None for the target, the id and columns that are not used.
        unused: its entry under `unused` of the contract; None for other columns.
        reason: why it has that role.
        examples: its most common values.
        distinct: number of distinct values, without gaps.
        missing_share: share of rows without a value.
    """

    name: str
    role: Role
    spec: Column | None
    unused: UnusedColumn | None
    reason: str
    examples: tuple[str, ...]
    distinct: int
    missing_share: float


@dataclass(frozen=True)
class TargetProfile:
    """The two values of the target.

    Attributes:
        counts: number of rows with each value.
        positive: the value that means churned; None if it cannot be inferred.
    """

    column: str
    values: tuple[str, str]
    counts: tuple[int, int]
    positive: str | None
    missing: Literal["drop", "fail"]


@dataclass(frozen=True)
class TableProfile:
    """Profiles of all columns, in the order of the table."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    target: TargetProfile
    missing_values: tuple[str, ...]

    @property
    def id(self) -> str | None:
        """The column that identifies a customer."""
        return next((column.name for column in self.columns if column.role == "id"), None)

    @property
    def features(self) -> dict[str, Column]:
        """Columns that the model uses."""
        return {column.name: column.spec for column in self.columns if column.spec is not None}

    @property
    def unused(self) -> dict[str, UnusedColumn]:
        """Columns that the model does not use, with reasons."""
        return {column.name: column.unused for column in self.columns if column.unused is not None}


def profile_table(texts: pd.DataFrame, target: str, *, decimal: str, identifier: str | None = None) -> TableProfile:
    """Infer the role of each column of a table of texts.

    Args:
        texts: the table, all columns as texts; '' is a gap.
        target: name of the column to predict.
        decimal: decimal sign of numbers.
        identifier: the column that identifies a customer; None to infer it.

    Raises:
        DataError: no rows, a repeated or missing name, a target without exactly two values, or no usable column.
    """
    names = [str(name) for name in texts.columns]
    if names.count("") > 1:  # such as a spreadsheet adds; no parameter can name them
        texts = texts.loc[:, [bool(name) for name in names]]
        names = list(filter(None, names))
    _require_names(names, target, identifier)
    if texts.empty:
        raise DataError("holds no rows")
    reduced = [cells_of(name, texts.iloc[:, place], decimal) for place, name in enumerate(names)]
    cells = {column.name: column for column in reduced}
    outcome = _target(cells[target])
    customer_cells = [column for column in reduced if column.name != target]
    verdicts = {column.name: verdict_on(column) for column in customer_cells}
    verdicts |= _with_one_id(customer_cells, verdicts, identifier)
    verdicts |= _without_copies(cells, verdicts, target)
    verdicts[target] = ColumnVerdict("target", f"{excerpt(outcome.values[0])} or {excerpt(outcome.values[1])}")
    columns = tuple(_profile(column, verdicts[column.name]) for column in reduced)
    if not any(column.spec for column in columns):
        reasons = [f"{excerpt(column.name)}: {column.reason}" for column in columns if column.role != "target"]
        why = "; ".join(reasons[:5]) or "there is only the target"
        raise DataError(f"no column can be used by a model ({why})")
    used = [cells[column.name] for column in columns if column.role != "unused"]
    gap_texts = sorted({text for column in used for text in column.gap_texts})
    return TableProfile(len(texts), columns, outcome, tuple(gap_texts))


def _require_names(names: list[str], target: str, identifier: str | None) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        times = names.count(repeated)
        raise DataError(f"column {repeated!r} appears {times} times in the header; rename or remove the duplicates")
    for option, name in (("--target", target), ("--id", identifier)):
        if name is not None and name not in names:
            raise DataError(f"no column {name!r} ({option}); the table has: {_few(names)}")
    if target == identifier:
        raise DataError(f"--target and --id are both {target!r}")


def _few(texts: list[str], most: int = 40) -> str:
    return ", ".join([excerpt(text) for text in texts[:most]] + ["…"] * (len(texts) > most))


def _profile(cells: ColumnCells, verdict: ColumnVerdict) -> ColumnProfile:
    missing = cells.gaps / cells.rows
    return ColumnProfile(
        cells.name,
        verdict.role,
        verdict.spec,
        verdict.unused,
        verdict.reason,
        cells.examples(),
        cells.distinct,
        missing,
    )


def _with_one_id(
    cells: list[ColumnCells], verdicts: dict[str, ColumnVerdict], identifier: str | None
) -> dict[str, ColumnVerdict]:
    """Keep at most one id: the given one, or the first without gaps and duplicates."""
    named = [column for column in cells if verdicts[column.name].role == "id"]
    if identifier is not None:
        chosen = next(column for column in cells if column.name == identifier)
        if chosen.gaps:
            raise DataError(f"column {identifier!r} (--id) has {chosen.gaps:,} gaps; fill them in, or name another")
        changed = {identifier: ColumnVerdict("id", f"given by --id; {chosen.distinct:,} distinct values")}
    else:
        changed = {column.name: verdicts[column.name] for column in named if column.distinct == column.rows}
        changed = dict(list(changed.items())[:1])
    others = [column.name for column in named if column.name not in changed]
    return changed | {name: leave_out("id", f"id: {verdicts[name].reason}") for name in others}


def _without_copies(
    cells: dict[str, ColumnCells], verdicts: dict[str, ColumnVerdict], target: str
) -> dict[str, ColumnVerdict]:
    """Drop copies: of equal columns the first is kept; columns equal to the target are dropped."""
    changed: dict[str, ColumnVerdict] = {}
    kept = [cells[target]]
    for name, column in cells.items():
        if name == target or verdicts[name].spec is None:
            continue
        first = next((other for other in kept if _say_the_same(column, other)), None)
        if first is None:
            kept.append(column)
        elif first.name == target:
            changed[name] = leave_out("target_copy", "copy of the target: it would leak the answer")
        else:
            changed[name] = leave_out("copy", f"copy of {excerpt(first.name)}")
    return changed


def _say_the_same(one: ColumnCells, other: ColumnCells) -> bool:
    """Whether two columns map one to one, and not by chance."""
    if one.pattern != other.pattern or one.bits < COPY_BITS:
        return False
    # Any two columns of nearly unique values map one to one.
    return 2 * one.distinct <= one.known or one.labels.equals(other.labels) or _proportional(one, other)


def _proportional(one: ColumnCells, other: ColumnCells) -> bool:
    """Whether one column is the other in another unit, apart from rounding."""
    pair = np.vstack([one.numbers, other.numbers])
    if np.isnan(pair).any():
        return False
    largest = np.abs(pair).max(axis=1, keepdims=True)
    centred = pair / largest - (pair / largest).mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    return bool(lengths.all() and abs(centred[0] @ centred[1]) > SAME_CORRELATION * lengths.prod())


def _target(cells: ColumnCells) -> TargetProfile:
    if cells.distinct != 2:
        found = f"{cells.distinct:,} values ({_few(cells.labels[:7].to_pylist(), 6)})" if cells.distinct else "no value"
        raise DataError(f"column {cells.name!r} (--target) has {found} besides gaps; it must have exactly two")
    first, second = cells.labels.to_pylist()
    words = set(cells.words)
    speaks_of_leaving = bool(words & LEAVING_WORDS) and not words & NEGATIONS
    means = {value: _has_left(value, truths_count=speaks_of_leaving) for value in (first, second)}
    clear = set(means.values()) == {True, False}
    positive = next(value for value, left in means.items() if left) if clear else None
    counts = (int(cells.counts[0]), int(cells.counts[1]))
    return TargetProfile(cells.name, (first, second), counts, positive, "drop" if cells.gaps else "fail")


def _has_left(value: str, *, truths_count: bool) -> bool | None:
    """Whether a value of the target means churned; None if unknown."""
    plain = value.lower().rstrip(".!")
    if plain in ANSWERS:
        return bool(ANSWERS[plain]) if truths_count else None
    words = re.findall(r"[^\W\d_]+", plain)
    said = {MEANINGS[word] for word in words if word in MEANINGS}
    if len(said) != 1:
        return None
    negated = words[0] in NEGATIONS and len(words) > 1
    return said.pop() != negated
