"""Why a customer gets this probability: how much each customer column adds to the log-odds of churn.

The contributions are Shapley values. The players are customer columns, so all indicators of a label belong to one
player. The worth of a set of columns is the mean, over a background of customers, of the log-odds of a customer who has
the asked values in these columns and the background's values in all others. Contributions and baseline add up to the
log-odds of the asked customer.

For trees they are exact, and computed leaf by leaf. Take one customer of the background, and let some columns have the
asked customer's values and the others the background's. The leaf is reached if the values of every column on its path
lead there. Let `a` columns do so only with the asked values, `b` columns only with the background's, all others with
both. Then each of the `a` columns gets (a - 1)! b! / (a + b)! of the leaf's value, and each of the `b` columns loses
a! (b - 1)! / (a + b)! of it. If a column leads there with neither value, the leaf counts for nothing. This is
interventional TreeSHAP: Lundberg et al. (2020), From local explanations to global understanding with explainable AI for
trees, Nature Machine Intelligence 2, 56-67, https://doi.org/10.1038/s42256-019-0138-9.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from churn.model.plain.classifiers import Forest, Linear, PlainClassifier
from churn.model.plain.encoder import Customer, RowEncoder, Value
from churn.texts import one_line, shortened
from churn.types import Floats

MOST_COLUMNS_ON_A_PATH = 63
"""Columns on the path to a leaf; each has a bit of a 64-bit number."""
LARGEST_FACTOR = 1_000
"""A larger factor is only said to be larger."""
SMALLEST_FACTOR = 1.05
"""A smaller factor would be written as 1.0."""
LONGEST_LABEL = 60

_COUNTS = range(MOST_COLUMNS_ON_A_PATH + 1)
SHARES = np.array([[1 / (a * math.comb(a + b, a)) if a else 0.0 for b in _COUNTS] for a in _COUNTS])
"""(a - 1)! b! / (a + b)! at (a, b)."""

Masks = NDArray[np.uint64]
"""Sets of the columns on the path to a leaf; the first column that the path comes to has the lowest bit."""
Places = NDArray[np.intp]
_Path = tuple[tuple[int, bool], ...]
"""Nodes above a leaf, and whether the path goes to their second child."""


class NoReasonsError(Exception):
    """The classifier's log-odds are not known to be a sum that can be split exactly."""


@dataclass(frozen=True)
class Contribution:
    """What one column adds to a customer's log-odds of churn, and the customer's value."""

    column: str
    value: Value
    log_odds: float


class Explainer(Protocol):
    """Splits the log-odds of customers among their columns."""

    @property
    def baseline(self) -> float:
        """Mean log-odds of the background."""
        ...

    def contributions(self, customer: Customer) -> dict[str, float]:
        """What each column adds to the baseline, in the encoder's order of customer columns.

        Raises:
            TooLargeError: the classifier does not take a number of the customer.
        """
        ...


def make_explainer(encoder: RowEncoder, plain: PlainClassifier | None, background: Sequence[Customer]) -> Explainer:
    """The explainer of a classifier, which compares with the customers of `background`.

    Raises:
        NoReasonsError: the log-odds cannot be split, or there is nobody to compare with.
        TooLargeError: the classifier does not take a number of the background.
    """
    if not background:
        raise NoReasonsError("there are no customers to compare with")
    if isinstance(plain, Linear):
        return _explain_linear(encoder, plain, background)
    if not isinstance(plain, Forest):
        raise NoReasonsError("the classifier is computed by its own package")
    if not plain.is_log_odds:
        raise NoReasonsError("the classifier averages probabilities over its trees, so its log-odds are not a sum")
    return _explain_forest(encoder, plain, background)


@dataclass(frozen=True)
class LinearExplainer:
    """Splits a linear function: a coefficient times the mean difference from the background.

    Attributes:
        owners: number of the customer column that each encoded column belongs to.
        background: encoded.
    """

    encoder: RowEncoder
    coefficients: Floats
    owners: Places
    background: Floats
    baseline: float

    def contributions(self, customer: Customer) -> dict[str, float]:
        """What each column adds to the baseline, in the encoder's order of customer columns."""
        # The mean of differences, not the difference of means, is exactly 0 if all rows are equal.
        difference = (self.encoder.encode([customer]) - self.background).mean(axis=0)
        return _by_column(self.encoder, self.owners, self.coefficients * difference)


@dataclass(frozen=True)
class ForestExplainer:
    """Splits the value of each leaf, for each different way in which the background meets the leaf's path.

    Attributes:
        paths: to the leaves of all trees.
        leaf: number of the leaf.
        everyone: columns on its path.
        theirs: of these, the columns whose values in the background lead to the leaf.
        amount: value of the leaf times the share of the background that this stands for.
    """

    encoder: RowEncoder
    forest: Forest
    paths: "_Paths"
    leaf: Places
    everyone: Masks
    theirs: Masks
    amount: Floats
    baseline: float

    def contributions(self, customer: Customer) -> dict[str, float]:
        """What each column adds to the baseline, in the encoder's order of customer columns."""
        row = self.forest.as_compared(self.encoder.encode([customer]))[0]
        own = self.paths.met_by(row).take(self.leaf)
        matter = np.flatnonzero(((own | self.theirs) == self.everyone) & (own != self.theirs))
        own, theirs, amount = own[matter], self.theirs[matter], self.amount[matter]
        a, b = np.bitwise_count(own & ~theirs), np.bitwise_count(theirs & ~own)
        gain, loss = amount * SHARES[a, b], amount * SHARES[b, a]
        bits = self.paths.bits
        which, place = np.nonzero((own ^ theirs)[:, None] & bits)
        is_gain = (own[which] & bits[place]) != 0
        owners = self.paths.owners[self.leaf[matter[which]], place]
        return _by_column(self.encoder, owners, np.where(is_gain, gain[which], -loss[which]))


@dataclass(frozen=True)
class _Paths:
    """Conditions on the way to each leaf. A leaf that is a root is left out: it adds the same for everybody.

    Attributes:
        feature, threshold, is_second: conditions, leaf after leaf: whether the feature is above the threshold.
        bit: of the condition's customer column.
        first: place of each leaf's first condition.
        everyone: all columns on each leaf's path.
        value: of each leaf.
        owners: number of the customer column for each leaf and bit.
        bits: all bits that are used.
    """

    feature: Places
    threshold: Floats
    is_second: NDArray[np.bool_]
    bit: Masks
    first: Places
    everyone: Masks
    value: Floats
    owners: Places
    bits: Masks

    def met_by(self, row: Floats) -> Masks:
        """For each leaf, the columns whose values in an encoded row fulfil all their conditions on the path."""
        fails = (row.take(self.feature) > self.threshold) != self.is_second
        return self.everyone & ~np.bitwise_or.reduceat(self.bit * fails, self.first)


def _by_column(encoder: RowEncoder, owners: Places, amounts: Floats) -> dict[str, float]:
    columns = (*encoder.numbers, *encoder.labels)
    sums: list[float] = np.bincount(owners, amounts, minlength=len(columns)).tolist()
    return dict(zip(columns, sums, strict=True))


def _owners(encoder: RowEncoder) -> Places:
    owners = np.zeros(len(encoder.names), dtype=np.intp)
    labels = [list(one.places.values()) for one in encoder.labels.values()]
    for number, of_column in enumerate([*([one.place] for one in encoder.numbers.values()), *labels]):
        owners[of_column] = number
    return owners


def _explain_linear(encoder: RowEncoder, linear: Linear, background: Sequence[Customer]) -> LinearExplainer:
    encoded = encoder.encode(background)
    baseline = float(linear.log_odds(encoded).mean())
    return LinearExplainer(encoder, linear.coefficients, _owners(encoder), encoded, baseline)


def _explain_forest(encoder: RowEncoder, forest: Forest, background: Sequence[Customer]) -> ForestExplainer:
    encoded = encoder.encode(background)
    paths = _paths(forest, _owners(encoder))
    met = np.sort([paths.met_by(row) for row in forest.as_compared(encoded)], axis=0).T
    is_new = np.ones(met.shape, dtype=np.bool_)
    is_new[:, 1:] = met[:, 1:] != met[:, :-1]
    leaf = np.nonzero(is_new)[0]
    customers = np.diff(np.flatnonzero(is_new), append=is_new.size)
    return ForestExplainer(
        encoder,
        forest,
        paths,
        leaf,
        everyone=paths.everyone[leaf],
        theirs=met[is_new],
        amount=paths.value[leaf] * (customers / len(background)),
        baseline=float(forest.total(encoded).mean()),
    )


def _paths(forest: Forest, owners: Places) -> _Paths:
    leaves, paths = zip(*_leaves_with_paths(forest), strict=True) if forest.depth else ((), ())
    nodes = np.array([node for path in paths for node, _ in path], dtype=np.intp)
    owner_of: list[int] = owners[forest.feature].tolist()
    columns = [list(dict.fromkeys(owner_of[node] for node, _ in path)) for path in paths]
    widest = max(map(len, columns), default=0)
    if widest > MOST_COLUMNS_ON_A_PATH:
        raise NoReasonsError(f"a leaf depends on {widest} columns, more than {MOST_COLUMNS_ON_A_PATH}")
    padded = np.zeros((len(columns), widest), dtype=np.intp)
    for row, of_leaf in zip(padded, columns, strict=True):
        row[: len(of_leaf)] = of_leaf
    places = [of_leaf.index(owner_of[node]) for of_leaf, path in zip(columns, paths, strict=True) for node, _ in path]
    return _Paths(
        feature=forest.feature[nodes],
        threshold=forest.threshold[nodes],
        is_second=np.array([second for path in paths for _, second in path], dtype=np.bool_),
        bit=np.left_shift(np.uint64(1), np.array(places, dtype=np.uint64)),
        first=np.cumsum([0, *map(len, paths)], dtype=np.intp)[:-1],
        everyone=np.array([(1 << len(of_leaf)) - 1 for of_leaf in columns], dtype=np.uint64),
        value=forest.value[np.array(leaves, dtype=np.intp)],
        owners=padded,
        bits=np.left_shift(np.uint64(1), np.arange(widest, dtype=np.uint64)),
    )


def _leaves_with_paths(forest: Forest) -> Iterator[tuple[int, _Path]]:
    """Each leaf that is not a root, with its path."""
    children: list[int] = forest.children.tolist()
    waiting: list[tuple[int, _Path]] = [(root, ()) for root in forest.roots.tolist()]
    while waiting:
        node, path = waiting.pop()
        first, second = children[2 * node : 2 * node + 2]
        if first != node:
            waiting += [(first, (*path, (node, False))), (second, (*path, (node, True)))]
        elif path:
            yield node, path


def strongest(contributions: Mapping[str, float], customer: Customer, count: int) -> list[Contribution]:
    """At most `count` contributions, the largest in absolute value first; equal ones by name, none that is zero."""
    ordered = sorted(contributions.items(), key=lambda one: (-abs(one[1]), one[0]))
    return [Contribution(column, customer[column], log_odds) for column, log_odds in ordered[:count] if log_odds]


def in_words(contribution: Contribution, types: Mapping[str, str]) -> str:
    """A contribution for people: what it does to the predicted odds of churn; `types` as `column_types` returns them.

    The odds of the background's mean log-odds, times or divided by the factors of all columns, are the customer's odds.
    """
    subject = f"{one_line(contribution.column)}: {_said(contribution.value, types[contribution.column])}"
    factor = math.exp(min(abs(contribution.log_odds), 2 * math.log(LARGEST_FACTOR)))
    if factor < SMALLEST_FACTOR:
        return f"{subject} – hardly changes the predicted odds of churn"
    verb = "raises" if contribution.log_odds > 0 else "lowers"
    by = f"more than {LARGEST_FACTOR:,}" if factor > LARGEST_FACTOR else f"{factor:.{int(factor < 10)}f}"
    return f"{subject} – {verb} the predicted odds of churn by a factor of {by}"


def _said(value: Value, kind: str) -> str:
    if value is None:
        return "not known"
    if isinstance(value, str):
        return shortened(one_line(value), LONGEST_LABEL) or '""'
    if kind == "boolean":
        return "yes" if value else "no"
    return f"{value + 0.0:,.12g}"  # the sum has no negative zero
