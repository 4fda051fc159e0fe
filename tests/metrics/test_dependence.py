"""Partial dependence: what the model answers, and nothing more, at a bounded cost."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.inspection import partial_dependence as by_sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from churn.metrics.dependence import LABELS, POINTS, ROWS, partial_dependence
from churn.types import Floats

TYPES = {"plan": "categorical", "months": "numeric", "senior": "boolean"}


def make_rows(count: int) -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "plan": random.choice(["basic", "plus", "pro"], count),
            "months": random.integers(0, 60, count).astype(float),
            "senior": random.integers(0, 2, count).astype(float),
        }
    )


def fitted(rows: pd.DataFrame) -> object:
    encoder = ColumnTransformer([("plan", OneHotEncoder(), ["plan"])], remainder="passthrough")
    churned = (rows["months"] + 20 * (rows["plan"] == "pro") < 30).astype(int)
    return make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(rows, churned)


def test_the_mean_is_the_one_that_scikit_learn_computes() -> None:
    rows = make_rows(300)
    model = fitted(rows)
    found = partial_dependence(lambda asked: model.predict_proba(asked)[:, 1], rows, TYPES, list(TYPES))  # type: ignore[attr-defined]
    for one in found:
        grid = {one.column: [float(value) if one.column != "plan" else value for value in one.values]}
        expected = by_sklearn(model, rows, [one.column], custom_values=grid, kind="average")
        assert one.mean == pytest.approx(expected["average"][0])
        assert all(low <= mean <= high for low, mean, high in zip(one.lower, one.mean, one.upper, strict=True))


def test_many_rows_and_values_cost_no_more_than_a_fixed_number_of_answers() -> None:
    asked_for = []

    def answer(asked: pd.DataFrame) -> Floats:
        asked_for.append(len(asked))
        return np.zeros(len(asked))

    rows = pd.DataFrame({"plan": [str(number) for number in range(5000)], "months": np.arange(5000.0)})
    quantity, labels = partial_dependence(answer, rows, TYPES, ["months", "plan"])
    assert (len(quantity.values), len(labels.values)) == (POINTS, LABELS)
    assert asked_for == [ROWS * POINTS, ROWS * LABELS]
    assert (quantity.values[0], quantity.values[-1]) == (0, 4999)


def test_gaps_are_no_value_and_a_constant_column_is_left_out() -> None:
    rows = make_rows(20)
    rows.loc[:5, ["plan", "months"]] = np.nan
    rows["senior"] = 1.0
    found = partial_dependence(lambda asked: np.zeros(len(asked)), rows, TYPES, list(TYPES))
    assert [one.column for one in found] == ["plan", "months"]
    assert set(found[0].values) <= {"basic", "plus", "pro"}
    assert not np.isnan(found[1].values).any()
