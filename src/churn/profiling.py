"""What each column of an unknown table is, and why: told from its distinct values and its name, without a model."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from churn.amounts import number_pattern, read_amounts
from churn.contract import ROW_KEY, BooleanColumn, CategoricalColumn, Column, MissingPolicy, NumericColumn
from churn.errors import DataError, shown
from churn.schema import BOOLEAN_TEXTS

Role = Literal["numeric", "categorical", "boolean", "id", "target", "unused"]

MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "<na>", "null", "none", "nan", "?", "-", "--", "."})
"""Texts that mean missing, in any case. `unknown` is an answer and stays a label."""

ANSWERS = BOOLEAN_TEXTS | {"ja": 1, "nein": 0}
"""Texts of the target that agree with its name, or do not."""

LISTED_LABELS = 50
"""Up to as many labels are written out as the values that may stand in a column."""

MOST_LABELS = 300
"""More labels than this are not for a model: each becomes a column of its own."""

ROWS_A_LABEL = 10
"""With fewer rows a label on average, a column of many labels names customers rather than groups of them."""

NEAR_UNIQUE = 0.95
"""Share of distinct values above which a column names rows."""

ENOUGH_ROWS = 20
"""In shorter tables, distinct values say nothing."""

NEARLY_ALL = 0.95
"""Share of the known cells that must be numbers, or dates, for the column to be one."""

COPY_BITS = 20
"""Two columns that agree by chance do so with a probability of one in two to this power, at most."""

SAME_CORRELATION = 0.999999
"""Two columns of different amounts are one and the same from this correlation on."""

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

_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?:Z| ?[+-]\d{2}:?\d{2})?)?"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:\d{4}|\d{2})"

DATES = {
    "yyyy-mm-dd": rf"^\d{{4}}[-/.]{_MONTH}[-/.]{_DAY}{_TIME}$",
    "yyyy-mm": r"^\d{4}-(?:0[1-9]|1[0-2])$",
    "dd.mm.yyyy": rf"^{_DAY}\.{_MONTH}\.{_YEAR}{_TIME}$",
    "mm/dd/yyyy": rf"^{_MONTH}[-/]{_DAY}[-/]{_YEAR}{_TIME}$",
    "dd/mm/yyyy": rf"^{_DAY}[-/]{_MONTH}[-/]{_YEAR}{_TIME}$",
    "dd month yyyy": rf"^{_DAY}[-. ]+\pL{{3,9}}[-. ]+{_YEAR}{_TIME}$",
    "hh:mm": r"^\d{1,2}:\d{2}(?::\d{2})?$",
    "month dd, yyyy": rf"^\pL{{3,9}}\.? {_DAY},? {_YEAR}{_TIME}$",
}

SERIAL_DATES = {
    "yyyymmdd": (19000101, 21001231),
    "days since 1900": (10_000, 80_000),
    "seconds since 1970": (10**8, 10**10),
    "milliseconds since 1970": (10**11, 10**13),
}
"""Numbers that are dates when the name says so."""


@dataclass(frozen=True)
class ColumnProfile:
    """What one column is.

    Attributes:
        spec: its entry in the contract; none for the target, the id and columns that are not used.
        reason: why, in a few words.
        examples: its commonest values.
        distinct: how many values there are, gaps apart.
        missing_share: share of the rows that have none.
    """

    name: str
    role: Role
    spec: Column | None
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
    def unused(self) -> dict[str, str]:
        """What it may not, with the reasons."""
        return {column.name: column.reason for column in self.columns if column.role == "unused"}


@dataclass(frozen=True)
class _Cells:
    """A column reduced to its distinct values, so that nothing below looks at each row.

    Attributes:
        labels: known values without spaces around them, in order of appearance.
        counts: rows of each.
        gap_texts: texts that stand for a gap, the empty one apart.
        pattern: digest of which rows share a value; equal for columns that map one to one.
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
        return self.rows - self.gaps

    @property
    def distinct(self) -> int:
        return len(self.labels)

    @property
    def near_unique(self) -> bool:
        return self.distinct >= NEAR_UNIQUE * self.known

    @property
    def missing(self) -> MissingPolicy:
        return "allow" if self.gaps else "fail"

    @cached_property
    def words(self) -> list[str]:
        """The words of the name, whether divided by signs or by capitals."""
        return [word.lower() for word in re.findall(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|\d+", self.name)]

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Value of each label, NaN where it is no number."""
        return _numbers(self.labels, self.decimal)

    @cached_property
    def number_share(self) -> float:
        """Share of the known rows that hold a number."""
        return self._share(~np.isnan(self.numbers))

    @cached_property
    def whole(self) -> bool:
        """Whether each value is written as a whole number."""
        return self.share_matching(r"^-?\d+$") == 1 and self.number_share == 1

    @cached_property
    def bits(self) -> float:
        """How improbable it is that another column with these counts agrees by chance, as a power of two."""
        counts = np.append(self.counts, self.gaps) if self.gaps else self.counts
        return float((counts * np.log2(self.rows / counts)).sum())

    def share_matching(self, pattern: str) -> float:
        """Share of the known rows whose value matches; a glance at a few of them spares most columns the rest."""
        glance = self.labels[:: max(1, self.distinct // 200)]
        if pc.mean(pc.match_substring_regex(glance, pattern)).as_py() < 0.5:
            return 0.0
        return self._share(pc.match_substring_regex(self.labels, pattern).to_numpy(zero_copy_only=False))

    def texts(self, where: NDArray[np.bool_]) -> list[str]:
        """The labels that a mask chooses."""
        chosen: list[str] = self.labels.filter(pa.array(where)).to_pylist()
        return chosen

    def examples(self) -> tuple[str, ...]:
        """The three commonest values."""
        if self.distinct > 1000:
            return tuple(self.labels[:3].to_pylist())
        return tuple(self.labels.take(np.argsort(-self.counts, kind="stable")[:3]).to_pylist())

    def _share(self, which: NDArray[np.bool_]) -> float:
        return float(self.counts[which].sum() / self.known)


@dataclass(frozen=True)
class _Verdict:
    role: Role
    reason: str
    spec: Column | None = None


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
    reduced = [_reduced(name, texts.iloc[:, place], decimal) for place, name in enumerate(names)]
    cells = {column.name: column for column in reduced}
    outcome = _target(cells[target])
    customer_cells = [column for column in reduced if column.name != target]
    verdicts = {column.name: _recognised(column) for column in customer_cells}
    verdicts |= _with_one_id(customer_cells, verdicts, identifier)
    verdicts |= _without_copies(cells, verdicts, target)
    verdicts[target] = _Verdict("target", f"{shown(outcome.values[0])} or {shown(outcome.values[1])}")
    columns = tuple(_profile(column, verdicts[column.name]) for column in reduced)
    if not any(column.spec for column in columns):
        reasons = [f"{shown(column.name)}: {column.reason}" for column in columns if column.role != "target"]
        why = "; ".join(reasons[:5]) or "there is only the target"
        raise DataError(f"no column is left for a model to learn from ({why})")
    used = [cells[column.name] for column in columns if column.role != "unused"]
    gap_texts = sorted({text for column in used for text in column.gap_texts})
    return TableProfile(len(texts), columns, outcome, tuple(gap_texts))


def _require_names(names: list[str], target: str, identifier: str | None) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        times = names.count(repeated)
        raise DataError(f"column {repeated!r} stands {times} times in the header; rename or remove the others")
    for option, name in (("--target", target), ("--id", identifier)):
        if name is not None and name not in names:
            raise DataError(f"no column {name!r} ({option}); the table has: {_few(names)}")
    if target == identifier:
        raise DataError(f"--target and --id are both {target!r}")


def _few(texts: list[str], most: int = 40) -> str:
    return ", ".join([shown(text) for text in texts[:most]] + ["…"] * (len(texts) > most))


def _profile(cells: _Cells, verdict: _Verdict) -> ColumnProfile:
    missing = cells.gaps / cells.rows
    return ColumnProfile(
        cells.name, verdict.role, verdict.spec, verdict.reason, cells.examples(), cells.distinct, missing
    )


def _reduced(name: str, texts: pd.Series, decimal: str) -> _Cells:
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
    return _Cells(name, len(texts), known, counts[1:], int(counts[0]), gap_texts, pattern, decimal)


def _numbers(labels: pa.Array, decimal: str) -> NDArray[np.float64]:
    if decimal == ".":
        # The fast way, for columns of plain numbers.
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


def _recognised(cells: _Cells) -> _Verdict:
    return next(verdict for recognise in RECOGNISERS if (verdict := recognise(cells)) is not None)


def _no_value(cells: _Cells) -> _Verdict | None:
    return None if cells.known else _Verdict("unused", "no value at all")


def _name_taken(cells: _Cells) -> _Verdict | None:
    if cells.name != ROW_KEY:
        return None
    return _Verdict("unused", "has the name of the key that every row is given; rename it in the table to use it")


def _constant(cells: _Cells) -> _Verdict | None:
    if cells.distinct > 1 or cells.gaps:
        return None
    return _Verdict("unused", f"constant: always {shown(cells.labels[0].as_py())}")


def _date(cells: _Cells) -> _Verdict | None:
    written = next((form for form, pattern in DATES.items() if cells.share_matching(pattern) >= NEARLY_ALL), None)
    if written is None and DATE_WORDS & set(cells.words) and cells.whole:
        low, high = np.nanmin(cells.numbers), np.nanmax(cells.numbers)
        written = next((form for form, (first, last) in SERIAL_DATES.items() if first <= low <= high <= last), None)
    if written is None:
        return None
    return _Verdict("unused", f"date ({written}): a model needs a duration; the split can use it")


def _value_or_gap(cells: _Cells) -> _Verdict | None:
    if cells.distinct > 1:
        return None
    return _labels(cells, f"{shown(cells.labels[0].as_py())} or a gap, which may mean something")


def _row_name(cells: _Cells) -> _Verdict | None:
    if not cells.near_unique or cells.distinct < 2:
        return None
    says_so = bool(ID_WORDS & set(cells.words)) or cells.words[-1:] in [[end] for end in ID_ENDS]
    says_so = says_so or GLUED_ID.search("".join(cells.words)) is not None
    if cells.whole:
        if cells.known >= ENOUGH_ROWS and _counts_rows(cells):
            return _Verdict("unused", "counts the rows")
        if says_so:
            return _Verdict("id", "nearly every row has its own, and the name says id")
        if cells.known >= ENOUGH_ROWS and cells.share_matching(r"^\d{6,}$") == 1 and _are_equally_long(cells):
            return _Verdict("id", "nearly every row has a long number of its own, all of one length")
        return None
    if cells.number_share > 0.5 or cells.share_matching(r"^\S+$") < NEARLY_ALL:
        return None
    if says_so:
        return _Verdict("id", "nearly every row has its own, and the name says id")
    if cells.known >= ENOUGH_ROWS and cells.share_matching(r"\d") >= NEARLY_ALL:
        return _Verdict("id", "nearly every row has a code of its own")
    return None


def _are_equally_long(cells: _Cells) -> bool:
    return len(pc.unique(pc.utf8_length(cells.labels))) == 1


def _counts_rows(cells: _Cells) -> bool:
    """Whether the values are 0, 1, 2, … or 1, 2, 3, … in the order of the rows."""
    steps = np.diff(cells.numbers)
    return cells.numbers[0] in (0, 1) and cells.distinct == cells.rows and bool((steps == 1).all())


def _boolean(cells: _Cells) -> _Verdict | None:
    if cells.distinct > len(BOOLEAN_TEXTS):
        return None
    truths = {BOOLEAN_TEXTS.get(label.lower()) for label in cells.labels.to_pylist()}
    if truths != {0, 1}:
        return None
    written = " / ".join(sorted(cells.labels.to_pylist()))
    return _Verdict("boolean", written, BooleanColumn(type="boolean", missing=cells.missing, on_error="fail"))


def _code(cells: _Cells) -> _Verdict | None:
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


def _quantity(cells: _Cells) -> _Verdict | None:
    if cells.number_share < NEARLY_ALL:
        return None
    low, high = float(np.nanmin(cells.numbers)), float(np.nanmax(cells.numbers))
    reason = f"numbers from {low:.10g} to {high:.10g}"
    if cells.whole and cells.distinct <= 10:
        reason = f"{cells.distinct} whole numbers from {low:.10g} to {high:.10g}; no sign that they are codes"
    if np.count_nonzero(cells.numbers < 0) == 1:
        reason += f"; if {low:.10g}, alone below 0, stands for a gap, list it in missing_values"
    others = np.isnan(cells.numbers)
    if others.any():
        count, first = int(cells.counts[others].sum()), shown(cells.texts(others)[0])
        reason += f"; {count:,} more are none, such as {first}: correct or list them in missing_values"
    floor = 0.0 if low >= 0 else None
    spec = NumericColumn(type="numeric", min=floor, max=None, missing=cells.missing, on_error="fail")
    return _Verdict("numeric", reason, spec)


def _text(cells: _Cells) -> _Verdict:
    if cells.near_unique and cells.known >= ENOUGH_ROWS:
        return _Verdict("unused", f"{_kind_of_text(cells)}: nearly every row has its own")
    if cells.distinct > LISTED_LABELS and (cells.name.lower().endswith("name") or _is_prose(cells)):
        return _Verdict("unused", f"{_kind_of_text(cells)}: {cells.distinct:,} different ones")
    return _labels(cells, "texts that repeat")


def _is_prose(cells: _Cells) -> bool:
    glance = cells.labels[:: max(1, cells.distinct // 1000)]
    return float(pc.mean(pc.utf8_length(glance)).as_py()) >= 40


def _kind_of_text(cells: _Cells) -> str:
    return "free text" if _is_prose(cells) else "names or free text"


def _labels(cells: _Cells, reason: str) -> _Verdict:
    """A categorical column, unless it has too many labels for the rows."""
    crowded = cells.distinct > LISTED_LABELS and cells.distinct * ROWS_A_LABEL > cells.known
    if crowded or cells.distinct > MOST_LABELS:
        return _Verdict("unused", f"{reason}, but {cells.distinct:,} different ones in {cells.known:,} rows: too many")
    values: tuple[str, ...] | None = None
    if cells.distinct <= LISTED_LABELS:
        order: Callable[[str], float | str] = float if cells.whole else str.casefold
        values = tuple(sorted(sorted(cells.labels.to_pylist()), key=order))
    if values is None or any(label != label.strip() for label in values):
        values, reason = None, f"{reason}: {cells.distinct}, not listed"
    spec = CategoricalColumn(type="categorical", values=values, missing=cells.missing, on_error="fail")
    return _Verdict("categorical", reason, spec)


RECOGNISERS: tuple[Callable[[_Cells], _Verdict | None], ...] = (
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
"""The first that knows a column decides; the last knows every column."""


def _with_one_id(cells: list[_Cells], verdicts: dict[str, _Verdict], identifier: str | None) -> dict[str, _Verdict]:
    """At most one column names the customers: the one asked for, or the first that does so without gap or repeat."""
    named = [column for column in cells if verdicts[column.name].role == "id"]
    if identifier is not None:
        chosen = next(column for column in cells if column.name == identifier)
        if chosen.gaps:
            raise DataError(f"column {identifier!r} (--id) has {chosen.gaps:,} gaps; fill them in, or name another")
        changed = {identifier: _Verdict("id", f"asked for; {chosen.distinct:,} different ones")}
    else:
        changed = {column.name: verdicts[column.name] for column in named if column.distinct == column.rows}
        changed = dict(list(changed.items())[:1])
    others = [column.name for column in named if column.name not in changed]
    return changed | {name: replace(verdicts[name], role="unused", reason=_not_id(verdicts[name])) for name in others}


def _not_id(verdict: _Verdict) -> str:
    return f"id: {verdict.reason}"


def _without_copies(cells: dict[str, _Cells], verdicts: dict[str, _Verdict], target: str) -> dict[str, _Verdict]:
    """Of columns that say the same, the first stays; none that says the same as the target does."""
    changed: dict[str, _Verdict] = {}
    kept = [cells[target]]
    for name, column in cells.items():
        if name == target or verdicts[name].spec is None:
            continue
        first = next((other for other in kept if _say_the_same(column, other)), None)
        if first is None:
            kept.append(column)
        elif first.name == target:
            changed[name] = _Verdict("unused", "says the same as the target: it would give the answer away")
        else:
            changed[name] = _Verdict("unused", f"copy: says the same as {shown(first.name)}")
    return changed


def _say_the_same(one: _Cells, other: _Cells) -> bool:
    """Whether each value of one column goes with one value of the other, and not by chance."""
    if one.pattern != other.pattern or one.bits < COPY_BITS:
        return False
    # Where nearly every value is its own, any two columns map one to one.
    return 2 * one.distinct <= one.known or one.labels.equals(other.labels) or _proportional(one, other)


def _proportional(one: _Cells, other: _Cells) -> bool:
    """Whether one column is the other in another unit, but for rounding."""
    pair = np.vstack([one.numbers, other.numbers])
    if np.isnan(pair).any():
        return False
    largest = np.abs(pair).max(axis=1, keepdims=True)
    centred = pair / largest - (pair / largest).mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    return bool(lengths.all() and abs(centred[0] @ centred[1]) > SAME_CORRELATION * lengths.prod())


def _target(cells: _Cells) -> TargetProfile:
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
