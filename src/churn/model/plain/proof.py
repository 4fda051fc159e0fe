"""Build the fastest way to a decision's probabilities that is proved to give its bits.

What is compared: customers with every label, with labels that were not seen in training, with gaps, with the numbers
around every threshold, and random ones; and for each node of each tree a row that reaches it, with the feature at the
threshold and at both neighbours. A tree is a function of these comparisons only, so nothing else can differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import FixedThresholdClassifier

from churn.model.decision import churn_probability, pipeline_of, whole_blocks
from churn.model.encoding import column_types
from churn.model.plain.classifiers import Forest, PlainClassifier, UnknownFormError, make_plain
from churn.model.plain.encoder import Customer, RowEncoder, Value, as_frame, make_encoder
from churn.types import Floats

SEED = 0
RANDOM_CUSTOMERS = 2_000
MOST_NODES = 20_000
"""A larger ensemble cannot be proved within a second."""
UNSEEN_LABEL = "\x00 not seen in training"
FAR = 1e30
"""A number beyond every threshold."""
SPREAD = 4.0
"""Standard deviations around the mean that random numbers come from."""


class ScoringPath(StrEnum):
    """How probabilities are computed; the values are shown to users."""

    PLAIN = "plain"
    ENCODED = "encoded"
    OBJECT = "object"


class Scorer(Protocol):
    """Gives the decision's probabilities."""

    def probability(self, customers: Sequence[Customer]) -> Floats:
        """Probability of churn of each customer."""
        ...


@dataclass(frozen=True)
class PlainScorer:
    """Own encoding and own arithmetic."""

    encoder: RowEncoder
    classifier: PlainClassifier

    def probability(self, customers: Sequence[Customer]) -> Floats:
        """Probability of churn of each customer."""
        return self.classifier.probability(self.encoder.encode(customers))


@dataclass(frozen=True)
class EncodedScorer:
    """Own encoding, then the fitted classifier on an array."""

    encoder: RowEncoder
    classifier: BaseEstimator

    def probability(self, customers: Sequence[Customer]) -> Floats:
        """Probability of churn of each customer."""
        if not customers:
            return np.empty(0)
        encoded = self.encoder.encode(customers)[whole_blocks(len(customers))]
        # The order in memory of the table that the pipeline passes on: products are added in that order.
        ordered: Any = np.asfortranarray(encoded)
        if hasattr(self.classifier, "feature_names_in_"):
            ordered = pd.DataFrame(ordered, columns=self.encoder.names, copy=False)
        probability: Floats = self.classifier.predict_proba(ordered)[:, 1].astype(np.float64)
        return probability[: len(customers)]


@dataclass(frozen=True)
class ObjectScorer:
    """The decision itself."""

    decision: FixedThresholdClassifier
    types: Mapping[str, str]

    def probability(self, customers: Sequence[Customer]) -> Floats:
        """Probability of churn of each customer."""
        return churn_probability(self.decision, as_frame(customers, self.types)) if customers else np.empty(0)


@dataclass(frozen=True)
class ProvedScorer:
    """A scorer, and what was found when it was built.

    Attributes:
        plain: own arithmetic, if the path is PLAIN; used for reasons.
        reason: why it is not the plain path; empty if it is.
        compared: number of rows whose bits were compared.
    """

    path: ScoringPath
    scorer: Scorer
    encoder: RowEncoder | None
    plain: PlainClassifier | None
    reason: str
    compared: int


def prove(decision: FixedThresholdClassifier) -> ProvedScorer:
    """The fastest scorer of a decision that gives the same bits."""
    pipeline = pipeline_of(decision)
    types = column_types(pipeline.named_steps["encoders"])
    whole = ObjectScorer(decision, types)
    try:
        encoder = make_encoder(pipeline)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"the encoders are not of the known form: {type(error).__name__}: {error}"
        return ProvedScorer(ScoringPath.OBJECT, whole, None, None, reason, 0)
    classifier = pipeline.named_steps["classifier"]
    plain, reason = _plain_or_reason(classifier)
    customers = list(_customers(encoder, plain))
    expected = whole.probability(customers)
    if plain is not None:
        scorer = PlainScorer(encoder, plain)
        at_nodes = _rows_at_nodes(plain, encoder, customers)
        if not _are_same_bits(scorer.probability(customers), expected):
            reason = "its probabilities differ from the object's"
        elif not _are_same_bits(plain.probability(at_nodes), _by_classifier(classifier, encoder, at_nodes)):
            reason = "its probabilities differ from the classifier's near a threshold"
        else:
            compared = len(customers) + len(at_nodes)
            return ProvedScorer(ScoringPath.PLAIN, scorer, encoder, plain, "", compared)
    encoded = EncodedScorer(encoder, classifier)
    alone = np.concatenate([encoded.probability([one]) for one in customers[:BY_ITSELF]])
    if _are_same_bits(encoded.probability(customers), expected) and _are_same_bits(alone, expected[:BY_ITSELF]):
        return ProvedScorer(ScoringPath.ENCODED, encoded, encoder, None, reason, len(customers))
    reason = f"{reason}; encoded apart, its probabilities differ from the object's"
    return ProvedScorer(ScoringPath.OBJECT, whole, encoder, None, reason, len(customers))


BY_ITSELF = 50
"""Customers that are also scored one by one: an estimator's bits can depend on the number of rows."""


def _plain_or_reason(classifier: BaseEstimator) -> tuple[PlainClassifier | None, str]:
    try:
        plain = make_plain(classifier)
    except UnknownFormError as error:
        return None, str(error)
    if isinstance(plain, Forest) and len(plain.value) > MOST_NODES:
        return None, f"{len(plain.value):,} nodes are more than the {MOST_NODES:,} that can be proved within a second"
    return plain, ""


def _are_same_bits(one: Floats, other: Floats) -> bool:
    return np.array_equal(one.view(np.int64), other.view(np.int64))


def _by_classifier(classifier: BaseEstimator, encoder: RowEncoder, encoded: Floats) -> Floats:
    if not len(encoded):
        return np.empty(0)
    rows = pd.DataFrame(encoded, columns=encoder.names)
    probability: Floats = classifier.predict_proba(rows)[:, 1].astype(np.float64)
    return probability


def _customers(encoder: RowEncoder, plain: PlainClassifier | None) -> Iterator[Customer]:
    """Random customers, then variants of them: every label, an unseen one, a gap, and the numbers near thresholds."""
    random = np.random.default_rng(SEED)
    base = [_random_customer(encoder, random) for _ in range(RANDOM_CUSTOMERS)]
    yield from base
    variants = [*_labels_to_try(encoder), *_numbers_to_try(encoder, plain)]
    for number, (name, value) in enumerate(variants):
        yield {**base[number % len(base)], name: value}
    yield dict.fromkeys((*encoder.numbers, *encoder.labels))
    yield {**dict.fromkeys(encoder.numbers, 0.0), **dict.fromkeys(encoder.labels, UNSEEN_LABEL)}


def _random_customer(encoder: RowEncoder, random: np.random.Generator) -> dict[str, Value]:
    numbers: dict[str, Value] = {
        name: float(random.normal(one.mean, SPREAD * one.scale / 2)) for name, one in encoder.numbers.items()
    }
    labels = {name: list(one.places)[random.integers(len(one.places))] for name, one in encoder.labels.items()}
    return numbers | labels


def _labels_to_try(encoder: RowEncoder) -> Iterator[tuple[str, Value]]:
    for name, one in encoder.labels.items():
        yield from ((name, label) for label in (*one.places, UNSEEN_LABEL, None))


def _numbers_to_try(encoder: RowEncoder, plain: PlainClassifier | None) -> Iterator[tuple[str, Value]]:
    for name, one in encoder.numbers.items():
        yield from ((name, value) for value in (None, 0.0, -0.0, 1.0, -FAR, FAR, 5e-324))
        if isinstance(plain, Forest):
            thresholds = np.unique(plain.threshold[_splits_on(plain, one.place)])
            raw = thresholds[np.isfinite(thresholds)] * one.scale + one.mean
            for near in (raw, np.nextafter(raw, -np.inf), np.nextafter(raw, np.inf)):
                yield from ((name, float(value)) for value in near)


def _splits_on(forest: Forest, place: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    inner = forest.children[::2] != np.arange(len(forest.value))
    return np.asarray(inner & (forest.feature == place))


def _rows_at_nodes(plain: PlainClassifier, encoder: RowEncoder, customers: Sequence[Customer]) -> Floats:
    """For each inner node, encoded rows that reach it, with its feature at the threshold and at its neighbours."""
    base = encoder.encode(customers[:RANDOM_CUSTOMERS])
    if not isinstance(plain, Forest):
        return base[:0]
    forest = plain
    rows: list[Floats] = []
    for root in forest.roots:
        waiting: list[tuple[int, dict[int, float]]] = [(int(root), {})]
        while waiting:
            node, path = waiting.pop()
            first, second = forest.children[2 * node : 2 * node + 2]
            if first == node:
                continue
            feature, threshold = int(forest.feature[node]), float(forest.threshold[node])
            row = base[len(rows) % len(base)].copy()
            row[list(path)] = list(path.values())
            rows += [_with(row, feature, value) for value in _near(threshold, single=forest.single)]
            below, above = _sides(threshold, path.get(feature), single=forest.single)
            waiting += [(int(first), {**path, feature: below}), (int(second), {**path, feature: above})]
    return np.array(rows) if rows else base[:0]


def _sides(threshold: float, chosen: float | None, *, single: bool) -> tuple[float, float]:
    """A number on each side of a threshold; one that an earlier node of the path has chosen stays on its side."""
    below, above = _nearest(threshold, single=single)
    if chosen is None:
        return below, above
    return (chosen, above) if chosen <= threshold else (below, chosen)


def _nearest(threshold: float, *, single: bool) -> tuple[float, float]:
    """The largest number that is at most the threshold, and the smallest one above it, as the trees compare numbers."""
    if not single:
        return threshold, float(np.nextafter(threshold, np.inf))
    rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return float(rounded), float(np.nextafter(rounded, np.float32(np.inf)))


def _near(threshold: float, *, single: bool) -> list[float]:
    """The threshold, its neighbours, and the nearest numbers that the trees tell apart."""
    neighbours = [float(np.nextafter(threshold, -np.inf)), threshold, float(np.nextafter(threshold, np.inf))]
    return [*neighbours, *_nearest(threshold, single=single)] if single else neighbours


def _with(row: Floats, feature: int, value: float) -> Floats:
    changed = row.copy()
    changed[feature] = value
    return changed
