"""How a stage is run: threads, faults, interruption."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from churn.config.params import Params
from churn.runtime import at_work_alone
from churn.stages.runner import run_stage
from churn.tracking.recorder import Recorder
from tests.helpers.projects import REPOSITORY

WAITING = """
import time
from churn.stages import preprocess, start

def wait(root, params):
    print("running", flush=True)
    time.sleep(60)

preprocess.run = wait
start.main()
"""


@pytest.mark.slow
def test_an_interrupted_stage_leaves_with_one_word(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, "preprocess"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode != 0
    assert said == "interrupted; `dvc repro` runs this stage again\n"


@pytest.mark.slow
def test_lines_for_a_collector_are_json_without_the_values_of_the_table(folder: Path) -> None:
    table = folder / "data/raw/customers.csv"
    table.write_text(table.read_text().replace(",basic,", ",secret plan,", 3))
    done = subprocess.run(
        [sys.executable, "-m", "churn.stages", "preprocess"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "CHURN_LOG_FORMAT": "json"},
        text=True,
        capture_output=True,
        check=False,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert {(one["program"], one["level"]) for one in lines} >= {("preprocess", "info"), ("preprocess", "error")}
    assert "secret plan" not in done.stderr
    assert any("3 values are not in" in one["message"] for one in lines), lines


def test_a_stage_whose_inputs_change_while_it_runs_fails(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """DVC would record the results under the parameters as they stand at the end."""

    def work(root: Path, params: Params) -> dict[str, float]:
        path = project / "params.yaml"
        path.write_text(path.read_text().replace("test_share: 0.3", "test_share: 0.4"))
        return {}

    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as left:
        run_stage(Recorder(Path.cwd(), "preprocess"), work)
    assert left.value.code == 1
    assert "parameters, code or data changed while this stage ran; run `dvc repro` again" in caplog.messages


def test_an_edit_that_does_not_concern_a_stage_lets_it_end(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(root: Path, params: Params) -> dict[str, float]:
        path = project / "params.yaml"
        path.write_text(path.read_text().replace("curve_points: 50", "curve_points: 60"))
        return {}

    monkeypatch.chdir(project)
    run_stage(Recorder(Path.cwd(), "preprocess"), work)


def test_two_stages_do_not_work_in_one_folder_at_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with at_work_alone(folder):
        with pytest.raises(SystemExit) as left:
            run_stage(Recorder(Path.cwd(), "preprocess"), lambda *_: pytest.fail("it went to work"))
        assert left.value.code == 1
        told = f"{folder}: another stage is running here; wait until it ends, then run `dvc repro` again"
        assert told in caplog.messages
    run_stage(Recorder(Path.cwd(), "preprocess"), lambda *_: {})


def test_a_fault_of_the_code_is_one_line_that_names_the_file_with_its_traceback(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "dvc.yaml").write_text("stages: {}\n")

    def work(root: Path, params: Params) -> dict[str, float]:
        raise ZeroDivisionError("no customers")

    with pytest.raises(SystemExit) as left:
        run_stage(Recorder(Path.cwd(), "preprocess"), work)
    assert left.value.code == 1
    details = folder / ".churn/errors.log"
    told = f"unexpected ZeroDivisionError: no customers; please report it, with the details in {details}"
    assert told in caplog.messages
    assert "Traceback" in details.read_text()


@pytest.mark.slow
def test_verbose_says_where_a_fault_was_raised(folder: Path) -> None:
    (folder / "params.yaml").write_text("compute: {}\n")
    quiet, verbose = (
        subprocess.run(
            [sys.executable, "-m", "churn.stages", "preprocess", *option],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
            text=True,
            capture_output=True,
            check=False,
        ).stderr
        for option in ([], ["--verbose"])
    )
    assert "Traceback" not in quiet
    assert "params.yaml: compute.seed: missing" in quiet
    assert "Traceback" in verbose
