"""The same customers on both sides of the split, by their features or by a name."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.audit.columns import AuditedColumn, Codes, Places, evenly_spread
from churn.audit.row_hashes import GAP, Hashes, HashOf, add_salt, exact_hash, in_train
from churn.audit.view import AuditFinding, AuditView

ROWS_TO_CLUSTER = 5_000
ROWS_FOR_CHANCE = 100_000

NAMING = 0.3
"""Different values a row, from which a column that is no feature may name customers, each on a few rows."""

TWIN_SHARE = 0.01
LARGE_NEAR_TWIN_SHARE = 0.05
TIMES_CHANCE = 5
FEWEST_TWINS = 3

CELL = 0.005
"""Numbers nearer than a third of this part of themselves are nearly equal; farther than all of it, they are not."""
SHIFTS = 3
ASSOCIATED = 0.3
"""Cramér's V (1946) from which two columns are taken to move together."""

COARSE = 8

ZERO = np.int64(1) << 40


def exact_twins(view: AuditView) -> Iterator[AuditFinding]:
    """Test rows with all the features of a training row."""
    if view.tells_customers_apart:
        words = "the features of a training row"
        yield from _judged_twins(view, view.equal_to_train, exact_hash, "twins_across_split", words, 0.0)


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
    yield from _judged_twins(view, new, grids[0], "near_twins_across_split", words, LARGE_NEAR_TWIN_SHARE)


def _judged_twins(
    view: AuditView, twin: NDArray[np.bool_], hash_of: HashOf, check: str, words: str, large: float
) -> Iterator[AuditFinding]:
    count, rows = int(twin.sum()), len(twin)
    share = count / rows
    if count < FEWEST_TWINS or share <= TWIN_SHARE:
        return
    expected = _twins_by_chance(view, hash_of)
    if count > TIMES_CHANCE * expected:
        chance = f"{expected:,.0f}" if expected >= 1 else "less than one"
        evidence = (
            f"{count:,} of {rows:,} test rows compared ({share:.1%}) have {words}; by chance it would be {chance}"
        )
        yield AuditFinding(check, "fail" if share > large else "warn", (), evidence)


def _twins_by_chance(view: AuditView, hash_of: HashOf) -> float:
    """Pairs of a test and a training row that agree, had the two halves of the columns nothing to do with each other.

    Columns that move together are put in one half, where pairs are counted and no independence is supposed.
    """
    clusters = _clusters(view)
    train = evenly_spread(len(view.audited.train), ROWS_FOR_CHANCE)
    pairs = float(len(train)) * len(view.compared_rows)
    agreeing = [_agreeing_pairs(view, cluster, hash_of, train) for cluster in clusters]
    halves: tuple[list[AuditedColumn], list[AuditedColumn]] = ([], [])
    bits = [0.0, 0.0]
    for place in np.argsort(agreeing, kind="stable"):
        lighter = int(bits[1] < bits[0])
        halves[lighter].extend(clusters[place])
        bits[lighter] -= np.log(max(1.0, agreeing[place]) / pairs)
    # With one cluster a half is empty: what agrees in the other is then all expected, and nothing is called.
    shares = [_agreeing_pairs(view, half, hash_of, train) / pairs if half else 1.0 for half in halves]
    return shares[0] * shares[1] * float(len(view.audited.train)) * len(view.compared_rows)


def _clusters(view: AuditView) -> list[list[AuditedColumn]]:
    """Columns divided so that those associated with one another, directly or through others, are together."""
    rows = view.every(ROWS_TO_CLUSTER)
    count = len(view.audited.train.iloc[rows])
    coarse = [_few_classes(column.bins(rows, COARSE)) for column in view.columns]
    classes = [int(codes.max()) + 1 for codes in coarse]
    starts = np.cumsum([0, *classes])
    present = np.zeros((count, starts[-1]), dtype=np.float32)
    for codes, start in zip(coarse, starts, strict=False):
        present[np.arange(count), start + codes] = 1
    together = (present.T @ present).astype(np.float64)
    size = np.diag(together)
    # Chi-squared of two columns is n (sum of together^2 / (size * size) - 1).
    parts = together**2 / np.outer(size, size)
    summed = np.add.reduceat(np.add.reduceat(parts, starts[:-1], axis=0), starts[:-1], axis=1)
    freedom = np.maximum(1, np.minimum.outer(classes, classes) - 1)
    # Chance alone gives chi-squared its degrees of freedom (Bergsma 2013).
    by_chance = np.multiply.outer(np.array(classes) - 1, np.array(classes) - 1) / count
    associated = np.sqrt(np.maximum(0, summed - 1 - by_chance) / freedom) > ASSOCIATED
    labels = _components(associated)
    return [
        [column for column, label in zip(view.columns, labels, strict=True) if label == cluster]
        for cluster in range(max(labels) + 1)
    ]


def _components(linked: NDArray[np.bool_]) -> list[int]:
    """Number of the component of each node of an undirected graph."""
    label = [-1] * len(linked)
    for start in range(len(linked)):
        if label[start] >= 0:
            continue
        found, open_ends = max(label) + 1, [start]
        label[start] = found
        while open_ends:
            for node in np.flatnonzero(linked[open_ends.pop()]):
                if label[node] < 0:
                    label[node] = found
                    open_ends.append(int(node))
    return label


def _few_classes(codes: Codes) -> Codes:
    """The commonest classes, and one for all others."""
    size = np.bincount(codes)
    rank = np.empty(len(size), dtype=np.int64)
    rank[np.argsort(-size, kind="stable")] = np.arange(len(size))
    return np.minimum(rank, COARSE - 1)[codes]


def _agreeing_pairs(view: AuditView, columns: Sequence[AuditedColumn], hash_of: HashOf, train: Places) -> float:
    """Pairs of one of some training rows and a compared test row that agree in some columns."""
    rows = np.zeros(len(train) + len(view.compared_rows), dtype=np.uint64)
    for column in columns:
        rows += add_salt(column, hash_of(column, column.some(train, view.compared_rows)))
    distinct, times = np.unique(rows[: len(train)], return_counts=True)
    wanted = rows[len(train) :]
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
