"""Two projects in one process, each in a thread of its own: neither knows of the other, nor of the current folder."""

import os
import threading
from pathlib import Path

import pytest

from churn import files
from churn.config.params import load_params
from churn.history import state
from churn.runtime import limited_threads
from churn.stages import evaluate, preprocess, train
from churn.tracking.destination import find_destination
from churn.tracking.sync import SyncRequest, status, sync
from tests.helpers.mlflow_rows import rows
from tests.helpers.projects import make_folder, shell
from tests.helpers.states import edit

pytestmark = pytest.mark.slow

STAGES = (preprocess, train, evaluate)


def run_stages(root: Path) -> None:
    params = load_params(root)
    for stage in STAGES:
        with limited_threads(params.compute.threads):
            stage.run(root, params)


def results(root: Path) -> dict[str, str]:
    folders = (files.PROCESSED, files.MODELS, files.METRICS)
    paths = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): files.md5(path) for path in paths}


def in_two_threads(work: list[threading.Thread]) -> None:
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders with other parameters; the process is in neither of them."""
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        make_folder(root)
    edit(roots[1] / "params.yaml", "split_salt: small", "split_salt: other")
    edit(roots[1] / "params.yaml", "compute: {seed: 7, threads: 1}", "compute: {seed: 8, threads: 1}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return roots


def test_stages_at_once_write_what_they_write_alone(two: list[Path]) -> None:
    alone = []
    for root in two:
        run_stages(root)
        alone.append(results(root))
        for path in alone[-1]:
            (root / path).unlink()
    before = dict(os.environ)
    in_two_threads([threading.Thread(target=run_stages, args=[root]) for root in two])
    assert [results(root) for root in two] == alone
    assert alone[0] != alone[1]
    assert dict(os.environ) == before
    assert not list(Path().iterdir())


@pytest.mark.long
def test_two_projects_are_shown_each_in_its_own_store(
    finished: Path, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    other = tmp_path / "other"
    shell(tmp_path)(f"cp -r {finished} {other}")
    edit(other / "params.yaml", "C: 1.0", "C: 0.5")
    shell(other)("dvc repro", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    roots = [finished, other]
    for root in roots:
        (root / "mlflow.db").write_bytes(migrated.read_bytes())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before, told = dict(os.environ), {}

    def show(root: Path) -> None:
        told[root] = sync(root, SyncRequest(everything=False, again=False)).faults, status(root).faults

    in_two_threads([threading.Thread(target=show, args=[root]) for root in roots])
    assert told == dict.fromkeys(roots, ((), ()))
    assert dict(os.environ) == before
    for root in roots:
        (row,) = rows(find_destination(root))
        assert row.data.tags["pipeline.fingerprint"] == state.fingerprint(state.stages_from_files(root))
        assert row.data.tags["model.md5"] == files.md5(root / files.MODEL)
    assert not list(Path().iterdir())
