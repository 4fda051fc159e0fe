"""Models are replaced, and services end, without a request that is lost or answered by two models."""

import json
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from churn.history.predictions.log import read_predictions
from tests.helpers.projects import made_once
from tests.helpers.runs import rerun
from tests.helpers.services import RunningService, running_service
from tests.helpers.states import edit

pytestmark = pytest.mark.serve

STATE_FILES = (
    "dvc.lock",
    "models/churn_model.pkl",
    "metrics/provenance/preprocess.json",
    "metrics/provenance/train.json",
)
"""What changes when another state is checked out, as far as the service reads it."""


PAUSE = 0.002
"""Seconds between two requests of a client: the tests leave the service some of the processor."""


class Clients:
    """Clients that score again and again, and count what they are answered."""

    def __init__(self, service: RunningService, customer: dict[str, Any], count: int = 2) -> None:
        self._service, self._body = service, json.dumps([customer] * 3)
        self.answered: Counter[tuple[int, str]] = Counter()
        self.mixed = 0
        self.lost: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        connection = HTTPConnection(*self._service.address, timeout=20)
        while not self._ended.is_set():
            try:
                connection.request("POST", "/v1/score", self._body, {"Content-Type": "application/json"})
            except OSError:  # nothing was sent: the service takes no connections any more
                if self._service.process.poll() is not None or not self.answered:
                    break
                connection.close()
                time.sleep(0.01)
                continue
            try:
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, HTTPException) as error:
                self.lost.append(f"{type(error).__name__}: {error}")
                connection.close()
                continue
            self._count(answer.status, content)
            time.sleep(PAUSE)
        connection.close()

    def _count(self, status: int, content: bytes) -> None:
        if status != 200:
            self.answered[status, ""] += 1
            return
        answers = json.loads(content)
        seen = {(one["fingerprint"], one["probability"]) for one in answers}
        self.mixed += len(seen) > 1
        self.answered[status, answers[0]["fingerprint"] + f" {answers[0]['probability']!r}"] += 1


@pytest.fixture(scope="module")
def two_states(small_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project, and beside it the files of two of its states."""

    def make(folder: Path) -> None:
        project = shutil.copytree(small_project, folder / "project", symlinks=True)
        keep(project, folder / "first")
        edit(project / "params.yaml", "C: 1.0", "C: 0.01")
        rerun(project, "train", "evaluate")
        keep(project, folder / "second")

    return made_once(tmp_path_factory, "two-states", make)


def keep(project: Path, place: Path) -> None:
    for name in STATE_FILES:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project / name, place / name)


def check_out(state: Path, project: Path) -> None:
    """Replace the files one after another, as `dvc checkout` does: in between they do not fit together."""
    for name in STATE_FILES:
        draft = project / f"{name}.draft"
        shutil.copyfile(state / name, draft)
        draft.replace(project / name)


@pytest.fixture
def project(two_states: Path, tmp_path: Path) -> Path:
    return shutil.copytree(two_states / "project", tmp_path / "project", symlinks=True)


def test_no_request_is_lost_or_mixed_while_the_model_changes_a_hundred_times(
    project: Path, two_states: Path, customer: dict[str, Any]
) -> None:
    swaps = 100
    with running_service(project, CHURN_SERVE_POLL_SECONDS="0.01") as service, Clients(service, customer) as clients:
        for number in range(swaps):
            before = sum("model: state" in line for line in service.lines)
            check_out(two_states / ("first" if number % 2 == 0 else "second"), project)
            deadline = time.monotonic() + 20
            while sum("model: state" in line for line in service.lines) == before:
                assert time.monotonic() < deadline, service.lines[-3:]
                time.sleep(0.005)
    assert clients.lost == []
    assert clients.mixed == 0
    assert {status for status, _ in clients.answered} == {200}
    assert len(clients.answered) == 2, "each state gives its own probability, and no other"


def test_while_the_files_do_not_fit_together_the_old_model_serves(
    project: Path, two_states: Path, customer: dict[str, Any]
) -> None:
    with running_service(project, CHURN_SERVE_POLL_SECONDS="0.05") as service:
        before = service.post("/v1/score", customer).json()
        shutil.copyfile(two_states / "first/models/churn_model.pkl", project / "models/churn_model.pkl")
        service.wait_until("the present one stays")
        assert service.post("/v1/score", customer).json()["fingerprint"] == before["fingerprint"]
        assert "not the file that dvc.lock records" in service.get("/v1/model").json()["problem_of_a_newer_model"]
        assert 'churn_model_events_total{event="refused",model="model"} 1.0' in service.get("/metrics").text
        (project / "models/churn_model.pkl").unlink()
        service.wait_until("churn_model.pkl: not here")
        assert service.post("/v1/score", customer).status_code == 200


def test_sigterm_answers_what_has_arrived_and_exits_with_0(small_project: Path, customer: dict[str, Any]) -> None:
    with running_service(small_project) as service:
        with Clients(service, customer) as clients:
            while sum(clients.answered.values()) < 200:
                time.sleep(0.01)
            assert service.end(signal.SIGTERM) == 0
        assert clients.lost == []
        assert {status for status, _ in clients.answered} == {200}


def test_after_sigterm_it_is_not_ready_and_closes_connections(small_project: Path, customer: dict[str, Any]) -> None:
    with running_service(small_project, CHURN_SERVE_DRAIN_SECONDS="2") as service:
        service.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 1.5
        while service.get("/health/ready").status_code != 503:
            assert time.monotonic() < deadline
        assert service.get("/health/live").status_code == 200
        answer = service.post("/v1/score", customer)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"


def test_a_killed_service_loses_only_its_own_requests_and_the_log_of_its_last_seconds(
    project: Path, customer: dict[str, Any]
) -> None:
    log = project / "predictions/service"
    with running_service(project, "--log", str(log)) as service:
        earlier = [service.post("/v1/score", customer).json()["request_id"] for _ in range(20)]
        time.sleep(3.5)  # longer than the time between two parts of the log
        with Clients(service, customer) as clients:
            time.sleep(0.3)
            service.end(signal.SIGKILL)
        assert len(clients.lost) <= 4, "of each client, a request under way and a connection that was not yet accepted"
    logged = read_predictions(log)
    assert set(earlier) <= set(logged["request_id"])
    with running_service(project, "--log", str(log)) as service:
        again = service.post("/v1/score", customer).json()["request_id"]
        service.end()
    logged = read_predictions(log)
    assert {*earlier, again} <= set(logged["request_id"])
    assert not logged.duplicated(["request_id", "position"]).any()
    assert [path.name for path in log.iterdir() if path.suffix == ".parts"] == []


def test_a_port_that_is_taken_is_refused_in_a_line(small: RunningService, small_project: Path) -> None:
    port = str(small.address[1])
    with (
        pytest.raises(
            AssertionError, match=r"Address already in use; end what listens there, or choose another --port"
        ),
        running_service(small_project, "--port", port),
    ):
        pass


def test_a_connection_that_is_idle_does_not_keep_it_from_ending(small_project: Path) -> None:
    with running_service(small_project) as service, closing(HTTPConnection(*service.address)) as idle:
        idle.request("GET", "/health/live")
        idle.getresponse().read()
        assert service.end(signal.SIGTERM, seconds=10) == 0
