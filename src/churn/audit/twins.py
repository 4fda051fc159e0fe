"""Checks for customers that are in both training and test rows, by features or by an identifier."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.audit.columns import AuditedColumn, Codes, evenly_spread, nearly_a_key
from churn.audit.row_hashes import GAP, Hashes, HashOf, add_salt, exact_hash, in_train
from churn.audit.view import ROWS_TO_COMPARE, AuditFinding, AuditView, Severity
from churn.table.column_names import says_customers
from churn.table.panels import are_rows_of_customers

ROWS_FOR_CHANCE = 100_000

NAMING = 0.3
"""Minimum distinct values per row for the id or an unused column to count as an identifier of customers."""

FEWEST_CUSTOMERS = 20

TWIN_SHARE = 0.01
FEWEST_TWINS = 3


@dataclass(frozen=True)
class Limits:
    """Twins are reported above `times_chance` times the expected number; above `failing_share` of rows, they fail."""

    times_chance: int
    failing_share: float


EXACT = Limits(times_chance=3, failing_share=0.0)
# Rows close in one column are often close in others, so more twins than expected occur by chance.
NEAR = Limits(times_chance=5, failing_share=0.05)

CELL = 0.005
"""Relative width of a grid cell: numbers within a third of it count as nearly equal, numbers beyond it do not."""
SHIFTS = 3

ZERO = np.int64(1) << 40


def exact_twins(view: AuditView) -> Iterator[AuditFinding]:
    """Find test rows that equal a training row in all features."""
    if view.tells_customers_apart:
        words = "equal a training row in all features"
        yield from _judged_twins(view, view.equal_to_train, exact_hash, "twins_across_split", words, EXACT)


def near_twins(view: AuditView) -> Iterator[AuditFinding]:
    """Find test rows that nearly equal a training row."""
    if not view.tells_customers_apart or not any(column.kind == "numeric" for column in view.columns):
        return
    # Shifted grids: a pair split by a cell border in one grid is in one cell in another.
    grids: list[HashOf] = [partial(_cell_hash, shift=shift / SHIFTS) for shift in range(SHIFTS)]
    near = np.zeros(len(view.compared_rows), dtype=np.bool_)
    for grid in grids:
        near |= in_train(view.widest_first, len(view.audited.train), view.compared_rows, grid)
    words = "are within half a percent of a training row in all features, without being equal"
    new = near & ~view.equal_to_train
    yield from _judged_twins(view, new, grids[0], "near_twins_across_split", words, NEAR)


def _judged_twins(
    view: AuditView, twin: NDArray[np.bool_], hash_of: HashOf, check: str, words: str, limits: Limits
) -> Iterator[AuditFinding]:
    count, rows = int(twin.sum()), len(twin)
    share = count / rows
    if count < FEWEST_TWINS or share <= TWIN_SHARE:
        return
    columns = _distinct_columns(view)
    if len(columns) < 2:
        return  # the expected number of twins needs at least two columns
    expected = _twins_by_chance(view, columns, hash_of)
    if count > limits.times_chance * expected:
        chance = f"{expected:,.0f}" if expected >= 1 else "less than one"
        evidence = f"{count:,} of {rows:,} compared test rows ({share:.1%}) {words}; expected by chance: {chance}"
        yield AuditFinding(check, "fail" if share > limits.failing_share else "warn", (), evidence)


def _distinct_columns(view: AuditView) -> list[AuditedColumn]:
    """Keep one of each group of one-to-one columns; all columns with rarely repeated values are kept."""
    rows = view.every(ROWS_TO_COMPARE)
    distinct: dict[bytes | str, AuditedColumn] = {}
    for column in view.columns:
        codes = column.labels(rows)
        distinct[column.name if nearly_a_key(codes) else codes.tobytes()] = column
    return list(distinct.values())


def _twins_by_chance(view: AuditView, columns: Sequence[AuditedColumn], hash_of: HashOf) -> float:
    """Expected number of pairs of a test and a training row that are equal by chance.

    For each column, pairs form a 2x2 table: equal in this column or not, and equal in all other columns or not. If both
    are independent, the count of pairs equal in all columns follows from the other three cells. Copied customers are in
    none of those three cells, so they do not raise the estimate. A column that depends on others gives too low an
    estimate, so the maximum over columns is used.
    """
    train = evenly_spread(len(view.audited.train), ROWS_FOR_CHANCE)
    pairs = float(len(train)) * len(view.compared_rows)
    hashes = [add_salt(one, hash_of(one, one.some(train, view.compared_rows))) for one in columns]
    row: Hashes = np.sum(hashes, axis=0, dtype=np.uint64)
    throughout = _agreeing_pairs(row, len(train))
    expected = 0.0
    for hashed in hashes:
        otherwise_alike = _agreeing_pairs(row - hashed, len(train)) - throughout
        alike_in_this = _agreeing_pairs(hashed, len(train)) - throughout
        unlike = pairs - throughout - otherwise_alike - alike_in_this
        expected = max(expected, otherwise_alike * alike_in_this / max(1.0, unlike))
    return expected * len(view.audited.train) / len(train)


def _agreeing_pairs(rows: Hashes, training_rows: int) -> float:
    """Number of pairs with equal hashes, of one of the first `training_rows` rows and one of the others."""
    distinct, times = np.unique(rows[:training_rows], return_counts=True)
    wanted = rows[training_rows:]
    place = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    return float(times[place][distinct[place] == wanted].sum())


def _cell_hash(column: AuditedColumn, values: pd.Series, shift: float) -> Hashes:
    """Grid cell of each value; the width of a cell is proportional to the value."""
    if column.kind != "numeric":
        return exact_hash(column, values)
    numbers = values.to_numpy(dtype=np.float64)
    known = np.isfinite(numbers) & (numbers != 0)
    logarithms = np.log(np.abs(numbers), out=np.zeros(len(numbers)), where=known)
    cell = 2 * np.floor(logarithms / CELL + shift).astype(np.int64) + (numbers < 0)
    cell[numbers == 0] = ZERO
    hashes: Hashes = cell.view(np.uint64)
    hashes[np.isnan(numbers)] = GAP
    return hashes


def customers_on_both_sides(view: AuditView) -> Iterator[AuditFinding]:
    """Find keys of customers with values in both training and test rows."""
    for name, (train, test) in view.audited.names.items():
        known = test >= 0
        both = int(np.isin(test[known], train).sum())
        values = len(np.unique(np.concatenate([train[train >= 0], test[known]])))
        if both <= TWIN_SHARE * len(test):
            continue
        is_key = values >= FEWEST_CUSTOMERS and _names_customers(view, name, train)
        if not is_key and values < NAMING * (len(train) + len(test)):
            continue
        would_help = view.contract.id is None and not view.by_time
        severity: Severity = "fail" if is_key and would_help else "warn"
        advice = _advice(view, name, is_key=is_key)
        evidence = f"{both:,} of {len(test):,} test rows have a value that training rows also have: {advice}"
        yield AuditFinding("customers_on_both_sides", severity, (name,), evidence)


def _names_customers(view: AuditView, name: str, train: Codes) -> bool:
    """Whether the name of a column, its kind or the times at which its values come again say so."""
    unused = view.contract.unused.get(name)
    if name == view.contract.id or says_customers(name) or (unused is not None and unused.kind == "id"):
        return True
    times = (pd.factorize(moments)[0] for moments in view.audited.times.values())
    return any(are_rows_of_customers(train, time) for time in times)


def _advice(view: AuditView, name: str, *, is_key: bool) -> str:
    if name == view.contract.id:
        return "these customers are in both splits, so the figures do not hold for new customers"
    if view.contract.id is not None:
        return f"if it, rather than {view.contract.id!r}, names customers, set data.id to it"
    if view.by_time:
        return "if it names customers, they are in both splits, and the figures do not hold for new customers"
    if is_key:
        return "it names customers, so the same customers are in both splits"
    return "if it names customers, set data.id to it, so that each customer is in one split"
