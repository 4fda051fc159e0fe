"""The lines of service and MLflow reach the store through rsyslog: over TLS, and whole when the store was down."""

import contextlib
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.log_collector import Collector, LogStore, fetch_rsyslog, make_certificates
from tests.helpers.projects import REPOSITORY
from tests.helpers.services import running_service

pytestmark = pytest.mark.monitoring

REQUESTS = 1_000
ODD_FEE, TOKEN = 17.123456, "secret-of-a-caller"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Collector:
    fetch_rsyslog()
    folder = tmp_path_factory.mktemp("collector")
    make_certificates(folder, "ca", "collector", "api")
    make_certificates(folder, "other-ca", "stranger")
    return Collector(folder, LogStore())


def test_the_script_makes_certificates_that_the_collector_and_its_senders_accept(tmp_path: Path) -> None:
    for _ in range(2):  # the second time changes nothing
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.pem")}
        subprocess.run([REPOSITORY / "deploy/monitoring/log-certificates"], cwd=tmp_path, check=True)
        made = tmp_path / ".secrets/logs"
        assert all(path.read_bytes() == content for path, content in before.items())
    for name in ("collector", "sender"):
        verified = [
            "openssl",
            "verify",
            "-CAfile",
            "ca.pem",
            "-verify_hostname",
            f"{name}.churn.internal",
            f"{name}.pem",
        ]
        subprocess.run(verified, cwd=made, check=True, capture_output=True)
        assert (made / f"{name}.key").stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
def lines_of_service(_finished_once: Path) -> Iterator[list[str]]:
    """What a real service prints for 1,000 requests with values and a token that must not be in a log."""
    customer = {"plan": "pro", "months": 7, "fee": ODD_FEE, "senior": 1}
    with running_service(_finished_once / "project") as service:
        for _ in range(REQUESTS):
            answer = service.post("/v1/score", customer, headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 200
        service.wait_until(answer.json()["request_id"])
        yield [line for line in service.lines if line.startswith("{")]


@pytest.mark.parametrize("output", ["victorialogs", "elasticsearch", "splunk"])
def test_the_configuration_is_accepted_with_each_output(collector: Collector, output: str) -> None:
    done = collector.check(output)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr


def test_a_thousand_lines_sent_while_the_store_is_down_are_found_by_request_id_after_a_restart(
    collector: Collector, lines_of_service: list[str]
) -> None:
    sent = [json.loads(line)["request_id"] for line in lines_of_service]
    assert len(set(sent)) == REQUESTS
    with collector.running():
        collector.send(lines_of_service[: REQUESTS // 2])
    with collector.running():  # restarted with the store still down
        collector.send(lines_of_service[REQUESTS // 2 :])
        with collector.store.up():
            collector.store.wait_for(REQUESTS)
    found = [json.loads(line[line.index("{") :]) for line in collector.store.lines]
    assert set(sent) <= {one["request_id"] for one in found}
    assert {(one["host"], one["program"]) for one in found} == {("host", "api")}


def test_a_line_that_is_no_json_is_an_object_with_its_text(collector: Collector) -> None:
    collector.store.lines.clear()
    with collector.store.up(), collector.running():
        collector.send(['INFO: Uvicorn running on "http://0.0.0.0:5000"'], program="mlflow")
        collector.store.wait_for(1)
    found = json.loads(collector.store.lines[0][collector.store.lines[0].index("{") :])
    assert found["program"] == "mlflow"
    assert found["message"].strip() == 'INFO: Uvicorn running on "http://0.0.0.0:5000"'


@pytest.mark.parametrize("certificate", [None, "stranger"])
def test_a_sender_without_a_certificate_of_the_authority_is_not_heard(
    collector: Collector, certificate: str | None
) -> None:
    collector.store.lines.clear()
    with collector.store.up(), collector.running():
        with contextlib.suppress(ssl.SSLError, OSError):  # refused while it was sending
            collector.send(['{"request_id": "forged"}'], certificate=certificate)
        collector.send(['{"request_id": "own"}'])
        collector.store.wait_for(1)
    assert not [line for line in collector.store.lines if "forged" in line]


def test_no_line_has_a_value_of_a_customer_or_a_token(lines_of_service: list[str]) -> None:
    text = "\n".join(lines_of_service)
    assert TOKEN not in text
    assert str(ODD_FEE) not in text
    assert not re.search(r'"(plan|months|fee|senior)"', text)
    assert '"pro"' not in text
