"""`churn tune` in a project: what it tries, keeps, takes up again, says and writes, and what it never opens."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from churn import files
from churn.commands.tune import search, study, workers
from churn.commands.tune.result import Result, as_rows, value_of
from churn.commands.tune.study import EndedTrial, TrialOutcome
from churn.config.params import PARAMS_FILE, read_yaml
from churn.config.search_space import Candidate
from churn.errors import ChurnError, ParameterError
from churn.model.estimators import OF_TRAIN
from churn.tracking.trials import FLATTERY
from tests.helpers.bombs import Bomb
from tests.helpers.projects import NO_SERVER, made_once, shell
from tests.helpers.states import edit

pytestmark = pytest.mark.slow

LINE, TREE = "sklearn.linear_model.LogisticRegression", "sklearn.tree.DecisionTreeClassifier"
QUIET = {"MLFLOW_TRACKING_URI": NO_SERVER}


@pytest.fixture
def root(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose pipeline has run, as the current folder."""
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture(scope="session")
def _searches_once(_finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two searches: one from the present parameters, one from weak ones."""

    def make(folder: Path) -> None:
        project = shutil.copytree(_finished_once / "project", folder / "project", symlinks=True)
        tune(project)
        better(project)

    return made_once(tmp_path_factory, "searches", make) / "project/.churn/tuning"


@pytest.fixture
def searched(root: Path, _searches_once: Path) -> Path:
    """The project, in which `tune` and `better` have searched already and only have to look up what they found."""
    shutil.copytree(_searches_once, root / ".churn/tuning")
    return root


def ignoring(*_: object) -> None:
    """Nobody watches."""


def tune(root: Path, trials: int = 6, jobs: int = 1, estimator: str | None = None) -> Result:
    return search.run(search.prepare(root, trials=trials, estimator=estimator), jobs, ignoring)


def told(result: Result) -> list[tuple[Any, ...]]:
    """All of the trials but when they were."""
    return [(one.number, one.outcome, one.candidate, one.value, dict(one.by_fold)) for one in result.ended]


def test_trials_are_of_the_space_and_the_present_parameters_are_the_ones_to_beat(root: Path) -> None:
    result = tune(root, 12)
    assert {one.candidate.estimator for one in result.ended} == {LINE, TREE}
    assert [one.number for one in result.ended] == list(range(12))
    metrics = files.read_json(files.TRAIN_METRICS)
    assert round(result.present, 6) == metrics["train_profit_per_1000"]
    assert all(one.value is not None for one in result.ended if one.outcome is TrialOutcome.COMPLETE)
    assert result.ranking[0].value == max(one.value for one in result.ended if one.value is not None)


def test_a_search_is_the_same_whenever_it_is_made(searched: Path) -> None:
    first = tune(searched)
    shutil.rmtree(searched / ".churn/tuning")
    again = tune(searched)
    assert told(again) == told(first)
    assert again.gain == first.gain


def test_interrupted_anywhere_it_goes_on_as_if_it_had_not_been(searched: Path) -> None:
    root = searched
    whole = tune(root)
    shutil.rmtree(root / ".churn/tuning")

    def interrupt_after(number: int) -> search.OnTrial:
        def watch(ended: EndedTrial, best: float, left: int) -> None:
            if ended.number == number:
                raise KeyboardInterrupt

        return watch

    for number in (0, 3):
        with pytest.raises(KeyboardInterrupt):
            search.run(search.prepare(root, trials=6), 1, interrupt_after(number))
    assert told(tune(root)) == told(whole)


def test_more_trials_continue_the_study_and_fewer_judge_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tune(root, 4)
    more = tune(root, 6)
    assert told(more)[:4] == told(first)
    monkeypatch.setattr(workers, "Worker", None)  # none is hired
    assert told(tune(root, 4)) == told(more)


def test_with_several_jobs_every_trial_is_made_once(root: Path) -> None:
    assert [one.number for one in tune(root, 8, jobs=3).ended] == list(range(8))


def test_one_estimator_can_be_searched_alone(root: Path) -> None:
    assert {one.candidate.estimator for one in tune(root, 4, estimator=TREE).ended} == {TREE}
    with pytest.raises(
        ParameterError, match=r"--estimator 'Tree': not in tune.space of params.yaml, which has sklearn"
    ):
        search.prepare(root, estimator="Tree")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("objective: profit", "objective: pr_auc"),
        ("high: 10.0", "high: 11.0"),
        ("customer_value: 200.0", "customer_value: 201.0"),
        ("folds: 3", "folds: 4"),
        ("threshold: profit", "threshold: 0.5"),
        ("params: {C: 1.0}", "params: {C: 1.0, tol: 0.001}"),
        ("seed: 7", "seed: 8"),
        ("[gini, entropy]", "[entropy, gini]"),
    ],
)
def test_what_decides_a_value_starts_another_study(root: Path, old: str, new: str) -> None:
    before = search.prepare(root).key
    edit(root / PARAMS_FILE, old, new)
    assert search.prepare(root).key != before


def test_what_is_only_to_be_beaten_starts_no_other_study(root: Path) -> None:
    before = search.prepare(root).key
    edit(root / PARAMS_FILE, "params: {C: 1.0}", "params: {C: 0.5}")
    assert search.prepare(root, trials=99).key == before


def test_pr_auc_can_be_raised_as_well(root: Path) -> None:
    edit(root / PARAMS_FILE, "objective: profit", "objective: pr_auc")
    result = tune(root, 3)
    assert round(result.present, 6) == files.read_json(files.TRAIN_METRICS)["cv_pr_auc"]
    assert FLATTERY in as_rows(result).metrics, "in euros, for promotions, also when PR-AUC chose"


def test_what_being_chosen_flatters_is_what_the_correction_takes_away(searched: Path) -> None:
    result = tune(searched, 6)
    assert result.best is not None
    assert result.gain is not None
    gained = value_of(result.best) - result.present
    flattery = as_rows(result).metrics[FLATTERY]
    assert flattery == pytest.approx(gained - result.gain.mean)
    search.apply(result)
    applied = tune(searched, 6)
    assert applied.best is None, "the best is the present one now"
    assert as_rows(applied).metrics[FLATTERY] > 0, "and has been chosen all the same"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("max_depth:", "depth:", f"tune.space.{TREE}.depth: {TREE} has no such argument; it accepts "),
        (TREE, "sklearn.tree.Oak", "tune.space.sklearn.tree.Oak: cannot import 'sklearn.tree.Oak' "),
        (TREE, "sklearn.tree.DecisionTreeRegressor", "tune.space.sklearn.tree.DecisionTreeRegressor: "),
        ("params: {C: 1.0}", "params: {D: 1.0}", f"train.params.D: {LINE} has no such argument"),
    ],
)
def test_what_cannot_be_tried_is_told_by_its_key_before_anything_runs(
    root: Path, old: str, new: str, line: str
) -> None:
    edit(root / PARAMS_FILE, old, new)
    with pytest.raises(ParameterError, match=f"^params.yaml: {line}"):
        search.prepare(root)
    assert not (root / ".churn/tuning").exists()


def test_a_value_that_the_estimator_refuses_fails_its_trial_alone(root: Path) -> None:
    edit(root / PARAMS_FILE, "criterion: [gini, entropy]", "criterion: [gini, wrong]")
    result = tune(root, 12)
    failed = [one for one in result.ended if one.outcome is TrialOutcome.FAILED]
    assert {one.candidate.arguments["criterion"] for one in failed} == {"wrong"}
    assert all(
        str(one.reason).startswith(f"params.yaml: tune.space.{TREE}: rejected by DecisionTree") for one in failed
    )
    assert result.counts()["failed"] == len(failed) < 12


def test_when_all_trials_fail_the_reason_is_told(root: Path) -> None:
    edit(root / PARAMS_FILE, "criterion: [gini, entropy]", "criterion: [wrong]")
    with pytest.raises(ChurnError, match=r"all 3 trials failed, the last one: params\.yaml: tune\.space"):
        tune(root, 3, estimator=TREE)


def test_data_of_other_parameters_are_not_searched(root: Path) -> None:
    edit(root / PARAMS_FILE, "test_share: 0.3", "test_share: 0.4")
    with pytest.raises(
        ChurnError, match=r"data/processed: does not belong to the present .*; run `dvc repro preprocess`"
    ):
        search.prepare(root)


def test_an_edited_training_file_is_not_searched(root: Path) -> None:
    path = root / files.Y_TRAIN
    content = path.read_text()
    path.unlink()
    path.write_text(content.replace("1\n", "0\n", 1))
    with pytest.raises(ChurnError, match="run `dvc repro preprocess`"):
        search.prepare(root)


TEST_SIDE = (files.TEST_ROWS, files.X_TEST, files.Y_TEST, files.TEST_PREDICTIONS)
WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
from churn.cli.main import app
try:
    app(["tune", "--trials", "2"])
finally:
    print("\\n".join(opened), file=open(sys.argv[1], "w"))
"""


def test_test_rows_are_not_opened(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "opened"
    subprocess.run([sys.executable, "-c", WATCHED, str(log)], env=os.environ | QUIET, check=True)
    opened = log.read_text()
    assert str(files.TRAIN_ROWS) in opened
    assert not [path for path in TEST_SIDE if path.name in opened]


def test_without_any_test_row_the_search_is_the_same(root: Path) -> None:
    """Neither this process nor a worker can have read what is not there."""
    first = tune(root, 3)
    shutil.rmtree(root / ".churn/tuning")
    for path in TEST_SIDE:
        (root / path).unlink()
    assert told(tune(root, 3)) == told(first)


def tune_with(worker: type[workers.Worker], root: Path, trials: int, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Search once with other workers."""
    with monkeypatch.context() as patched:
        patched.setattr(workers, "Worker", worker)
        return tune(root, trials)


class Mortal(workers.Worker):
    """Its process is killed when it is given its third fold."""

    given = 0

    def give(self, *task: Any) -> None:
        super().give(*task)
        Mortal.given += 1
        if Mortal.given == 3 + 3:  # the present parameters come first, in three folds
            self._process.kill()


def test_a_trial_whose_process_is_killed_fails_and_the_others_go_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tune_with(Mortal, root, 4, monkeypatch)
    assert [one.outcome is TrialOutcome.FAILED for one in result.ended] == [True, False, False, False]
    assert result.ended[0].reason == "its process ended with exit code -9 (out of memory?)"
    again = tune(root, 4)
    assert [one.outcome is TrialOutcome.FAILED for one in again.ended] == [False] * 4, "the same command makes it again"
    assert told(again)[1:] == told(result)[1:]


class Short(workers.Worker):
    """Memory is short when it takes its third fold."""

    taken = 0

    def take(self) -> Any:
        Short.taken += 1
        found = super().take()
        if Short.taken == 3 + 3:
            raise workers.PassingFoldError("memory was short")
        return found


def test_a_trial_that_fails_for_want_of_memory_is_made_again_and_until_then_not_published(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tune_with(Short, root, 2, monkeypatch)
    assert [one.outcome for one in result.ended] == [TrialOutcome.FAILED, TrialOutcome.COMPLETE]
    assert [one.number for one in as_rows(result).trials] == [1]
    assert tune(root, 2).ended[0].outcome is not TrialOutcome.FAILED


@pytest.mark.parametrize("fault", [MemoryError(), OSError(28, "No space left on device"), ImportError("no module")])
def test_what_a_machine_lacks_says_nothing_about_the_candidate(
    root: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise fault

    plan = search.prepare(root, trials=1)
    monkeypatch.setattr(LogisticRegression, "fit", failing)
    answer = workers._answer(plan.material, plan.present, 0, OF_TRAIN)
    assert isinstance(answer, workers.PassingFoldError)


def test_a_process_that_is_killed_while_it_waits_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle(workers.Worker):
        def give(self, *task: Any) -> None:
            self._process.kill()
            self._process.join()
            super().give(*task)

    monkeypatch.setattr(workers, "Worker", Idle)
    assert told(tune(root, 1))[0][1] is TrialOutcome.COMPLETE


def test_two_searches_do_not_work_on_one_study(root: Path) -> None:
    def second(ended: EndedTrial, best: float, left: int) -> None:
        with pytest.raises(ChurnError, match="another `churn tune` is using this study"):
            tune(root)

    search.run(search.prepare(root, trials=1), 1, second)


def test_a_study_that_cannot_be_read_is_told_in_a_line(root: Path) -> None:
    path = root / ".churn/tuning" / f"{search.prepare(root).key}.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database, but longer than the header of one" * 100)
    with pytest.raises(ChurnError, match=r"\.db: file is not a database; if the file is damaged, remove it") as refused:
        tune(root)
    assert "\n" not in str(refused.value)


def test_predictions_that_are_gone_are_made_again(root: Path) -> None:
    first = tune(root, 3)
    for path in (root / ".churn/tuning").glob("*/*.npy"):
        path.unlink()
    assert told(tune(root, 3)) == told(first)


def better(root: Path) -> Result:
    """A search from parameters that are easily beaten."""
    edit(root / PARAMS_FILE, "params: {C: 1.0}", "params: {C: 0.0001}  # weak")
    return tune(root, 8, estimator=LINE)


def test_the_best_is_written_in_place_and_then_nothing_better_is_found(searched: Path) -> None:
    result = better(searched)
    assert result.best is not None
    before = (searched / PARAMS_FILE).read_text()
    assert search.apply(result)
    best = result.best.candidate.arguments["C"]
    assert (searched / PARAMS_FILE).read_text() == before.replace("{C: 0.0001}  ", f"{{C: {best}}}    ")
    again = tune(searched, 8, estimator=LINE)
    assert again.present == result.best.value
    assert again.new is None
    assert not search.apply(again)
    assert "no trial is better than the present parameters" in again.as_text()


def test_a_params_file_that_is_a_link_stays_one(searched: Path) -> None:
    path, kept = searched / PARAMS_FILE, searched / "kept.yaml"
    path.rename(kept)
    path.symlink_to(kept.name)
    result = better(searched)
    kept.chmod(0o600)
    assert search.apply(result)
    assert path.is_symlink()
    assert kept.read_text() == result.new
    assert kept.stat().st_mode & 0o777 == 0o600


def test_an_edit_during_the_search_is_not_lost(searched: Path) -> None:
    result = better(searched)
    edit(searched / PARAMS_FILE, "# weak", "# mine")
    with pytest.raises(ChurnError, match="was edited while the search ran"):
        search.apply(result)
    assert "# mine" in (searched / PARAMS_FILE).read_text()


def test_what_is_said_names_both_gains_and_the_diff(searched: Path) -> None:
    result = better(searched)
    text = result.as_text()
    assert result.best is not None
    assert f"{result.present:,.2f} EUR per 1,000 customers (train_profit_per_1000, out of fold)" in text
    assert f"best       {result.best.value:,.2f}, trial {result.best.number}: " in text
    assert "after correction for selection bias, 95% interval " in text
    assert "trials     8: " in text
    assert f"+  params: {{C: {result.best.candidate.arguments['C']}}}" in text
    content = json.loads(result.as_json())
    assert content["best"]["arguments"] == result.best.candidate.arguments
    assert len(content["trials"]) == 8


def churn_tune(root: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["churn", "tune", *options],
        cwd=root,
        env=os.environ | QUIET | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_until(holds: Callable[[], bool]) -> bool:
    for _ in range(600):
        if holds():
            return True
        time.sleep(0.05)
    return False


def trials_on_disk(root: Path) -> int:
    for path in (root / ".churn/tuning").glob("*.db"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return int(connection.execute("select count(*) from trials").fetchone()[0])
    return 0


def wait_for(trials: int, root: Path) -> bool:
    return wait_until(lambda: trials_on_disk(root) >= trials)


def is_there(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.long
def test_killed_in_the_middle_it_goes_on_as_if_it_had_not_been(root: Path) -> None:
    whole = tune(root, 40)
    shutil.rmtree(root / ".churn/tuning")
    for trials in (3, 10):
        running = churn_tune(root, "--trials", "40")
        assert wait_for(trials, root)
        running.kill()
        running.communicate()
    assert told(tune(root, 40)) == told(whole)


def test_ctrl_c_leaves_no_process_behind_and_says_how_to_go_on(root: Path) -> None:
    running = churn_tune(root, "--trials", "5000")
    assert wait_for(2, root)
    os.killpg(running.pid, signal.SIGINT)
    out, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert out == ""
    assert said.splitlines()[-1] == "interrupted; finished trials are kept; the same command resumes the study"
    assert wait_until(lambda: not is_there(running.pid))


@pytest.mark.long
def test_after_apply_and_repro_the_metrics_hold_the_value_that_was_told(root: Path) -> None:
    edit(root / PARAMS_FILE, "params: {C: 1.0}", "params: {C: 0.0001}")
    run = shell(root)
    content = json.loads(run("churn tune --trials 8 --json", **QUIET).stdout)
    applied = run("churn tune --trials 8 --apply", **QUIET)
    assert applied.stderr.splitlines()[-2] == "params.yaml is written; next: dvc repro"
    assert read_yaml(root / PARAMS_FILE)["train"]["params"] == content["best"]["arguments"]
    run("dvc repro", **QUIET)
    assert files.read_json(root / files.TRAIN_METRICS)["train_profit_per_1000"] == content["best"]["value"]
    assert run("git status --porcelain .churn").stdout == ""


def test_a_server_that_is_away_costs_one_line_and_nothing_else(root: Path) -> None:
    done = shell(root)("churn tune --trials 2", **QUIET)
    warned = [line for line in done.stderr.splitlines() if "MLflow" in line]
    assert len(warned) == 1
    assert warned[0].startswith("not published to MLflow: http://127.0.0.1:9: ")


def test_without_optuna_one_line_says_how_to_get_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from churn.cli import running

    monkeypatch.setattr(running, "find_spec", lambda name: None)
    with pytest.raises(ChurnError, match=r"^optuna is not installed; `make tune` installs it and runs the search$"):
        running.tune()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trials SET datetime_start = NULL",
        "UPDATE trial_user_attributes SET value_json = '1'",
        "UPDATE trial_user_attributes SET value_json = '{'",
        "UPDATE trial_intermediate_values SET intermediate_value = 'x'",
        "DELETE FROM trial_user_attributes",
    ],
)
def test_a_study_with_other_values_is_refused_by_name(searched: Path, change: str) -> None:
    for path in (searched / study.FOLDER).glob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            database.execute(change)
            database.commit()
    with pytest.raises(ChurnError, match=r"\.db: not as `churn tune` wrote it \(.*\); remove it"):
        tune(searched)


def test_kept_predictions_are_numbers_and_never_unpickled(tmp_path: Path) -> None:
    candidate = Candidate("sklearn.tree.DecisionTreeClassifier", {"max_depth": 2})
    mark = tmp_path / "ran"
    with study.open_study(tmp_path, "key", {}, {}, 1, 2) as opened:
        opened.keep(candidate, np.array([0.25, 0.5]))
        np.testing.assert_array_equal(opened.predictions(candidate), [0.25, 0.5])
        (kept,) = tmp_path.rglob("*.npy")
        for other in (np.array([Bomb(mark)], dtype=object), np.array([0.5]), np.array([0.5, 2.0])):
            np.save(kept, other, allow_pickle=True)
            with pytest.raises(ChurnError, match=r"\.npy: damaged; remove "):
                opened.predictions(candidate)
    assert not mark.exists()
