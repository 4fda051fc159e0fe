"""Customers from JSON: accepted, refused and read as the batch does it."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from churn.config.contract import Column, TableContract
from churn.model.plain.encoder import Customer
from churn.service.customers import CustomerReader, RefusedCustomersError, UnreadableError, make_reader, parse_json
from churn.table.parsing import parse_customers
from tests.helpers.projects import REST_OF_CONTRACT
from tests.helpers.strategies import LABELS, contracts, repeatable

POLICIES = [("allow", "fail"), ("allow", "drop"), ("allow", "missing"), ("drop", "fail"), ("drop", "drop"),
            ("drop", "missing"), ("fail", "fail"), ("fail", "drop")]  # fmt: skip
"""Policies for missing and for invalid values that a contract may combine."""
COLUMNS: dict[str, dict[str, Any]] = {
    "number": {"type": "numeric", "min": -1.5, "max": 100},
    "any_number": {"type": "numeric", "min": None, "max": None},
    "label": {"type": "categorical", "values": ["basic", "pro plus", "é"]},
    "any_label": {"type": "categorical", "values": None},
    "boolean": {"type": "boolean"},
}
NUMBERS = [0, 3, -1, 29.85, -1.5, -1.5000000001, 100, 100.0000001, 1e-320, 5e-324, -0.0, 2**53 + 1, 10**25, 1.7e308,
           1e400, -1e400, 0.1 + 0.2]  # fmt: skip
TEXTS = ["basic", " basic ", "\tpro plus\n", "pro  plus", "Basic", "é", "e\u0301", "", "  ", "NA", " NA ", "?", "na",
         "nan", "None", "null", "\u00a0basic\u2003", "\x1cbasic\x85", "\u200bbasic", "\ufeffbasic", "0", "💡",
         "a\x00b"]  # fmt: skip
BOOLEANS = [0, 1, True, False, 0.0, 1.0, 2, -1, 0.5]
VALUES: dict[str, list[Any]] = {"numeric": [*NUMBERS], "categorical": [*TEXTS], "boolean": [*BOOLEANS]}


def contract_of(name: str, missing: str, on_error: str) -> TableContract:
    column = {**COLUMNS[name], "missing": missing, "on_error": on_error}
    return contract_with({"value": column})


def contract_with(columns: dict[str, Any], identifier: str | None = None) -> TableContract:
    target = {"column": "gone", "positive": "yes", "negative": "no", "missing": "fail"}
    return TableContract.model_validate(
        {"id": identifier, "target": target, **REST_OF_CONTRACT, "missing_values": ["NA", "?"], "columns": columns}
    )


def in_batch(contract: TableContract, given: dict[str, Any]) -> dict[str, Any] | None:
    """The customer as the batch reads it from texts; None if it is refused."""
    texts = {name: "" if given[name] is None else _as_text(given[name]) for name in contract.of_customer}
    typed, reasons = parse_customers(pd.DataFrame([texts], dtype="str"), contract)
    if reasons.iloc[0]:
        return None
    return {str(name): None if pd.isna(value) else value for name, value in typed.iloc[0].items()}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value).lower() if isinstance(value, bool) else repr(value)


def in_service(reader: CustomerReader, given: dict[str, Any]) -> Customer | None:
    """The customer as the service reads it, through JSON; None if it is refused."""
    text = json.dumps(given).replace("Infinity", "1e400")
    try:
        (customer,) = reader.read_many(parse_json(f"[{text}]".encode()))
    except RefusedCustomersError:
        return None
    assert reader.read(parse_json(text.encode())) == customer
    return customer


def assert_same(contract: TableContract, given: dict[str, Any]) -> None:
    read, expected = in_service(make_reader(contract, 10), given), in_batch(contract, given)
    assert (read is None) == (expected is None), (given, read, expected)
    if read is None or expected is None:
        return
    for name, value in expected.items():
        one = read[name]
        assert type(one) is type(value) or isinstance(value, float), (name, one, value)
        assert one == value, (name, one, value)


@pytest.mark.parametrize(("missing", "on_error"), POLICIES)
@pytest.mark.parametrize("name", COLUMNS)
def test_values_are_accepted_and_read_as_in_the_batch(name: str, missing: str, on_error: str) -> None:
    contract = contract_of(name, missing, on_error)
    kind = contract.columns["value"].type
    for value in (*VALUES[kind], None):
        assert_same(contract, {"value": value})


@st.composite
def contracts_and_customers(draw: DrawFn) -> tuple[TableContract, dict[str, Any]]:
    """Any contract with any policies, and an object of its columns, right or wrong."""
    drawn = draw(contracts())
    columns = {}
    for name, column in drawn.columns.items():
        missing, on_error = draw(st.sampled_from(POLICIES))
        columns[name] = {**column.model_dump(), "missing": missing, "on_error": on_error}
    contract = contract_with(columns)
    return contract, {name: draw(_values_for(column)) for name, column in contract.columns.items()}


def _values_for(column: Column) -> st.SearchStrategy[Any]:
    if column.type == "boolean":
        return st.sampled_from([*BOOLEANS, None])
    if column.type == "categorical":
        known = [] if column.values is None else list(column.values)
        spaced = st.tuples(st.sampled_from(["", " ", "\t"]), LABELS | st.sampled_from(["NA", "?", "", *known]))
        return st.none() | spaced.map("".join)
    bounds = [bound for bound in (column.min, column.max) if bound is not None]
    near = [float(np.nextafter(bound, side)) for bound in bounds for side in (-np.inf, np.inf)]
    return st.none() | st.floats(allow_nan=False) | st.integers(-(2**63), 2**63) | st.sampled_from([0, *bounds, *near])


@repeatable
@given(contracts_and_customers())
def test_any_customer_of_any_contract_is_read_as_in_the_batch(drawn: tuple[TableContract, dict[str, Any]]) -> None:
    assert_same(*drawn)


@pytest.mark.parametrize(("name", "value"), [
    ("number", "12"), ("number", "x"), ("number", True), ("number", []), ("label", 5), ("label", {}), ("label", True),
    ("any_label", 5), ("boolean", "yes"), ("boolean", "x"), ("boolean", [1]),
])  # fmt: skip
def test_a_value_of_another_json_type_is_refused_and_never_taken_for_a_gap(name: str, value: Any) -> None:
    reader = make_reader(contract_of(name, "allow", "missing"), 10)
    with pytest.raises(RefusedCustomersError):
        reader.read({"value": value})


def test_a_value_that_breaks_the_contract_is_a_gap_where_the_contract_says_so() -> None:
    for name, value in (("number", 101), ("number", 1e400), ("number", 10**400), ("label", "gold"), ("boolean", 2)):
        assert make_reader(contract_of(name, "allow", "missing"), 10).read({"value": value}) == {"value": None}


def test_an_id_may_be_given_as_a_text_or_null_or_not_at_all() -> None:
    contract = contract_with({"plan": {**COLUMNS["label"], "missing": "fail", "on_error": "fail"}}, "customer")
    reader = make_reader(contract, 10)
    assert reader.id_of(reader.read({"customer": "C-1", "plan": "é"})) == "C-1"
    assert reader.id_of(reader.read({"customer": None, "plan": "é"})) is None
    assert reader.id_of(reader.read({"plan": "é"})) is None
    with pytest.raises(RefusedCustomersError, match="column 'customer': not a text"):
        reader.read({"customer": 17, "plan": "é"})
    with pytest.raises(RefusedCustomersError, match="column 'costumer': no such column; is it 'customer'"):
        reader.read({"costumer": "C-1", "plan": "é"})


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(("missing", "on_error"), POLICIES)
def test_the_example_of_every_column_is_accepted(name: str, missing: str, on_error: str) -> None:
    reader = make_reader(contract_of(name, missing, on_error), 10)
    assert reader.read(reader.example())
    assert reader.schema()["examples"] == [reader.example()]


def test_nan_is_null_only_where_it_may_be() -> None:
    assert parse_json(b"[NaN, 1]", nan_is_missing=True) == [None, 1]
    for text, nan_is_missing in ((b"NaN", False), (b"Infinity", True), (b"-Infinity", True)):
        with pytest.raises(UnreadableError, match="is no JSON"):
            parse_json(text, nan_is_missing=nan_is_missing)


@pytest.mark.parametrize("body", [rb'"\ud800"', rb'"\udc00\ud800"', rb'{"\uD800": 1}', rb'[[{"a": "x\udfff"}]]'])
def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(UnreadableError, match="half of a surrogate pair"):
        parse_json(body)


@pytest.mark.parametrize(("body", "value"), [
    (rb'"\ud83d\ude00"', "😀"), (rb'"\\ud800"', r"\ud800"), (rb'"\u00e9\ue000"', "é\ue000"),
    (b'"\xf0\x9f\x98\x80"', "😀"),
])  # fmt: skip
def test_whole_characters_are_read_however_they_are_written(body: bytes, value: str) -> None:
    assert parse_json(body) == value
