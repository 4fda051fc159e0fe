"""In a team: results that were not pulled or pushed, and a git that has stopped. Every command says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.history.git import unfinished_operation
from tests.helpers.command_line import Answer, churn
from tests.helpers.projects import made_once, shell
from tests.helpers.runs import rerun
from tests.helpers.states import edit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

TABLE = "data/raw/customers.csv"
COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "sync": ("sync",),
    "sync --strict": ("sync", "--strict"),
    "summary": ("summary",),
    "summary --json": ("summary", "--json"),
    "report": ("report", "--no-open"),
    "compare": ("compare",),
    "predict": ("predict", TABLE, "--output", "scores.csv"),
    "monitor": ("monitor", TABLE),
    "tune": ("tune", "--trials", "1"),
    "changes": ("changes",),
    "lineage": ("lineage", "models/churn_model.pkl"),
}


def told(command: str) -> Answer:
    """What a command prints, which has to be a failure in lines for people."""
    answer = churn(*COMMANDS[command])
    assert answer.code == 1, answer
    assert "Traceback" not in answer.err
    assert not Path("scores.csv").exists()
    return answer


@pytest.fixture
def cloned(finished: Path, tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a fresh clone of a project with its own cache; nothing was pulled yet."""
    clone = tmp_path / "clone"
    shell(tmp_path)(f"git clone --quiet {finished} {clone}")
    shutil.copy(migrated, clone / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(clone)
    return clone


def without_remote(clone: Path, original: Path) -> None:
    pass


def with_remote(clone: Path, original: Path) -> None:
    shell(clone)(f"dvc remote add --quiet --default storage {original}/.dvc/storage")


def with_a_remote_that_is_not_the_default(clone: Path, original: Path) -> None:
    shell(clone)(f"dvc remote add --quiet elsewhere {original}/.dvc/storage")


def with_cache(clone: Path, original: Path) -> None:
    shutil.copytree(original / ".dvc/cache", clone / ".dvc/cache")


SITUATIONS: dict[str, tuple[Callable[[Path, Path], None], str, str]] = {
    "no remote": (without_remote, "no DVC remote is configured here: ask the person who ran it", "checkout"),
    "a remote": (
        with_remote,
        "`dvc pull` brings them; if the remote lacks some, ask the person who ran it",
        "checkout",
    ),
    "another remote": (with_a_remote_that_is_not_the_default, "`dvc pull --remote elsewhere` brings them", "checkout"),
    "the cache": (with_cache, "`dvc checkout` brings them from DVC's cache", "dvc pull"),
}
ANSWER_FROM_GIT = {"changes"}
"""Commands that need nothing but what git has."""


@pytest.mark.usefixtures("cloned")
def test_before_anything_was_pulled_every_command_says_so() -> None:
    for command in COMMANDS.keys() - ANSWER_FROM_GIT:
        answer = told(command)
        shown = answer.out + answer.err
        assert "recorded in dvc.lock, but not here" in shown, command
        assert "no DVC remote is configured here" in shown, command


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_step_that_helps_is_named(cloned: Path, finished: Path, situation: str) -> None:
    prepare, step, other = SITUATIONS[situation]
    prepare(cloned, finished)
    answer = told("compare")
    assert step in answer.err
    assert other not in answer.err
    assert len(answer.err.splitlines()) == 1


def test_figures_that_git_has_are_published_and_the_state_is_complete_once_it_is_pulled(
    cloned: Path, finished: Path
) -> None:
    with_remote(finished, finished)
    shell(finished)("dvc push --quiet")
    with_remote(cloned, finished)
    assert told("status").err.count("dvc pull") == 1
    assert "published; its model: not in the cache" in churn("sync", "--all").out
    shell(cloned)("dvc pull --quiet")
    assert churn("summary").code == churn("report", "--no-open").code == churn("changes").code == 0
    assert churn("sync", "--strict").code == churn("status", "--strict").code == 0


def test_what_a_remote_lacks_after_a_pull_is_named_with_who_can_help(cloned: Path, finished: Path) -> None:
    with_remote(finished, finished)
    shell(finished)("dvc push --quiet models/churn_model.pkl")
    with_remote(cloned, finished)
    assert shell(cloned)("dvc pull --quiet", check=False).returncode == 1
    answer = told("compare")
    assert "models/churn_model.pkl" not in answer.err
    assert "if the remote lacks some, ask the person who ran it to `dvc push`" in answer.err


def test_a_table_that_was_not_pulled_leaves_the_state_what_it_is(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    run = shell(finished)
    run(f"git rm --quiet --cached {TABLE} && dvc add --quiet {TABLE} && git add --all && git commit --quiet -m tracked")
    known = churn("status", "--json").out
    (finished / TABLE).unlink()
    assert churn("status", "--json").out == known
    assert churn("summary").code == 0


def test_a_commit_whose_results_nobody_pushed_is_told_with_what_computes_them(cloned: Path) -> None:
    answer = churn("promote", "HEAD")
    assert answer.code == 1
    for part in ("models/out_of_fold.csv is not in the cache", "`dvc fetch", "if it was pushed", "--compute` computes"):
        assert part in answer.err


STOPPED = {
    "merge": "git merge bob",
    "rebase": "git rebase bob",
    "cherry-pick": "git cherry-pick bob",
    "revert": "git revert --no-edit HEAD~1",
}


@pytest.fixture
def branches(finished: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """A project whose branches `ann`, with two states, and `bob` have changed different parameters, and have run."""

    def make(folder: Path) -> None:
        shutil.copytree(finished, folder, symlinks=True, dirs_exist_ok=True)
        run = shell(folder)
        for branch, old, new in (
            ("bob", "offer_cost: 10.0", "offer_cost: 15.0"),
            ("ann", "C: 1.0", "C: 0.1"),
            ("ann", "calibration_bins: 5", "calibration_bins: 4"),
        ):
            run(f"git checkout --quiet {branch} || git checkout --quiet -b {branch} main; dvc checkout --quiet")
            edit(folder / "params.yaml", old, new)
            rerun(folder, "train", "evaluate")
            run(f"git commit --quiet --all --message '{new}'")

    made = made_once(tmp_path_factory, "branches", make)
    copied = shutil.copytree(made, tmp_path / "branches", symlinks=True)
    shutil.copy(migrated, copied / "mlflow.db")
    return copied


@pytest.fixture
def stopped(branches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a merge that has stopped at conflicts."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(branches)
    assert shell(branches)("git merge bob", check=False).returncode == 1
    return branches


@pytest.mark.usefixtures("stopped")
def test_in_the_middle_of_a_conflict_every_command_says_so() -> None:
    for command in COMMANDS.keys() - {"lineage"}:
        answer = told(command)
        assert "git has stopped at a merge, so results in this folder can be of either side" in answer.err, command
        for step in ("`git status`", "`dvc repro`", "`git add --all`"):
            assert step in answer.err, command
        assert "EUR" not in answer.out, "no figure"
        assert "gone" not in answer.out, command


@pytest.mark.parametrize("operation", STOPPED)
def test_every_operation_that_stops_is_told(branches: Path, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(branches)
    assert unfinished_operation(branches) is None
    assert shell(branches)(STOPPED[operation], check=False).returncode == 1
    assert unfinished_operation(branches) == operation
    assert f"git has stopped at a {operation}" in told("summary").err
    shell(branches)(f"git {operation} --abort && dvc checkout --quiet")
    assert unfinished_operation(branches) is None
    assert churn("summary").code == 0


def test_a_merge_is_finished_as_the_message_says(stopped: Path) -> None:
    assert "dvc.lock" in shell(stopped)("git status --short").stdout
    rerun(stopped, "train", "evaluate")
    assert churn("summary").code == 0, "the results are those of the merged parameters"
    assert churn("changes", "ann").code == 0
    shell(stopped)("git add --all && git commit --quiet --no-edit")
    assert churn("status").code == 0
    assert churn("compare", "HEAD^1", "HEAD").code == 0


def test_a_conflict_inside_the_parameters_is_told_with_its_line(
    branches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(branches)
    run = shell(branches)
    edit(branches / "params.yaml", "offer_cost: 10.0", "offer_cost: 20.0")
    rerun(branches, "train", "evaluate")
    run("git commit --quiet --all --message 20")
    run("git merge bob", check=False)
    number = (branches / "params.yaml").read_text().splitlines().index("<<<<<<< HEAD") + 1
    for command in ("status", "summary", "compare", "predict", "tune", "monitor", "changes"):
        assert f"params.yaml: line {number}: a conflict that git has stopped at" in told(command).err
