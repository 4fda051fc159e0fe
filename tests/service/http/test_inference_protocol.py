"""KServe's Open Inference Protocol v2, as its specification describes it."""

import json
from typing import Any

import pytest

from tests.helpers.services import RunningService

pytestmark = pytest.mark.serve

MODEL = "/v2/models/churn"


def request_for(*customers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A request with one tensor a column."""
    kinds = {"plan": "BYTES", "months": "FP64", "fee": "FP64", "senior": "BOOL"}
    inputs = [
        {"name": name, "shape": [len(customers)], "datatype": kind, "data": [one[name] for one in customers]}
        for name, kind in kinds.items()
    ]
    return {"inputs": inputs, **more}


def test_metadata_of_the_server(small: RunningService) -> None:
    answer = small.get("/v2").json()
    assert answer["name"]
    assert answer["version"]
    assert answer["extensions"] == []


def test_metadata_of_the_model_names_tensors_with_datatype_and_shape(small: RunningService) -> None:
    answer = small.get(MODEL).json()
    assert answer["name"] == "churn"
    assert answer["inputs"] == [
        {"name": "plan", "datatype": "BYTES", "shape": [-1]},
        {"name": "months", "datatype": "FP64", "shape": [-1]},
        {"name": "fee", "datatype": "FP64", "shape": [-1]},
        {"name": "senior", "datatype": "BOOL", "shape": [-1]},
    ]
    assert {output["name"] for output in answer["outputs"]} == {"probability", "contact", "expected_profit_of_contact"}


def test_every_path_also_exists_with_the_version(small: RunningService, customer: dict[str, Any]) -> None:
    (version,) = small.get(MODEL).json()["versions"]
    assert small.get(f"{MODEL}/versions/{version}").status_code == 200
    assert small.get(f"{MODEL}/versions/{version}/ready").json()["ready"] is True
    assert small.post(f"{MODEL}/versions/{version}/infer", request_for(customer)).status_code == 200


def test_live_ready_and_ready_of_the_model(small: RunningService) -> None:
    assert small.get("/v2/health/live").status_code == 200
    assert small.get("/v2/health/ready").status_code == 200
    assert small.get(f"{MODEL}/ready").status_code == 200


def test_answers_are_those_of_the_other_interface(small: RunningService, customer: dict[str, Any]) -> None:
    answer = small.post(f"{MODEL}/infer", request_for(customer, customer)).json()
    other = small.post("/v1/score", customer).json()
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["probability"]["data"] == [other["probability"]] * 2
    assert outputs["probability"]["shape"] == [2]
    assert outputs["probability"]["datatype"] == "FP64"
    assert outputs["contact"]["data"] == [other["contact"]] * 2
    assert answer["model_name"] == "churn"
    assert answer["parameters"]["fingerprint"] == other["fingerprint"]


def test_the_id_is_echoed_and_absent_without_one(small: RunningService, customer: dict[str, Any]) -> None:
    assert small.post(f"{MODEL}/infer", request_for(customer, id="mine-7")).json()["id"] == "mine-7"
    assert "id" not in small.post(f"{MODEL}/infer", request_for(customer)).json()


def test_only_the_wanted_outputs_are_returned(small: RunningService, customer: dict[str, Any]) -> None:
    wanted = request_for(customer, outputs=[{"name": "contact"}])
    assert [output["name"] for output in small.post(f"{MODEL}/infer", wanted).json()["outputs"]] == ["contact"]


def test_data_may_be_nested_in_row_major_order(small: RunningService, customer: dict[str, Any]) -> None:
    request = request_for(customer, customer)
    for tensor in request["inputs"]:
        tensor["shape"] = [2, 1]
        tensor["data"] = [[value] for value in tensor["data"]]
    assert small.post(f"{MODEL}/infer", request).status_code == 200


def test_a_missing_number_is_null_or_nan(small: RunningService, customer: dict[str, Any]) -> None:
    request = request_for(customer | {"fee": None})
    with_null = small.post(f"{MODEL}/infer", request)
    text = json.dumps(request).replace("null", "NaN")
    with_nan = small.post(f"{MODEL}/infer", data=text, headers={"Content-Type": "application/json"})
    assert with_null.status_code == with_nan.status_code == 200
    assert with_null.json()["outputs"] == with_nan.json()["outputs"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "plam"}, "no such column; is it 'plan'?"),
        ({"datatype": "FP32"}, "datatype 'FP32'; accepted: BYTES"),
        ({"shape": [2]}, "rows; give all the same"),
        ({"shape": [1, 2]}, "shape must be [n] or [n, 1]"),
        ({"data": ["basic", "basic"]}, "2 values, but shape [1]"),
        ({"data": ["gold"]}, "not in values: basic, plus, pro"),
        ({"name": "months"}, "a tensor is given twice"),
    ],
)
def test_a_faulty_tensor_is_refused_with_the_protocols_error(
    small: RunningService, customer: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    request = request_for(customer)
    request["inputs"][0] |= change
    answer = small.post(f"{MODEL}/infer", request)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("given", [{}, {"inputs": []}, {"inputs": 3}, [], {"inputs": [{"name": "plan"}]}])
def test_what_is_no_request_is_refused_with_the_protocols_error(small: RunningService, given: Any) -> None:
    answer = small.post(f"{MODEL}/infer", given)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/churn/versions/9", "/v2/nothing"])
def test_unknown_models_versions_and_paths_are_not_found(small: RunningService, path: str) -> None:
    answer = small.get(path)
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]
