"""Encoders and scaler: numbers without gaps, learned from the rows they are fitted on and no others."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from sklearn.compose import ColumnTransformer

from churn.config.contract import TableContract
from churn.model.encoding import column_types, encode, encoded_columns, make_encoders, make_scaler, unknown_labels
from churn.table.parsing import parse_table
from tests.helpers.projects import REST_OF_CONTRACT
from tests.helpers.strategies import contracts, repeatable, tables

NUMBER = {"type": "numeric", "min": None, "max": None, "missing": "allow", "on_error": "fail"}
LABEL = {"type": "categorical", "values": None, "missing": "allow", "on_error": "fail"}
YES_OR_NO = {"type": "boolean", "missing": "allow", "on_error": "fail"}
TARGET = {"column": "gone", "positive": "yes", "negative": "no", "missing": "fail"}
GAP = np.nan


def fitted(rows: pd.DataFrame, **columns: dict[str, Any]) -> tuple[ColumnTransformer, ColumnTransformer]:
    """Encoders and scaler that have learned from some rows."""
    content: dict[str, Any] = {
        **REST_OF_CONTRACT,
        "id": None,
        "target": TARGET,
        "missing_values": [],
        "columns": columns,
    }
    contract = TableContract.model_validate(content)
    encoders, scaler = make_encoders(contract.columns), make_scaler(contract.columns)
    scaler.fit(encoders.fit_transform(rows))
    return encoders, scaler


def labels(*values: object) -> pd.Series:
    return pd.Series(values, dtype="str")


@repeatable
@given(st.data())
def test_any_table_that_fits_its_contract_is_encoded_without_a_gap(data: DataObject) -> None:
    contract = data.draw(contracts())
    rows, _ = parse_table(data.draw(tables(contract)), contract)
    more, _ = parse_table(data.draw(tables(contract)), contract)
    encoders, scaler = make_encoders(contract.columns), make_scaler(contract.columns)
    features = list(contract.columns)
    scaler.fit(encoders.fit_transform(rows[features]))
    for table in (rows, more):
        encoded = encode(encoders, scaler, table)
        assert np.isfinite(encoded).all(axis=None)
        assert set(encoded) == {name for names in encoded_columns(encoders).values() for name in names}
    assert unknown_labels(encoders, rows) == dict.fromkeys(unknown_labels(encoders, rows), 0)


def test_labels_become_one_column_each() -> None:
    rows = pd.DataFrame({"plan": labels("pro", "basic", "pro")})
    encoded = encode(*fitted(rows, plan=LABEL), rows)
    assert encoded.to_dict("list") == {"plan_basic": [0.0, 1.0, 0.0], "plan_pro": [1.0, 0.0, 1.0]}


def test_a_gap_that_is_allowed_is_a_label_of_its_own() -> None:
    rows = pd.DataFrame({"plan": labels("pro", GAP)})
    encoded = encode(*fitted(rows, plan=LABEL), rows)
    assert encoded.to_dict("list") == {"plan_pro": [1.0, 0.0], "plan_nan": [0.0, 1.0]}


@pytest.mark.parametrize("unseen", ["gold", GAP])
def test_a_label_unseen_in_training_is_all_zeros_and_counted(unseen: object) -> None:
    encoders, scaler = fitted(pd.DataFrame({"plan": labels("pro", "basic")}), plan=LABEL)
    rows = pd.DataFrame({"plan": labels("pro", unseen, unseen)})
    assert encode(encoders, scaler, rows).iloc[1:].eq(0).all(axis=None)
    assert unknown_labels(encoders, rows) == {"plan": 2}


def test_gaps_seen_in_training_are_not_counted_as_unknown() -> None:
    rows = pd.DataFrame({"plan": labels("pro", GAP), "device": labels("phone", "tablet")})
    encoders, _ = fitted(rows, plan=LABEL, device=LABEL)
    assert unknown_labels(encoders, rows) == {"plan": 0, "device": 0}


def test_quantities_are_scaled_to_mean_0_and_deviation_1() -> None:
    rows = pd.DataFrame({"fee": [10.0, 20.0, 30.0, 40.0]})
    encoded = encode(*fitted(rows, fee=NUMBER), rows)["fee"]
    assert encoded.mean() == pytest.approx(0)
    assert encoded.std(ddof=0) == pytest.approx(1)


def test_a_constant_quantity_becomes_0() -> None:
    rows = pd.DataFrame({"fee": [10.0, 10.0]})
    assert encode(*fitted(rows, fee=NUMBER), rows)["fee"].tolist() == [0.0, 0.0]


def test_a_gap_in_a_quantity_is_filled_with_the_median_of_the_training_rows() -> None:
    encoders, _ = fitted(pd.DataFrame({"fee": [1.0, 2.0, 9.0, GAP]}), fee=NUMBER)
    assert encoders.transform(pd.DataFrame({"fee": [GAP, 100.0, 100.0]}))["fee"].tolist() == [2.0, 100.0, 100.0]


@pytest.mark.parametrize(("training", "filled"), [([1.0, 1.0, 0.0, GAP], 1.0), ([1.0, 0.0, GAP], 0.0)])
def test_a_gap_in_a_boolean_is_filled_with_the_commoner_value_of_the_training_rows_or_with_0(
    training: list[float], filled: float
) -> None:
    encoders, scaler = fitted(pd.DataFrame({"senior": training}), senior=YES_OR_NO)
    assert encode(encoders, scaler, pd.DataFrame({"senior": [GAP, 1.0]}))["senior"].tolist() == [filled, 1.0]


@pytest.mark.parametrize("column", [NUMBER, YES_OR_NO])
def test_a_column_without_a_value_among_the_training_rows_is_kept_as_0(column: dict[str, Any]) -> None:
    rows = pd.DataFrame({"rare": [GAP, GAP]})
    assert encode(*fitted(rows, rare=column), rows)["rare"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("column", "values", "encoded"),
    [
        (NUMBER, [1.0, 3.0], {"only": [-1.0, 1.0]}),
        (LABEL, labels("a", "b"), {"only_a": [1.0, 0.0], "only_b": [0.0, 1.0]}),
        (YES_OR_NO, [0.0, 1.0], {"only": [0.0, 1.0]}),
    ],
    ids=["numeric", "categorical", "boolean"],
)
def test_a_table_may_have_columns_of_one_type_only(
    column: dict[str, Any], values: Any, encoded: dict[str, list[float]]
) -> None:
    rows = pd.DataFrame({"only": values})
    encoders, scaler = fitted(rows, only=column)
    assert encode(encoders, scaler, rows).to_dict("list") == encoded
    assert encoded_columns(encoders) == {"only": list(encoded)}
    assert column_types(encoders) == {"only": column["type"]}
    assert unknown_labels(encoders, rows) == ({"only": 0} if column is LABEL else {})


def test_rows_keep_order_and_index_and_become_float64() -> None:
    rows = pd.DataFrame(
        {"senior": [1.0, 0.0], "plan": labels("pro", "basic"), "fee": [2.0, 1.0]}, index=pd.Index(["k2", "k1"])
    )
    encoders, scaler = fitted(rows, senior=YES_OR_NO, plan=LABEL, fee=NUMBER)
    encoded = encode(encoders, scaler, rows)
    assert encoded.index.tolist() == ["k2", "k1"]
    assert encoded["senior"].tolist() == [1.0, 0.0]
    assert set(encoded.dtypes) == {np.dtype("float64")}


def test_the_types_of_the_columns_are_known_in_the_order_of_the_contract() -> None:
    rows = pd.DataFrame({"senior": [1.0, 0.0], "plan": labels("pro", "basic"), "fee": [2.0, 1.0]})
    encoders, _ = fitted(rows, senior=YES_OR_NO, plan=LABEL, fee=NUMBER)
    assert list(column_types(encoders).items()) == [("senior", "boolean"), ("plan", "categorical"), ("fee", "numeric")]


def test_a_column_is_found_by_name_wherever_it_stands() -> None:
    rows = pd.DataFrame({"plan": labels("pro", "basic"), "fee": [2.0, 1.0]})
    encoders, scaler = fitted(rows, plan=LABEL, fee=NUMBER)
    turned = rows[["fee", "plan"]].assign(note="unused")
    pd.testing.assert_frame_equal(encode(encoders, scaler, turned), encode(encoders, scaler, rows))
