"""What the service answers: scores, reasons, the model, health, metrics and documentation."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from tests.helpers.command_line import churn
from tests.helpers.services import RunningService, running_service

pytestmark = pytest.mark.serve


def test_a_customer_is_answered_by_an_object_and_a_list_by_a_list(
    small: RunningService, customer: dict[str, Any]
) -> None:
    one = small.post("/v1/score", customer)
    assert one.status_code == 200
    assert list(one.json()) == ["probability", "contact", "expected_profit_of_contact", "request_id", "fingerprint"]
    many = small.post("/v1/score", [customer, customer]).json()
    assert [answer["probability"] for answer in many] == [one.json()["probability"]] * 2
    assert many[0]["request_id"] == many[1]["request_id"] != one.json()["request_id"]


def test_the_request_id_is_also_a_header(small: RunningService, customer: dict[str, Any]) -> None:
    answer = small.post("/v1/score", customer)
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


def test_reasons_are_given_on_request_strongest_first(of_sample: RunningService) -> None:
    example = of_sample.get("/openapi.json").json()["components"]["schemas"]["Customer"]["examples"][0]
    answer = of_sample.post("/v1/score?reasons=3", example).json()
    sizes = [abs(reason["log_odds"]) for reason in answer["reasons"]]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert all(reason["column"] in reason["text"] for reason in answer["reasons"])


def test_the_model_says_where_it_comes_from_and_how_it_scores(small: RunningService) -> None:
    model = small.get("/v1/model").json()
    assert re.fullmatch(r"[0-9a-f]{16}", model["fingerprint"])
    assert re.fullmatch(r"[0-9a-f]{40}", model["commit"])
    assert re.fullmatch(r"[0-9a-f]{64}", model["sha256"])
    assert model["path"] == "plain"
    assert model["columns"]["plan"]["values"] == ["basic", "plus", "pro"]


def test_live_and_ready(small: RunningService) -> None:
    assert small.get("/health/live").json() == {"status": "live"}
    assert small.get("/health/ready").json() == {"status": "ready"}
    assert small.get("/v2/health/ready").json() == {"ready": True}


def test_the_example_of_the_documentation_works(small: RunningService) -> None:
    description = small.get("/openapi.json").json()
    body = description["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    assert small.post("/v1/score", body["example"]).status_code == 200


def test_the_documentation_fetches_nothing_from_elsewhere(small: RunningService) -> None:
    page = small.get("/docs").text
    assert "swagger-ui" in page
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/"), address
        assert small.get(address).status_code == 200


def test_metrics_count_rows_decisions_scores_gaps_and_labels(small: RunningService, customer: dict[str, Any]) -> None:
    before = metrics_of(small)
    answer = small.post("/v1/score", [customer, customer | {"fee": None}]).json()
    after = metrics_of(small)

    def added(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    contacts = sum(one["contact"] for one in answer)
    assert added('churn_rows_total{contact="true"}') == contacts
    assert added('churn_rows_total{contact="false"}') == 2 - contacts
    assert added('churn_missing_values_total{column="fee"}') == 1
    fingerprint = answer[0]["fingerprint"]
    assert added(f'churn_score_count{{fingerprint="{fingerprint}"}}') == 2
    assert added('churn_requests_total{route="/v1/score",status="200"}') == 1
    assert after["churn_ready"] == 1
    assert any(
        name.startswith(f'churn_model_info{{fingerprint="{fingerprint}",path="plain",role="model"') for name in after
    )


def metrics_of(service: RunningService) -> dict[str, float]:
    lines = service.get("/metrics").text.splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_each_request_is_a_line_of_json_without_the_customers_values(
    small: RunningService, customer: dict[str, Any]
) -> None:
    odd = 17.123456
    request_id = small.post("/v1/score", customer | {"fee": odd}).json()["request_id"]
    line = json.loads(small.wait_until(request_id))
    assert line["route"] == "/v1/score"
    assert line["status"] == 200
    assert line["rows"] == 1
    assert line["ms"] > 0
    refused = small.post("/v1/score", customer | {"plan": "secretplan"}).json()["request_id"]
    small.wait_until(refused)
    assert str(odd) not in "\n".join(small.lines)
    assert "secretplan" not in "\n".join(small.lines)


@pytest.fixture
def without_model(tmp_path: Path, small_project: Path) -> Iterator[RunningService]:
    """A service of a project whose pipeline has not run."""

    project = shutil.copytree(small_project, tmp_path / "project", symlinks=True)
    (project / "models/churn_model.pkl").unlink()
    with running_service(project, CHURN_SERVE_POLL_SECONDS="0.1") as service:
        yield service


def test_without_a_model_it_is_live_but_not_ready_until_there_is_one(
    without_model: RunningService, small_project: Path, customer: dict[str, Any]
) -> None:
    assert without_model.get("/health/live").status_code == 200
    ready = without_model.get("/health/ready")
    assert ready.status_code == 503
    assert "not here: `dvc pull` or `dvc checkout` brings the model" in ready.json()["detail"]
    assert without_model.post("/v1/score", customer).status_code == 503
    assert without_model.get("/openapi.json").status_code == 200
    model = "models/churn_model.pkl"
    (without_model.folder / model).write_bytes((small_project / model).read_bytes())
    without_model.wait_until("model: state")
    assert without_model.get("/health/ready").status_code == 200
    assert without_model.post("/v1/score", customer).status_code == 200


def test_lines_of_a_stream_are_answered_in_order_and_faulty_ones_by_their_number(
    small: RunningService, customer: dict[str, Any]
) -> None:
    lines = [json.dumps(customer), "{", "", json.dumps(customer | {"plan": "gold"}), json.dumps(customer)]
    answer = requests.post(
        f"{small.url}/v1/score/stream",
        data="\n".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
        timeout=30,
    )
    answers = [json.loads(line) for line in answer.text.splitlines()]
    assert [one.get("line") for one in answers] == [None, 2, 4, None]
    assert answers[2]["error"] == "column 'plan': not in values: basic, plus, pro"
    assert answers[0]["probability"] == answers[3]["probability"]


def test_a_stream_longer_than_every_limit_is_answered_to_a_client_that_reads_last(
    small: RunningService, customer: dict[str, Any]
) -> None:
    count = 20_000
    body = (json.dumps(customer) + "\n").encode() * count
    kind = {"Content-Type": "application/x-ndjson"}
    answer = requests.post(f"{small.url}/v1/score/stream", data=body, headers=kind, timeout=60)
    assert len(answer.text.splitlines()) == count


@pytest.fixture
def file(tmp_path: Path, customer: dict[str, Any]) -> Path:
    path = tmp_path / "customer.json"
    path.write_text(json.dumps(customer))
    return path


def test_the_command_shows_an_answer_with_reasons(small: RunningService, file: Path) -> None:
    answer = churn("score", str(file), "--url", small.url, "--reasons", "2")
    assert answer.code == 0
    lines = dict(re.findall(r"^(\w[\w ]*?)  +(.+)$", answer.out, re.MULTILINE))
    found = small.post("/v1/score", json.loads(file.read_text())).json()
    assert lines["probability"] == repr(found["probability"])
    assert lines["contact"] == ("yes" if found["contact"] else "no")
    assert lines["state"] == found["fingerprint"]
    assert "the predicted odds of churn" in lines["reasons"]


def test_the_command_tells_what_is_wrong_with_a_customer_in_a_line(small: RunningService, file: Path) -> None:
    file.write_text('{"plan": "gold", "months": 3, "fee": null, "senior": 2}')
    answer = churn("score", str(file), "--url", small.url)
    assert answer.code == 1
    assert answer.err.strip() == (
        f'churn: {file}: customers break the contract: "plan" not in values: basic, plus, pro, '
        '"senior" not 0 or 1, true or false'
    )


def test_the_command_without_a_service_says_how_to_start_one(file: Path) -> None:
    answer = churn("score", str(file), "--url", "http://127.0.0.1:9")
    assert answer.code == 1
    assert answer.err.strip() == "churn: http://127.0.0.1:9: no answer (ConnectionError); start it with `churn serve`"


def test_the_command_names_a_file_that_is_not_there(small: RunningService) -> None:
    answer = churn("score", "absent.json", "--url", small.url)
    assert answer.err.startswith("churn: absent.json: No such file or directory; give a JSON file with")


def test_the_metrics_have_the_scores_of_training_at_the_bounds_of_the_scores_served(
    small: RunningService, customer: dict[str, Any]
) -> None:
    """So that a query can compare them, over any time."""
    small.post("/v1/score", customer)
    found = metrics_of(small)
    shares = bounds_of("churn_reference_score_share", found)
    trained = pd.read_csv(small.folder / "models/out_of_fold.csv")["probability"]
    assert set(shares) == set(bounds_of("churn_score_bucket", found)) - {"+Inf"}
    assert shares["0.5"] == pytest.approx(float((trained <= 0.5).mean()), abs=0.003)
    assert shares["1"] == 1.0


def bounds_of(name: str, found: dict[str, float]) -> dict[str, float]:
    """Values of a metric by their upper bound."""
    return {
        match[1]: value
        for key, value in found.items()
        if key.startswith(f"{name}{{") and (match := re.search(r'le="([^"]+)"', key))
    }
