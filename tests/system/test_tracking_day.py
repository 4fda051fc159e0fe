"""A day with the pipeline, a server and some bad luck: every experiment is one row, whatever happened."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pytest

from churn import files
from churn.history import snapshot, state
from churn.tracking.destination import Destination
from churn.tracking.record import COMPLETE, FINGERPRINT, FINISHED
from tests.helpers.mlflow_rows import rows
from tests.helpers.projects import shell
from tests.helpers.servers import free_port, mlflow_server
from tests.helpers.states import edit


def fingerprint(root: Path) -> str:
    return state.fingerprint(state.stages_from_files(root))


def killed_in(stage: str, root: Path, uri: str) -> None:
    """`dvc repro`, killed with everything it started as soon as a stage is at work."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
    with subprocess.Popen(
        ["dvc", "repro"], cwd=root, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert any(f"churn.stages {stage}" in line for line in process.stdout)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.long
def test_a_day_leaves_as_many_complete_rows_as_there_were_states(project: Path, tmp_path: Path) -> None:
    shell(tmp_path)(f"git clone --quiet {project} clone")
    root, port = tmp_path / "clone", free_port()
    uri = f"http://127.0.0.1:{port}"
    run = shell(root)
    run("git config user.name Tester && git config user.email tester@example.invalid")

    def repro() -> str:
        run("dvc repro", MLFLOW_TRACKING_URI=uri)
        return fingerprint(root)

    states = set()
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", port):
        states.add(repro())
        run("git add --all && git commit --quiet --message first")
        locked = (root / state.LOCK_FILE).read_bytes()
        edit(root / "params.yaml", "C: 1.0", "C: 0.5")
        states.add(repro())
        edit(root / "params.yaml", "curve_points: 50", "curve_points: 40")
        states.add(repro())
    # The server is down.
    edit(root / "params.yaml", "seed: 7", "seed: 8")
    states.add(repro())
    run("dvc exp run --queue --set-param train.params.C=0.1,0.2 --name queued")
    run("dvc exp run --run-all --jobs 2", MLFLOW_TRACKING_URI=uri)
    run("git checkout --quiet -- . && dvc checkout --quiet")
    assert repro() in states, "restored from the cache, nothing ran"
    with mlflow_server(tmp_path / "server", port):
        edit(root / "params.yaml", "repeats: 2", "repeats: 3")
        killed_in("train", root, uri)
        states.add(repro())
        run("git checkout --quiet -- . && dvc checkout --quiet")
        run("churn sync --all --strict", MLFLOW_TRACKING_URI=uri)
        run("churn status --strict", MLFLOW_TRACKING_URI=uri)
        shown = rows(Destination(uri, "churn", root))
        models = mlflow.MlflowClient(uri).search_logged_models([shown[0].info.experiment_id])
    states |= {one.fingerprint for one in snapshot.states_in_git(root)}
    assert len(states) == 7
    assert sorted(row.data.tags[FINGERPRINT] for row in shown) == sorted(states)
    assert {(row.info.status, row.data.tags[COMPLETE]) for row in shown} == {(FINISHED, "true")}
    assert len({frozenset(row.data.metrics) - {"training_time"} for row in shown}) == 1
    assert sorted(model.source_run_id for model in models) == sorted(row.info.run_id for row in shown)
    assert {"queued-1", "queued-2"} <= {row.info.run_name for row in shown}
    assert run("git status --porcelain").stdout == ""
    assert (root / state.LOCK_FILE).read_bytes() == locked


@pytest.mark.long
def test_what_belongs_together_is_found_from_every_side(
    finished: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finished / "mlflow.db").write_bytes(migrated.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    run = shell(finished)
    first = fingerprint(finished)
    edit(finished / "params.yaml", "C: 1.0", "C: 0.5")
    run("dvc repro && git commit --quiet --all --message second")
    run("dvc exp run --temp --set-param train.params.C=0.1 --name third && churn sync --all --strict")
    uri = f"sqlite:///{finished}/mlflow.db"
    by_state = {row.data.tags[FINGERPRINT]: row for row in rows(Destination(uri, "churn", finished))}
    assert len(by_state) == 3, "the first one, which was never tracked, from git and the cache"
    client = mlflow.MlflowClient(uri)
    client.create_registered_model("churn")
    mlflow.set_tracking_uri(uri)
    run_id = by_state[first].info.run_id
    (model,) = client.search_logged_models(
        [by_state[first].info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    version = client.create_model_version("churn", model.model_uri, run_id).version
    client.set_registered_model_alias("churn", "champion", version)
    run("git checkout --quiet HEAD~1 && dvc checkout --quiet && cp models/churn_model.pkl old.pkl")
    run("git checkout --quiet main && dvc checkout --quiet")

    commit = run("git rev-parse HEAD~1").stdout.strip()
    sides = ["old.pkl", run_id, f"churn/{version}", "models:/churn@champion", first, "HEAD~1", commit]
    told = [json.loads(run(f"churn lineage {side} --json").stdout) for side in sides]
    assert all(one == told[0] for one in told)
    assert told[0]["fingerprint"] == first
    assert told[0]["commits"] == [commit]
    assert told[0]["runs"] == [run_id]
    assert told[0]["versions"] == [f"churn/{version}"]
    assert told[0]["data_md5"] == state.md5_of(finished / "data/raw/customers.csv")
    for command in told[0]["commands"]:
        run(command)
    assert state.md5_of(finished / files.MODEL) == told[0]["model_md5"] == state.md5_of(finished / "old.pkl")
    assert fingerprint(finished) == first

    text = run("churn lineage third").stdout
    assert "dvc exp apply third" in text
    (finished / "none.pkl").write_text("no model")
    refused = run("churn lineage none.pkl", check=False)
    assert refused.returncode != 0
    assert refused.stderr.startswith("churn: none.pkl: unknown: ")
