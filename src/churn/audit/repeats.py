"""Check for redundant columns."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from churn.audit.columns import AuditedColumn, Codes, nearly_a_key
from churn.audit.correlation import correlation, ranks, standardise
from churn.audit.identifiers import EQUAL_CORRELATION
from churn.audit.view import ROWS_TO_COMPARE, AuditFinding, AuditView

PAIRS_TO_COMPARE = 2_000
ROWS_TO_CORRELATE = 30
CHANCE_OF_REPEAT = 1e-6

ONE_TO_ONE = "each column determines the other: their values correspond one to one"
DETERMINED = "the first column determines the second"


def repeats(view: AuditView) -> Iterator[AuditFinding]:
    """Find redundant columns: one-to-one, one determined by the other, or correlated."""
    rows = view.every(ROWS_TO_COMPARE)
    sampled = [column.labels(rows) for column in view.columns]
    varied = [place for place, codes in enumerate(sampled) if codes.max() > 0]
    groups: dict[bytes, list[int]] = {}
    for place in varied:
        groups.setdefault(sampled[place].tobytes(), []).append(place)
    alike: set[frozenset[str]] = set()
    for group in groups.values():
        for names in _one_to_one([view.columns[place] for place in group]):
            alike |= {frozenset(pair) for pair in combinations(names, 2)}
            yield AuditFinding("repeats", "warn", names, ONE_TO_ONE)
    for one, other in _determining_pairs(view, sampled, [group[0] for group in groups.values()]):
        names = (view.columns[one].name, view.columns[other].name)
        alike.add(frozenset(names))
        yield AuditFinding("repeats", "warn", names, DETERMINED)
    yield from _correlated_pairs(view, rows, alike)


def _one_to_one(columns: Sequence[AuditedColumn]) -> Iterator[tuple[str, ...]]:
    """Groups of columns with equal codes on all rows, among columns with equal codes on a sample."""
    if len(columns) < 2 or nearly_a_key(columns[0].train_codes):
        return
    groups: dict[bytes, list[str]] = {}
    for column in columns:
        digest = hashlib.blake2b(column.train_codes.tobytes()).digest()
        groups.setdefault(digest, []).append(column.name)
    yield from (tuple(names) for names in groups.values() if len(names) > 1)


def _determining_pairs(view: AuditView, sampled: list[Codes], places: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of positions of columns, of which the first determines the second."""
    table = np.column_stack([sampled[place] for place in places]).astype(np.int32) if places else np.empty((0, 0))
    # Probability that two rows have equal values: a nearly constant column is determined by any other.
    agree = np.array([np.sum((np.bincount(codes) / len(codes)) ** 2) for codes in table.T])
    for number, one in enumerate(places):
        order = np.argsort(table[:, number], kind="stable")
        again = np.flatnonzero(np.diff(table[order, number]) == 0)
        if nearly_a_key(sampled[one]):
            continue
        few = again[:: max(1, len(again) // PAIRS_TO_COMPARE)]
        constant = np.all(table[order[few]] == table[order[few + 1]], axis=0)
        chance = np.log(np.maximum(agree, 1e-300)) * len(again)
        for found in np.flatnonzero(constant & (chance < np.log(CHANCE_OF_REPEAT / len(places) ** 2))):
            if found != number and _determines(view.columns[one].train_codes, view.columns[places[found]].train_codes):
                yield one, places[found]


def _determines(one: Codes, other: Codes) -> bool:
    value = np.empty(int(one.max()) + 1, dtype=np.int64)
    value[one] = other
    return bool(np.array_equal(value[one], other)) and not nearly_a_key(one)


def _correlated_pairs(view: AuditView, rows: slice, known: set[frozenset[str]]) -> Iterator[AuditFinding]:
    """Pairs of numeric columns with a linear or rank correlation near 1, on a sample of rows."""
    numeric = [column for column in view.columns if column.kind != "categorical"]
    values = {column.name: column.train.iloc[rows].to_numpy(dtype=np.float64) for column in numeric}
    names = [name for name, one in values.items() if np.nanmin(one, initial=np.inf) < np.nanmax(one, initial=-np.inf)]
    if len(names) < 2:
        return
    candidates: set[tuple[int, int]] = set()
    for scale in (lambda one: one, ranks):
        standard = np.column_stack([standardise(scale(values[name])) for name in names])
        # Missing values are set to the mean, which lowers correlations; candidates are checked again without them.
        near = np.triu(np.abs(standard.T @ standard) > EQUAL_CORRELATION - 0.1, 1)
        candidates |= {(int(first), int(second)) for first, second in np.argwhere(near)}
    for first, second in sorted(candidates):
        pair = (names[first], names[second])
        one, other = values[pair[0]], values[pair[1]]
        both = ~np.isnan(one) & ~np.isnan(other)
        if frozenset(pair) in known or both.sum() < ROWS_TO_CORRELATE:
            continue
        line = correlation(one[both], other[both])
        order = correlation(ranks(one[both]), ranks(other[both]))
        if max(abs(line), abs(order)) > EQUAL_CORRELATION:
            evidence = f"their values correlate at {line:.4f}, their ranks at {order:.4f}"
            yield AuditFinding("repeats", "warn", pair, evidence)
