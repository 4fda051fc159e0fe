"""Every customer of the sample gets the same bits over HTTP, in every form, as from `churn predict`."""

import json
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
import tritonclient.http as triton
from numpy.typing import NDArray

from churn import files
from churn.config.params import load_params
from churn.model.decision import churn_probability, pipeline_of
from churn.model.encoding import column_types
from tests.helpers.projects import shell, unpickled
from tests.helpers.services import RunningService, customers_of

pytestmark = pytest.mark.serve

TABLE = "data/raw/sample_data.csv"


@pytest.fixture(scope="session")
def predicted(sample: Path) -> pd.DataFrame:
    shell(sample)(f"churn predict {TABLE} -o predictions/scores.parquet")
    return pd.read_parquet(sample / "predictions/scores.parquet")


@pytest.fixture(scope="session")
def customers(sample: Path) -> list[dict[str, Any]]:
    columns = load_params(sample).data.columns
    labels = [name for name, column in columns.items() if column.type == "categorical"]
    return customers_of(sample / TABLE, list(columns), labels)


def assert_same(answers: Sequence[dict[str, Any]], predicted: pd.DataFrame) -> None:
    """All bits of the probability and of the expected profit, and the decision."""
    for name in ("probability", "expected_profit_of_contact"):
        given = np.array([answer[name] for answer in answers], dtype=np.float64)
        assert (given.view(np.int64) == predicted[name].to_numpy().view(np.int64)).all()
    assert [answer["contact"] for answer in answers] == (predicted["contact"] == 1).tolist()


def test_customers_one_by_one(
    of_sample: RunningService, customers: list[dict[str, Any]], predicted: pd.DataFrame
) -> None:
    answers: list[dict[str, Any]] = []
    with closing(HTTPConnection(*of_sample.address)) as connection:  # requests takes ten times as long as the service
        for one in customers:
            connection.request("POST", "/v1/score", json.dumps(one), {"Content-Type": "application/json"})
            answers.append(json.loads(connection.getresponse().read()))
    assert_same(answers, predicted)


def test_customers_in_one_list(
    of_sample: RunningService, customers: list[dict[str, Any]], predicted: pd.DataFrame
) -> None:
    parts = [customers[first : first + 1500] for first in range(0, len(customers), 1500)]
    answers = [answer for part in parts for answer in of_sample.post("/v1/score", part).json()]
    assert_same(answers, predicted)


def test_customers_as_a_stream_of_lines(
    of_sample: RunningService, customers: list[dict[str, Any]], predicted: pd.DataFrame
) -> None:
    body = "\n".join(map(json.dumps, customers)).encode()
    kind = {"Content-Type": "application/x-ndjson"}
    answer = requests.post(f"{of_sample.url}/v1/score/stream", data=body, headers=kind, timeout=60)
    assert_same([json.loads(line) for line in answer.text.splitlines()], predicted)


def test_customers_through_the_inference_protocol_by_a_client_of_others(
    of_sample: RunningService, customers: list[dict[str, Any]], predicted: pd.DataFrame
) -> None:
    with triton.InferenceServerClient(of_sample.url.removeprefix("http://")) as client:
        metadata = client.get_model_metadata("churn")
        answers: list[dict[str, Any]] = []
        for first in range(0, len(customers), 1000):
            part = customers[first : first + 1000]
            inputs = [_tensor(one["name"], one["datatype"], part) for one in metadata["inputs"]]
            result = client.infer("churn", inputs, request_id=f"from-{first}")
            assert result.get_response()["id"] == f"from-{first}"
            names = [one["name"] for one in metadata["outputs"]]
            columns = {name: result.as_numpy(name).tolist() for name in names}
            answers += [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert_same(answers, predicted)


def _tensor(name: str, datatype: str, part: Sequence[dict[str, Any]]) -> triton.InferInput:
    kind = {"BYTES": np.object_, "BOOL": np.bool_, "FP64": np.float64}[datatype]
    values: NDArray[Any] = np.array([one[name] for one in part], dtype=kind)
    tensor = triton.InferInput(name, [len(part)], datatype)
    tensor.set_data_from_numpy(values, binary_data=False)
    return tensor


def test_the_models_own_predict_proba(of_sample: RunningService, sample: Path, predicted: pd.DataFrame) -> None:
    """What `churn predict` gives is what the object gives, so the service gives that, too."""
    model = unpickled(sample / files.MODEL)
    types = column_types(pipeline_of(model).named_steps["encoders"])
    rows = pd.read_csv(sample / TABLE)[list(types)]
    assert churn_probability(model, rows).tolist() == predicted["probability"].tolist()
    assert model.predict_proba(rows)[:, 1].tolist() == predicted["probability"].tolist()
    assert of_sample.get("/v1/model").json()["path"] == "plain"
