"""The arithmetic of fitted classifiers, from their attributes: tree ensembles in numpy, logistic regression."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from churn.model.decision import whole_blocks
from churn.types import Floats

ROWS_AT_ONCE = 512
"""Rows that go down the trees together; more would not fit into the processor's cache."""
LEAF = -1
LARGEST_SINGLE = float(np.finfo(np.float32).max)


class UnknownFormError(Exception):
    """A classifier, or one of its attributes, is not of the form that is known here."""


class TooLargeError(ValueError):
    """A number that a customer has is beyond what the classifier takes."""


class PlainClassifier(Protocol):
    """Gives the classifier's probabilities from encoded rows."""

    def probability(self, encoded: Floats) -> Floats:
        """Probability of churn of each encoded row."""
        ...


@dataclass(frozen=True)
class Forest:
    """All trees of an ensemble in shared arrays of nodes. A leaf is its own child.

    Attributes:
        roots: position of the first node of each tree.
        feature, threshold: a row goes to the first child if its feature is at most the threshold.
        children: first and second child of node i, at 2 i and 2 i + 1.
        value: what a leaf adds.
        depth: longest path from a root to a leaf.
        start: what is added to before the first tree.
        finish: from the sum over trees to the probability.
        single: whether features are rounded to float32 before comparisons.
        is_log_odds: whether the sum over trees is the log-odds.
    """

    roots: NDArray[np.intp]
    feature: NDArray[np.intp]
    threshold: Floats
    children: NDArray[np.intp]
    value: Floats
    depth: int
    start: float
    finish: Callable[[Floats], Floats]
    single: bool
    is_log_odds: bool

    def probability(self, encoded: Floats) -> Floats:
        """Probability of churn of each encoded row."""
        return self.finish(self.total(encoded))

    def total(self, encoded: Floats) -> Floats:
        """Sum over the trees for each row; added one tree after another, as scikit-learn does.

        Raises:
            TooLargeError: a number has no place in single precision, and scikit-learn refuses it.
        """
        compared = self.as_compared(encoded)
        if len(compared) == 1:
            return self._added(self._leaves_of_row(compared[0])[None, :])
        blocks = [compared[first : first + ROWS_AT_ONCE] for first in range(0, len(compared), ROWS_AT_ONCE)]
        return np.concatenate([self._added(self._leaves(block)) for block in blocks] or [np.empty(0)])

    def as_compared(self, encoded: Floats) -> Floats:
        """Encoded rows as they are compared with thresholds.

        Raises:
            TooLargeError: a number has no place in single precision, and scikit-learn refuses it.
        """
        if not self.single:
            return encoded
        if np.abs(encoded).max(initial=0.0) > LARGEST_SINGLE:
            raise TooLargeError("a number is too large for this model, which computes in single precision")
        return encoded.astype(np.float32).astype(np.float64)

    def _leaves_of_row(self, row: Floats) -> NDArray[np.intp]:
        """Leaf of each tree; compares at all nodes at once, which for one row is the faster way."""
        following = np.where(row.take(self.feature) > self.threshold, self.children[1::2], self.children[::2])
        node = self.roots
        for _ in range(self.depth):
            node = following.take(node)
        return node

    def _leaves(self, encoded: Floats) -> NDArray[np.intp]:
        """Leaf of each row in each tree."""
        values = np.ascontiguousarray(encoded).ravel()
        first = np.arange(len(encoded))[:, None] * encoded.shape[1]
        node = np.broadcast_to(self.roots, (len(encoded), len(self.roots)))
        for _ in range(self.depth):
            goes_second = values.take(first + self.feature.take(node)) > self.threshold.take(node)
            node = self.children.take(2 * node + goes_second)
        return node

    def _added(self, leaves: NDArray[np.intp]) -> Floats:
        added = np.empty((len(leaves), len(self.roots) + 1))
        added[:, 0] = self.start
        added[:, 1:] = self.value.take(leaves)
        # Not `sum`, which adds in pairs: the order of additions decides the last bits.
        total: Floats = np.add.accumulate(added, axis=1)[:, -1]
        return total


@dataclass(frozen=True)
class Linear:
    """Logistic regression."""

    coefficients: Floats
    intercept: float

    def probability(self, encoded: Floats) -> Floats:
        """Probability of churn of each encoded row."""
        return np.asarray(expit(self.log_odds(encoded)))

    def log_odds(self, encoded: Floats) -> Floats:
        """Log-odds of churn of each encoded row."""
        padded = np.asfortranarray(encoded[whole_blocks(len(encoded))])
        product: Floats = (padded @ self.coefficients[:, None]).ravel()
        return product[: len(encoded)] + self.intercept


@dataclass(frozen=True)
class _Tree:
    """Nodes of one tree; children are LEAF at leaves."""

    feature: NDArray[np.intp]
    threshold: Floats
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    value: Floats


def make_plain(classifier: BaseEstimator) -> PlainClassifier:
    """The arithmetic of a fitted classifier.

    Raises:
        UnknownFormError: it is of another class, or was changed.
    """
    maker = MAKERS.get(type(classifier))
    if maker is None:
        raise UnknownFormError(f"{type(classifier).__name__} is computed by its own package")
    try:
        return maker(classifier)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnknownFormError(f"{type(classifier).__name__}: {type(error).__name__}: {error}") from error


def _histogram_boosting(classifier: Any) -> PlainClassifier:
    predictors = [of_iteration[0].nodes for of_iteration in classifier._predictors]
    if any(nodes["is_categorical"].any() for nodes in predictors):
        raise UnknownFormError("HistGradientBoostingClassifier: categorical splits are not supported")
    trees = [
        _Tree(
            nodes["feature_idx"].astype(np.intp),
            nodes["num_threshold"].astype(np.float64),
            np.where(nodes["is_leaf"], LEAF, nodes["left"].astype(np.intp)),
            np.where(nodes["is_leaf"], LEAF, nodes["right"].astype(np.intp)),
            nodes["value"].astype(np.float64),
        )
        for nodes in predictors
    ]
    start = float(classifier._baseline_prediction.item())
    return _forest(trees, start=start, finish=_expit, single=False, is_log_odds=True)


def _gradient_boosting(classifier: Any) -> PlainClassifier:
    rate = float(classifier.learning_rate)
    trees = [_tree(one.tree_, lambda values: rate * values[:, 0, 0]) for one in classifier.estimators_[:, 0]]
    start = float(classifier._raw_predict_init(np.zeros((1, classifier.n_features_in_))).item())
    return _forest(trees, start=start, finish=_expit, single=True, is_log_odds=True)


def _random_forest(classifier: Any) -> PlainClassifier:
    trees = [_tree(one.tree_, lambda values: values[:, 0, 1]) for one in classifier.estimators_]
    count = len(trees)
    return _forest(trees, start=0.0, finish=lambda total: total / count, single=True, is_log_odds=False)


def _logistic_regression(classifier: Any) -> PlainClassifier:
    return Linear(classifier.coef_[0].astype(np.float64), float(np.ravel(classifier.intercept_)[0]))


MAKERS: dict[type, Callable[[Any], PlainClassifier]] = {
    HistGradientBoostingClassifier: _histogram_boosting,
    GradientBoostingClassifier: _gradient_boosting,
    RandomForestClassifier: _random_forest,
    LogisticRegression: _logistic_regression,
}
"""Maker of the arithmetic, by exact class: a subclass may compute something else."""


def _expit(total: Floats) -> Floats:
    return np.asarray(expit(total))


def _tree(tree: Any, values: Callable[[Floats], Floats]) -> _Tree:
    is_leaf = tree.children_left == LEAF
    return _Tree(
        np.where(is_leaf, 0, tree.feature).astype(np.intp),
        tree.threshold.astype(np.float64),
        tree.children_left.astype(np.intp),
        tree.children_right.astype(np.intp),
        np.asarray(values(tree.value), dtype=np.float64),
    )


def _forest(
    trees: Sequence[_Tree], *, start: float, finish: Callable[[Floats], Floats], single: bool, is_log_odds: bool
) -> Forest:
    roots = np.cumsum([0, *(len(tree.value) for tree in trees)])[:-1]
    children = [_children(tree, root) for tree, root in zip(trees, roots, strict=True)]
    return Forest(
        roots=roots.astype(np.intp),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        children=np.concatenate(children),
        value=np.concatenate([tree.value for tree in trees]),
        depth=max(_depth(tree) for tree in trees),
        start=start,
        finish=finish,
        single=single,
        is_log_odds=is_log_odds,
    )


def _children(tree: _Tree, root: int) -> NDArray[np.intp]:
    own = np.arange(len(tree.value))
    pairs = np.stack([np.where(tree.first == LEAF, own, tree.first), np.where(tree.second == LEAF, own, tree.second)])
    ordered: NDArray[np.intp] = (pairs.T + root).ravel().astype(np.intp)
    return ordered


def _depth(tree: _Tree) -> int:
    depth, level = 0, np.array([0])
    while len(level := level[tree.first[level] != LEAF]):
        level = np.concatenate([tree.first[level], tree.second[level]])
        depth += 1
    return depth
