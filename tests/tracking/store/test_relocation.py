"""A store whose folder was moved, copied or mounted elsewhere: its files are those that lie beside it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from churn.tracking.destination import Destination, StoreError, find_destination
from churn.tracking.ledger import PROMOTED, Entry, Judgement
from churn.tracking.record import FINGERPRINT
from churn.tracking.store.calls import default_store, open_client, open_experiment
from churn.tracking.store.places import path_of
from churn.tracking.store.registry import open_registry
from churn.tracking.store.relocation import follow_folder
from churn.tracking.store.rows import open_store
from tests.helpers.projects import shell

pytestmark = pytest.mark.slow

NAMES = ["My Repo", "100%", "My%20Repo", "what?", "a#b", "it's", 'say "yes"', "Zoë", "a&b;c", "-x"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """A folder whose store has a run, a logged model and a registered version, each with a file."""
    root = tmp_path_factory.mktemp("filled")
    shutil.copy(migrated, root / "mlflow.db")
    fill(Destination(f"sqlite:///{root}/mlflow.db", "churn", root))
    return root


@pytest.fixture
def project(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, which has its files."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    root = tmp_path / "original"
    shutil.copytree(filled, root)
    follow_folder(find_destination(root))
    return root


def fill(destination: Destination) -> None:
    client = open_client(destination)
    experiment = open_experiment(client, destination, destination.experiment)
    run = client.create_run(experiment.experiment_id)
    client.log_text(run.info.run_id, "report", "report.html")
    model = client.create_logged_model(experiment.experiment_id, "model", run.info.run_id)
    place = path_of(model.artifact_location)
    assert place
    place.mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}")
    client.create_registered_model(destination.experiment)
    with default_store(destination):
        source = f"models:/{model.model_id}"
        client.create_model_version(destination.experiment, source, run.info.run_id, model_id=model.model_id)


def places(destination: Destination) -> list[Path]:
    """Where the store says that its files are, of everything that has files; each is there."""
    client = open_client(destination)
    experiment = client.get_experiment_by_name(destination.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    (model,) = client.search_logged_models([experiment.experiment_id])
    version = client.get_model_version_download_uri(destination.experiment, "1")
    found = [run.info.artifact_uri, model.artifact_location, version]
    files = [path for location in found if (path := path_of(location))]
    assert len(files) == len(found)
    assert [{file.name for file in path.iterdir()} for path in files] == [{"report.html"}, {"MLmodel"}, {"MLmodel"}]
    home = path_of(experiment.artifact_location)
    assert home
    return [home, *files]


def move(root: Path, to: Path) -> None:
    root.rename(to)


def copy(root: Path, to: Path) -> None:
    shutil.copytree(root, to)


def rename_above(root: Path, to: Path) -> None:
    root.rename(to.with_name("between"))
    to.with_name("between").rename(to)


@pytest.mark.parametrize("bring", [move, copy, rename_above])
def test_a_store_that_was_moved_or_copied_has_its_files_in_its_new_folder(
    bring: Callable[[Path, Path], None], project: Path, tmp_path: Path
) -> None:
    bring(project, tmp_path / "new")
    new = find_destination(tmp_path / "new")
    assert all(place.is_relative_to(new.artifacts) for place in places(new))
    before = (tmp_path / "new/mlflow.db").read_bytes()
    assert places(new)
    assert (tmp_path / "new/mlflow.db").read_bytes() == before, "it is rewritten once"


def test_a_copy_writes_nothing_into_its_original_and_outlives_it(project: Path, tmp_path: Path) -> None:
    copy(project, tmp_path / "copy")
    files = sorted(project.rglob("*"))
    destination = find_destination(tmp_path / "copy")
    client = open_client(destination)
    run = client.create_run(client.get_experiment_by_name("churn").experiment_id)
    client.log_text(run.info.run_id, "another", "report.html")
    assert sorted(project.rglob("*")) == files
    assert all(place.is_relative_to(project) for place in places(find_destination(project)))
    shutil.rmtree(project)
    assert client.download_artifacts(run.info.run_id, "report.html", str(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_may_have_any_name(name: str, project: Path, tmp_path: Path) -> None:
    move(project, tmp_path / name)
    destination = find_destination(tmp_path / name)
    assert destination.database == tmp_path / name / "mlflow.db"
    assert all(place.is_relative_to(tmp_path / name) for place in places(destination))
    assert {path.name for path in tmp_path.iterdir()} == {name}, "nothing is made beside it"


def test_a_database_of_several_projects_has_its_files_beside_it(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shutil.copy(migrated, shared / "all.db")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}/all.db")
    fill(find_destination(tmp_path / "one"))
    assert all(place.is_relative_to(shared / "mlruns") for place in places(find_destination(tmp_path / "two")))
    move(shared, tmp_path / "elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere/all.db")
    for name in ("one", "two"):
        assert all(place.is_relative_to(tmp_path / "elsewhere") for place in places(find_destination(tmp_path / name)))


def test_a_database_elsewhere_whose_files_are_in_a_project_stays_with_them_while_they_are_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions laid them out."""
    (tmp_path / "shared").mkdir()
    (project / "mlflow.db").rename(tmp_path / "shared/all.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared/all.db")
    destination = find_destination(project)
    assert all(place.is_relative_to(project) for place in places(destination))
    (project / "mlruns").rename(tmp_path / "shared/mlruns")
    assert all(place.is_relative_to(tmp_path / "shared") for place in places(destination))


def test_files_that_somebody_keeps_elsewhere_stay_there(project: Path, tmp_path: Path) -> None:
    client = open_client(find_destination(project))
    kept = {"bucket": "s3://bucket/mlruns/bucket", "disk": (tmp_path / "disk/files").as_uri()}
    for name, location in kept.items():
        client.create_experiment(name, artifact_location=location)
    move(project, tmp_path / "new")
    client = open_client(find_destination(tmp_path / "new"))
    assert {name: client.get_experiment_by_name(name).artifact_location for name in kept} == kept


@pytest.mark.parametrize("name", ["a/b", "..", ".", "../../up", "C:\\files", "it's", "50%", "a?b#c", "/etc"])
def test_an_experiment_of_any_name_keeps_its_files_in_one_folder_of_the_store(
    name: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    destination = find_destination(project)
    client = open_client(destination)
    experiment = open_experiment(client, destination, name)
    run = client.create_run(experiment.experiment_id)
    client.log_text(run.info.run_id, "report", "report.html")
    moved = tmp_path / "new"
    move(project, moved)
    destination = find_destination(moved)
    place = path_of(open_client(destination).get_run(run.info.run_id).info.artifact_uri)
    assert place
    assert place.parents[2] == moved / "mlruns"
    assert (place / "report.html").read_text() == "report"


def test_a_moved_store_that_cannot_be_written_says_so_in_a_line(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(project, tmp_path / "new")
    connect = sqlite3.connect

    def connect_to_read(database: Path | str, *, timeout: float, **_: Any) -> sqlite3.Connection:
        """As permissions have it, which root does not need."""
        address = database.as_uri() + "?mode=ro" if isinstance(database, Path) else database
        return connect(address, uri=True, timeout=timeout)

    monkeypatch.setattr(sqlite3, "connect", connect_to_read)
    with pytest.raises(StoreError, match=r"new/mlflow\.db: .*readonly database; make the database .* writable$"):
        open_client(find_destination(tmp_path / "new"))


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as one" * 20])
def test_what_is_no_store_yet_is_left_to_mlflow_and_what_is_none_is_a_fault(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(StoreError, match="not a database") if content else nullcontext():
        follow_folder(find_destination(tmp_path))


def test_an_experiment_whose_files_are_on_another_machine_is_a_fault_that_names_the_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    destination = find_destination(project)
    client = open_client(destination)
    client.create_experiment("other", artifact_location="file:///host/of/another/mlruns/other")
    with pytest.raises(StoreError, match=r"'other' of .* keeps its files in /host/of/another/mlruns/other, which"):
        open_experiment(client, destination, "other")


def test_two_processes_may_open_a_moved_store_at_once(project: Path, tmp_path: Path) -> None:
    move(project, tmp_path / "new")
    opening = (
        "from pathlib import Path; from churn.tracking.destination import find_destination; "
        "from churn.tracking.store.relocation import follow_folder; follow_folder(find_destination(Path.cwd()))"
    )
    command = f'python -c "{opening}"'
    shell(tmp_path / "new")(f"{command} & {command} & wait $! && wait", MLFLOW_TRACKING_URI="")
    assert all(place.is_relative_to(tmp_path / "new") for place in places(find_destination(tmp_path / "new")))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a/b", "that cannot have /"), ("C:\\files", "that cannot have :"), ("..", "that cannot be a path")],
)
def test_an_experiment_whose_name_no_registered_model_can_have_is_refused_before_anything_is_judged(
    name: str, reason: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with pytest.raises(StoreError, match=r"MLFLOW_EXPERIMENT_NAME is .*; set another name") as told:
        open_registry(open_store(find_destination(project)))
    assert reason in str(told.value)


def test_a_name_with_quotes_is_that_of_an_experiment_and_of_a_model(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", """it's "ours" or name='x'""")
    destination = find_destination(project)
    fill(destination)
    registry = open_registry(open_store(destination))
    registry.store.client.set_model_version_tag(registry.name, "1", FINGERPRINT, "f" * 16)
    entry = Entry("id", 0, 0, Judgement(PROMOTED, "9", "", "f" * 16))
    assert registry.number_of(entry) == "1"
