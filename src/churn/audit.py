"""What would flatter the figures, looked for after the split and before any model is fitted.

Of the test rows only features are looked at. Where a statistic allows it, a fixed part of the rows stands for all:
every n-th one, and the rows arrive sorted by key, so nothing depends on their order in the file but what is said of it.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln

from churn.contract import TableContract

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Hashes = NDArray[np.uint64]

ROWS_TO_PREDICT = 100_000
ROWS_TO_COMPARE = 20_000
ROWS_TO_CLUSTER = 5_000
ROWS_FOR_CHANCE = 100_000

PLAUSIBLE_AUC = 0.8
"""What a column may well reach honestly: one above the limit must also be further above this than chance explains."""
NORMAL_95 = 1.645
"""One-sided 95 % point of the normal distribution."""
BINS = 32
SMOOTHING = 5.0
"""Rows' worth of the overall rate that are mixed into the rate of each bin."""

CHANCE_OF_FUNCTION = 1e-4
NEAR_COPY = 0.7
"""Phi (Pearson 1904) between the outcome and the guess from one column, from which the column is nearly a copy."""

ROWS_FOR_IDS = 50
NEARLY_ALL = 0.95
DENSE = 0.5
ID_WORDS = frozenset({"id", "ids", "nr", "no", "num", "number", "key", "uuid", "guid", "code", "account"})
RUN_TOGETHER_ID = re.compile(r"^(customer|client|user|member|subscriber|account|row)(id|no|nr|key|number)$")

NAMING = 0.3
"""Different values a row, from which a column that is no feature may name customers, each on a few rows."""

TWIN_SHARE = 0.01
LARGE_NEAR_TWIN_SHARE = 0.05
TIMES_CHANCE = 5
FEWEST_TWINS = 3
DISTINCT_FOR_TWINS = 20
CELL = 0.005
"""Numbers nearer than a third of this part of themselves are nearly equal; farther than all of it, they are not."""
SHIFTS = 3
ASSOCIATED = 0.3
"""Cramér's V (1946) from which two columns are taken to move together."""

COARSE = 8
FILTER_BITS = 22
GAP = np.uint64(0xFFF8_0000_0000_0001)
ZERO = np.int64(1) << 40

PAIRS_TO_COMPARE = 2_000
ROWS_TO_CORRELATE = 30
CHANCE_OF_REPEAT = 1e-6
EQUAL_CORRELATION = 0.999

WORDS_OF_THE_END = (
    "closed",
    "closing",
    "cancel",
    "canceled",
    "cancelled",
    "cancellation",
    "terminated",
    "termination",
    "exit",
    "exited",
    "survey",
    "refund",
    "reason",
    "score",
    "churn",
    "churned",
    "left",
    "leaving",
    "winback",
    "win_back",
    "retention",
    "final",
    "end_date",
    "deactivated",
)
"""Parts of names of what is often known only once a customer has left; several parts are joined by _."""

BLOCKS = 10
ROWS_PER_BLOCK = 20
CHANCE_OF_DRIFT = 1e-6
DRIFT_FACTOR = 2.0
DRIFT_POINTS = 0.10


@dataclass(frozen=True)
class Audited:
    """What the audit looks at: training rows with their outcome; of the test rows nothing but their features."""

    train: pd.DataFrame
    """The contract's columns, typed: numeric and boolean as float64, categorical as text, gaps as NaN."""
    churned: NDArray[np.int64]
    test: pd.DataFrame
    folds: NDArray[np.int64]
    """Fold of each training row, from 0."""
    places: NDArray[np.int64]
    """Place of each training row in the file, from 1."""
    times: Mapping[str, NDArray[np.float64]]
    """By the name of each column of dates: for the training rows, numbers that rise with time."""
    names: Mapping[str, tuple[Codes, Codes]]
    """By the name of each column that may name customers and is no feature: of the training and of the test rows a
    number for each value, below 0 for a gap."""


@dataclass(frozen=True)
class Finding:
    """One thing that may flatter the figures."""

    check: str
    severity: Literal["fail", "warn"]
    columns: tuple[str, ...]
    evidence: str

    @property
    def name(self) -> str:
        """What data.audit.accept lists."""
        return f"{self.check}:{','.join(self.columns)}" if self.columns else self.check


def find_leaks(audited: Audited, contract: TableContract, *, by_time: bool) -> list[Finding]:
    """Everything found, by check and then in the contract's order; `by_time`: the split is one of past and future."""
    look = _Look(audited, contract, by_time)
    return [finding for check in CHECKS.values() for finding in check(look)]


def unaccepted(findings: Sequence[Finding], contract: TableContract) -> list[Finding]:
    """Those that data.audit.accept does not list."""
    return [finding for finding in findings if finding.name not in contract.audit.accept]


def needless_accepts(findings: Sequence[Finding], contract: TableContract) -> list[str]:
    """What data.audit.accept lists though nothing of that name was found."""
    names = {finding.name for finding in findings}
    return [name for name in contract.audit.accept if name not in names]


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    train: pd.Series
    test: pd.Series

    @cached_property
    def both(self) -> pd.Series:
        """Training rows, then test rows."""
        return pd.concat([self.train, self.test], ignore_index=True)

    @cached_property
    def codes(self) -> Codes:
        """A number for each value of `both`, counted by first appearance; gaps share one too.

        Columns that are functions of one another have equal codes.
        """
        return pd.factorize(self.both, use_na_sentinel=False)[0].astype(np.int64, copy=False)

    @property
    def train_codes(self) -> Codes:
        return self.codes[: len(self.train)]

    def labels(self, rows: slice) -> Codes:
        """The same for some training rows, without the cost of all."""
        return pd.factorize(self.train.iloc[rows], use_na_sentinel=False)[0].astype(np.int64, copy=False)

    def some(self, train: Places, test: Places) -> pd.Series:
        """Values of some training rows, then of some test rows."""
        return pd.concat([self.train.iloc[train], self.test.iloc[test]], ignore_index=True)

    def bins(self, rows: slice, count: int) -> Codes:
        """Classes of some training rows, made without the outcome: quantiles or labels; gaps are a class of their own.

        A value with the share of a whole bin has one to itself.
        """
        if self.kind == "categorical":
            return self.labels(rows)
        values = self.train.iloc[rows].to_numpy(dtype=np.float64)
        known = ~np.isnan(values)
        binned = np.full(len(values), -1, dtype=np.int64)
        place, size = np.unique(values[known], return_inverse=True, return_counts=True)[1:]
        middle = (np.cumsum(size) - size / 2) / max(1, known.sum())
        bin_of = np.floor(middle * count).astype(np.int64)
        heavy = size * count >= known.sum()
        bin_of[heavy] = count + np.arange(heavy.sum())
        binned[known] = bin_of[place]
        return np.unique(binned, return_inverse=True)[1].astype(np.int64, copy=False)


class _Look:
    """What the checks share."""

    def __init__(self, audited: Audited, contract: TableContract, by_time: bool) -> None:
        self.audited = audited
        self.contract = contract
        self.by_time = by_time
        self.columns = [
            _Column(name, column.type, audited.train[name], audited.test[name])
            for name, column in contract.columns.items()
        ]

    @cached_property
    def widest_first(self) -> list[_Column]:
        """Columns by their count of values."""
        rows = self.every(ROWS_TO_COMPARE)
        return sorted(self.columns, key=lambda column: -int(column.labels(rows).max(initial=0)))

    @property
    def tells_customers_apart(self) -> bool:
        """Whether a column has many values; without one, customers are alike by nature."""
        values = self.widest_first[0].labels(self.every(ROWS_TO_COMPARE))
        return len(self.audited.test) > 0 and int(values.max(initial=0)) + 1 >= DISTINCT_FOR_TWINS

    @cached_property
    def compared(self) -> Places:
        """Places of the test rows that are looked for among all training rows."""
        return _evenly(len(self.audited.test), ROWS_TO_COMPARE)

    @cached_property
    def equal_to_train(self) -> NDArray[np.bool_]:
        """Which of these have all features of a training row."""
        return _in_train(self, _exact_hash)

    def every(self, at_most: int) -> slice:
        """Training rows that stand for all, evenly spread."""
        return slice(None, None, _step(len(self.audited.train), at_most))


def _step(count: int, at_most: int) -> int:
    return max(1, -(-count // at_most))


def _evenly(count: int, at_most: int) -> Places:
    return np.arange(0, count, _step(count, at_most))


_Hash = Callable[[_Column, pd.Series], Hashes]
"""A number for each value of a column; equal ones for values that count as equal."""


def _predicts_alone(look: _Look) -> Iterator[Finding]:
    rows = look.every(ROWS_TO_PREDICT)
    churned, folds = look.audited.churned[rows], look.audited.folds[rows]
    left = int(churned.sum())
    stayed = len(churned) - left
    if not left or not stayed:
        return
    limit = look.contract.audit.max_column_auc
    plausible = min(PLAUSIBLE_AUC, limit)
    least = max(limit, plausible + NORMAL_95 * _auc_error(plausible, left, stayed))
    count = int(np.clip(np.sqrt(len(churned)), 4, BINS))
    for column in look.columns:
        auc = _held_out_auc(column.bins(rows, count), churned, folds)
        if column.kind == "numeric":
            auc = max(auc, _held_out_order_auc(column.train.iloc[rows].to_numpy(dtype=np.float64), churned, folds))
        if auc > least:
            gaps = column.train.iloc[rows].isna().to_numpy().astype(np.int64)
            by_gaps = _held_out_auc(gaps, churned, folds) if gaps.any() else 0.5
            also = f"; whether it is filled in already gives {by_gaps:.3f}" if by_gaps > limit else ""
            evidence = f"alone, out of fold, it has a ROC-AUC of {auc:.3f} (data.audit.max_column_auc: {limit:g}){also}"
            yield Finding("predicts_alone", "fail", (column.name,), evidence)


def _held_out_auc(bins: Codes, churned: Codes, folds: Codes) -> float:
    """ROC-AUC of the rate that the other folds give each bin, over all pairs within a fold.

    Pairs across folds would pull it below 0.5: where a fold has many churners, the others' rate is low.
    """
    churners, stayers, rates = _held_out_rates(bins, churned, folds)
    ordered = pairs = 0.0
    for here, there, rate in zip(churners, stayers, rates, strict=True):
        tie = np.unique(rate.round(12), return_inverse=True)[1]
        won, lost = np.bincount(tie, here), np.bincount(tie, there)
        ordered += float(won @ (np.cumsum(lost) - lost / 2))
        pairs += float(here.sum() * there.sum())
    return ordered / pairs if pairs else 0.5


def _held_out_order_auc(values: Floats, churned: Codes, folds: Codes) -> float:
    """The same of the values themselves, up or down as the other folds say; gaps lie in the middle.

    Finer than bins, which a few customers fill badly.
    """
    if np.isnan(values).all():
        return 0.5
    filled = np.where(np.isnan(values), np.nanmedian(values), values)
    upwards, pairs = np.zeros(int(folds.max()) + 1), np.zeros(int(folds.max()) + 1)
    for fold in range(len(pairs)):
        left = churned[folds == fold] == 1
        pairs[fold] = float(left.sum()) * float((~left).sum())
        upwards[fold] = _ranks(filled[folds == fold])[left].sum() - left.sum() * (left.sum() + 1) / 2
    lean = np.sign(upwards.sum() - upwards - (pairs.sum() - pairs) / 2)
    ordered = pairs / 2 + lean * (upwards - pairs / 2)
    return float(ordered.sum() / pairs.sum()) if pairs.any() else 0.5


def _held_out_rates(bins: Codes, churned: Codes, folds: Codes) -> tuple[Floats, Floats, Floats]:
    """By fold and bin: churners, stayers, and the smoothed rate of the bin in all other folds."""
    shape = (int(folds.max()) + 1, int(bins.max()) + 1)
    cells = folds * shape[1] + bins
    size = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    churners = np.bincount(cells, churned, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    others, others_left = size.sum(axis=0) - size, churners.sum(axis=0) - churners
    overall = others_left.sum(axis=1, keepdims=True) / np.maximum(1, others.sum(axis=1, keepdims=True))
    stayers: Floats = size - churners
    return churners, stayers, (others_left + SMOOTHING * overall) / (others + SMOOTHING)


def _auc_error(auc: float, left: int, stayed: int) -> float:
    """Standard error of a ROC-AUC (Hanley and McNeil 1982)."""
    above, below = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (left - 1) * (above - auc**2) + (stayed - 1) * (below - auc**2)
    return float(np.sqrt(spread / (left * stayed)))


def _function_of_target(look: _Look) -> Iterator[Finding]:
    churned, folds = look.audited.churned, look.audited.folds
    rows = look.every(ROWS_TO_COMPARE)
    count, left = len(churned), int(churned.sum())
    if not 0 < left < count:
        return
    # Each value goes to one side: at most 2^values of the equally likely ways to choose the churners are pure.
    log_ways = gammaln(count + 1) - gammaln(left + 1) - gammaln(count - left + 1)
    most = (log_ways + np.log(CHANCE_OF_FUNCTION / len(look.columns))) / np.log(2)
    for column in look.columns:
        labels = column.labels(rows)
        if not 2 <= int(labels.max()) + 1 <= most:
            continue
        if _is_pure(labels, churned[rows]) and _is_pure(column.train_codes, churned):
            values = int(column.train_codes.max()) + 1
            if values <= most:
                evidence = (
                    f"its {values:,} values (a gap counted) tell the outcome of all {count:,} training rows exactly"
                )
                yield Finding("function_of_target", "fail", (column.name,), evidence)
            continue
        phi = _held_out_phi(labels, churned[rows], folds[rows])
        if phi > NEAR_COPY:
            evidence = f"guessing the outcome from its values, out of fold, correlates with it at {phi:.2f}"
            yield Finding("function_of_target", "fail", (column.name,), evidence)


def _is_pure(codes: Codes, churned: Codes) -> bool:
    size = np.bincount(codes)
    left = np.bincount(codes, churned, minlength=len(size))
    return bool(np.all((left == 0) | (left == size)))


def _held_out_phi(bins: Codes, churned: Codes, folds: Codes) -> float:
    """Phi between the outcome and the likelier outcome of the bin in the other folds."""
    churners, stayers, rates = _held_out_rates(bins, churned, folds)
    guessed = rates > 0.5
    hits, false = float(churners[guessed].sum()), float(stayers[guessed].sum())
    missed, right = float(churners[~guessed].sum()), float(stayers[~guessed].sum())
    scale = np.sqrt((hits + false) * (missed + right) * (hits + missed) * (false + right))
    return float((hits * right - false * missed) / scale) if scale else 0.0


def _id_like(look: _Look) -> Iterator[Finding]:
    for column in look.columns:
        evidence = _NAMING[column.kind](column, look)
        if evidence:
            yield Finding("id_like", "fail", (column.name,), evidence)


def _naming_label(column: _Column, look: _Look) -> str | None:
    few = column.train.iloc[look.every(ROWS_TO_COMPARE)].dropna()
    if few.nunique() < NEARLY_ALL * len(few):
        return None
    known = int(column.both.notna().sum())
    gaps = known < len(column.both)
    distinct = int(column.codes.max(initial=-1)) + 1 - gaps
    if known < ROWS_FOR_IDS or distinct < NEARLY_ALL * known:
        return None
    return f"{distinct:,} different labels in {known:,} rows: it names customers rather than describing them"


def _naming_number(column: _Column, look: _Look) -> str | None:
    few = column.train.iloc[look.every(ROWS_TO_COMPARE)].dropna().to_numpy(dtype=np.float64)
    if np.any(few != np.floor(few)) or len(np.unique(few)) < NEARLY_ALL * len(few):
        return None
    known = column.both.dropna().to_numpy(dtype=np.float64)
    if len(known) < ROWS_FOR_IDS or np.any(known != np.floor(known)):
        return None
    distinct = len(np.unique(known))
    if distinct < NEARLY_ALL * len(known):
        return None
    counted = f"{distinct:,} different whole numbers in {len(known):,} rows"
    if distinct > DENSE * (known.max() - known.min() + 1):
        return f"{counted}, from {known.min():.0f} to {known.max():.0f}: it numbers the rows"
    if _follows_the_file(column, look.audited.places):
        return f"{counted}, rising or falling with the place in the file: it numbers the rows"
    parts = _name_parts(column.name)
    if parts and (parts[-1] in ID_WORDS or parts[0] in ("id", "uuid", "guid") or RUN_TOGETHER_ID.match(parts[-1])):
        return f"{counted}, and the name of a key: it names customers rather than describing them"
    return None


def _follows_the_file(column: _Column, places: Codes) -> bool:
    """Whether the values go one way through the file, and evenly; those of a sorted quantity would bunch."""
    order = np.argsort(places, kind="stable")
    values = column.train.to_numpy(dtype=np.float64)[order]
    known = ~np.isnan(values)
    steps = np.diff(values[known])
    if len(steps) < ROWS_FOR_IDS or max(np.mean(steps > 0), np.mean(steps < 0)) < 0.99:
        return False
    return abs(_correlation(values[known], places[order][known].astype(np.float64))) > EQUAL_CORRELATION


_NAMING: dict[str, Callable[[_Column, _Look], str | None]] = {
    "categorical": _naming_label,
    "numeric": _naming_number,
    "boolean": lambda *_: None,
}


def _name_parts(name: str) -> list[str]:
    """Words of a name: customerID, customer_id and "Customer ID" have the same two."""
    spaced = re.sub(r"([a-z])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", name)
    return [part.lower() for part in re.split(r"[\W\d_]+", spaced) if part]


def _exact_twins(look: _Look) -> Iterator[Finding]:
    if look.tells_customers_apart:
        words = "the features of a training row"
        yield from _judged_twins(look, look.equal_to_train, _exact_hash, "twins_across_split", words, 0.0)


def _near_twins(look: _Look) -> Iterator[Finding]:
    if not look.tells_customers_apart or not any(column.kind == "numeric" for column in look.columns):
        return
    # A pair on two sides of a border in one grid is on one side in the others.
    grids: list[_Hash] = [partial(_cell_hash, shift=shift / SHIFTS) for shift in range(SHIFTS)]
    near = np.zeros(len(look.compared), dtype=np.bool_)
    for grid in grids:
        near |= _in_train(look, grid)
    words = "features within half a percent of a training row's without being equal"
    new = near & ~look.equal_to_train
    yield from _judged_twins(look, new, grids[0], "near_twins_across_split", words, LARGE_NEAR_TWIN_SHARE)


def _judged_twins(
    look: _Look, twin: NDArray[np.bool_], hash_of: _Hash, check: str, words: str, large: float
) -> Iterator[Finding]:
    count, rows = int(twin.sum()), len(twin)
    share = count / rows
    if count < FEWEST_TWINS or share <= TWIN_SHARE:
        return
    expected = _twins_by_chance(look, hash_of)
    if count > TIMES_CHANCE * expected:
        chance = f"{expected:,.0f}" if expected >= 1 else "less than one"
        evidence = (
            f"{count:,} of {rows:,} test rows compared ({share:.1%}) have {words}; by chance it would be {chance}"
        )
        yield Finding(check, "fail" if share > large else "warn", (), evidence)


def _twins_by_chance(look: _Look, hash_of: _Hash) -> float:
    """Pairs of a test and a training row that agree, had the two halves of the columns nothing to do with each other.

    Columns that move together are put in one half, where pairs are counted and no independence is supposed.
    """
    clusters = _clusters(look)
    train = _evenly(len(look.audited.train), ROWS_FOR_CHANCE)
    pairs = float(len(train)) * len(look.compared)
    agreeing = [_agreeing_pairs(look, cluster, hash_of, train) for cluster in clusters]
    halves: tuple[list[_Column], list[_Column]] = ([], [])
    bits = [0.0, 0.0]
    for place in np.argsort(agreeing, kind="stable"):
        lighter = int(bits[1] < bits[0])
        halves[lighter].extend(clusters[place])
        bits[lighter] -= np.log(max(1.0, agreeing[place]) / pairs)
    # With one cluster a half is empty: what agrees in the other is then all expected, and nothing is called.
    shares = [_agreeing_pairs(look, half, hash_of, train) / pairs if half else 1.0 for half in halves]
    return shares[0] * shares[1] * float(len(look.audited.train)) * len(look.compared)


def _clusters(look: _Look) -> list[list[_Column]]:
    """Columns divided so that those associated with one another, directly or through others, are together."""
    rows = look.every(ROWS_TO_CLUSTER)
    count = len(look.audited.train.iloc[rows])
    coarse = [_few_classes(column.bins(rows, COARSE)) for column in look.columns]
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
        [column for column, label in zip(look.columns, labels, strict=True) if label == cluster]
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


def _agreeing_pairs(look: _Look, columns: Sequence[_Column], hash_of: _Hash, train: Places) -> float:
    """Pairs of one of some training rows and a compared test row that agree in some columns."""
    rows = np.zeros(len(train) + len(look.compared), dtype=np.uint64)
    for column in columns:
        rows += _salted(column, hash_of(column, column.some(train, look.compared)))
    distinct, times = np.unique(rows[: len(train)], return_counts=True)
    wanted = rows[len(train) :]
    place = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    return float(times[place][distinct[place] == wanted].sum())


def _in_train(look: _Look, hash_of: _Hash) -> NDArray[np.bool_]:
    """Which of the compared test rows agree with a training row in every column."""
    train, test = np.arange(len(look.audited.train)), np.arange(len(look.compared))
    of_train, of_test = np.zeros(len(train), dtype=np.uint64), np.zeros(len(test), dtype=np.uint64)
    for column in look.widest_first:
        hashes = _salted(column, hash_of(column, column.some(train, look.compared[test])))
        of_train, of_test = of_train + hashes[: len(train)], of_test + hashes[len(train) :]
        # Only rows that still have a partner meet the next column.
        paired = _may_be_among(of_train, of_test)
        train, of_train = train[paired], of_train[paired]
        paired = np.isin(of_test, of_train)
        test, of_test = test[paired], of_test[paired]
    found = np.zeros(len(look.compared), dtype=np.bool_)
    found[test] = True
    return found


def _may_be_among(many: Hashes, few: Hashes) -> NDArray[np.bool_]:
    """Which hashes are among others, or share their first bits with one; fast."""
    first = np.uint64(64 - FILTER_BITS)
    seen = np.zeros(1 << FILTER_BITS, dtype=np.bool_)
    seen[few >> first] = True
    found: NDArray[np.bool_] = seen[many >> first]
    return found


def _salted(column: _Column, hashes: Hashes) -> Hashes:
    """Spread, and unlike equal hashes of other columns."""
    return _mixed(hashes ^ np.uint64(zlib.crc32(column.name.encode()) << 31))


def _exact_hash(column: _Column, values: pd.Series) -> Hashes:
    if column.kind == "categorical":
        return pd.factorize(values, use_na_sentinel=False)[0].astype(np.int64, copy=False).view(np.uint64)
    numbers = values.to_numpy(dtype=np.float64) + 0.0  # -0.0 is 0.0
    hashes = numbers.view(np.uint64)
    hashes[np.isnan(numbers)] = GAP
    return hashes


def _cell_hash(column: _Column, values: pd.Series, shift: float) -> Hashes:
    """Cell of each value in a grid whose cells have a width in proportion to the value."""
    if column.kind != "numeric":
        return _exact_hash(column, values)
    numbers = values.to_numpy(dtype=np.float64)
    known = np.isfinite(numbers) & (numbers != 0)
    logarithms = np.log(np.abs(numbers), out=np.zeros(len(numbers)), where=known)
    cell = 2 * np.floor(logarithms / CELL + shift).astype(np.int64) + (numbers < 0)
    cell[numbers == 0] = ZERO
    hashes: Hashes = cell.view(np.uint64)
    hashes[np.isnan(numbers)] = GAP
    return hashes


def _mixed(numbers: Hashes) -> Hashes:
    """Each number spread over all 64 bits (Steele, Lea and Flood 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers


def _customers_on_both_sides(look: _Look) -> Iterator[Finding]:
    for name, (train, test) in look.audited.names.items():
        known = test >= 0
        both = int(np.isin(test[known], train).sum())
        values = len(np.unique(np.concatenate([train[train >= 0], test[known]])))
        if both <= TWIN_SHARE * len(test) or values < NAMING * (len(train) + len(test)):
            continue
        advice = "the same customers are learned from and tested"
        if name != look.contract.id:
            advice = "if it names customers, set data.id to it, so that each stands on one side"
        evidence = f"{both:,} of {len(test):,} test rows have a value that training rows have too: {advice}"
        yield Finding("customers_on_both_sides", "warn", (name,), evidence)


def _repeats(look: _Look) -> Iterator[Finding]:
    rows = look.every(ROWS_TO_COMPARE)
    sampled = [column.labels(rows) for column in look.columns]
    varied = [place for place, codes in enumerate(sampled) if codes.max() > 0]
    groups: dict[bytes, list[int]] = {}
    for place in varied:
        groups.setdefault(sampled[place].tobytes(), []).append(place)
    alike: set[frozenset[str]] = set()
    for group in groups.values():
        for names in _one_to_one([look.columns[place] for place in group]):
            alike |= {frozenset(pair) for pair in combinations(names, 2)}
            yield Finding("repeats", "warn", names, "each value of one goes with one value of the other, both ways")
    for one, other in _determined(look, sampled, [group[0] for group in groups.values()]):
        names = (look.columns[one].name, look.columns[other].name)
        alike.add(frozenset(names))
        yield Finding("repeats", "warn", names, "each value of the first goes with one value of the second")
    yield from _correlated(look, rows, alike)


def _one_to_one(columns: Sequence[_Column]) -> Iterator[tuple[str, ...]]:
    """Columns alike on some rows, divided by their codes on all."""
    if len(columns) < 2 or _nearly_a_key(columns[0].train_codes):
        return
    groups: dict[bytes, list[str]] = {}
    for column in columns:
        digest = hashlib.blake2b(column.train_codes.tobytes()).digest()
        groups.setdefault(digest, []).append(column.name)
    yield from (tuple(names) for names in groups.values() if len(names) > 1)


def _nearly_a_key(codes: Codes) -> bool:
    """Whether values are so seldom repeated that any column would go with them."""
    return len(codes) < 2 * (int(codes.max(initial=0)) + 1)


def _determined(look: _Look, sampled: list[Codes], places: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of columns of which the first determines the second."""
    table = np.column_stack([sampled[place] for place in places]).astype(np.int32) if places else np.empty((0, 0))
    # Chance that two rows agree in a column: a column that nearly always has one value is determined by any other.
    agree = np.array([np.sum((np.bincount(codes) / len(codes)) ** 2) for codes in table.T])
    for number, one in enumerate(places):
        order = np.argsort(table[:, number], kind="stable")
        again = np.flatnonzero(np.diff(table[order, number]) == 0)
        if _nearly_a_key(sampled[one]):
            continue
        few = again[:: max(1, len(again) // PAIRS_TO_COMPARE)]
        constant = np.all(table[order[few]] == table[order[few + 1]], axis=0)
        chance = np.log(np.maximum(agree, 1e-300)) * len(again)
        for found in np.flatnonzero(constant & (chance < np.log(CHANCE_OF_REPEAT / len(places) ** 2))):
            if found != number and _determines(look.columns[one].train_codes, look.columns[places[found]].train_codes):
                yield one, places[found]


def _determines(one: Codes, other: Codes) -> bool:
    value = np.empty(int(one.max()) + 1, dtype=np.int64)
    value[one] = other
    return bool(np.array_equal(value[one], other)) and not _nearly_a_key(one)


def _correlated(look: _Look, rows: slice, known: set[frozenset[str]]) -> Iterator[Finding]:
    """Pairs of numbers on one line or in one order, the sample standing for all rows."""
    numeric = [column for column in look.columns if column.kind != "categorical"]
    values = {column.name: column.train.iloc[rows].to_numpy(dtype=np.float64) for column in numeric}
    names = [name for name, one in values.items() if np.nanmin(one, initial=np.inf) < np.nanmax(one, initial=-np.inf)]
    if len(names) < 2:
        return
    candidates: set[tuple[int, int]] = set()
    for scale in (lambda one: one, _ranks):
        standard = np.column_stack([_standardised(scale(values[name])) for name in names])
        # Gaps lie in the middle here, which lowers a correlation: what is near enough is then looked at without them.
        near = np.triu(np.abs(standard.T @ standard) > EQUAL_CORRELATION - 0.1, 1)
        candidates |= {(int(first), int(second)) for first, second in np.argwhere(near)}
    for first, second in sorted(candidates):
        pair = (names[first], names[second])
        one, other = values[pair[0]], values[pair[1]]
        both = ~np.isnan(one) & ~np.isnan(other)
        if frozenset(pair) in known or both.sum() < ROWS_TO_CORRELATE:
            continue
        line = _correlation(one[both], other[both])
        ranks = _correlation(_ranks(one[both]), _ranks(other[both]))
        if max(abs(line), abs(ranks)) > EQUAL_CORRELATION:
            evidence = f"their values correlate at {line:.4f}, their ranks at {ranks:.4f}"
            yield Finding("repeats", "warn", pair, evidence)


def _standardised(values: Floats) -> Floats:
    """With mean 0 and length 1; gaps at the mean."""
    centred = np.nan_to_num(values - np.nanmean(values))
    length = float(np.linalg.norm(centred))
    return centred / length if length else centred


def _correlation(one: Floats, other: Floats) -> float:
    return float(_standardised(one) @ _standardised(other))


def _ranks(values: Floats) -> Floats:
    """Rank of each value, the mean one for ties; a gap stays one."""
    known = ~np.isnan(values)
    place, size = np.unique(values[known], return_inverse=True, return_counts=True)[1:]
    ranks = np.full(len(values), np.nan)
    ranks[known] = (np.cumsum(size) - (size - 1) / 2)[place]
    return ranks


def _named_after_the_fact(look: _Look) -> Iterator[Finding]:
    for column in look.columns:
        name = f"_{'_'.join(_name_parts(column.name))}_"
        words = [word for word in WORDS_OF_THE_END if f"_{word}_" in name]
        if words:
            evidence = f"its name has {', '.join(map(repr, words))}: see that it is known before a customer leaves"
            yield Finding("named_after_the_fact", "warn", (column.name,), evidence)


def _rate_drifts(look: _Look) -> Iterator[Finding]:
    orders = {"": look.audited.places.astype(np.float64), **look.audited.times}
    for name, order in orders.items():
        known = ~np.isnan(order)
        churned = look.audited.churned[known]
        count = min(BLOCKS, len(churned) // ROWS_PER_BLOCK)
        if count < 2:
            continue
        # Rows of one time stay together.
        middle = _ranks(order[known]) - 0.5
        block = np.unique(np.floor(middle * count / len(churned)), return_inverse=True)[1]
        size = np.bincount(block)
        rate = np.bincount(block, churned) / size
        overall = churned.mean()
        if len(size) < 2 or overall in (0, 1):
            continue
        chi_squared = float(np.sum(size * (rate - overall) ** 2) / (overall * (1 - overall)))
        chance = float(chdtrc(len(size) - 1, chi_squared)) * len(orders)
        apart = rate.max() > DRIFT_FACTOR * rate.min() or rate.max() - rate.min() > DRIFT_POINTS
        if chance < CHANCE_OF_DRIFT and apart:
            through = f"by {name}" if name else "by the place in the file"
            evidence = (
                f"of the training rows ordered {through}, {rate[0]:.1%} of the first block and {rate[-1]:.1%} of the "
                f"last are churners (lowest {rate.min():.1%}, highest {rate.max():.1%} of {len(size)} blocks)"
            )
            yield Finding("rate_drifts", "warn", (name,) if name else (), evidence)


def _time_without_time_split(look: _Look) -> Iterator[Finding]:
    times = tuple(look.audited.times)
    if times and not look.by_time:
        evidence = "the table has dates, but the split mixes past and future (preprocess.split.by)"
        yield Finding("time_without_time_split", "warn", times, evidence)


CHECKS: dict[str, Callable[[_Look], Iterator[Finding]]] = {
    "predicts_alone": _predicts_alone,
    "function_of_target": _function_of_target,
    "id_like": _id_like,
    "twins_across_split": _exact_twins,
    "near_twins_across_split": _near_twins,
    "customers_on_both_sides": _customers_on_both_sides,
    "repeats": _repeats,
    "named_after_the_fact": _named_after_the_fact,
    "rate_drifts": _rate_drifts,
    "time_without_time_split": _time_without_time_split,
}
