"""The plain arithmetic is used only where it gives the bits of the object."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier

from churn.config.contract import TableContract
from churn.model.decision import assemble_decision, churn_probability
from churn.model.plain import classifiers
from churn.model.plain.classifiers import Forest, TooLargeError
from churn.model.plain.encoder import Customer
from churn.model.plain.proof import ScoringPath, prove
from churn.types import Floats, Labels
from tests.helpers.pipelines import pipeline

PLAIN: list[BaseEstimator] = [
    HistGradientBoostingClassifier(max_iter=20, random_state=0),
    HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=2),
    GradientBoostingClassifier(n_estimators=20, random_state=0),
    GradientBoostingClassifier(n_estimators=5, init="zero", learning_rate=0.3, random_state=0),
    RandomForestClassifier(20, random_state=0),
    RandomForestClassifier(3, max_depth=1, random_state=0),
    LogisticRegression(),
    LogisticRegression(solver="liblinear", fit_intercept=False),
]
OTHERS: list[BaseEstimator] = [
    ExtraTreesClassifier(10, random_state=0),
    MLPClassifier(max_iter=5000, hidden_layer_sizes=(5,), random_state=0, tol=0.01),
    GaussianNB(),
]


Decide = Callable[[BaseEstimator], FixedThresholdClassifier]


@pytest.fixture
def decide(
    rows: pd.DataFrame, y: Labels, contract: TableContract
) -> Callable[[BaseEstimator], FixedThresholdClassifier]:
    """A decision around an estimator, fitted on the small table."""

    def fitted(estimator: BaseEstimator) -> FixedThresholdClassifier:
        whole = pipeline(contract, estimator).fit(rows, y)
        steps = whole.named_steps
        return assemble_decision(steps["encoders"], steps["scaler"], steps["classifier"], 0.3)

    return fitted


@pytest.fixture
def given(rows: pd.DataFrame) -> list[Customer]:
    records = rows.to_dict("records")
    return [{str(name): None if pd.isna(value) else value for name, value in one.items()} for one in records]


def bits(probability: Floats) -> list[int]:
    found: list[int] = probability.view(np.int64).tolist()
    return found


@pytest.mark.parametrize("estimator", PLAIN, ids=str)
def test_customers_alone_and_together_get_the_objects_bits_by_plain_arithmetic(
    decide: Decide, rows: pd.DataFrame, given: list[Customer], estimator: BaseEstimator
) -> None:
    decision = decide(estimator)
    proved = prove(decision)
    assert (proved.path, proved.reason) == (ScoringPath.PLAIN, "")
    whole = bits(churn_probability(decision, rows))
    assert bits(proved.scorer.probability(given)) == whole
    assert [bits(proved.scorer.probability([one]))[0] for one in given[:100]] == whole[:100]


@pytest.mark.parametrize("estimator", OTHERS, ids=str)
def test_other_estimators_are_only_encoded_apart_and_give_the_objects_bits(
    decide: Decide, rows: pd.DataFrame, given: list[Customer], estimator: BaseEstimator
) -> None:
    decision = decide(estimator)
    proved = prove(decision)
    assert proved.path == ScoringPath.ENCODED
    assert proved.reason == f"{type(estimator).__name__} is computed by its own package"
    whole = bits(churn_probability(decision, rows))
    assert bits(proved.scorer.probability(given)) == whole
    assert [bits(proved.scorer.probability([one]))[0] for one in given[:30]] == whole[:30]


@pytest.mark.parametrize("estimator", [*PLAIN[:1], *OTHERS[:1]], ids=str)
def test_gaps_and_labels_that_were_not_seen_are_scored_as_the_object_does(
    decide: Decide, rows: pd.DataFrame, given: list[Customer], estimator: BaseEstimator
) -> None:
    decision = decide(estimator)
    odd: list[Customer] = [{**given[0], "plan": "gold"}, {**given[1], "fee": None}, {**given[2], "fee": -0.0}]
    table = rows.head(3).copy()
    table.loc[table.index[0], "plan"] = "gold"
    table.loc[table.index[1], "fee"] = math.nan
    table.loc[table.index[2], "fee"] = -0.0
    assert bits(prove(decision).scorer.probability(odd)) == bits(churn_probability(decision, table))


def test_nobody_is_scored_to_nothing(decide: Decide) -> None:
    for estimator in (PLAIN[0], PLAIN[-1], OTHERS[0]):
        assert len(prove(decide(estimator)).scorer.probability([])) == 0


def changed(forest: Forest, part: str, place: int, value: float) -> Forest:
    """A forest with one number changed."""
    array = getattr(forest, part).copy()
    array[place] = value
    return replace(forest, **{part: array})


@pytest.mark.parametrize(
    "estimator", [PLAIN[0], PLAIN[2], RandomForestClassifier(5, max_depth=4, random_state=0)], ids=str
)
def test_arithmetic_with_any_single_number_off_by_the_least_amount_is_found(
    decide: Decide, monkeypatch: pytest.MonkeyPatch, estimator: BaseEstimator
) -> None:
    """A threshold or a leaf value anywhere in the trees, moved to the next number."""
    decision = decide(estimator)
    forest = prove(decision).plain
    assert isinstance(forest, Forest)
    inner = np.flatnonzero(forest.children[::2] != np.arange(len(forest.value)))
    leaves = np.flatnonzero(forest.children[::2] == np.arange(len(forest.value)))
    kind = np.float32 if forest.single else np.float64
    random = np.random.default_rng(0)
    for place in random.choice(inner, 12):
        above = float(np.nextafter(kind(forest.threshold[place]), kind(np.inf)))
        assert path_with(monkeypatch, decision, changed(forest, "threshold", place, above)) != ScoringPath.PLAIN
    for place in random.choice(leaves, 4):
        value = forest.value[place] * (1 + 1e-3) + 1e-6
        assert path_with(monkeypatch, decision, changed(forest, "value", place, value)) != ScoringPath.PLAIN


def path_with(monkeypatch: pytest.MonkeyPatch, decision: FixedThresholdClassifier, wrong: Forest) -> ScoringPath:
    """The path that is chosen if the arithmetic is built wrongly."""
    classifier = decision.estimator_[-1]
    with monkeypatch.context() as patch:
        patch.setitem(classifiers.MAKERS, type(classifier), lambda _: wrong)
        return prove(decision).path


def test_trees_added_in_another_order_are_found(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = decide(HistGradientBoostingClassifier(max_iter=60, random_state=0))
    forest = prove(decision).plain
    assert isinstance(forest, Forest)
    assert path_with(monkeypatch, decision, replace(forest, roots=forest.roots[::-1])) == ScoringPath.ENCODED


def test_a_changed_private_attribute_falls_back(decide: Decide) -> None:
    decision = decide(PLAIN[0])
    del decision.estimator_[-1]._baseline_prediction
    with pytest.raises(AttributeError):  # the object itself cannot score, so nothing is served
        prove(decision)
    decision = decide(PLAIN[2])
    decision.estimator_[-1].estimators_ = decision.estimator_[-1].estimators_[:, :0]
    with pytest.raises(IndexError):
        prove(decision)


def test_a_maker_that_no_longer_fits_leaves_the_next_path(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise AttributeError("'_predictors'")

    decision = decide(PLAIN[0])
    monkeypatch.setitem(classifiers.MAKERS, HistGradientBoostingClassifier, broken)
    proved = prove(decision)
    assert proved.path == ScoringPath.ENCODED
    assert proved.reason == "HistGradientBoostingClassifier: AttributeError: '_predictors'"


def test_a_subclass_is_not_taken_for_its_parent(decide: Decide) -> None:
    class Tempered(LogisticRegression):  # type: ignore[misc]
        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X) * 0.5 + 0.25

    assert prove(decide(Tempered())).path == ScoringPath.ENCODED


def test_a_model_too_large_to_be_proved_is_not_proved_in_part(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    from churn.model.plain import proof

    monkeypatch.setattr(proof, "MOST_NODES", 100)
    proved = prove(decide(RandomForestClassifier(20, random_state=0)))
    assert proved.path == ScoringPath.ENCODED
    assert proved.reason.endswith("nodes are more than the 100 that can be proved within a second")


def test_encoders_of_another_form_leave_the_object(decide: Decide, rows: pd.DataFrame, given: list[Customer]) -> None:
    decision = decide(PLAIN[0])
    scaler = decision.estimator_.named_steps["scaler"].named_transformers_["numeric"]
    scaler.with_mean = False  # it then no longer subtracts the mean that it has
    proved = prove(decision)
    assert proved.path == ScoringPath.OBJECT
    assert bits(proved.scorer.probability(given)) == bits(churn_probability(decision, rows))


def test_single_precision_refuses_what_scikit_learn_refuses(decide: Decide, given: list[Customer]) -> None:
    proved = prove(decide(RandomForestClassifier(3, random_state=0)))
    with pytest.raises(TooLargeError):
        proved.scorer.probability([{**given[0], "fee": 1e300}])
