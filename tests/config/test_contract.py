"""The contract of a table: what may be asked of its columns, and what contradicts itself."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from churn.config.contract import TableContract, columns_of_type
from tests.helpers.projects import REST_OF_CONTRACT

CONTRACT: dict[str, Any] = {
    **REST_OF_CONTRACT,
    "id": "name",
    "target": {"column": "gone", "positive": "yes", "negative": "no", "missing": "fail"},
    "missing_values": ["NA"],
    "columns": {
        "plan": {"type": "categorical", "values": ["basic", "pro"], "missing": "allow", "on_error": "fail"},
        "fee": {"type": "numeric", "min": 0.0, "max": 90.0, "missing": "drop", "on_error": "fail"},
        "senior": {"type": "boolean", "missing": "fail", "on_error": "fail"},
        "months": {"type": "numeric", "min": None, "max": None, "missing": "fail", "on_error": "fail"},
    },
}


def altered(*path: str, to: object) -> dict[str, Any]:
    """The contract with another value at one place."""
    content = copy.deepcopy(CONTRACT)
    *section, key = path
    place = content
    for name in section:
        place = place[name]
    place[key] = to
    return content


def unused(kind: str = "other", form: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "format": form, "reason": "not wanted"}


def test_the_table_needs_id_features_and_target_in_that_order() -> None:
    assert TableContract.model_validate(CONTRACT).needed == ["name", "plan", "fee", "senior", "months", "gone"]


def test_without_an_id_none_is_needed() -> None:
    contract = TableContract.model_validate(altered("id", to=None))
    assert contract.needed == ["plan", "fee", "senior", "months", "gone"]


def test_columns_of_one_type_keep_the_order_of_the_contract() -> None:
    assert columns_of_type(TableContract.model_validate(CONTRACT).columns, "numeric") == ["fee", "months"]


def test_a_range_may_be_a_single_value() -> None:
    contract = TableContract.model_validate(altered("columns", "fee", "max", to=0.0))
    assert contract.columns["fee"].type == "numeric"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (altered("columns", "fee", "min", to=91.0), "min 91 is above max 90"),
        (altered("columns", "plan", "values", to=[]), "list the allowed labels, or use null to allow any"),
        (altered("columns", "plan", "values", to=["basic", " pro"]), "remove the surrounding spaces"),
        (altered("columns", "plan", "values", to=["NA"]), "columns.plan.values: 'NA' is read as missing"),
        (altered("columns", "plan", "values", to=[""]), "columns.plan.values: '' is read as missing"),
        (altered("columns", "row_key", to=CONTRACT["columns"]["fee"]), "column 'row_key': the name is reserved"),
        (altered("columns", "", to=CONTRACT["columns"]["fee"]), "column '': the name is empty"),
        (altered("id", to=""), "column '': the name is empty"),
        (altered("id", to="row_key"), "column 'row_key': the name is reserved"),
        (altered("id", to="gone"), "id and target.column are both 'gone'"),
        (altered("id", to="fee"), "id 'fee' is also listed under columns"),
        (altered("target", "column", to="plan"), "target.column 'plan' is also listed under columns"),
        (altered("target", "negative", to="yes"), "positive 'yes' and negative 'yes' are equal but for their case"),
        (altered("target", "positive", to="NA"), "target.positive: 'NA' is read as missing"),
        (altered("target", "negative", to="no "), "remove the surrounding spaces"),
        (
            altered("columns", "senior", "on_error", to="missing"),
            "on_error: missing creates missing values, and missing: fail",
        ),
        (altered("unused", to={"fee": unused()}), "'fee' is both used and listed under unused: a column has one role"),
        (
            altered("unused", to={"seen": unused("id", "%Y")}),
            "format '%Y' is allowed only with kind: date; set it to null",
        ),
        (
            altered("unused", to={"seen": unused("date", "dd.mm.yyyy")}),
            "format 'dd.mm.yyyy' contains no date directive",
        ),
        (altered("format", "encoding", to="klingon"), "unknown encoding 'klingon'"),
        (altered("format", "encoding", to="hex"), "unknown encoding 'hex'"),
        (altered("format", "encoding", to="rot13"), "unknown encoding 'rot13'"),
        (altered("format", "encoding", to="idna\0"), "unknown encoding"),
        (altered("format", "delimiter", to="§"), "'§' cannot delimit or quote cells"),
        (altered("format", "quote", to="\n"), "cannot delimit or quote cells"),
        (altered("format", "quote", to=","), "delimiter and quote are both ','"),
        (altered("missing_values", to=["NA", "? "]), "remove the surrounding spaces"),
    ],
)
def test_a_contract_that_no_table_can_keep_is_refused(content: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        TableContract.model_validate(content)
    (fault,) = refusal.value.errors()
    assert told in fault["msg"]


def test_a_contract_cannot_be_changed_once_read() -> None:
    contract = TableContract.model_validate(CONTRACT)
    with pytest.raises(ValidationError, match="frozen"):
        contract.id = None
