"""Why a customer gets a probability: exact Shapley values of customer columns, against their definition."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from churn.config.contract import TableContract
from churn.model import encoding
from churn.model.plain.classifiers import Forest, PlainClassifier, TooLargeError, make_plain
from churn.model.plain.encoder import Customer, LabelEncoder, NumberEncoder, RowEncoder, Value, make_encoder
from churn.model.plain.reasons import Contribution, Explainer, NoReasonsError, in_words, make_explainer, strongest
from churn.types import Floats, Labels
from tests.helpers.pipelines import pipeline

CLASSIFIERS = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=15, max_leaf_nodes=12, min_samples_leaf=3, early_stopping=False),
    GradientBoostingClassifier(n_estimators=15, max_depth=4, random_state=0),
    GradientBoostingClassifier(n_estimators=5, max_depth=None, init="zero", random_state=0),
]

ENCODER = RowEncoder(
    names=("fee", "plan_basic", "plan_plus", "plan_None", "months", "pays_card", "pays_check", "old", "unused"),
    numbers={
        "fee": NumberEncoder(place=0, if_missing=20.0, mean=30.0, scale=12.0),
        "months": NumberEncoder(place=4, if_missing=5.0, mean=0.1, scale=3.0),
        "old": NumberEncoder(place=7, if_missing=0.0, mean=0.0, scale=1.0),
        "unused": NumberEncoder(place=8, if_missing=0.0, mean=0.0, scale=1.0),
    },
    labels={"plan": LabelEncoder({"basic": 1, "plus": 2, None: 3}), "pays": LabelEncoder({"card": 5, "check": 6})},
)
COLUMNS = ["fee", "months", "old", "unused", "plan", "pays"]
"""In the encoder's order."""


def random_customers(seed: int, count: int) -> list[dict[str, Value]]:
    """Customers with gaps, with labels that no encoder knows, and with numbers that have no single precision."""
    random = np.random.default_rng(seed)

    def one() -> dict[str, Value]:
        labels: dict[str, Value] = {
            "plan": [None, "basic", "plus", "launched today"][random.integers(4)],
            "pays": ["card", "check", "in gold"][random.integers(3)],
        }
        numbers: dict[str, Value] = {"fee": float(random.normal(30, 12)), "months": float(random.integers(40) / 3)}
        gaps: dict[str, Value] = {name: None for name in numbers if random.random() < 0.15}
        return {**labels, **numbers, **gaps, "old": float(random.integers(2)), "unused": 1.0}

    return [one() for _ in range(count)]


def fitted(classifier: BaseEstimator, seed: int = 0) -> Any:
    """A classifier of customers whose columns work together."""
    customers = random_customers(seed, 300)
    X = ENCODER.encode(customers)
    score = X[:, 0] * X[:, 1] + X[:, 4] * (X[:, 5] - X[:, 6]) + X[:, 7] + np.random.default_rng(seed).normal(size=300)
    return clone(classifier).fit(X, score > 0.3)


def by_definition(classifier: Any, customer: Customer, background: Sequence[Customer]) -> dict[str, float]:
    """Shapley values, from the log-odds of all mixtures of the customer and the background."""

    def worth(known: Sequence[str]) -> float:
        mixtures = [{**other, **{name: customer[name] for name in known}} for other in background]
        return float(classifier.decision_function(ENCODER.encode(mixtures)).mean())

    def value(column: str) -> float:
        others = [name for name in COLUMNS if name != column]
        sets = [known for size in range(len(COLUMNS)) for known in combinations(others, size)]
        gains = [
            (worth([*known, column]) - worth(known)) / math.comb(len(others), len(known)) / len(COLUMNS)
            for known in sets
        ]
        return math.fsum(gains)

    return {column: value(column) for column in COLUMNS}


def explainer_of(classifier: BaseEstimator, background: Sequence[Customer]) -> Explainer:
    return make_explainer(ENCODER, make_plain(classifier), background)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_contributions_are_shapley_values_by_their_definition(classifier: BaseEstimator, seed: int) -> None:
    model = fitted(classifier, seed)
    *background, customer, other = random_customers(seed + 100, 7)
    explainer = explainer_of(model, background)
    for asked in (customer, other, background[0]):
        contributions = explainer.contributions(asked)
        assert list(contributions) == COLUMNS
        assert contributions == pytest.approx(by_definition(model, asked, background), abs=1e-9)
        assert contributions["unused"] == 0, "a column that is the same for all"


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_baseline_and_contributions_add_up_to_the_log_odds(classifier: BaseEstimator) -> None:
    model = fitted(classifier)
    background = random_customers(1, 100)
    explainer = explainer_of(model, background)
    asked = random_customers(2, 50)
    sums = [explainer.baseline + sum(explainer.contributions(one).values()) for one in asked]
    assert sums == pytest.approx(model.decision_function(ENCODER.encode(asked)).tolist(), abs=1e-9)
    assert explainer.baseline == pytest.approx(model.decision_function(ENCODER.encode(background)).mean(), abs=1e-9)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_background_of_one_customer_is_enough(classifier: BaseEstimator) -> None:
    model = fitted(classifier)
    other, customer = random_customers(3, 2)
    contributions = explainer_of(model, [other]).contributions(customer)
    assert contributions == pytest.approx(by_definition(model, customer, [other]), abs=1e-9)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_who_equals_the_background_gets_no_contribution(classifier: BaseEstimator) -> None:
    model = fitted(classifier)
    for customer in random_customers(4, 10):
        contributions = explainer_of(model, [customer] * 7).contributions(customer)
        assert contributions == dict.fromkeys(COLUMNS, 0.0), "exactly"
        assert strongest(contributions, customer, 5) == []


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_order_and_repetition_of_the_background_do_not_matter(classifier: BaseEstimator) -> None:
    model = fitted(classifier)
    *background, customer = random_customers(5, 9)
    once = explainer_of(model, background).contributions(customer)
    again = explainer_of(model, [*background[::-1], *background]).contributions(customer)
    assert again == pytest.approx(once, abs=1e-12)


def test_numbers_next_to_thresholds_are_compared_as_the_trees_compare_them() -> None:
    model = fitted(GradientBoostingClassifier(n_estimators=3, random_state=0))
    background = random_customers(6, 5)
    explainer = explainer_of(model, background)
    trees = [tree.tree_ for tree in model.estimators_[:, 0]]
    thresholds = np.concatenate([tree.threshold[tree.feature == 0] for tree in trees])
    for threshold in thresholds:
        for encoded in (threshold, np.nextafter(threshold, np.inf), threshold * (1 + 1e-9), threshold * (1 - 1e-9)):
            customer = {**background[0], "fee": float(encoded * 12.0 + 30.0)}
            total = explainer.baseline + sum(explainer.contributions(customer).values())
            assert total == pytest.approx(model.decision_function(ENCODER.encode([customer]))[0], abs=1e-9)


def test_a_number_beyond_single_precision_is_refused_as_in_scoring() -> None:
    model = fitted(GradientBoostingClassifier(n_estimators=3, random_state=0))
    customer = {**random_customers(0, 1)[0], "fee": 1e39 * 12}
    with pytest.raises(TooLargeError, match="too large"):
        explainer_of(model, random_customers(1, 3)).contributions(customer)
    with pytest.raises(TooLargeError, match="too large"):
        explainer_of(model, [customer])


@pytest.mark.parametrize(
    "classifier", [HistGradientBoostingClassifier(max_iter=3), GradientBoostingClassifier(n_estimators=3)]
)
def test_trees_without_splits_split_nothing(classifier: BaseEstimator) -> None:
    model = fitted(clone(classifier).set_params(min_samples_leaf=1000))
    background, customer = random_customers(7, 10), random_customers(8, 1)[0]
    explainer = explainer_of(model, background)
    assert explainer.contributions(customer) == dict.fromkeys(COLUMNS, 0.0)
    assert explainer.baseline == pytest.approx(model.decision_function(ENCODER.encode([customer]))[0], abs=1e-9)


def chain(depth: int) -> tuple[RowEncoder, Forest]:
    """A tree that gives 1 to whoever has every number above 0.5, and another that is a leaf."""
    names = [f"number_{place:02}" for place in range(depth)]
    inner = np.arange(0, 2 * depth, 2)  # node 2 i asks for number i, its children are leaf 2 i + 1 and node 2 i + 2
    children = np.repeat(np.arange(2 * depth + 2), 2)
    children[2 * inner], children[2 * inner + 1] = inner + 1, inner + 2
    value = np.zeros(2 * depth + 2)
    value[2 * depth :] = 1.0, 5.0
    feature = np.minimum(np.arange(2 * depth + 2) // 2, depth - 1)
    forest = Forest(
        roots=np.array([2 * depth + 1, 0]),
        feature=feature,
        threshold=np.full(2 * depth + 2, 0.5),
        children=children,
        value=value,
        depth=depth,
        start=-2.0,
        finish=np.asarray,
        single=False,
        is_log_odds=True,
    )
    return RowEncoder(tuple(names), {name: NumberEncoder(i, 0.0, 0.0, 1.0) for i, name in enumerate(names)}, {}), forest


@pytest.mark.parametrize("depth", [1, 2, 63])
def test_columns_that_act_only_together_share_alike(depth: int) -> None:
    encoder, forest = chain(depth)
    ones, zeros = (dict.fromkeys(encoder.names, number) for number in (1.0, 0.0))
    explainer = make_explainer(encoder, forest, [zeros])
    assert explainer.baseline == 3.0
    assert explainer.contributions(ones) == pytest.approx(dict.fromkeys(encoder.names, 1 / depth), abs=1e-12)
    explainer = make_explainer(encoder, forest, [ones])
    assert explainer.contributions(zeros) == pytest.approx(dict.fromkeys(encoder.names, -1 / depth), abs=1e-12)


def test_a_path_with_too_many_columns_is_refused() -> None:
    encoder, forest = chain(64)
    with pytest.raises(NoReasonsError, match="64 columns, more than 63"):
        make_explainer(encoder, forest, [dict.fromkeys(encoder.names, 0.0)])


@pytest.mark.parametrize(
    ("plain", "background", "message"),
    [
        (make_plain(fitted(RandomForestClassifier(5, random_state=0))), random_customers(0, 2), "not a sum"),
        (None, random_customers(0, 2), "its own package"),
        (make_plain(fitted(LogisticRegression())), [], "no customers"),
    ],
)
def test_without_an_exact_split_there_are_no_reasons(
    plain: PlainClassifier | None, background: Sequence[Customer], message: str
) -> None:
    with pytest.raises(NoReasonsError, match=message):
        make_explainer(ENCODER, plain, background)


def test_a_fitted_pipeline_is_explained_by_its_customer_columns(
    rows: pd.DataFrame, y: Labels, contract: TableContract
) -> None:
    model = pipeline(contract, CLASSIFIERS[1]).fit(rows, y)
    customers = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()} for row in rows.to_dict("records")
    ]
    explainer = make_explainer(make_encoder(model), make_plain(model[-1]), customers[:100])
    contributions = [explainer.contributions(one) for one in customers[100:150]]
    log_odds: Floats = model.decision_function(rows)
    assert [explainer.baseline + sum(one.values()) for one in contributions] == pytest.approx(
        log_odds[100:150].tolist(), abs=1e-9
    )
    types = encoding.column_types(model[0])
    assert all(set(one) == set(types) for one in contributions)
    assert all(in_words(one, types) for one in strongest(contributions[0], customers[100], 10))


def test_the_strongest_come_first_equal_ones_by_name_and_zeros_never() -> None:
    contributions = {"fee": 0.1, "plan": -0.7, "old": 0.0, "months": -0.1}
    customer: Customer = {"plan": "basic", "fee": 3.0, "old": 1.0, "months": None}
    first = [Contribution("plan", "basic", -0.7), Contribution("fee", 3.0, 0.1), Contribution("months", None, -0.1)]
    assert strongest(contributions, customer, 2) == first[:2]
    assert strongest(contributions, customer, 9) == first


@pytest.mark.parametrize(
    ("column", "value", "log_odds", "line"),
    [
        ("plan", "Month-to-month", math.log(2.1), "plan: Month-to-month – raises {} by a factor of 2.1"),
        ("months", 61.0, -math.log(3), "months: 61 – lowers {} by a factor of 3.0"),
        ("months", 29.85, math.log(12.4), "months: 29.85 – raises {} by a factor of 12"),
        ("months", 1397.5, -math.log(999), "months: 1,397.5 – lowers {} by a factor of 999"),
        ("months", -0.0, 5000.0, "months: 0 – raises {} by a factor of more than 1,000"),
        ("months", 0.1 + 0.2, -math.inf, "months: 0.3 – lowers {} by a factor of more than 1,000"),
        ("old", 1.0, 0.04, "old: yes – hardly changes {}"),
        ("old", 0.0, -0.06, "old: no – lowers {} by a factor of 1.1"),
        ("plan", None, 1.0, "plan: not known – raises {} by a factor of 2.7"),
        ("months", None, -1.0, "months: not known – lowers {} by a factor of 2.7"),
        ("plan", "two\n\x1b[1mlines", 1.0, "plan: two [1mlines – raises {} by a factor of 2.7"),
        ("plan", "", 1.0, 'plan: "" – raises {} by a factor of 2.7'),
        ("plan", "x" * 200, 1.0, f"plan: {'x' * 59}… – raises {{}} by a factor of 2.7"),
    ],
)
def test_a_contribution_in_words(column: str, value: Value, log_odds: float, line: str) -> None:
    types = {"plan": "categorical", "months": "numeric", "old": "boolean"}
    assert in_words(Contribution(column, value, log_odds), types) == line.format("the predicted odds of churn")
