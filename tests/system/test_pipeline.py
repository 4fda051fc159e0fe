"""The pipeline as a whole, run by DVC on a small table: what reruns, what is restored, what can be compared."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from churn.config.params import read_yaml
from churn.history.state import LOCK_FILE, PIPELINE_FILE
from tests.helpers.projects import every_night, shell
from tests.helpers.states import edit

pytestmark = pytest.mark.slow

STAGES = ["preprocess", "train", "evaluate"]


def executed(story: str) -> list[str]:
    return re.findall(r"Running stage '(.+?)'", story)


def test_the_first_run_executes_every_stage_and_a_second_one_none(finished: Path, story_of_first_run: str) -> None:
    assert executed(story_of_first_run) == STAGES
    assert list(finished.glob("src/churn/**/__pycache__")), "bytecode was to be written, to see that it is no change"
    run = shell(finished)
    assert executed(run("dvc repro").stdout) == []
    assert "up to date" in run("dvc status").stdout


@pytest.mark.parametrize(
    ("old", "new", "affected"),
    [
        pytest.param("test_share: 0.3", "test_share: 0.35", STAGES, marks=pytest.mark.long),
        ("curve_points: 50", "curve_points: 40", ["evaluate"]),
        ("months: {type: numeric, min: 0, max: 100", "months: {type: numeric, min: 0, max: 200", ["preprocess"]),
    ],
)
def test_an_edit_reruns_exactly_the_stages_that_it_touches(
    finished: Path, old: str, new: str, affected: list[str]
) -> None:
    edit(finished / "params.yaml", old, new)
    assert executed(shell(finished)("dvc repro").stdout) == affected


def test_an_edit_reruns_what_it_touches_is_told_on_one_screen_and_taken_back_without_running(finished: Path) -> None:
    run = shell(finished)
    edit(finished / "params.yaml", "C: 1.0", "C: 0.01")
    assert executed(run("dvc repro").stdout) == ["train", "evaluate"]
    assert_told_on_one_screen_with_what_one_chooses_by_first(finished)
    edit(finished / "params.yaml", "C: 0.01", "C: 1.0")
    assert executed(run("dvc repro").stdout) == []
    assert run("git status --porcelain").stdout == ""


def test_results_deleted_in_a_clone_that_has_the_cache_are_restored_without_running(
    finished: Path, tmp_path: Path
) -> None:
    shell(tmp_path)(f"git clone --quiet {finished} clone")
    clone = tmp_path / "clone"
    shutil.copytree(finished / ".dvc/cache", clone / ".dvc/cache")
    shutil.rmtree(clone / "metrics")
    run = shell(clone)
    assert executed(run("dvc repro").stdout) == []
    assert run("git status --porcelain").stdout == ""
    assert (clone / "models/churn_model.pkl").exists()


LEARNED_WITH = "estimator: sklearn.linear_model.LogisticRegression\n  params: {C: 1.0}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("threshold: profit", "threshold: 0.4"),
        (LEARNED_WITH, "estimator: sklearn.tree.DecisionTreeClassifier\n  params: {max_depth: 2}"),
        ("test_share: 0.3", "test_share: 0.35"),
    ],
)
def test_what_an_edit_changes_is_told_on_one_screen_with_what_one_chooses_by_first(
    finished: Path, old: str, new: str
) -> None:
    edit(finished / "params.yaml", old, new)
    shell(finished)("dvc repro")
    assert_told_on_one_screen_with_what_one_chooses_by_first(finished)


def assert_told_on_one_screen_with_what_one_chooses_by_first(root: Path) -> None:
    lines = shell(root)("dvc metrics diff").stdout.splitlines()
    assert len(lines) <= 20
    files, names = zip(*(line.split()[:2] for line in lines[1:]), strict=True)
    assert set(files) <= {"metrics/audit.json", "metrics/overview.json"}
    groups = [name.partition(".")[0] for name in names if "." in name]
    assert groups == ["choose"] * groups.count("choose") + ["confirm"] * groups.count("confirm")
    assert {"choose.train_profit_per_1000", "confirm.profit_per_1000"} <= set(names)


@pytest.mark.long
def test_a_forced_run_in_a_fresh_clone_leaves_git_clean(finished: Path, tmp_path: Path) -> None:
    shell(tmp_path)(f"git clone --quiet {finished} clone")
    run = shell(tmp_path / "clone")
    assert executed(run("dvc repro --force --no-run-cache").stdout) == STAGES
    assert run("git status --porcelain").stdout == ""


@pytest.mark.long
def test_metrics_params_and_plots_can_be_compared_between_commits(finished: Path) -> None:
    run = shell(finished)
    edit(finished / "params.yaml", "C: 1.0", "C: 0.001")
    run("dvc repro")
    run("git commit --quiet --all --message weaker")
    metrics = json.loads(run("dvc metrics diff HEAD~1 --json").stdout)
    assert metrics["metrics/overview.json"]["choose.cv_log_loss"]["diff"] != 0
    every_figure = json.loads(run("dvc metrics diff HEAD~1 --json --targets metrics/train.json").stdout)
    assert every_figure["metrics/train.json"]["cv_log_loss_sd"]["diff"] != 0
    changed = json.loads(run("dvc params diff HEAD~1 --json").stdout)["params.yaml"]
    assert {key: (values["old"], values["new"]) for key, values in changed.items()} == {"train.params.C": (1.0, 0.001)}
    assert "train.params.C" in run("dvc params diff HEAD~1").stdout
    page = Path(run("dvc plots diff HEAD~1").stdout.strip().removeprefix("file://"))
    assert "true_positive_rate" in page.read_text()
    assert run("git status --porcelain").stdout == ""


def test_the_page_of_plots_draws_itself_without_a_network(finished: Path) -> None:
    page = Path(shell(finished)("dvc plots show").stdout.strip().removeprefix("file://"))
    script, *others = re.findall(r'<script src="(.+?)"', page.read_text())
    assert (page.parent / script).resolve() == finished / ".venv/vega.js"
    # What DVC would load from elsewhere stays unread unless the script beside it is missing.
    inert = re.search(r"<template.*?</template>", page.read_text(), re.DOTALL)
    assert inert
    assert re.findall(r'<script src="(.+?)"', inert[0]) == others


def test_the_environment_holds_the_script_that_draws_the_page() -> None:
    assert "vegaEmbed" in Path(sys.prefix, "vega.js").read_text()


@pytest.mark.long
def test_an_experiment_needs_a_parameter_on_the_command_line_only(finished: Path) -> None:
    run = shell(finished)
    assert executed(run("dvc exp run --set-param train.params.C=0.01").stdout) == ["train", "evaluate"]
    assert "C: 0.01" in (finished / "params.yaml").read_text()
    assert "train.params.C" in run("dvc params diff").stdout


def test_a_temporary_experiment_runs_the_code_of_its_own_checkout(finished: Path) -> None:
    """The editable installation of this repository is on the path as well; it must not be what runs."""
    run = shell(finished)
    edit(finished / "src/churn/stages/train.py", '"threshold": threshold', '"threshold": threshold, "own_code": 1.0')
    run("git commit --quiet --all --message code")
    run("dvc exp run --temp --name own")
    assert (
        '"own_code": 1.0'
        in run("git show refs/exps/$(git show-ref | grep -o 'refs/exps/.*own' | cut -c11-):metrics/train.json").stdout
    )


def test_a_folder_as_remote_brings_a_state_to_a_fresh_clone_where_nothing_runs(finished: Path, tmp_path: Path) -> None:
    run = shell(finished)
    run(f"dvc remote add --default storage {tmp_path / 'storage'}")
    run("git commit --quiet --all --message remote")
    run("dvc push")
    shell(tmp_path)(f"git clone --quiet {finished} clone")
    clone = shell(tmp_path / "clone")
    clone("dvc pull")
    assert executed(clone("dvc repro").stdout) == []
    model = "models/churn_model.pkl"
    assert (tmp_path / "clone" / model).read_bytes() == (finished / model).read_bytes()


def test_a_refused_table_fails_the_run_and_leaves_the_record_as_it_was(finished: Path) -> None:
    run = shell(finished)
    before = (finished / LOCK_FILE).read_bytes()
    (finished / "data/raw/customers.csv").write_text("gone,plan\nyes,basic\n")
    failed = run("dvc repro", check=False)
    assert failed.returncode != 0
    assert "no column 'months', 'fee', 'senior'" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (finished / LOCK_FILE).read_bytes() == before


@pytest.mark.parametrize("stage", ["preprocess", *every_night("train", "evaluate")])
def test_a_stage_needs_each_of_the_files_that_it_depends_on_and_no_other(
    stage: str, finished: Path, tmp_path: Path
) -> None:
    declared = read_yaml(finished / PIPELINE_FILE)["stages"][stage]["deps"]
    files = [path.replace("${data.source}", "data/raw/customers.csv") for path in declared]
    bare = tmp_path / "bare"
    vouching = [PIPELINE_FILE, LOCK_FILE]  # for the pickles that it reads: they can refuse, and change no result
    for path in ["params.yaml", "src/churn/config/params.py", *vouching, *files]:
        (bare / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(finished / path, bare / path)
    for folder in ("src/churn/tracking", "metrics/provenance"):
        shutil.copytree(finished / folder, bare / folder, dirs_exist_ok=True)
    command = read_yaml(finished / PIPELINE_FILE)["stages"][stage]["cmd"]
    for path in files:
        if path.endswith((".csv", ".pkl")):
            (bare / path).rename(bare / "aside")
            assert shell(bare)(command, check=False).returncode != 0, f"{stage} does without {path}"
            (bare / "aside").rename(bare / path)
    shell(bare)(command)
