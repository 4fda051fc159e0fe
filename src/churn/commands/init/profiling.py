"""Profile an unknown table: the role of each column and the reason, the customer id, and copies of columns."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from churn.commands.init.cells import MISSING_TEXTS, NONE, ColumnCells, cells_of
from churn.commands.init.recognisers import ENOUGH_ROWS, ColumnVerdict, Role, id_of_panel, leave_out, verdict_on
from churn.commands.init.target import TargetProfile, is_one_of, profile_target, with_one_spelling
from churn.config.contract import Column, DecimalSign, UnusedColumn
from churn.errors import DataError, excerpt
from churn.table.column_names import says_customers
from churn.table.panels import are_rows_of_customers

COPY_BITS = 20
"""Two columns are copies if they agree by chance with a probability of at most 2 to the power of minus this."""

SAME_CORRELATION = 0.999999
"""Correlation from which two columns of different amounts are copies."""


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


def profile_table(
    texts: pd.DataFrame,
    target: str,
    *,
    decimal: DecimalSign,
    identifier: str | None = None,
    drop: tuple[str, ...] = (),
) -> TableProfile:
    """Infer the role of each column of a table of texts.

    Args:
        texts: the table, all columns as texts; '' is a gap.
        target: name of the column to predict.
        decimal: decimal sign of numbers.
        identifier: the column that identifies a customer; None to infer it.
        drop: texts in the target's column of rows that are left out.

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
    texts = _judged_rows(texts, names.index(target), drop)
    reduced = [cells_of(name, texts.iloc[:, place], decimal) for place, name in enumerate(names)]
    cells = {column.name: column for column in reduced}
    outcome = profile_target(cells[target], drop)
    verdicts = {}
    for place, name in enumerate(names):
        if name != target:
            cells[name], verdicts[name] = _with_none_as_label(cells[name], texts.iloc[:, place])
    verdicts |= _with_one_id([cells[name] for name in verdicts], verdicts, identifier)
    verdicts |= _without_copies(cells, verdicts, target)
    used = [name for name in names if name == target or verdicts[name].role != "unused"]
    gap_texts, verdicts = _gap_texts(cells, verdicts, used)
    verdicts[target] = ColumnVerdict("target", f"{excerpt(outcome.values[0])} or {excerpt(outcome.values[1])}")
    columns = tuple(_profile(cells[name], verdicts[name]) for name in names)
    if not any(column.spec for column in columns):
        reasons = [f"{excerpt(column.name)}: {column.reason}" for column in columns if column.role != "target"]
        why = "; ".join(reasons[:5]) or "there is only the target"
        raise DataError(f"no column can be used by a model ({why})")
    return TableProfile(len(texts), columns, outcome, gap_texts)


def _judged_rows(texts: pd.DataFrame, place: int, drop: tuple[str, ...]) -> pd.DataFrame:
    """The rows that are not left out, with one spelling of each of the target's values."""
    outcomes = texts.iloc[:, place]
    left_out = is_one_of(outcomes, drop)
    texts = texts[~left_out].reset_index(drop=True)
    if texts.empty:
        raise DataError("holds no rows but those that --drop leaves out")
    judged = texts.copy(deep=False)
    judged.isetitem(place, with_one_spelling(texts.iloc[:, place]).to_list())
    return judged


def _with_none_as_label(cells: ColumnCells, texts: pd.Series) -> tuple[ColumnCells, ColumnVerdict]:
    """The column and its verdict; among labels, the text `None` is one of them."""
    verdict = verdict_on(cells)
    if verdict.role != "categorical" or not NONE & {text.lower() for text in cells.gap_texts}:
        return cells, verdict
    labelled = cells_of(cells.name, texts, cells.decimal, MISSING_TEXTS - NONE)
    again = verdict_on(labelled)
    return (labelled, again) if again.role == "categorical" else (cells, verdict)


def _gap_texts(
    cells: dict[str, ColumnCells], verdicts: dict[str, ColumnVerdict], used: list[str]
) -> tuple[tuple[str, ...], dict[str, ColumnVerdict]]:
    """Texts that mean missing in the whole table; those that are labels of some column are listed for the others."""
    labels = {text for name in used for text in cells[name].labels.to_pylist() if text.lower() in MISSING_TEXTS}
    changed = dict(verdicts)
    for name in used:
        own = tuple(text for text in cells[name].gap_texts if text in labels)
        verdict = verdicts.get(name)
        if own and verdict is not None and verdict.spec is not None:
            spec = verdict.spec.model_copy(update={"missing_values": (*verdict.spec.missing_values, *own)})
            changed[name] = replace(verdict, spec=spec)
    everywhere = {text for name in used for text in cells[name].gap_texts} - labels
    return tuple(sorted(everywhere)), changed


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
    """Keep at most one id: the given one, or the first that names customers, or the first without duplicates."""
    named = [column for column in cells if verdicts[column.name].role == "id"]
    if identifier is not None:
        chosen = next(column for column in cells if column.name == identifier)
        if chosen.gaps:
            raise DataError(f"column {identifier!r} (--id) has {chosen.gaps:,} gaps; fill them in, or name another")
        changed = {identifier: ColumnVerdict("id", f"given by --id; {chosen.distinct:,} distinct values")}
    else:
        changed = _inferred_id(cells, named, verdicts)
    others = [column.name for column in named if column.name not in changed]
    return changed | {name: leave_out("id", f"id: {verdicts[name].reason}") for name in others}


def _inferred_id(
    cells: list[ColumnCells], named: list[ColumnCells], verdicts: dict[str, ColumnVerdict]
) -> dict[str, ColumnVerdict]:
    whole = [column for column in named if not column.gaps]
    customers = [column for column in whole if says_customers(column.name)]
    unique = [column for column in whole if column.distinct == column.rows]
    panel = [] if customers else list(_panel_ids(cells, verdicts))
    found = {column.name: verdicts[column.name] for column in (*customers, *unique)}
    found = {name: ColumnVerdict("id", reason) for name, reason in panel} | found if panel else found
    return dict(list(found.items())[:1])


def _panel_ids(cells: list[ColumnCells], verdicts: dict[str, ColumnVerdict]) -> Iterator[tuple[str, str]]:
    """Columns of codes that come again, but never twice at one date, each with the reason."""
    dates = [column for column in cells if _is_date(verdicts[column.name]) and not column.gaps]
    for column in cells:
        is_code = column.distinct >= ENOUGH_ROWS and not column.near_unique and not column.gaps
        if not is_code or column.number_share > 0 or column.share_matching(r"^\S*\d\S*$") < 1:
            continue
        date = next((one for one in dates if are_rows_of_customers(column.codes, one.codes)), None)
        if date is not None:
            yield column.name, f"{id_of_panel(column)}, none twice at one {excerpt(date.name)}"


def _is_date(verdict: ColumnVerdict) -> bool:
    return verdict.unused is not None and verdict.unused.kind == "date"


def _without_copies(
    cells: dict[str, ColumnCells], verdicts: dict[str, ColumnVerdict], target: str
) -> dict[str, ColumnVerdict]:
    """Drop copies: of equal columns the first that is not a code is kept; columns equal to the target are dropped."""
    changed: dict[str, ColumnVerdict] = {}
    kept = [cells[target]]
    features = [name for name in cells if name != target and verdicts[name].spec is not None]
    for name in sorted(features, key=lambda one: _is_code(cells[one], verdicts[one])):
        column = cells[name]
        first = next((other for other in kept if _say_the_same(column, other)), None)
        if first is None:
            kept.append(column)
        elif first.name == target:
            changed[name] = leave_out("target_copy", "copy of the target: it would leak the answer")
        else:
            changed[name] = leave_out("copy", f"copy of {excerpt(first.name)}")
    return changed


def _is_code(cells: ColumnCells, verdict: ColumnVerdict) -> bool:
    """Whether whole numbers stand for labels."""
    return verdict.role == "categorical" and cells.whole


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
