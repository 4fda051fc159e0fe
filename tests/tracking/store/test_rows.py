"""Rows in a real MLflow store: one an experiment, one an execution, nothing lost and nothing twice."""

import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from empulse.models import CSLogitClassifier
from mlflow.entities import LoggedModel
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV

from churn.files import MODEL, REPORT, TEST_ROWS, md5_of_bytes, read_rows, write_pickle
from churn.history.snapshot import state_of_workspace
from churn.history.state import inputs_from_files
from churn.history.verify import leave_provenance
from churn.model import decision, encoding
from churn.tracking.description import describe
from churn.tracking.destination import Destination, StoreError, find_destination
from churn.tracking.outbox import outbox_of
from churn.tracking.record import (
    COMMIT,
    COMPLETE,
    DVC_EXPERIMENT,
    EDITED,
    EDITED_FILES,
    FAILED,
    FINGERPRINT,
    FINISHED,
    FORM,
    PRESENT_FORM,
    RUNNING,
    Dataset,
    Execution,
    Experiment,
    Record,
)
from churn.tracking.recorder import Recorder
from churn.tracking.store.model_file import pinned_requirements
from churn.tracking.store.rows import open_store
from tests.helpers.mlflow_rows import ended, executions, rows, until
from tests.helpers.projects import shell, unpickled
from tests.helpers.servers import mlflow_server
from tests.helpers.states import GIVEN, MADE, commit, edit, write

pytestmark = pytest.mark.slow


@pytest.fixture
def destination(tmp_path: Path, migrated: Path) -> Destination:
    """A project's own store."""
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(migrated, root / "mlflow.db")
    return Destination(f"sqlite:///{root}/mlflow.db", "churn", root)


FILES = {"params.yaml": b"a: 1", "metrics/test.json": b"{}", "metrics/curves/roc.csv": b"x,y\n"}


@pytest.fixture
def experiment() -> Experiment:
    """A complete one without a model."""
    return Experiment(
        fingerprint="0123456789abcdef",
        name="first",
        status=FINISHED,
        parameters={"train.C": "1.0"},
        metrics={"test_f1": 0.5},
        files={path: md5_of_bytes(content) for path, content in FILES.items()},
        dataset=Dataset("customers", "data/raw/customers.csv", "d" * 32, 400),
        model_md5=None,
        example_md5=None,
        tags={FINGERPRINT: "0123456789abcdef", COMPLETE: "true"},
    )


def unfinished(experiment: Experiment, status: str) -> Experiment:
    return replace(experiment, status=status, metrics={}, tags={**experiment.tags, COMPLETE: "false"})


def publish(destination: Destination, experiment: Experiment, execution: Execution | None) -> None:
    contents = destination.root / ".churn/contents"
    contents.mkdir(parents=True, exist_ok=True)
    for content in FILES.values():
        (contents / md5_of_bytes(content)).write_bytes(content)
    open_store(destination).publish(Record(experiment, execution), lambda md5: contents / md5)


def publish_workspace(destination: Destination, workspace: Path, execution: Execution) -> None:
    """What a stage that ended in a workspace leaves to be shown."""
    record, content_of = describe(state_of_workspace(workspace, execution.stage), execution)
    outbox = outbox_of(destination.root)
    outbox.add(record, content_of)
    open_store(destination).publish(record, outbox.content)


def test_a_row_shows_parameters_metrics_files_and_tags_of_an_experiment(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, experiment, ended("train", training_time=0.25))
    (row,) = rows(destination)
    assert (row.info.run_name, row.info.status) == ("first", FINISHED)
    assert (row.info.start_time, row.info.end_time) == (100_000, 101_500)
    assert row.data.params == {"train.C": "1.0"}
    assert row.data.metrics == {"test_f1": 0.5, "training_time": 0.25}
    assert experiment.tags.items() <= row.data.tags.items()
    folder = destination.root / "mlruns/churn" / row.info.run_id / "artifacts"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == set(experiment.files)


def test_the_report_is_shown_with_its_commit_and_published_once(
    destination: Destination, experiment: Experiment
) -> None:
    page = b"<p>before</p><!-- lineage --><p>after</p>"
    with_report = replace(experiment, files={str(REPORT): md5_of_bytes(page)})
    first, later = (
        replace(with_report, tags={**experiment.tags, COMMIT: commit, EDITED: "false"})
        for commit in ("a" * 40, "b" * 40)
    )
    content = destination.root / "page"
    content.write_bytes(page)
    for published in (first, later):
        open_store(destination).publish(Record(published, ended("evaluate")), lambda md5: content)
    (row,) = rows(destination)
    shown = (destination.root / "mlruns/churn" / row.info.run_id / "artifacts" / REPORT).read_text()
    assert shown.startswith("<p>before</p>")
    assert shown.endswith("<p>after</p>")
    for part in (experiment.fingerprint, f"git checkout {'a' * 40}", "dvc repro"):
        assert part in shown
    assert first.digest == later.digest, "so the second publication changed nothing"
    assert content.read_bytes() == page


@pytest.mark.parametrize(
    ("tags", "commands"),
    [
        ({COMMIT: "a" * 40, EDITED: "false"}, (f"git checkout {'a' * 40}", "dvc repro")),
        ({COMMIT: "a" * 40, EDITED: "true"}, ()),
        ({COMMIT: "a" * 40, EDITED: "true", DVC_EXPERIMENT: "steps; rm"}, ("dvc exp apply 'steps; rm'",)),
        ({}, ()),
    ],
)
def test_only_a_commit_that_holds_the_state_is_named_as_its_origin(
    tags: dict[str, str], commands: tuple[str, ...], experiment: Experiment
) -> None:
    origin = replace(experiment, tags=tags).origin
    assert origin.commands == commands
    assert origin.commit == ("a" * 40 if tags.get(EDITED) == "false" else None)


def test_two_executions_of_a_state_are_one_row_and_two_executions(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, experiment, ended("train", training_time=0.25))
    written_otherwise = replace(experiment, parameters={"train.C": "1"})
    publish(destination, written_otherwise, ended("train", started=200, training_time=0.5))
    (row,) = rows(destination)
    assert row.data.metrics["training_time"] == 0.5
    assert len(mlflow.MlflowClient(destination.uri).get_metric_history(row.info.run_id, "test_f1")) == 1
    first, second = executions(destination)
    assert [run.data.metrics["training_time"] for run in (first, second)] == [0.25, 0.5]
    assert [run.data.tags["stage"] for run in (first, second)] == ["train", "train"]
    assert {run.data.tags[FINGERPRINT] for run in (first, second, row)} == {experiment.fingerprint}
    assert first.data.metrics["duration"] == 1.5
    assert {"host", "pid"} <= set(first.data.tags)


def test_another_state_is_another_row(destination: Destination, experiment: Experiment) -> None:
    other = replace(experiment, fingerprint="f" * 16, parameters={"train.C": "2.0"}, tags={FINGERPRINT: "f" * 16})
    publish(destination, experiment, ended("train"))
    publish(destination, other, ended("train", started=200))
    assert [row.data.params["train.C"] for row in rows(destination)] == ["1.0", "2.0"]


def test_a_row_grows_from_stage_to_stage(destination: Destination, experiment: Experiment) -> None:
    publish(destination, unfinished(experiment, RUNNING), ended("preprocess"))
    (row,) = rows(destination)
    assert (row.info.status, row.info.end_time, row.data.tags[COMPLETE]) == (RUNNING, None, "false")
    publish(destination, experiment, ended("evaluate", started=200))
    (row,) = rows(destination)
    assert (row.info.status, row.info.end_time, row.data.tags[COMPLETE]) == (FINISHED, 201_500, "true")


def test_a_row_of_an_edit_gets_the_name_of_its_commit_and_keeps_it(
    destination: Destination, experiment: Experiment
) -> None:
    form = {**experiment.tags, FORM: PRESENT_FORM}
    edit_of_it = {**form, COMMIT: "a" * 40, EDITED: "true", EDITED_FILES: "params.yaml"}
    edited = replace(experiment, name="C 1.0 → 0.5", tags=edit_of_it)
    committed = replace(experiment, name="Smaller C", tags={**form, COMMIT: "b" * 40, EDITED: "false"})
    with_another_readme = replace(committed, name="Another README", tags={**committed.tags, COMMIT: "c" * 40})
    publish(destination, edited, ended("evaluate"))
    assert [row.info.run_name for row in rows(destination)] == ["C 1.0 → 0.5"]
    for published in (committed, with_another_readme, edited):
        publish(destination, published, None)
        (row,) = rows(destination)
        assert (row.info.run_name, row.data.tags[COMMIT]) == ("Smaller C", "b" * 40)
        assert EDITED_FILES not in row.data.tags
        assert (row.info.start_time, row.info.end_time) == (100_000, 101_500), "when it ran"


def test_an_edit_that_is_committed_between_its_stages_leaves_no_trace_in_the_row(
    destination: Destination, experiment: Experiment
) -> None:
    of_edit = {COMMIT: "a" * 40, EDITED: "true", EDITED_FILES: "params.yaml"}
    begun = unfinished(experiment, RUNNING)
    publish(destination, replace(begun, tags={**begun.tags, **of_edit}), ended("train"))
    committed = replace(experiment, tags={**experiment.tags, COMMIT: "b" * 40, EDITED: "false"})
    publish(destination, committed, ended("evaluate", started=200))
    (row,) = rows(destination)
    assert (row.data.tags[EDITED], EDITED_FILES in row.data.tags) == ("false", False)


def test_a_state_that_nobody_ran_begins_with_its_commit_and_has_no_duration(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, replace(experiment, committed=50.0), None)
    (row,) = rows(destination)
    assert (row.info.status, row.info.start_time, row.info.end_time) == (FINISHED, 50_000, None)


def test_a_run_whose_last_stage_was_restored_ends_with_the_last_one_that_ran(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, unfinished(experiment, RUNNING), ended("train"))
    publish(destination, experiment, None)
    (row,) = rows(destination)
    assert (row.info.status, row.info.start_time, row.info.end_time) == (FINISHED, 100_000, 101_500)


def test_experiments_say_what_a_row_of_them_is_and_open_on_their_runs(destination: Destination) -> None:
    client = mlflow.MlflowClient(destination.uri)
    client.create_experiment("churn")  # by an earlier version
    open_store(destination)
    for name in (destination.experiment, destination.executions):
        tags = client.get_experiment_by_name(name).tags
        assert tags["mlflow.note.content"].startswith("One row for each ")
        assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_every_metric_of_the_pipeline_can_be_asked_for_without_quotes(destination: Destination, finished: Path) -> None:
    publish_workspace(destination, finished, ended("evaluate"))
    (row,) = rows(destination)
    for name in row.data.metrics:
        assert mlflow.MlflowClient(destination.uri).search_runs(["1"], f"metrics.{name} <= 1e12"), name


def test_hundreds_of_parameters_and_metrics_are_all_there(destination: Destination, experiment: Experiment) -> None:
    many = {f"column {number}": number for number in range(1050)}
    parameters = {name: str(value) for name, value in many.items()}
    publish(destination, replace(experiment, metrics=many, parameters=parameters), ended("train"))
    (row,) = rows(destination)
    assert row.data.metrics == many
    assert row.data.params == parameters


def test_the_table_is_logged_once_with_its_rows_and_md5(destination: Destination, experiment: Experiment) -> None:
    assert experiment.dataset is not None
    uncounted = replace(experiment, dataset=replace(experiment.dataset, rows=None))
    for described in (uncounted, experiment, experiment):
        publish(destination, described, ended("preprocess"))
    (row,) = rows(destination)
    (logged,) = row.inputs.dataset_inputs
    assert (logged.dataset.name, logged.dataset.digest) == ("customers", "d" * 32)
    assert json.loads(logged.dataset.profile) == {"num_rows": 400}
    assert json.loads(logged.dataset.source) == {"uri": "data/raw/customers.csv"}


def test_a_failed_stage_is_a_failed_row_until_the_state_is_complete(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, unfinished(experiment, FAILED), ended("train", fault="no classifier"))
    assert [row.info.status for row in rows(destination)] == [FAILED]
    publish(destination, experiment, ended("evaluate", started=200))
    assert [row.info.status for row in rows(destination)] == [FINISHED]
    failed, finished = executions(destination)
    assert (failed.info.status, failed.data.tags["fault"]) == (FAILED, "no classifier")
    assert (finished.info.status, "fault" in finished.data.tags) == (FINISHED, False)


@pytest.mark.parametrize(("status", "fault"), [(FAILED, "disk full"), (RUNNING, None)])
def test_a_complete_row_stays_complete_whatever_becomes_of_a_later_execution(
    destination: Destination, experiment: Experiment, status: str, fault: str | None
) -> None:
    publish(destination, experiment, ended("evaluate"))
    publish(destination, unfinished(experiment, status), ended("train", fault, started=200))
    (row,) = rows(destination)
    assert (row.info.status, row.data.tags[COMPLETE], row.data.metrics["test_f1"]) == (FINISHED, "true", 0.5)
    assert len(executions(destination)) == 2


def test_a_deleted_row_stays_deleted_and_the_next_execution_has_a_new_one(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, experiment, ended("train"))
    (deleted,) = rows(destination)
    mlflow.MlflowClient(destination.uri).delete_run(deleted.info.run_id)
    publish(destination, experiment, ended("train", started=200))
    (row,) = rows(destination)
    assert row.info.run_id != deleted.info.run_id
    assert row.data.metrics == {"test_f1": 0.5}


def test_a_row_that_was_deleted_for_good_is_still_known_to_have_been_there(
    destination: Destination, experiment: Experiment
) -> None:
    assert not open_store(destination).was_deleted(experiment.fingerprint)
    publish(destination, experiment, ended("train"))
    store = open_store(destination)
    assert not store.was_deleted(experiment.fingerprint)
    (row,) = rows(destination)
    store.client.delete_run(row.info.run_id)
    command = f"mlflow gc --backend-store-uri {destination.uri} --run-ids {row.info.run_id}"
    shell(destination.root)(command, MLFLOW_TRACKING_URI=destination.uri)
    assert store.row(row.info.run_id) is None
    assert store.was_deleted(experiment.fingerprint)


def test_a_deleted_experiment_is_told_with_the_way_to_bring_it_back(
    destination: Destination, experiment: Experiment
) -> None:
    publish(destination, experiment, ended("train"))
    client = mlflow.MlflowClient(destination.uri)
    number = client.get_experiment_by_name("churn").experiment_id
    client.delete_experiment(number)
    with pytest.raises(StoreError) as told:
        publish(destination, experiment, ended("train"))
    assert told.value.refused
    assert str(told.value) == (
        "experiment 'churn' was deleted in MLflow; restore it with `mlflow experiments restore "
        f"--experiment-id {number}`, or set MLFLOW_EXPERIMENT_NAME to another name"
    )


def test_a_database_that_is_none_is_told(destination: Destination, experiment: Experiment) -> None:
    (destination.root / "mlflow.db").write_text("text" * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        publish(destination, experiment, ended("train"))


def test_a_temporary_copy_writes_to_the_store_of_the_project(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = destination.root / ".dvc/tmp/exps/tmpa1b2"
    write(copy, GIVEN | MADE["preprocess"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(copy)
    Recorder(copy, "preprocess").record(ended("preprocess"))
    until(lambda: not outbox_of(destination.root).names_never_shown())
    assert [row.info.status for row in rows(destination)] == [RUNNING]
    (artifact,) = destination.root.glob("mlruns/churn/*/artifacts/metrics/data.json")
    assert artifact.read_text() == MADE["preprocess"]["metrics/data.json"]
    assert not (copy / "mlflow.db").exists()


def test_a_projects_folder_may_have_any_name(
    migrated: Path, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "ännä's 100% #1 project"
    root.mkdir()
    shutil.copy(migrated, root / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    destination = find_destination(root)
    publish(destination, experiment, ended("train"))
    (row,) = rows(destination)
    files = mlflow.MlflowClient(destination.uri).list_artifacts(row.info.run_id, "metrics")
    assert [file.path for file in files] == ["metrics/curves", "metrics/test.json"]
    assert sorted(path.name for path in root.iterdir()) == [".churn", "mlflow.db", "mlruns"]


def models(destination: Destination) -> list[LoggedModel]:
    client = mlflow.MlflowClient(destination.uri)
    return list(client.search_logged_models([client.get_experiment_by_name("churn").experiment_id]))


def test_the_model_is_the_pipelines_own_with_signature_example_and_pinned_packages(
    destination: Destination, finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    publish_workspace(destination, finished, ended("train"))
    assert capfd.readouterr() == ("", ""), "MLflow's own news is no part of a stage's story"
    (model,) = models(destination)
    original = unpickled(finished / MODEL)
    types = encoding.column_types(decision.pipeline_of(original).named_steps["encoders"])
    customers = read_rows(finished / TEST_ROWS, types)
    mlflow.set_tracking_uri(destination.uri)
    loaded = mlflow.sklearn.load_model(model.model_uri)
    np.testing.assert_array_equal(loaded.predict_proba(customers), original.predict_proba(customers))
    assert loaded.threshold == original.threshold

    shown = mlflow.models.get_model_info(model.model_uri)
    assert shown.metadata["columns"] == types
    assert [kind.name for kind in shown.signature.outputs.input_types()] == ["long"]
    (folder,) = destination.root.glob("mlruns/churn/models/*/artifacts")
    assert json.loads((folder / "input_example.json").read_text())["columns"] == list(customers.columns)
    pinned = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
    assert pinned["scikit-learn"] == version("scikit-learn")


def as_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype(dict.fromkeys(rows.select_dtypes("number"), float))


def as_bytes_of_csv(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(rows.to_csv(index=False)))


def as_records(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(json.loads(rows.to_json(orient="records")))


def one_by_one(rows: pd.DataFrame) -> pd.DataFrame:
    """As most requests are: of one customer, who has gaps."""
    return as_records(rows.head(1))


@pytest.mark.parametrize("given", [pd.DataFrame.copy, as_numbers, as_bytes_of_csv, as_records, one_by_one])
def test_mlflow_takes_the_table_of_customers_as_it_is(
    given: Callable[[pd.DataFrame], pd.DataFrame], destination: Destination, finished: Path
) -> None:
    """Whole numbers, gaps, and columns that the model does not need."""
    publish_workspace(destination, finished, ended("train"))
    (model,) = models(destination)
    mlflow.set_tracking_uri(destination.uri)
    loaded = mlflow.pyfunc.load_model(model.model_uri)
    assert loaded.metadata.get_input_schema() is None, "so MLflow reads tables as above"
    types = loaded.metadata.metadata["columns"]
    table = pd.read_csv(finished / "data/raw/customers.csv")
    assert "int64" in set(map(str, table.dtypes))
    assert len(table.columns) > len(types)
    table.loc[0, [name for name, kind in types.items() if kind == "numeric"]] = None
    table.loc[1, [name for name, kind in types.items() if kind != "categorical"]] = None
    expected = unpickled(finished / MODEL).predict(table[list(types)])
    asked = given(table)
    np.testing.assert_array_equal(loaded.predict(asked), expected[: len(asked)])
    example = loaded.input_example
    assert len(loaded.predict(example)) == len(example)


def test_a_model_is_logged_once_and_has_the_metrics_of_its_row(destination: Destination, finished: Path) -> None:
    for number, stage in enumerate(["train", "evaluate", "train"]):
        execution = ended(stage, started=100.0 * number, training_time=0.1 * number)
        publish_workspace(destination, finished, execution)
    (row,) = rows(destination)
    (model,) = models(destination)
    assert [output.model_id for output in row.outputs.model_outputs] == [model.model_id]
    assert sorted(metric.key for metric in model.metrics) == sorted(row.data.metrics)
    assert model.tags["model.md5"] == row.data.tags["model.md5"]

    other = unpickled(finished / MODEL)
    other.threshold = 0.9
    write_pickle(finished / MODEL, other)
    leave_provenance(finished, "train", inputs_from_files(finished, "train"))
    commit(finished, "train")
    publish_workspace(destination, finished, ended("evaluate"))
    assert len(models(destination)) == 2


def test_a_model_that_was_not_logged_to_its_end_is_logged_anew(destination: Destination, finished: Path) -> None:
    publish_workspace(destination, finished, ended("train"))
    client = mlflow.MlflowClient(destination.uri)
    interrupted = models(destination)[0].model_id
    client.finalize_logged_model(interrupted, "FAILED")
    (row,) = rows(destination)
    client.set_tag(row.info.run_id, COMPLETE, "false")  # which it is not, when it is interrupted there
    publish_workspace(destination, finished, ended("train"))
    (model,) = models(destination)
    assert (model.status, model.model_id == interrupted) == ("READY", False)


@pytest.mark.parametrize("classifier", [CSLogitClassifier(), CalibratedClassifierCV(CSLogitClassifier())])
def test_the_package_of_a_classifier_is_required_however_deep_it_stands(classifier: BaseEstimator) -> None:
    assert f"empulse=={version('empulse')}" in pinned_requirements(pickle.dumps(classifier))
    assert not any("empulse" in one for one in pinned_requirements(pickle.dumps(CalibratedClassifierCV())))


@pytest.mark.long
def test_every_state_that_dvc_runs_is_one_complete_row(finished: Path, destination: Destination) -> None:
    root = finished
    shutil.copy(destination.root / "mlflow.db", root / "mlflow.db")
    embedded = replace(destination, uri=f"sqlite:///{root}/mlflow.db", root=root)
    run = shell(root)

    first = run("dvc repro --force", MLFLOW_TRACKING_URI="")
    assert "MLflow" not in first.stderr
    edit(root / "params.yaml", "curve_points: 50", "curve_points: 40")
    run("dvc repro", MLFLOW_TRACKING_URI="")
    run("dvc exp run --temp --name mild --set-param train.params.C=0.01", MLFLOW_TRACKING_URI="")

    found = rows(embedded)
    assert [(row.info.status, row.data.tags[COMPLETE]) for row in found] == [(FINISHED, "true")] * 3
    assert [row.data.params["evaluate.curve_points"] for row in found] == ["50", "40", "40"]
    assert [row.data.params["train.params.C"] for row in found] == ["1.0", "1.0", "0.01"]
    assert len({frozenset(set(row.data.metrics) - {"training_time"}) for row in found}) == 1
    assert [len(row.outputs.model_outputs) for row in found] == [1, 1, 1]
    assert found[2].info.run_name == found[2].data.tags["dvc.experiment"] == "mild"
    assert [run.data.tags["stage"] for run in executions(embedded)] == [
        *("preprocess", "train", "evaluate"),
        "evaluate",
        *("train", "evaluate"),
    ]


@pytest.mark.long
def test_a_server_gets_the_same_rows_with_files_and_model(finished: Path, tmp_path: Path) -> None:
    with mlflow_server(tmp_path) as uri:
        run = shell(finished)
        for stage in ("train", "evaluate"):
            told = run(f"PYTHONPATH=src python -m churn.stages {stage}", MLFLOW_TRACKING_URI=uri)
            assert told.stdout == ""
            assert all(line.startswith(f"{stage}: ") for line in told.stderr.splitlines())
            assert "MLflow" not in told.stderr
        destination = Destination(uri, "churn", finished)
        (row,) = rows(destination)
        (model,) = models(destination)
        files = mlflow.MlflowClient(uri).list_artifacts(row.info.run_id, "metrics/curves")
        mlflow.set_tracking_uri(uri)
        loaded = mlflow.sklearn.load_model(model.model_uri)
    assert (row.info.status, row.data.tags[COMPLETE]) == (FINISHED, "true")
    assert len(files) == 4
    assert loaded.threshold == unpickled(finished / MODEL).threshold
    assert not (finished / "mlruns").exists()
