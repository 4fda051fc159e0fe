"""Nothing is lost and nothing is there twice, whatever becomes of the server, the process, the disk or the files."""

import errno
import itertools
import math
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from churn import files
from churn.errors import ChurnError
from churn.history import snapshot
from churn.history.state import LOCK_FILE, md5_of
from churn.tracking import outbox as outbox_module
from churn.tracking import recorder
from churn.tracking.description import describe
from churn.tracking.destination import Destination, find_destination
from churn.tracking.outbox import outbox_of
from churn.tracking.record import (
    COMMIT,
    COMPLETE,
    EDITED,
    FINGERPRINT,
    FINISHED,
    MODEL_MD5,
    MODEL_NOTE,
    Execution,
    ModelNote,
    Record,
)
from churn.tracking.recorder import Recorder
from churn.tracking.store.rows import open_store
from churn.tracking.sync import SyncRequest, status, sync
from tests.helpers.mlflow_rows import ended, executions, rows
from tests.helpers.projects import NO_SERVER, every_night, shell, unpickled
from tests.helpers.servers import CUT, HANG, LOSE, Proxy, mlflow_server, proxy_to
from tests.helpers.states import edit, fingerprint, write

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

STAGES = ("preprocess", "train", "evaluate")
THIS_STATE = SyncRequest(everything=False, again=False)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as uri:
        yield uri


@pytest.fixture
def proxy(server: str, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What the project in the current folder takes for its server; each test has experiments of its own there."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"churn-{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    monkeypatch.chdir(finished)
    with proxy_to(server) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        yield proxy


def keep(root: Path, *given: Execution) -> list[Record]:
    """Have stages that ended leave their records in the outbox, unpublished."""
    kept = []
    for execution in given:
        record, content_of = describe(snapshot.state_of_workspace(root, execution.stage), execution)
        outbox_of(root).add(record, content_of)
        kept.append(record)
    return kept


def only_row(root: Path) -> Run:
    (row,) = rows(find_destination(root))
    return row


def shown_files(row: Run, root: Path) -> set[str]:
    client = mlflow.MlflowClient(find_destination(root).uri)
    folders = ("", "models", "metrics", "metrics/curves", "metrics/provenance")
    return {file.path for folder in folders for file in client.list_artifacts(row.info.run_id, folder)}


def assert_whole(row: Run, root: Path) -> None:
    """A row shows everything that the files of a project say."""
    experiment = describe(snapshot.state_of_workspace(root))[0].experiment
    client = mlflow.MlflowClient(find_destination(root).uri)
    assert (row.info.status, row.data.tags[COMPLETE]) == (FINISHED, "true")
    assert row.data.tags[FINGERPRINT] == experiment.fingerprint
    assert set(experiment.parameters) == set(row.data.params)
    assert set(experiment.metrics) <= set(row.data.metrics)
    assert set(experiment.files) <= shown_files(row, root)
    models = client.search_logged_models([row.info.experiment_id], filter_string=f"source_run_id = '{row.info.run_id}'")
    assert [(model.status, model.tags[MODEL_MD5]) for model in models] == [("READY", experiment.model_md5)]
    assert len(row.inputs.dataset_inputs) == 1


def test_a_state_that_nobody_ran_here_gets_its_row(embedded: Path) -> None:
    assert sync(embedded, THIS_STATE).faults == ()
    assert_whole(only_row(embedded), embedded)
    assert executions(find_destination(embedded)) == []
    sync(embedded, THIS_STATE)
    assert_whole(only_row(embedded), embedded)


def test_a_state_that_has_not_run_to_its_end_gets_none(embedded: Path) -> None:
    edit(embedded / "params.yaml", "C: 1.0", "C: 2.0")
    assert any("its results are incomplete" in line for line in sync(embedded, THIS_STATE).lines)
    assert rows(find_destination(embedded)) == []


@pytest.mark.parametrize("edited", [False, True])
def test_a_row_published_while_git_refused_gets_its_commit_once_git_answers(edited: bool, embedded: Path) -> None:
    settings = embedded / ".git/config"
    whole = settings.read_text()
    settings.write_text("[core\n")
    if edited:  # in bytes only, so that the state stays what it was
        edit(embedded / "dvc.yaml", "stages:", "# looked at\nstages:")
    keep(embedded, *(ended(stage) for stage in STAGES))
    (fault,) = sync(embedded, THIS_STATE).faults
    assert fault.startswith("git: bad config line 1")
    assert fault in status(embedded).faults
    assert COMMIT not in only_row(embedded).data.tags
    settings.write_text(whole)
    assert sync(embedded, THIS_STATE).faults == ()
    tags = only_row(embedded).data.tags
    assert tags[COMMIT] == shell(embedded)("git rev-parse HEAD").stdout.strip()
    assert tags[EDITED] == str(edited).lower()


def test_records_give_the_same_row_in_whatever_order_they_come(embedded: Path, migrated: Path) -> None:
    records = keep(embedded, *(ended(stage, started=100.0 + number) for number, stage in enumerate(STAGES)))
    for number, order in enumerate(itertools.permutations(records)):
        root = embedded / f"store-{number}"
        root.mkdir()
        (root / "mlflow.db").write_bytes(migrated.read_bytes())
        destination = Destination(f"sqlite:///{root}/mlflow.db", "churn", root)
        for record in order:
            open_store(destination).publish(record, outbox_of(embedded).content)
        (row,) = rows(destination)
        assert (row.info.status, row.data.tags[COMPLETE]) == (FINISHED, "true")
        assert records[2].experiment.metrics.items() <= row.data.metrics.items()
        assert len(executions(destination)) == 3


def test_a_record_that_cannot_be_read_is_set_aside_and_stops_no_other(
    embedded: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep(embedded, ended("evaluate"))
    records = embedded / ".churn/outbox/records"
    for name, content in {"0": "{half", "1": '{"experiment": 1}', "2": "\xff\x00"}.items():
        (records / f"{name}.json").write_text(content, encoding="latin-1")
    report = sync(embedded, THIS_STATE)
    assert_whole(only_row(embedded), embedded)
    assert any(line.startswith("3 records could not be read and were set aside: ") for line in report.lines)
    assert len(outbox_of(embedded).records_set_aside()) == 3
    assert "set aside" in caplog.text


def test_a_full_disk_costs_the_record_and_not_the_row(
    embedded: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        Recorder(embedded, "evaluate").record(ended("evaluate"))
    assert "no space left on the disk" in caplog.text
    assert [path.name for path in embedded.glob(".churn/outbox/**/*") if path.is_file()] == ["lock"]
    sync(embedded, THIS_STATE)
    assert_whole(only_row(embedded), embedded)


def test_the_last_stage_waits_four_seconds_for_its_record_and_no_longer(
    embedded: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = itertools.count()
    waited: list[float] = []
    monkeypatch.setattr(recorder, "_ensure_publisher", lambda _: None)  # one that never gets round to it
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(time, "sleep", waited.append)
    Recorder(embedded, "evaluate").record(ended("evaluate"))
    assert "not published within 4 s" in caplog.text
    assert len(waited) == 3
    caplog.clear()
    Recorder(embedded, "train").record(ended("train"))
    assert "not published within 4 s" in caplog.text, "a stage that is run by itself waits, too"
    caplog.clear()
    monkeypatch.setenv("DVC_STAGE", "train")
    Recorder(embedded, "train").record(ended("train"))
    assert caplog.text == "", "a stage that another one follows does not wait at all"
    assert len(outbox_of(embedded).names_never_shown()) == 3


def test_the_row_of_an_edit_is_renamed_when_the_edit_is_committed(embedded: Path) -> None:
    run = shell(embedded)
    run("sed -i 's/C: 1.0/C: 2.0/' params.yaml && git commit --quiet --all --message 'Another C'")
    run("sed -i 's/C: 2.0/C: 1.0/' params.yaml")  # so the results that are there belong to an edit
    sync(embedded, THIS_STATE)
    edited = only_row(embedded)
    assert (edited.info.run_name, edited.data.tags[EDITED]) == ("C 2.0 → 1.0", "true")
    assert edited.info.end_time is None, "nobody ran it"
    run("git commit --quiet --all --message 'The former C'")
    assert any("brings its name" in line for line in status(embedded).lines)
    sync(embedded, THIS_STATE)
    renamed = only_row(embedded)
    assert (renamed.info.run_name, renamed.data.tags[EDITED]) == ("The former C", "false")
    assert renamed.info.run_id == edited.info.run_id
    assert "`git checkout" in renamed.data.tags["mlflow.note.content"]


def test_a_model_that_was_overwritten_since_is_shown_as_it_was(embedded: Path) -> None:
    (record,) = keep(embedded, ended("evaluate"))
    model = embedded / files.MODEL
    original = md5_of(model)
    other = unpickled(model)
    other.threshold = 0.9
    files.write_pickle(model, other)
    sync(embedded, THIS_STATE)
    row = only_row(embedded)
    assert row.data.tags[MODEL_MD5] == record.experiment.model_md5 == original
    (shown,) = mlflow.MlflowClient(find_destination(embedded).uri).search_logged_models([row.info.experiment_id])
    mlflow.set_tracking_uri(find_destination(embedded).uri)
    assert mlflow.sklearn.load_model(shown.model_uri).threshold != 0.9


@pytest.mark.parametrize("newer", [0.2, 0.4])
def test_of_two_measurements_the_later_one_is_shown_whichever_came_first(embedded: Path, newer: float) -> None:
    older_record, newer_record = keep(
        embedded, ended("train", started=100, training_time=0.3), ended("train", started=200, training_time=newer)
    )
    store = open_store(find_destination(embedded))
    for record in (newer_record, older_record, newer_record):
        store.publish(record, outbox_of(embedded).content)
    assert only_row(embedded).data.metrics["training_time"] == newer
    assert len(executions(find_destination(embedded))) == 2


def test_a_figure_that_is_not_defined_is_shown_as_that(embedded: Path) -> None:
    (record,) = keep(embedded, ended("evaluate"))
    undefined = replace(record, experiment=replace(record.experiment, metrics={"auc": math.nan, "f1": 0.5}))
    outbox_of(embedded).add(undefined, lambda _: b"")
    sync(embedded, THIS_STATE)
    sync(embedded, THIS_STATE)
    metrics = only_row(embedded).data.metrics
    assert (math.isnan(metrics["auc"]), metrics["f1"]) == (True, 0.5)


def test_a_row_that_was_deleted_stays_so_until_it_is_asked_for(embedded: Path) -> None:
    sync(embedded, THIS_STATE)
    mlflow.MlflowClient(find_destination(embedded).uri).delete_run(only_row(embedded).info.run_id)
    assert any("pass --again to restore it" in line for line in sync(embedded, THIS_STATE).lines)
    assert rows(find_destination(embedded)) == []
    sync(embedded, replace(THIS_STATE, again=True))
    assert_whole(only_row(embedded), embedded)


def test_what_waits_for_a_deleted_experiment_is_kept(embedded: Path) -> None:
    sync(embedded, THIS_STATE)
    client = mlflow.MlflowClient(find_destination(embedded).uri)
    number = client.get_experiment_by_name("churn").experiment_id
    client.delete_experiment(number)
    keep(embedded, ended("evaluate"))
    assert "mlflow experiments restore" in sync(embedded, THIS_STATE).faults[0]
    client.restore_experiment(number)
    assert sync(embedded, THIS_STATE).faults == ()
    assert_whole(only_row(embedded), embedded)
    assert len(executions(find_destination(embedded))) == 1


def test_a_store_of_files_that_lies_about_does_not_matter(embedded: Path) -> None:
    (embedded / "mlruns/0").mkdir(parents=True)
    (embedded / "mlruns/0/meta.yaml").write_text("artifact_location: nowhere\nexperiment_id: '0'\n")
    assert sync(embedded, THIS_STATE).faults == ()
    assert_whole(only_row(embedded), embedded)


def test_two_sets_of_parameters_with_one_model_are_two_rows_with_a_model_each(embedded: Path) -> None:
    (record,) = keep(embedded, ended("evaluate"))
    tags = {**record.experiment.tags, FINGERPRINT: "f" * 16}
    twin = replace(record, serial="twin", experiment=replace(record.experiment, fingerprint="f" * 16, tags=tags))
    outbox_of(embedded).add(twin, lambda _: b"")
    sync(embedded, THIS_STATE)
    one, other = rows(find_destination(embedded))
    assert one.data.tags[MODEL_MD5] == other.data.tags[MODEL_MD5]
    assert {len(row.outputs.model_outputs) for row in (one, other)} == {1}


def test_rows_that_another_machine_made_at_the_same_time_become_one(embedded: Path) -> None:
    sync(embedded, THIS_STATE)
    whole = only_row(embedded)
    client = mlflow.MlflowClient(find_destination(embedded).uri)
    client.create_run(whole.info.experiment_id, start_time=1, tags={FINGERPRINT: whole.data.tags[FINGERPRINT]})
    keep(embedded, ended("evaluate"))
    sync(embedded, THIS_STATE)
    assert only_row(embedded).info.run_id == whole.info.run_id, "the complete one, though the other is older"


def test_only_the_newest_of_the_records_that_are_shown_are_kept(
    embedded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "KEPT", 2)
    box = outbox_of(embedded)
    names = [record.name for record in keep(embedded, *(ended("evaluate", started=float(time)) for time in range(4)))]
    box.prune()
    assert box.names() == sorted(names), "none is shown yet"
    sync(embedded, THIS_STATE)
    assert box.names() == sorted(names)[-2:]
    kept = [record for name in box.names() if (record := box.record(name))]
    assert all(box.content(md5).exists() for record in kept for md5 in record.experiment.contents)
    assert box.without_receipt("another store") == box.names()


def test_status_says_where_things_go_and_what_is_left_to_do(embedded: Path) -> None:
    keep(embedded, ended("evaluate"))
    before = status(embedded)
    assert f"sqlite:///{embedded}/mlflow.db" in before.lines[0]
    assert any("1 records wait" in fault for fault in before.faults)
    assert any("this state is not in MLflow; `churn sync` publishes it" in fault for fault in before.faults)
    sync(embedded, THIS_STATE)
    after = status(embedded)
    assert after.faults == ()
    assert "this state is in MLflow" in after.lines


def test_a_record_whose_contents_are_gone_is_set_aside_and_its_state_shown_from_the_files(embedded: Path) -> None:
    box = outbox_of(embedded)
    lost, _ = keep(embedded, ended("train"), ended("evaluate", started=200))
    box.content(str(lost.experiment.model_md5)).unlink()
    report = sync(embedded, THIS_STATE)
    assert (report.faults, len(box.records_set_aside())) == ((), 2)
    assert_whole(only_row(embedded), embedded)


def test_a_record_that_is_refused_stops_no_other(embedded: Path) -> None:
    box = outbox_of(embedded)
    first, _, last = (keep(embedded, ended(stage))[0] for stage in STAGES)
    refused = replace(first, recorded=first.recorded + 0.001, serial="refused")
    bad = replace(first.experiment, fingerprint="f" * 16, parameters={"../up": "x"})
    box.add(replace(refused, experiment=bad), lambda _: b"")
    (fault,) = sync(embedded, THIS_STATE).faults
    assert fault.startswith(f"{refused.name}: refused: ")
    assert box.names_never_shown() == [refused.name]
    found = [
        row.data.tags[FINGERPRINT] for row in rows(find_destination(embedded)) if row.data.tags[COMPLETE] == "true"
    ]
    assert found == [last.experiment.fingerprint]


def test_what_one_process_adds_while_another_tidies_up_is_not_lost(embedded: Path) -> None:
    stop = threading.Event()
    box = outbox_of(embedded)

    def tidy() -> None:
        while not stop.is_set():
            box.prune()

    tidying = threading.Thread(target=tidy)
    tidying.start()
    try:
        added = [record.name for _ in range(10) for record in keep(embedded, ended("evaluate"))]
    finally:
        stop.set()
        tidying.join()
    assert box.names() == added
    assert all(box.record(name) for name in added)
    assert box.records_set_aside() == []


def test_a_model_that_cannot_be_loaded_here_leaves_the_rest_of_its_row(embedded: Path) -> None:
    write(embedded, {str(files.MODEL): "no pickle"})
    keep(embedded, ended("train"))
    sync(embedded, THIS_STATE)
    row = only_row(embedded)
    assert row.data.tags[MODEL_NOTE] == ModelNote.NOT_PLAIN
    assert "models/churn_model.pkl" in shown_files(row, embedded), "as it is, all the same"
    assert "cv_roc_auc" in row.data.metrics


def test_an_older_record_of_a_complete_row_changes_nothing_but_adds_its_execution(embedded: Path) -> None:
    older, newer = keep(embedded, ended("evaluate", started=100), ended("evaluate", started=200))
    other = replace(older.experiment, metrics={"test_f1": 0.123}, tags={**older.experiment.tags, "git.commit": "old"})
    store = open_store(find_destination(embedded))
    for record in (newer, replace(older, experiment=other)):
        store.publish(record, outbox_of(embedded).content)
    row = only_row(embedded)
    assert row.data.metrics["test_f1"] == newer.experiment.metrics["test_f1"]
    assert row.data.tags.get("git.commit") == newer.experiment.tags.get("git.commit")
    assert len(executions(find_destination(embedded))) == 2


@pytest.mark.parametrize(
    "broken",
    ["schema: '2.0'\n", "schema: '2.0'\nstages:\n", "stages: 3", "- 1", "schema: '2.0'\nstages: {preprocess: {}}"],
)
def test_a_lock_in_git_that_records_no_whole_state_makes_no_row(embedded: Path, broken: str) -> None:
    run = shell(embedded)
    lock = (embedded / LOCK_FILE).read_text()
    (embedded / LOCK_FILE).write_text(broken)
    run("git commit --quiet --all --message broken")
    (embedded / LOCK_FILE).write_text(lock)
    run("git commit --quiet --all --message mended")
    assert sync(embedded, replace(THIS_STATE, everything=True)).faults == ()
    assert_whole(only_row(embedded), embedded)


@pytest.mark.long
def test_a_model_that_comes_back_to_the_cache_is_added_to_its_row(embedded: Path) -> None:
    run = shell(embedded)
    first = fingerprint(embedded)
    edit(embedded / "params.yaml", "C: 1.0", "C: 0.5")
    run("dvc repro && git commit --quiet --all --message second", MLFLOW_TRACKING_URI=NO_SERVER)
    (embedded / ".dvc/cache/files").rename(embedded / "aside")
    everything = replace(THIS_STATE, everything=True)
    told = sync(embedded, everything).lines
    assert any("published; its model: not in the cache" in line for line in told)
    assert not any("published" in line for line in sync(embedded, everything).lines[2:]), "nothing new to show"
    (embedded / "aside").rename(embedded / ".dvc/cache/files")
    sync(embedded, everything)
    (row,) = [row for row in rows(find_destination(embedded)) if row.data.tags[FINGERPRINT] == first]
    assert row.data.tags[MODEL_NOTE] == "shown"
    assert len(row.outputs.model_outputs) == 1


def test_a_folder_that_is_no_project_is_told(tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match=r"dvc\.yaml: not found"):
        sync(tmp_path, THIS_STATE)
    with pytest.raises(ChurnError, match=r"dvc\.yaml: not found"):
        status(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("many", every_night(3, 8))
def test_many_syncs_at_once_on_a_store_that_is_not_there_yet_make_one_row(embedded: Path, many: int) -> None:
    (embedded / "mlflow.db").unlink()
    keep(embedded, *(ended(stage, started=100.0 + number) for number, stage in enumerate(STAGES)))
    command = [sys.executable, "-c", "from churn.cli.main import main; main()", "sync", "--strict"]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(many)
    ]
    told = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * many, told
    assert_whole(only_row(embedded), embedded)
    assert len(executions(find_destination(embedded))) == 3


KILLED_AT = """
import itertools, os, shutil, signal, sys
from pathlib import Path
import mlflow
from churn.tracking import publisher, sync
from churn.tracking.store import rows
from churn.tracking.outbox import Outbox

root, empty = Path(sys.argv[1]), Path(sys.argv[2])
kept = root.with_name("kept")
shutil.copytree(root / ".churn", kept)
steps = 0
CHANGING = ("create", "log_", "set_", "update", "delete", "finalize", "link", "give", "note")

def counted(method, last):
    def step(*arguments, **named):
        global steps
        steps += 1
        if steps == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **named)
    return step

def child(last):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    for owner in (mlflow.MlflowClient, Outbox):
        for name, method in list(vars(owner).items()):
            if name.startswith(CHANGING):
                setattr(owner, name, counted(method, last))
    report = sync.sync(root, sync.SyncRequest(everything=False, again=False))
    os._exit(len(report.faults))

for last in itertools.count(1):
    shutil.rmtree(root / ".churn")
    shutil.rmtree(root / "mlruns", ignore_errors=True)
    shutil.copytree(kept, root / ".churn")
    shutil.copy(empty, root / "mlflow.db")
    ended = child(last)
    repaired = child(-1)
    print(last, os.WIFSIGNALED(ended), repaired, flush=True)
    shutil.copy(root / "mlflow.db", root / f"after-{last}.db")
    if not os.WIFSIGNALED(ended):
        break
"""
"""Before each call that changes the store or the outbox, in turn, kill -9; then sync undisturbed."""


@pytest.mark.long
def test_killed_at_any_step_of_publishing_the_next_sync_makes_one_whole_row(embedded: Path, migrated: Path) -> None:
    keep(embedded, ended("evaluate"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED_AT, str(embedded), str(migrated)],
        capture_output=True,
        text=True,
        check=True,
    )
    steps = [line.split() for line in done.stdout.splitlines()]
    assert sum(killed == "True" for _, killed, _ in steps) > 10, "so many steps, or nothing was tried"
    for step, _, faults in steps:
        assert faults == "0", step
        destination = Destination(f"sqlite:///{embedded}/after-{step}.db", "churn", embedded)
        (row,) = rows(destination)
        assert (row.info.status, row.data.tags[COMPLETE]) == (FINISHED, "true"), step
        models = mlflow.MlflowClient(destination.uri).search_logged_models([row.info.experiment_id])
        assert [model.status for model in models] == ["READY"], step
        assert [run.info.status for run in executions(destination)] == [FINISHED], step


@pytest.mark.parametrize("fault", [401, 503, CUT, *every_night(403, 404, 500, HANG)])
def test_whatever_a_server_answers_a_stage_ends_well_and_nothing_is_lost(
    proxy: Proxy, finished: Path, fault: int
) -> None:
    proxy.fault = lambda method, path: fault
    run = shell(finished)
    told = run("PYTHONPATH=src python -m churn.stages evaluate").stderr
    (warning,) = [line for line in told.splitlines() if "MLflow" in line]
    assert warning.startswith(f"evaluate: kept for MLflow at {proxy.uri}, `churn sync` publishes it: ")
    assert fault < 0 or str(fault) in warning
    assert "Traceback" not in told
    assert len(sync(finished, THIS_STATE).faults) == 1
    proxy.fault = lambda method, path: None
    assert sync(finished, THIS_STATE).faults == ()
    assert_whole(only_row(finished), finished)
    assert len(executions(find_destination(finished))) == 1


@pytest.mark.long
def test_what_is_left_undone_is_an_error_where_it_is_asked_to_be(proxy: Proxy, finished: Path) -> None:
    proxy.fault = lambda method, path: 401
    run = shell(finished)
    assert "401" in run("churn sync").stderr
    assert run("churn sync --strict", check=False).returncode == 1
    assert run("churn status --strict", check=False).returncode == 1
    proxy.fault = lambda method, path: None
    run("churn sync --strict")
    run("churn status --strict")


def test_a_server_that_does_not_know_the_name_it_is_called_by_refuses_loudly(proxy: Proxy, finished: Path) -> None:
    proxy.host = "stranger.example"
    keep(finished, ended("evaluate"))
    (fault,) = sync(finished, THIS_STATE).faults
    assert "403" in fault
    proxy.host = None
    assert sync(finished, THIS_STATE).faults == ()
    assert_whole(only_row(finished), finished)


def test_a_name_that_nobody_knows_is_a_server_that_is_away(finished: Path) -> None:
    told = shell(finished)(
        "PYTHONPATH=src python -m churn.stages evaluate", MLFLOW_TRACKING_URI="http://nobody.invalid:5000"
    )
    assert "kept for MLflow at http://nobody.invalid:5000" in told.stderr
    assert len(outbox_of(finished).names_never_shown()) == 1


@pytest.mark.parametrize(
    "path", ["log-batch", *every_night("runs/create", "logged-models", "mlflow-artifacts", "runs/update")]
)
@pytest.mark.parametrize("fault", [CUT, 500])
def test_a_server_that_dies_on_the_way_is_gone_on_with(proxy: Proxy, finished: Path, path: str, fault: int) -> None:
    keep(finished, ended("evaluate"))
    proxy.fault = lambda method, asked: fault if path in asked and method != "GET" else None
    assert len(sync(finished, THIS_STATE).faults) == 1
    proxy.fault = lambda method, asked: None
    assert sync(finished, THIS_STATE).faults == ()
    assert_whole(only_row(finished), finished)
    assert len(executions(find_destination(finished))) == 1


def test_what_was_done_though_its_answer_was_lost_is_not_done_twice(proxy: Proxy, finished: Path) -> None:
    """The worst moment: the server has made the row, and the client does not hear of it."""
    keep(finished, ended("evaluate"))
    lost: list[str] = []

    def lose_the_answer(_: str, path: str) -> int | None:
        if path.endswith("runs/create") and len(lost) < 2:
            lost.append(path)
            return LOSE
        return None

    proxy.fault = lose_the_answer
    reports = [sync(finished, THIS_STATE) for _ in range(3)]
    assert [len(report.faults) for report in reports] == [1, 1, 0]
    assert_whole(only_row(finished), finished)
    assert len(executions(find_destination(finished))) == 1


@pytest.mark.long
def test_a_store_can_be_changed_for_a_server_and_back(
    proxy: Proxy, finished: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finished / "mlflow.db").write_bytes(migrated.read_bytes())
    for number, uri in enumerate(["", proxy.uri, "", proxy.uri]):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        keep(finished, ended("evaluate", started=100.0 + number))
        assert sync(finished, THIS_STATE).faults == ()
        assert_whole(only_row(finished), finished)
        assert len(executions(find_destination(finished))) == 1 + number
