"""What each column of an unknown table is, and why; which names a customer, and which say the same as another."""

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
"""Texts of the target that agree with its name, or do not."""

COPY_BITS = 20
"""Two columns that agree by chance do so with a probability of one in two to this power, at most."""

SAME_CORRELATION = 0.999999
"""Two columns of different amounts are one and the same from this correlation on."""

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
"""In the name of the target: there, and only there, a yes is taken to mean that the customer has left."""

MEANINGS = dict.fromkeys(LEFT, True) | dict.fromkeys(STAYED, False)
"""Words of the target's values: whether they mean that the customer has left."""

NEGATIONS = frozenset({"no", "non", "not", "never", "didn", "hasn"})


@dataclass(frozen=True)
class ColumnProfile:
    """What one column is.

    Attributes:
        spec: its entry among the columns of the contract; none for the target, the id and columns that are not used.
        unused: its entry among those that are not used.
        reason: why, in a few words.
        examples: its commonest values.
        distinct: how many values there are, gaps apart.
        missing_share: share of the rows that have none.
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
        counts: rows of each value.
        positive: the value that means: has churned; None when name and values do not say.
    """

    column: str
    values: tuple[str, str]
    counts: tuple[int, int]
    positive: str | None
    missing: Literal["drop", "fail"]


@dataclass(frozen=True)
class TableProfile:
    """What every column is, in the order of the table."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    target: TargetProfile
    missing_values: tuple[str, ...]

    @property
    def id(self) -> str | None:
        """The column that names a customer."""
        return next((column.name for column in self.columns if column.role == "id"), None)

    @property
    def features(self) -> dict[str, Column]:
        """What the model may use."""
        return {column.name: column.spec for column in self.columns if column.spec is not None}

    @property
    def unused(self) -> dict[str, UnusedColumn]:
        """What it may not, with the reasons."""
        return {column.name: column.unused for column in self.columns if column.unused is not None}


def profile_table(texts: pd.DataFrame, target: str, *, decimal: str, identifier: str | None = None) -> TableProfile:
    """Decide what each column of a table of texts is.

    Args:
        texts: one column of texts a column; '' is a gap.
        target: name of the column to predict.
        decimal: sign before the decimals of numbers.
        identifier: the column that names a customer; None: it is looked for.

    Raises:
        DataError: no rows, a repeated or absent name, a target without exactly two values, or nothing to learn from.
    """
    names = [str(name) for name in texts.columns]
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
        raise DataError(f"no column is left for a model to learn from ({why})")
    used = [cells[column.name] for column in columns if column.role != "unused"]
    gap_texts = sorted({text for column in used for text in column.gap_texts})
    return TableProfile(len(texts), columns, outcome, tuple(gap_texts))


def _require_names(names: list[str], target: str, identifier: str | None) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        times = names.count(repeated)
        raise DataError(f"column {repeated!r} stands {times} times in the header; rename or remove the duplicates")
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
    """At most one column names the customers: the one asked for, or the first that does so without gap or repeat."""
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
    """Of columns that say the same, the first stays; none that says the same as the target does."""
    changed: dict[str, ColumnVerdict] = {}
    kept = [cells[target]]
    for name, column in cells.items():
        if name == target or verdicts[name].spec is None:
            continue
        first = next((other for other in kept if _say_the_same(column, other)), None)
        if first is None:
            kept.append(column)
        elif first.name == target:
            changed[name] = leave_out("target_copy", "says the same as the target: it would give the answer away")
        else:
            changed[name] = leave_out("copy", f"copy: says the same as {excerpt(first.name)}")
    return changed


def _say_the_same(one: ColumnCells, other: ColumnCells) -> bool:
    """Whether each value of one column goes with one value of the other, and not by chance."""
    if one.pattern != other.pattern or one.bits < COPY_BITS:
        return False
    # Where nearly every value is its own, any two columns map one to one.
    return 2 * one.distinct <= one.known or one.labels.equals(other.labels) or _proportional(one, other)


def _proportional(one: ColumnCells, other: ColumnCells) -> bool:
    """Whether one column is the other in another unit, but for rounding."""
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
    """Whether a value of the target means: has churned. None: cannot be told."""
    plain = value.lower().rstrip(".!")
    if plain in ANSWERS:
        return bool(ANSWERS[plain]) if truths_count else None
    words = re.findall(r"[^\W\d_]+", plain)
    said = {MEANINGS[word] for word in words if word in MEANINGS}
    if len(said) != 1:
        return None
    negated = words[0] in NEGATIONS and len(words) > 1
    return said.pop() != negated
