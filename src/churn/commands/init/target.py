"""The target of an unknown table: its two values, and which of them means that a customer left."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from churn.commands.init.cells import ColumnCells
from churn.errors import DataError, excerpt
from churn.table.parsing import BOOLEAN_TEXTS

MOST_EXPLAINED = 7
"""A column with more values is hardly the target."""

ANSWERS = BOOLEAN_TEXTS | {"ja": 1, "nein": 0}
"""Target values that confirm (1) or deny (0) the target's name."""

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
class TargetProfile:
    """The two values of the target.

    Attributes:
        counts: number of rows with each value.
        positive: the value that means churned; None if it cannot be inferred.
        drop: texts of rows that are left out.
    """

    column: str
    values: tuple[str, str]
    counts: tuple[int, int]
    positive: str | None
    missing: Literal["drop", "fail"]
    drop: tuple[str, ...] = ()


def with_one_spelling(texts: pd.Series) -> pd.Series:
    """The target's texts, of which those that differ only in case have the spelling of the most frequent one."""
    stripped = texts.str.strip()
    folded = stripped.str.casefold()
    most_frequent = {text.casefold(): text for text in reversed(stripped.value_counts().index.tolist())}
    return folded.map(most_frequent)


def is_one_of(texts: pd.Series, values: Sequence[str]) -> pd.Series:
    """Which of the target's texts are among some values, whatever their case.

    Raises:
        DataError: a value is in no row.
    """
    folded = texts.str.strip().str.casefold()
    for value in values:
        if not (folded == value.strip().casefold()).any():
            raise DataError(f"--drop {excerpt(value)} is not a value of column {texts.name!r} (--target)")
    return folded.isin([value.strip().casefold() for value in values])


def profile_target(cells: ColumnCells, drop: tuple[str, ...]) -> TargetProfile:
    """The two values of the target, and which of them means churned.

    Raises:
        DataError: it does not have exactly two.
    """
    labels = cells.labels.to_pylist()
    words = set(cells.words)
    speaks_of_leaving = bool(words & LEAVING_WORDS) and not words & NEGATIONS
    means = {value: _has_left(value, truths_count=speaks_of_leaving) for value in labels[:MOST_EXPLAINED]}
    if cells.distinct != 2:
        raise DataError(_not_two(cells, means))
    first, second = labels
    clear = set(means.values()) == {True, False}
    positive = next(value for value, left in means.items() if left) if clear else None
    counts = (int(cells.counts[0]), int(cells.counts[1]))
    return TargetProfile(cells.name, (first, second), counts, positive, "drop" if cells.gaps else "fail", drop)


def _not_two(cells: ColumnCells, means: dict[str, bool | None]) -> str:
    shown = [*map(excerpt, list(means)[:6]), *["…"] * (cells.distinct > 6)]
    found = f"{cells.distinct:,} values ({', '.join(shown)})" if cells.distinct else "no value"
    told = f"column {cells.name!r} (--target) has {found} besides gaps; it must have exactly two"
    if not 2 < cells.distinct <= MOST_EXPLAINED:
        return told
    others = [value for value, left in means.items() if left is None]
    if len(others) != cells.distinct - 2:
        return f"{told}: leave out the rows of the others with --drop VALUE"
    options = " ".join(f"--drop {shlex.quote(value)}" for value in others)
    return f"{told}: leave out the rows of the others, as with {options}"


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
