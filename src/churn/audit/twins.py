"""The same customers on both sides of the split, by their features or by a name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.audit.columns import AuditedColumn, evenly_spread, nearly_a_key
from churn.audit.row_hashes import GAP, Hashes, HashOf, add_salt, exact_hash, in_train
from churn.audit.view import ROWS_TO_COMPARE, AuditFinding, AuditView

ROWS_FOR_CHANCE = 100_000

NAMING = 0.3
"""Different values a row, from which a column that is no feature may name customers, each on a few rows."""

TWIN_SHARE = 0.01
FEWEST_TWINS = 3


@dataclass(frozen=True)
class Limits:
    """More twins than so many times those by chance are told; more than this share of the test rows stop the run."""

    times_chance: int
    failing_share: float


EXACT = Limits(times_chance=3, failing_share=0.0)
# Numbers near in one column are often near in others too, which raises what chance gives above what is expected.
NEAR = Limits(times_chance=5, failing_share=0.05)

CELL = 0.005
"""Numbers nearer than a third of this part of themselves are nearly equal; farther than all of it, they are not."""
SHIFTS = 3

ZERO = np.int64(1) << 40


def exact_twins(view: AuditView) -> Iterator[AuditFinding]:
    """Test rows with all the features of a training row."""
    if view.tells_customers_apart:
        words = "the features of a training row"
        yield from _judged_twins(view, view.equal_to_train, exact_hash, "twins_across_split", words, EXACT)


def near_twins(view: AuditView) -> Iterator[AuditFinding]:
    """Test rows nearly equal to a training row."""
    if not view.tells_customers_apart or not any(column.kind == "numeric" for column in view.columns):
        return
    # A pair on two sides of a border in one grid is on one side in the others.
    grids: list[HashOf] = [partial(_cell_hash, shift=shift / SHIFTS) for shift in range(SHIFTS)]
    near = np.zeros(len(view.compared_rows), dtype=np.bool_)
    for grid in grids:
        near |= in_train(view.widest_first, len(view.audited.train), view.compared_rows, grid)
    words = "features within half a percent of a training row's without being equal"
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
        return  # one column alone cannot say how many customers it makes alike
    expected = _twins_by_chance(view, columns, hash_of)
    if count > limits.times_chance * expected:
        chance = f"{expected:,.0f}" if expected >= 1 else "less than one"
        evidence = (
            f"{count:,} of {rows:,} test rows compared ({share:.1%}) have {words}; by chance it would be {chance}"
        )
        yield AuditFinding(check, "fail" if share > limits.failing_share else "warn", (), evidence)


def _distinct_columns(view: AuditView) -> list[AuditedColumn]:
    """Of columns that go one to one with each other the last; where values hardly repeat, all columns seem to."""
    rows = view.every(ROWS_TO_COMPARE)
    distinct: dict[bytes | str, AuditedColumn] = {}
    for column in view.columns:
        codes = column.labels(rows)
        distinct[column.name if nearly_a_key(codes) else codes.tobytes()] = column
    return list(distinct.values())


def _twins_by_chance(view: AuditView, columns: Sequence[AuditedColumn], hash_of: HashOf) -> float:
    """Pairs of a test and a training row that agree throughout, had one column nothing to do with the others.

    For a column, pairs agree in all others or not, and in it or not. If the two are independent, those that agree
    throughout are to those that differ in this column alone as those that agree in it are to those that do not: the
    fourth cell of a table of two by two from its other three. A copy is in none of these three, so copies do not raise
    what is expected. Columns that go with others expect too few pairs; the largest answer is the one to believe.
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
    """Pairs of one of the first so many rows and one of the others that have the same hash."""
    distinct, times = np.unique(rows[:training_rows], return_counts=True)
    wanted = rows[training_rows:]
    place = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    return float(times[place][distinct[place] == wanted].sum())


def _cell_hash(column: AuditedColumn, values: pd.Series, shift: float) -> Hashes:
    """Cell of each value in a grid whose cells have a width in proportion to the value."""
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
    """Values of a column that names customers, on both sides of the split."""
    for name, (train, test) in view.audited.names.items():
        known = test >= 0
        both = int(np.isin(test[known], train).sum())
        values = len(np.unique(np.concatenate([train[train >= 0], test[known]])))
        if both <= TWIN_SHARE * len(test) or values < NAMING * (len(train) + len(test)):
            continue
        advice = "the same customers are learned from and tested"
        if name != view.contract.id:
            advice = "if it names customers, set data.id to it, so that each stands on one side"
        evidence = f"{both:,} of {len(test):,} test rows have a value that training rows have too: {advice}"
        yield AuditFinding("customers_on_both_sides", "warn", (name,), evidence)
