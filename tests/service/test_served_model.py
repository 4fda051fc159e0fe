"""A model that answers: what it makes of numbers that no classifier takes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from churn.config.contract import TableContract
from churn.config.params import Params
from churn.model.decision import assemble_decision
from churn.model.plain.classifiers import TooLargeError
from churn.model.plain.encoder import Customer
from churn.model.plain.reasons import NoReasonsError
from churn.service.served_model import ModelOrigin, ModelParts, ServedModel, make_served
from churn.table.parsing import parse_table
from tests.helpers.pipelines import pipeline

CUSTOMER: Customer = {"plan": "basic", "months": 3.0, "fee": 29.85, "senior": 1.0}
ESTIMATORS: list[BaseEstimator] = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=3),
    RandomForestClassifier(3, random_state=0),
    ExtraTreesClassifier(3, random_state=0),
    GaussianNB(),
]


@pytest.fixture
def served(customers: pd.DataFrame, params: Params, contract: TableContract) -> Callable[[BaseEstimator], ServedModel]:
    """The served model of an estimator, fitted on the small table."""

    def of(estimator: BaseEstimator) -> ServedModel:
        rows = parse_table(customers, contract)[0][list(contract.columns)]
        y = (customers["gone"] == "yes").to_numpy().astype(np.int64)
        steps = pipeline(contract, estimator).fit(rows, y).named_steps
        decision = assemble_decision(steps["encoders"], steps["scaler"], steps["classifier"], 0.3)
        origin = ModelOrigin("churn", "0" * 16, "0" * 64, None, None)
        return make_served(ModelParts(decision, contract, params.business, [CUSTOMER] * 1_000, origin), 100)

    return of


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("number", [1e30, 1e39, 1e300, 1.7e308])
def test_a_far_number_is_scored_or_refused_and_nothing_else(
    served: Callable[[BaseEstimator], ServedModel], estimator: BaseEstimator, number: float
) -> None:
    model = served(estimator)
    far = {**CUSTOMER, "fee": number}
    try:
        scores = model.scores([CUSTOMER, far])
    except TooLargeError:
        return
    assert all(0 <= score.probability <= 1 for score in scores)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_number_too_large_for_reasons_gets_none(served: Callable[[BaseEstimator], ServedModel]) -> None:
    model = served(LogisticRegression())
    assert model.reasons({**CUSTOMER, "fee": 1e6}, 4)
    with pytest.raises(NoReasonsError, match="so large a number"):
        model.reasons({**CUSTOMER, "fee": 1.7e308}, 4)


def test_a_fault_of_the_classifier_is_not_taken_for_a_large_number(
    served: Callable[[BaseEstimator], ServedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served(GaussianNB())

    def fail(*_: object) -> None:
        raise ValueError("another fault")

    monkeypatch.setattr(type(model.proved.scorer), "probability", fail)
    with pytest.raises(ValueError, match="another fault"):
        model.scores([CUSTOMER])
