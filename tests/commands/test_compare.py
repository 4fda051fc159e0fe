"""`churn compare` in a project: which states it knows, what it judges by, what it says."""

import json
import shutil
from pathlib import Path

import pytest

from churn import files
from churn.commands.compare import Comparison, compare_states
from churn.errors import ChurnError, DataError
from churn.history import snapshot
from churn.history.predictions.of_states import answers_on_test_rows, state_named
from churn.history.snapshot import Snapshot
from churn.metrics.paired import ModelAnswers
from tests.helpers.projects import NO_SERVER, made_once, make_customers, shell
from tests.helpers.runs import rerun
from tests.helpers.states import edit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

QUIET = {"MLFLOW_TRACKING_URI": NO_SERVER}


def compare(root: Path, old: str = "HEAD", new: str = "workspace") -> Comparison:
    return compare_states(root, old, new, resamples=100)


@pytest.fixture
def edited(finished: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose workspace has run with a far weaker model than HEAD."""

    def make(folder: Path) -> None:
        shutil.copytree(finished, folder, symlinks=True, dirs_exist_ok=True)
        edit(folder / "params.yaml", "C: 1.0", "C: 0.0001")
        rerun(folder, "train", "evaluate")

    return shutil.copytree(made_once(tmp_path_factory, "edited", make), tmp_path / "edited", symlinks=True)


def test_an_edit_is_judged_against_the_last_commit(edited: Path) -> None:
    contest = compare(edited)
    assert [(change.name, change.old, change.new) for change in contest.parameters] == [("train.params.C", 1.0, 0.0001)]
    assert contest.inputs == ()
    figures = {one.name: one for one in contest.differences}
    assert figures["log_loss"].difference > 0
    assert contest.customers == len((edited / "models/out_of_fold.csv").read_text().splitlines()) - 1
    told = json.loads((edited / "metrics/train.json").read_text())
    assert figures["profit_per_1000"].new == pytest.approx(told["train_profit_per_1000"], abs=1e-6)
    roc_auc = json.loads((edited / "metrics/test.json").read_text())["test_roc_auc"]
    assert contest.test.figures["roc_auc"][1] == pytest.approx(roc_auc, abs=1e-6)
    assert contest.test.customers == len((edited / "data/processed/test_rows.csv").read_text().splitlines()) - 1


def test_a_state_of_another_table_is_told_apart_at_once(finished: Path) -> None:
    others = make_customers(300, seed=9).rename(columns=lambda name: f"{name}_2")
    others.to_csv(finished / "data/raw/others.csv", index=False)
    run = shell(finished)
    run("churn init data/raw/others.csv --target gone_2 --positive yes --yes && dvc repro", **QUIET)
    for compute in (False, True):
        with pytest.raises(ChurnError) as told:
            compare_states(finished, "HEAD", "workspace", compute=compute)
        assert str(told.value).startswith(
            "HEAD and workspace: are of different tables (HEAD: 'data/raw/customers.csv', "
        )


def test_commits_experiments_and_fingerprints_name_a_state(edited: Path) -> None:
    run = shell(edited)
    base = snapshot.state_of_revision(edited, "HEAD")
    assert base
    run("git commit --quiet --all --message weaker")
    run("dvc exp run --quiet --name strong --set-param train.params.C=2.0", **QUIET)
    by_commit = compare(edited, "HEAD~1", "HEAD")
    assert compare(edited, base.fingerprint, "HEAD").differences == by_commit.differences
    assert compare(edited, "HEAD", "strong").parameters[0].new == 2.0
    assert compare(edited, "strong", "workspace").verdict.startswith("no difference: both predict the same")


def test_outcomes_of_test_rows_decide_nothing(edited: Path) -> None:
    before = compare(edited)
    (edited / "metrics/test.json").write_text("{}")
    (edited / "data/processed/y_test.csv").unlink()
    edited_lock = (edited / "dvc.lock").read_text()
    with pytest.raises(ChurnError, match="workspace: some of its results"):
        compare(edited)
    run = shell(edited)
    run("git checkout --quiet metrics/test.json; dvc repro", **QUIET)
    assert (edited / "dvc.lock").read_text() == edited_lock
    assert compare(edited).differences == before.differences


@pytest.mark.long
def test_only_common_training_rows_count(finished: Path) -> None:
    run = shell(finished)
    edit(finished / "params.yaml", "test_share: 0.3", "test_share: 0.4")
    run("dvc repro", **QUIET)
    contest = compare(finished)
    assert "only in the old state" in contest.left_out[0]
    assert "; left out: " in contest.as_text()
    larger = len((finished / "data/processed/test_rows.csv").read_text().splitlines()) - 1
    assert 0 < contest.test.customers < larger
    assert f"on {contest.test.customers:,} shared test rows; left out: " in contest.as_text()
    make_customers(seed=1).to_csv(finished / "data/raw/customers.csv", index=False)
    run("dvc repro", **QUIET)
    with pytest.raises(DataError, match="too few to compare"):
        compare(finished)


@pytest.mark.long
def test_figures_of_test_rows_are_of_the_same_money(finished: Path) -> None:
    """With a threshold of its own, another value of a customer changes what is earned, and not what is decided."""
    edit(finished / "params.yaml", "threshold: profit", "threshold: 0.3")
    run = shell(finished)
    run("dvc repro && git commit --quiet --all --message fixed", **QUIET)
    edit(finished / "params.yaml", "customer_value: 200.0", "customer_value: 800.0")
    run("dvc repro", **QUIET)
    contest = compare(finished)
    old, new = contest.test.figures["profit_per_1000"]
    assert old == new
    told = json.loads((finished / "metrics/business_metrics.json").read_text())
    assert new == pytest.approx(told["profit_per_1000"], abs=1e-6)


def test_other_test_rows_are_told_and_not_set_against_each_other(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = answers_on_test_rows

    def of_others(state: Snapshot, name: str) -> ModelAnswers:
        found = judged(state, name)
        keys = [f"{name} {key}" for key in found.churned.index]
        return ModelAnswers(*(one.set_axis(keys) for one in (found.churned, found.probability, found.contacted)))

    monkeypatch.setattr("churn.commands.compare.answers_on_test_rows", of_others)
    contest = compare(finished)
    assert contest.test.figures == {}
    assert "- test rows cannot be compared: only 0 customers are test rows of both states" in contest.as_markdown()
    assert json.loads(contest.as_json())["test"]["fault"].startswith("only 0 customers")


@pytest.mark.long
def test_what_cannot_be_judged_is_told_in_one_line(edited: Path) -> None:
    with pytest.raises(ChurnError, match="'nonsense': no commit with"):
        compare(edited, "nonsense")
    shutil.rmtree(edited / ".dvc/cache/files")
    with pytest.raises(ChurnError, match=r"HEAD: models/out_of_fold\.csv is not in the cache; `dvc fetch"):
        compare(edited)
    assert compare_states(edited, "HEAD", "workspace", compute=True, resamples=100).customers > 0
    edit(edited / "params.yaml", "C: 0.0001", "C: 0.5")
    with pytest.raises(ChurnError, match="workspace: some of its results do not belong to its parameters"):
        compare(edited)


@pytest.mark.long
def test_all_that_judging_takes_is_computed_again(edited: Path) -> None:
    """Also what compare itself could do without: a promotion says to run it for that."""
    lost = (files.MODEL, files.TEST_PREDICTIONS)
    results = state_named(edited, "HEAD").results
    for path in lost:
        md5 = str(results[str(path)])
        (edited / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    compare_states(edited, "HEAD", "workspace", compute=True, resamples=100)
    state = state_named(edited, "HEAD")
    assert all(state.read(str(path)) for path in lost)


def test_a_commit_that_was_not_run_is_not_taken_for_the_one_before(finished: Path) -> None:
    edit(finished / "params.yaml", "C: 1.0", "C: 0.0001")
    shell(finished)("git commit --quiet --all --message unrun")
    told = r"^HEAD: params\.yaml \(train\.params\.C\): differs from the inputs in dvc\.lock"
    with pytest.raises(ChurnError, match=told):
        compare(finished, "HEAD~1", "HEAD")


def test_the_command_prints_text_markdown_and_json(edited: Path) -> None:
    run = shell(edited)
    text = run("churn compare", PYTHONPATH="src").stdout
    assert "train.params.C: 1.0 -> 0.0001" in text
    assert "for confirmation only" in text
    assert "| profit_per_1000 |" in run("churn compare --md", PYTHONPATH="src").stdout
    content = json.loads(run("churn compare HEAD workspace --json", PYTHONPATH="src").stdout)
    assert content["differences"][0]["name"] == "profit_per_1000"
