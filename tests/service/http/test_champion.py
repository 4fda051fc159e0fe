"""The service follows the champion of the registry, and loads nothing that the registry does not vouch for."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mlflow
import pytest

from churn.commands.promote.challenger import judge_state, loads_from_registry
from churn.errors import ChurnError
from churn.history.predictions.log import read_predictions
from churn.service.served_model import make_served
from churn.service.sources import NoModelError, ProjectFiles, RegisteredVersion
from churn.tracking.destination import find_destination
from churn.tracking.store.registry import open_registry
from churn.tracking.sync import connection, row_of
from tests.helpers.command_line import churn
from tests.helpers.projects import NO_SERVER, made_once, shell
from tests.helpers.runs import rerun
from tests.helpers.servers import mlflow_server
from tests.helpers.services import RunningService, running_service
from tests.helpers.states import edit

pytestmark = pytest.mark.serve

POLL = {"CHURN_SERVE_POLL_SECONDS": "0.2"}


def register(root: Path, alias: str) -> str:
    """Register the model of HEAD as `churn promote` does, without its gates; returns the version."""
    with connection(find_destination(root)) as store:
        registry = open_registry(store)
        judged = judge_state(root, "HEAD")
        version = registry.challenge(row_of(root, judged.state, store, ()), judged.model_md5, judged.state.commit or "")
        loads_from_registry(registry, version, judged)
        store.client.set_registered_model_alias(registry.name, alias, version)
    return version


@pytest.fixture
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Track to the project's own database."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")


@pytest.fixture(scope="session")
def promoted(small_project: Path, migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two states in its history; the first is the champion, the second the challenger."""

    def make(folder: Path) -> None:
        shutil.copytree(small_project, folder, symlinks=True, dirs_exist_ok=True)
        shutil.copyfile(migrated, folder / "mlflow.db")
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            patch.chdir(folder)
            register(folder, "champion")
            edit(folder / "params.yaml", "C: 1.0", "C: 0.01")
            rerun(folder, "train", "evaluate")
            shell(folder)("git commit --quiet --all --message second")
            register(folder, "challenger")

    return made_once(tmp_path_factory, "registered", make)


@pytest.fixture
def registered(promoted: Path, tmp_path: Path, own_store: None) -> Path:
    """Made where it is used: a store notes where its files are."""
    project = tmp_path / "project"
    shutil.copytree(promoted, project, symlinks=True)
    return project


@pytest.fixture(scope="module")
def service(promoted: Path) -> Iterator[RunningService]:
    with running_service(promoted, "--champion", MLFLOW_TRACKING_URI="", **POLL) as service:
        yield service


def client_of(root: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


@pytest.fixture
def aliases(promoted: Path) -> Iterator[mlflow.MlflowClient]:
    """A client; the aliases are put back afterwards."""
    client = client_of(promoted)
    yield client
    client.set_registered_model_alias("churn", "champion", "1")
    client.set_registered_model_alias("churn", "challenger", "2")


def test_the_champion_is_served_with_its_version_commit_and_hash(
    service: RunningService, promoted: Path, customer: dict[str, Any]
) -> None:
    model = service.get("/v1/model").json()
    first = shell(promoted)("git rev-parse HEAD~1").stdout.strip()
    assert (model["name"], model["version"], model["commit"]) == ("churn", "1", first)
    assert model["reasons"] is True
    answer = service.post("/v1/score", customer).json()
    assert answer["fingerprint"] == model["fingerprint"]
    assert service.get("/v2/models/churn").json()["versions"] == ["1"]


def test_another_champion_is_served_within_a_few_polls(
    service: RunningService, aliases: mlflow.MlflowClient, customer: dict[str, Any]
) -> None:
    before = service.post("/v1/score", customer).json()
    aliases.set_registered_model_alias("churn", "champion", "2")
    service.wait_until("version 2")
    after = service.post("/v1/score", customer).json()
    assert after["fingerprint"] != before["fingerprint"]
    assert after["probability"] != before["probability"]


def test_a_model_whose_bytes_differ_from_the_registrys_hash_is_never_unpickled(
    registered: Path, customer: dict[str, Any]
) -> None:
    client = client_of(registered)
    hash_of = {tag: value for tag, value in client.get_model_version("churn", "2").tags.items() if "sha256" in tag}
    client.set_model_version_tag("churn", "2", "sha256.model.pkl", "0" * 64)
    with running_service(registered, "--champion", **POLL) as service:
        before = service.post("/v1/score", customer).json()
        client.set_registered_model_alias("churn", "champion", "2")
        line = service.wait_until("churn version 2: model.pkl has sha256 ")
        assert hash_of["sha256.model.pkl"] in line
        assert line.endswith(f"the present one stays: {before['fingerprint']}")
        assert service.post("/v1/score", customer).json()["fingerprint"] == before["fingerprint"]
        assert 'churn_model_events_total{event="refused",model="model"} 1.0' in service.get("/metrics").text


def test_a_version_without_recorded_hashes_is_refused_with_the_way_to_record_them(registered: Path) -> None:
    client = client_of(registered)
    for tag in [tag for tag in client.get_model_version("churn", "1").tags if tag.startswith("sha256")]:
        client.delete_model_version_tag("churn", "1", tag)
    with pytest.raises(ChurnError) as refused:
        RegisteredVersion(find_destination(registered), "champion").load()
    assert str(refused.value) == (
        "churn version 1: the registry records no sha256 of its files, so it is not loaded; "
        "`churn promote` of its commit records them"
    )


def test_without_a_champion_it_says_how_to_get_one(registered: Path) -> None:
    client_of(registered).delete_registered_model_alias("churn", "champion")
    with pytest.raises(NoModelError, match=r"^churn@champion: no such version yet: run `churn promote`$"):
        RegisteredVersion(find_destination(registered), "champion").signature()


def test_a_server_that_does_not_answer_is_named(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
    with pytest.raises(ChurnError, match=rf"^MLflow at {NO_SERVER}: .*Connection refused$"):
        RegisteredVersion(find_destination(registered), "champion").signature()


@pytest.mark.long
def test_a_server_that_goes_away_leaves_the_present_model_serving(
    promoted: Path, tmp_path: Path, customer: dict[str, Any]
) -> None:
    shutil.copyfile(promoted / "mlflow.db", tmp_path / "server.db")
    with ExitStack() as server, ExitStack() as started:
        uri = server.enter_context(mlflow_server(tmp_path))
        service = started.enter_context(running_service(promoted, "--champion", MLFLOW_TRACKING_URI=uri, **POLL))
        model = service.get("/v1/model").json()
        assert model["version"] == "1"
        server.close()
        service.wait_until("the present one stays")
        assert service.post("/v1/score", customer).json()["fingerprint"] == model["fingerprint"]


def test_the_shadow_scores_the_same_requests_outside_of_them(
    promoted: Path, own_store: None, tmp_path: Path, customer: dict[str, Any]
) -> None:
    options = ("--champion", "--shadow", "challenger", "--log", str(tmp_path / "log"))
    customers = [customer | {"months": months} for months in range(20)]
    with running_service(promoted, *options, **POLL) as service:
        answers = service.post("/v1/score", customers).json()
        deadline = time.monotonic() + 10
        while 'churn_recorded_rows_total{outcome="logged"} 20.0' not in service.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    logged = read_predictions(tmp_path / "log")
    assert logged["probability"].tolist() == [answer["probability"] for answer in answers]
    assert logged["fingerprint"].unique().tolist() == [answers[0]["fingerprint"]]
    assert (logged["shadow_fingerprint"] != logged["fingerprint"]).all()
    challenger = make_served(ProjectFiles(promoted).load(), most_rows=100)
    expected = challenger.scores(challenger.reader.read_many(customers))
    assert logged["shadow_probability"].tolist() == [score.probability for score in expected]
    assert logged["shadow_fingerprint"].unique().tolist() == [challenger.origin.fingerprint]


def test_a_logged_request_leads_to_commit_data_and_verdict_and_is_replayed_to_the_same_bits(
    promoted: Path, own_store: None, tmp_path: Path, customer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = str(tmp_path / "log")
    with running_service(promoted, "--champion", "--log", log, "--log-features", "all", **POLL) as service:
        answer = service.post("/v1/score", [customer, customer | {"fee": None, "plan": "pro"}]).json()
    request = answer[0]["request_id"]
    monkeypatch.chdir(promoted)
    lineage = json.loads(churn("lineage", request, "--log", log, "--json").out)
    assert lineage["fingerprint"] == answer[0]["fingerprint"]
    assert lineage["commits"] == [shell(promoted)("git rev-parse HEAD~1").stdout.strip()]
    assert lineage["data_md5"]
    assert lineage["versions"] == ["churn/1"]
    replayed = json.loads(churn("replay", request, "--log", log, "--json").out)
    assert replayed["is_same"] is True
    assert [one["replayed"] for one in replayed["customers"]] == [one["probability"] for one in answer]


def test_a_request_logged_without_columns_cannot_be_replayed_and_says_so(
    promoted: Path, own_store: None, tmp_path: Path, customer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = str(tmp_path / "log")
    with running_service(promoted, "--log", log) as service:
        request = service.post("/v1/score", customer).json()["request_id"]
    monkeypatch.chdir(promoted)
    refused = churn("replay", request, "--log", log)
    assert refused.code == 1
    assert "logged without the customers' columns; `churn serve --log-features all` logs them" in refused.err
    assert churn("replay", "nothing", "--log", log).err.strip() == (
        f"churn: nothing: not in the log {log}; --log names another folder"
    )
