"""A model that is ready to score: checked, proved and warmed, with everything that an answer needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import FixedThresholdClassifier

from churn.config.contract import TableContract
from churn.config.economics import Economics
from churn.errors import ChurnError
from churn.metrics.profit import expected_gain
from churn.model.plain.classifiers import TooLargeError
from churn.model.plain.encoder import Customer
from churn.model.plain.proof import ProvedScorer, prove
from churn.model.plain.reasons import Explainer, NoReasonsError, in_words, make_explainer, strongest
from churn.model.reference import Reference
from churn.model.scoring import require_columns_of_model
from churn.service.customers import CustomerReader, make_reader
from churn.types import Floats

FAR = 1e30
"""Numbers beyond it can be too large for a classifier, once they are scaled."""
TOO_LARGE = "a number is too large for this model"


@dataclass(frozen=True)
class ModelOrigin:
    """Where a model comes from. `commit` and `version` are None where they are not known."""

    name: str
    fingerprint: str
    sha256: str
    commit: str | None
    version: str | None


@dataclass(frozen=True)
class ModelParts:
    """A model and what belongs to it, from its source."""

    decision: FixedThresholdClassifier
    contract: TableContract
    economics: Economics
    background: Sequence[Customer]
    origin: ModelOrigin
    reference: Reference | None = None
    """Distributions of the training rows, for live comparisons; None where they are not at hand."""


@dataclass(frozen=True)
class Score:
    """The answer for one customer; the fields are those of the batch."""

    probability: float
    contact: bool
    expected_profit_of_contact: float


@dataclass(frozen=True)
class Reason:
    """What a column of a customer does to the log-odds of churn, also in words."""

    column: str
    log_odds: float
    text: str


@dataclass(frozen=True)
class ServedModel:
    """A model that scores requests.

    Attributes:
        threshold: probability from which customers are contacted.
        no_reasons: why there are no reasons; empty if there are.
    """

    parts: ModelParts
    proved: ProvedScorer
    reader: CustomerReader
    threshold: float
    explainer: Explainer | None
    no_reasons: str

    @property
    def origin(self) -> ModelOrigin:
        """Where the model comes from."""
        return self.parts.origin

    def scores(self, customers: Sequence[Customer]) -> list[Score]:
        """Probability, decision and expected profit of a contact, with the bits of `churn predict`.

        Raises:
            TooLargeError: a number is beyond what the classifier takes.
        """
        try:
            probability = self.proved.scorer.probability(customers)
        except ValueError as error:  # the classifier's own check
            if isinstance(error, TooLargeError) or not _has_far_number(customers):
                raise
            raise TooLargeError(TOO_LARGE) from None
        if not np.isfinite(probability).all():
            raise TooLargeError(TOO_LARGE)
        return self.scores_of(probability)

    def scores_of(self, probability: Floats) -> list[Score]:
        """Answers for probabilities."""
        gain = expected_gain(probability, self.parts.economics)
        contact = probability >= self.threshold
        answers = zip(probability.tolist(), contact.tolist(), gain.tolist(), strict=True)
        return [Score(*answer) for answer in answers]

    def reasons(self, customer: Customer, count: int) -> list[Reason]:
        """The columns that move the log-odds most, strongest first.

        Raises:
            NoReasonsError: this model gives none, or none for this customer.
        """
        if self.explainer is None:
            raise NoReasonsError(self.no_reasons)
        found = strongest(self.explainer.contributions(customer), customer, count)
        if not all(math.isfinite(one.log_odds) for one in found):
            raise NoReasonsError("no reasons for a customer with so large a number")
        types = {name: column.type for name, column in self.parts.contract.columns.items()}
        return [Reason(one.column, one.log_odds, in_words(one, types)) for one in found]


def make_served(parts: ModelParts, most_rows: int) -> ServedModel:
    """Prove and warm a model.

    Raises:
        ChurnError: its columns are not those of the contract, or it cannot score.
    """
    if not isinstance(parts.decision, FixedThresholdClassifier):
        raise ChurnError(
            f"{parts.origin.name}: contains a {type(parts.decision).__name__}, not a model of this pipeline"
        )
    require_columns_of_model(parts.decision, parts.contract)
    proved = prove(parts.decision)
    explainer, no_reasons = _explainer(proved, parts.background)
    reader = make_reader(parts.contract, most_rows)
    served = ServedModel(parts, proved, reader, float(parts.decision.threshold), explainer, no_reasons)
    _warm(served)
    return served


def _explainer(proved: ProvedScorer, background: Sequence[Customer]) -> tuple[Explainer | None, str]:
    if proved.encoder is None or proved.plain is None:
        return None, f"no exact reasons for this model: {proved.reason}"
    try:
        return make_explainer(proved.encoder, proved.plain, background), ""
    except NoReasonsError as error:
        return None, str(error)


def _has_far_number(customers: Sequence[Customer]) -> bool:
    return any(isinstance(value, float) and abs(value) > FAR for one in customers for value in one.values())


def _warm(served: ServedModel) -> None:
    """Score one customer and several: the first call of a library is slow, or shows that it does not work."""
    example: Any = served.reader.read(served.reader.example())
    try:
        served.scores([example])
        served.scores([example] * 3)
    except ValueError as error:
        raise ChurnError(f"{served.origin.name}: cannot score a customer of its contract: {error}") from None
