"""What happens to an answered request outside of it: shadow and log, which never hold up an answer."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from churn import files
from churn.errors import ChurnError
from churn.history.predictions.log import PredictionLog, read_predictions
from churn.model.plain.encoder import Customer
from churn.service.recording import PredictionRecorder, ScoredRequest, keys_of
from churn.service.served_model import Score, ServedModel, make_served
from churn.service.settings import FeatureLogging, ServeSettings
from churn.service.sources import ProjectFiles, customers_of

pytestmark = pytest.mark.slow

CUSTOMER: Customer = {"plan": "basic", "months": 3.0, "fee": 29.85, "senior": 1.0}


@pytest.fixture(scope="module")
def model(small_project: Path) -> ServedModel:
    return make_served(ProjectFiles(small_project).load(), most_rows=100)


def request(model: ServedModel, name: str, *customers: Customer) -> ScoredRequest:
    asked = customers or (CUSTOMER,)
    return ScoredRequest(time.time(), name, model, asked, model.scores(asked))


class Shadow:
    """A shadow that waits until it may score."""

    def __init__(self, model: ServedModel) -> None:
        self.origin = model.origin
        self._model = model
        self.may_score = threading.Event()

    def scores(self, customers: Sequence[Customer]) -> list[Score]:
        self.may_score.wait(30)
        return self._model.scores(customers)


class Counts(Counter[str]):
    def add(self, name: str, number: int) -> None:
        self[name] += number


def recorder_of(counts: Counts, challenger: Any = None, /, **settings: Any) -> PredictionRecorder:
    return PredictionRecorder(ServeSettings(**settings), lambda: cast("ServedModel | None", challenger), counts.add)


@pytest.fixture
def counted() -> Counts:
    return Counts()


@pytest.fixture
def folder_of_log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_full_queue_drops_the_shadow_counts_it_and_never_waits(
    model: ServedModel, counted: Counts, folder_of_log: Path
) -> None:
    shadow = Shadow(model)
    recorder = recorder_of(counted, shadow, log=folder_of_log, shadow="challenger", shadow_queue=2)
    recorder.start()
    before = time.monotonic()
    for number in range(20):
        recorder.offer(request(model, f"request-{number}"))
    assert time.monotonic() - before < 5
    assert counted["shadow_dropped"] >= 17
    shadow.may_score.set()
    recorder.stop()
    logged = read_predictions(folder_of_log)
    assert sorted(logged["request_id"]) == sorted(f"request-{number}" for number in range(20))
    assert logged["shadow_probability"].isna().sum() == counted["shadow_dropped"]
    assert counted["shadow_scored"] + counted["shadow_dropped"] == 20


def test_a_shadow_that_cannot_score_is_counted_and_the_request_logged(
    model: ServedModel, counted: Counts, folder_of_log: Path
) -> None:
    class Broken(Shadow):
        def scores(self, customers: Sequence[Customer]) -> list[Score]:
            raise KeyError("another_column")

    recorder = recorder_of(counted, Broken(model), log=folder_of_log, shadow="challenger")
    recorder.start()
    recorder.offer(request(model, "a"))
    recorder.stop()
    assert counted["shadow_failed"] == 1
    assert read_predictions(folder_of_log)["request_id"].tolist() == ["a"]


@pytest.mark.parametrize(("features", "with_columns"), [("none", 0), ("all", 400), ("sample", None)])
def test_columns_are_logged_of_none_of_all_or_of_a_share(
    model: ServedModel, counted: Counts, folder_of_log: Path, features: str, with_columns: int | None
) -> None:
    settings = {"log": folder_of_log, "log_features": FeatureLogging(features), "log_share": 0.25}
    recorder = recorder_of(counted, **settings)
    recorder.start()
    for number in range(400):
        recorder.offer(request(model, f"request-{number}"))
    recorder.stop()
    logged = read_predictions(folder_of_log)
    found = int(logged["customer.plan"].notna().sum()) if "customer.plan" in logged else 0
    if with_columns is None:
        assert 60 < found < 140
    else:
        assert found == with_columns


def test_a_disk_that_is_full_for_a_while_loses_no_row(
    model: ServedModel, counted: Counts, folder_of_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = PredictionLog.append
    full = [True, True]

    def now_and_then(self: PredictionLog, rows: Any) -> None:
        if full and full.pop():
            raise OSError(28, "No space left on device")
        append(self, rows)

    monkeypatch.setattr(PredictionLog, "append", now_and_then)
    monkeypatch.setattr("churn.service.recording.SECONDS_BETWEEN_PARTS", 0.1)
    recorder = recorder_of(counted, log=folder_of_log)
    recorder.start()
    for number in range(5):
        recorder.offer(request(model, str(number)))
    deadline = time.monotonic() + 20
    while counted["logged"] < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    recorder.stop()
    assert counted["log_failed"] == 2
    assert read_predictions(folder_of_log)["request_id"].tolist() == ["0", "1", "2", "3", "4"]


def test_what_no_longer_fits_into_memory_is_counted(
    model: ServedModel, counted: Counts, folder_of_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn.service.recording.MOST_WAITING_ROWS", 3)
    recorder = recorder_of(counted, log=folder_of_log)
    recorder.start()
    for number in range(10):
        recorder.offer(request(model, str(number)))
    recorder.stop()
    assert counted["log_dropped"] + len(read_predictions(folder_of_log)) == 10
    assert counted["log_dropped"] > 0


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(counted: Counts, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recorder = recorder_of(counted, log=tmp_path / "file" / "log")
    with pytest.raises(ChurnError, match=r"cannot be written: Not a directory; name another folder with --log$"):
        recorder.start()


def test_a_second_service_for_the_same_log_is_refused(counted: Counts, folder_of_log: Path) -> None:
    first = recorder_of(counted, log=folder_of_log)
    first.start()
    with pytest.raises(ChurnError, match=r"another service logs there; give each its own folder with --log$"):
        recorder_of(counted, log=folder_of_log).start()
    first.stop()
    again = recorder_of(counted, log=folder_of_log)
    again.start()
    again.stop()


def test_keys_are_those_of_the_pipeline(model: ServedModel, small_project: Path) -> None:
    """By them, monitoring joins predictions with what became of the customers."""
    types = {name: column.type for name, column in model.parts.contract.columns.items()}
    rows = files.read_rows(small_project / files.TEST_ROWS, types).head(20)
    assert keys_of(model, customers_of(rows)) == [key.partition("-")[0] for key in rows.index]
