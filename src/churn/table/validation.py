"""Find all contract violations of a table, and apply the contract's policies to them."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.config.contract import (
    CategoricalColumn,
    Column,
    MissingPolicy,
    NumericColumn,
    TableContract,
    columns_of_type,
)
from churn.errors import excerpt


class Problem(StrEnum):
    """Kinds of contract violations, as worded in messages."""

    NOT_A_NUMBER = "not a number"
    NOT_0_OR_1 = "not 0 or 1"
    INFINITE = "infinite"
    BELOW_MIN = "below min"
    ABOVE_MAX = "above max"
    NOT_IN_VALUES = "not in values"
    MISSING = "missing"
    MISSING_TARGET = "missing in the target"
    MISSING_ID = "missing in the id"
    ALL_MISSING = "entirely missing"
    ALL_MISSING_TARGET = "entirely missing in the target"
    ALL_MISSING_ID = "entirely missing in the id"
    NO_TARGET_VALUE = "neither positive nor negative"
    ONE_TARGET_VALUE = "the only value of the target"
    NAME_TAKEN = "encoded with the same name as another column or label"


REMEDIES_OF_VALUES = {
    Problem.NOT_A_NUMBER: "correct them, or list the text under the column's missing_values",
    Problem.NOT_0_OR_1: "correct them, or make the column categorical",
    Problem.INFINITE: "correct them, or list the text under the column's missing_values",
    Problem.BELOW_MIN: "correct them, or lower min",
    Problem.ABOVE_MAX: "correct them, or raise max",
    Problem.NOT_IN_VALUES: "correct them, or add them to values",
}
"""Remedies for violations by single values, which `on_error` handles."""

REMEDIES_OF_GAPS = {
    Problem.MISSING: "fill them in, or set the column's missing policy to drop or allow",
    Problem.MISSING_TARGET: "fill them in, or set data.target.missing to drop",
    Problem.MISSING_ID: "fill them in, or set data.id to null",
    Problem.ALL_MISSING: "remove the column from data.columns",
    Problem.ALL_MISSING_TARGET: "check data.target.column and data.missing_values",
    Problem.ALL_MISSING_ID: "check data.missing_values, or set data.id to null",
}
"""Remedies for missing values."""

REMEDIES = {
    **REMEDIES_OF_VALUES,
    **REMEDIES_OF_GAPS,
    Problem.NO_TARGET_VALUE: "correct them, or list the text as positive, as negative or under drop of data.target",
    Problem.ONE_TARGET_VALUE: "two are required: check data.target.positive and data.target.negative",
    Problem.NAME_TAKEN: "rename the column or the label",
}


@dataclass(frozen=True)
class Fault:
    """One kind of contract violation in one column. Row numbers count from 1, without the header."""

    column: str
    problem: Problem
    count: int
    first_value: str
    first_row: int
    rows: NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64), compare=False, repr=False)
    """Positions of all affected rows in the table, from 0."""

    def __str__(self) -> str:
        return self.describe(f"data row {self.first_row:,}")

    def describe(self, place: str) -> str:
        """One line of text about the fault; `place` names the affected rows."""
        values = "1 value is" if self.count == 1 else f"{self.count:,} values are"
        first = f", first {excerpt(self.first_value)}" if self.first_value else ", first"
        return f"column {self.column!r}: {values} {self.problem}{first} in {place}; {REMEDIES[self.problem]}"

    def at(self, places: NDArray[np.int64]) -> "Fault":
        """The same fault in a table of which these rows, by position, were checked."""
        return replace(self, rows=places[self.rows], first_row=int(places[self.first_row - 1]) + 1)

    @property
    def is_value(self) -> bool:
        """Whether single values are invalid, which `on_error` handles."""
        return self.problem in REMEDIES_OF_VALUES

    @property
    def is_gap(self) -> bool:
        """Whether the fault is about missing values."""
        return self.problem in REMEDIES_OF_GAPS


def header_problem(header: list[str], contract: TableContract, *, target: bool = True) -> str | None:
    """Describe a fault of the column names, or return None; with `target` False, the target may be absent.

    Several columns may have no name, as those that a spreadsheet adds: no contract can name them.
    """
    repeated = sorted({name for name in header if header.count(name) > 1} - {""})
    if repeated:
        times = header.count(repeated[0])
        return f"column {repeated[0]!r} appears {times} times in the header; rename or remove the duplicates"
    absent = [name for name in (contract.needed if target else contract.of_customer) if name not in header]
    if contract.target.column in absent:
        return f"no column {contract.target.column!r} (data.target.column); the file has: {', '.join(header)}"
    if absent:
        advice = "remove it from data.columns or data.id, or fix the file" if target else "the model requires it"
        return f"no column {', '.join(map(repr, absent))}; {advice} (the file has: {', '.join(header)})"
    return None


def all_faults(table: pd.DataFrame, unparsed: list[Fault], contract: TableContract) -> list[Fault]:
    """All faults of a typed table, parsing faults first; unparsed values are not reported again as missing."""
    columns = {fault.column for fault in unparsed}
    broken = [fault for fault in contract_faults(table, contract) if fault.column not in columns or not fault.is_gap]
    one_sided = [] if contract.target.column in columns else target_faults(table, contract)
    return [*unparsed, *broken, *one_sided, *name_faults(table, contract)]


@dataclass(frozen=True)
class SettledTable:
    """A table after `on_error` has been applied.

    Attributes:
        table: without dropped rows; values treated as missing are NaN; the index holds the original positions.
        faults: the faults that `on_error` does not resolve.
        rows_dropped: number of dropped rows, by the first column that caused the drop.
        taken_for_gaps: number of values treated as missing, by column.
    """

    table: pd.DataFrame
    faults: list[Fault]
    rows_dropped: dict[str, int]
    taken_for_gaps: dict[str, int]

    def at(self, places: NDArray[np.int64]) -> "SettledTable":
        """The same for a table of which these rows, by position, were settled."""
        table = self.table.set_axis(places[self.table.index.to_numpy()], axis=0)
        return replace(self, table=table, faults=[fault.at(places) for fault in self.faults])


def settle(table: pd.DataFrame, unparsed: list[Fault], contract: TableContract) -> SettledTable:
    """Apply each column's `on_error` to invalid values; return the faults that remain."""
    faults = all_faults(table, unparsed, contract)
    policy = {name: column.on_error for name, column in contract.columns.items()}
    settled = [fault for fault in faults if fault.is_value and policy[fault.column] != "fail"]
    if not settled:
        return SettledTable(table, faults, {}, {})
    table = table.copy()
    taken: dict[str, int] = {}
    dropped: dict[str, int] = {}
    going: set[int] = set()
    for fault in settled:
        if policy[fault.column] == "missing":
            table.loc[fault.rows, fault.column] = np.nan
            taken[fault.column] = taken.get(fault.column, 0) + fault.count
        else:
            new = set(fault.rows.tolist()) - going
            going |= new
            dropped[fault.column] = dropped.get(fault.column, 0) + len(new)
    table = table.drop(index=sorted(going))
    if table.empty:
        return SettledTable(table, settled, dropped, taken)
    failing = [fault for fault in unparsed if policy.get(fault.column, "fail") == "fail"]
    left = [fault for fault in map(functools.partial(_without, going), failing) if fault is not None]
    return SettledTable(table, all_faults(table, left, contract), dropped, taken)


def _without(going: set[int], fault: Fault) -> Fault | None:
    """The fault without dropped rows; None if all of its rows were dropped."""
    rows = fault.rows[~np.isin(fault.rows, list(going))]
    if not len(rows):
        return None
    moved = rows[0] != fault.rows[0]  # the first value is then another one, unknown here
    return replace(
        fault, count=len(rows), first_row=int(rows[0]) + 1, first_value="" if moved else fault.first_value, rows=rows
    )


def _infinite(values: pd.Series, _: NumericColumn) -> pd.Series:
    return values.abs() == np.inf


# Infinite values are reported only as infinite, so the ranges below exclude both ends.
def _below_min(values: pd.Series, column: NumericColumn) -> pd.Series:
    return values.between(-np.inf, -np.inf if column.min is None else column.min, inclusive="neither")


def _above_max(values: pd.Series, column: NumericColumn) -> pd.Series:
    return values.between(np.inf if column.max is None else column.max, np.inf, inclusive="neither")


def _not_in_values(values: pd.Series, column: CategoricalColumn) -> pd.Series:
    if column.values is None:
        return pd.Series(False, index=values.index)
    return values.notna() & ~values.isin(column.values)


CHECKS: dict[str, dict[Problem, Callable[[pd.Series, Any], pd.Series]]] = {
    "numeric": {Problem.INFINITE: _infinite, Problem.BELOW_MIN: _below_min, Problem.ABOVE_MAX: _above_max},
    "boolean": {},
    "categorical": {Problem.NOT_IN_VALUES: _not_in_values},
}
"""Checks of typed values by column type and problem; each returns a mask. Missing values pass all of them."""


def breaches(values: pd.Series, column: Column) -> dict[Problem, pd.Series]:
    """Masks of the typed values that violate the contract, by problem; used for training and for scoring."""
    return {problem: check(values, column) for problem, check in CHECKS[column.type].items()}


def contract_faults(table: pd.DataFrame, contract: TableContract) -> Iterator[Fault]:
    """Check all values of a typed table: features in the contract's order, then the target and the id."""
    for name, column in contract.columns.items():
        yield from _faults_of(table, name, _gaps(table[name], column.missing) | breaches(table[name], column))
    target = contract.target
    gaps = _gaps(table[target.column], target.missing, Problem.MISSING_TARGET, Problem.ALL_MISSING_TARGET)
    yield from _faults_of(table, target.column, gaps)
    if contract.id is not None:
        gaps = _gaps(table[contract.id], "fail", Problem.MISSING_ID, Problem.ALL_MISSING_ID)
        yield from _faults_of(table, contract.id, gaps)


def _gaps(
    values: pd.Series,
    policy: MissingPolicy,
    some: Problem = Problem.MISSING,
    throughout: Problem = Problem.ALL_MISSING,
) -> dict[Problem, pd.Series]:
    """Masks of missing values that violate the contract, by problem: `throughout` if all are missing, else `some`."""
    gaps = values.isna()
    if gaps.all():
        return {throughout: gaps}
    return {some: gaps} if policy == "fail" else {}


def _faults_of(table: pd.DataFrame, name: str, broken: dict[Problem, pd.Series]) -> Iterator[Fault]:
    for problem, cells in broken.items():
        if cells.any():
            rows = table.index[cells.to_numpy()].to_numpy()
            value = table[name].loc[rows[0]]
            yield Fault(name, problem, len(rows), "" if pd.isna(value) else str(value), int(rows[0]) + 1, rows)


def target_faults(table: pd.DataFrame, contract: TableContract) -> list[Fault]:
    """Report a target that has only one value."""
    name = contract.target.column
    labels = table[name].dropna()
    if labels.nunique() != 1:
        return []
    only = contract.target.positive if labels.iloc[0] == 1 else contract.target.negative
    rows = labels.index.to_numpy()
    return [Fault(name, Problem.ONE_TARGET_VALUE, len(labels), only, int(rows[0]) + 1, rows)]


def name_faults(table: pd.DataFrame, contract: TableContract) -> Iterator[Fault]:
    """Report encoded columns with equal names, such as label b_c of column a and label c of column a_b."""
    labelled = columns_of_type(contract.columns, "categorical")
    taken = set(contract.columns) - set(labelled)
    for name in labelled:
        labels = table[name].drop_duplicates()
        if contract.columns[name].missing != "allow":
            labels = labels.dropna()
        for label in labels:
            encoded = f"{name}_{label}"  # as the encoder names it; allowed missing values are the label nan
            if encoded in taken:
                rows = table.index[table[name].astype("object").map(str) == str(label)].to_numpy()
                yield Fault(name, Problem.NAME_TAKEN, len(rows), str(label), int(rows[0]) + 1, rows)
            taken.add(encoded)


def drop_incomplete(table: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop rows with a missing value where the policy is drop; count them by the first column that caused it."""
    policies: dict[str, str] = {contract.target.column: contract.target.missing}
    policies |= {name: column.missing for name, column in contract.columns.items()}
    dropped: dict[str, int] = {}
    for name, policy in policies.items():
        if policy == "drop":
            gaps = table[name].isna()
            dropped[name] = int(gaps.sum())
            table = table[~gaps]
    return table, dropped
