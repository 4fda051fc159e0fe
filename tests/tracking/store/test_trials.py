"""Trials in MLflow: rows below the row of their study; what is missing is added, nothing stands there twice."""

import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run, ViewType

from churn.tracking.destination import PATIENT_SETTINGS, Destination, StoreError
from churn.tracking.store.registry import open_registry
from churn.tracking.store.rows import open_store
from churn.tracking.store.trials import publish
from churn.tracking.trials import CHOSEN_BY, FLATTERY, Selection, StudyRow, TrialRow, show


@pytest.fixture
def destination(tmp_path: Path, migrated: Path) -> Destination:
    """A project's own store."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return Destination(f"sqlite:///{tmp_path}/mlflow.db", "churn", tmp_path)


def trial(number: int, state: str = "complete") -> TrialRow:
    return TrialRow(
        number=number,
        candidate=f"{number:016x}",
        state=state,
        failed=state == "failed",
        parameters={"train.estimator": "Tree", "train.params.max_depth": str(number)},
        metrics={"cv_pr_auc": 0.5 + number / 100, "duration": 1.5} if state == "complete" else {"duration": 1.5},
        folds={0: 0.5, 1: 0.7},
        reason="refused" if state == "failed" else None,
        started=100.0 + number,
        ended=101.5 + number,
    )


def study(*trials: TrialRow, key: str = "0123456789abcdef") -> StudyRow:
    return StudyRow(
        key,
        f"cv_pr_auc-{key[:7]}",
        {CHOSEN_BY: "a b c d"},
        {"objective": "cv_pr_auc"},
        {"best_cv_pr_auc": 0.51},
        trials,
    )


def rows(destination: Destination, view: int = ViewType.ACTIVE_ONLY) -> dict[str, Run]:
    client = mlflow.MlflowClient(destination.uri)
    experiment = client.get_experiment_by_name("churn-tuning")
    found = client.search_runs([experiment.experiment_id], run_view_type=view) if experiment else []
    assert len({run.info.run_name for run in found}) == len(found), "no row stands there twice"
    return {run.info.run_name: run for run in found}


def test_a_trial_is_a_row_below_its_study_with_all_that_is_known_of_it(destination: Destination) -> None:
    publish(destination, study(trial(0), trial(1, "pruned"), trial(2, "failed")))
    shown = rows(destination)
    parent = shown.pop("cv_pr_auc-0123456")
    assert parent.data.metrics == {"best_cv_pr_auc": 0.51}
    assert (parent.info.status, parent.info.start_time, parent.info.end_time) == ("FINISHED", 100_000, 103_500)
    assert {run.data.tags["mlflow.parentRunId"] for run in shown.values()} == {parent.info.run_id}
    assert {name: run.data.tags["tuning.state"] for name, run in shown.items()} == {
        "trial-0": "complete",
        "trial-1": "pruned",
        "trial-2": "failed",
    }
    first = shown["trial-0"]
    assert first.data.params == {"train.estimator": "Tree", "train.params.max_depth": "0"}
    assert first.data.metrics == {"cv_pr_auc": 0.5, "duration": 1.5, "fold": 0.7}
    history = mlflow.MlflowClient(destination.uri).get_metric_history(first.info.run_id, "fold")
    assert [(one.step, one.value) for one in history] == [(0, 0.5), (1, 0.7)]
    assert (shown["trial-2"].info.status, shown["trial-2"].data.tags["tuning.reason"]) == ("FAILED", "refused")


def known(destination: Destination, rows: str, number: int) -> Selection | None:
    return open_registry(open_store(destination)).selection(rows.split(), f"{number:016x}")


def flattering(euros: float, *trials: TrialRow, key: str = "0123456789abcdef") -> StudyRow:
    return replace(study(*trials, key=key), metrics={FLATTERY: euros, "complete_trials": float(len(trials))})


def test_whatever_a_search_tried_is_known_to_be_flattered_by_it(destination: Destination) -> None:
    assert known(destination, "a b c d", 0) is None
    publish(destination, flattering(80.0, trial(0), trial(1)))
    assert known(destination, "a b c d", 0) == known(destination, "a b c d", 1) == Selection(2, 80.0)
    assert known(destination, "a b c d", 2) is None


def test_more_trials_do_not_make_it_forgotten_what_was_tried_before(destination: Destination) -> None:
    publish(destination, flattering(80.0, trial(0)))
    publish(destination, flattering(70.0, trial(0), trial(1)))
    assert known(destination, "a b c d", 0) == Selection(2, 80.0), "as flattered as it ever seemed"


def test_a_table_that_has_grown_is_known_and_another_one_is_not(destination: Destination) -> None:
    publish(destination, flattering(80.0, trial(0)))
    assert known(destination, "a b c d e", 0) == Selection(1, 80.0)
    assert known(destination, "p q r s", 0) is None


def test_of_several_searches_the_one_that_flatters_most_counts_also_when_it_was_deleted(
    destination: Destination,
) -> None:
    publish(destination, flattering(80.0, trial(0)))
    publish(destination, flattering(120.0, trial(0), key="fedcba9876543210"))
    assert known(destination, "a b c d", 0) == Selection(1, 120.0)
    client = mlflow.MlflowClient(destination.uri)
    experiment = client.get_experiment_by_name("churn-tuning")
    for row in client.search_runs([experiment.experiment_id]):
        client.delete_run(row.info.run_id)
    assert known(destination, "a b c d", 0) == Selection(1, 120.0)


def test_of_a_study_the_latest_figures_are_shown_also_when_they_are_lower(destination: Destination) -> None:
    for value in (6.0, 4.0):
        publish(destination, replace(study(trial(0)), metrics={"present_cv_pr_auc": value}))
    assert rows(destination)["cv_pr_auc-0123456"].data.metrics == {"present_cv_pr_auc": 4.0}


def test_a_trial_that_failed_and_was_made_again_is_shown_as_it_ended(destination: Destination) -> None:
    publish(destination, study(trial(0, "failed")))
    publish(destination, study(trial(0)))
    (row,) = (row for name, row in rows(destination).items() if name == "trial-0")
    assert (row.info.status, row.data.tags["tuning.state"], row.data.tags["tuning.reason"]) == (
        "FINISHED",
        "complete",
        "",
    )


def test_the_experiment_of_states_and_that_of_executions_get_no_row(destination: Destination) -> None:
    publish(destination, study(trial(0)))
    assert {one.name for one in mlflow.MlflowClient(destination.uri).search_experiments()} <= {
        "Default",
        "churn-tuning",
    }


def test_what_is_missing_is_added_and_what_is_there_is_left(destination: Destination) -> None:
    publish(destination, study(trial(0)))
    before = rows(destination)["trial-0"]
    publish(destination, replace(study(trial(0), trial(1)), metrics={"best_cv_pr_auc": 0.6}))
    after = rows(destination)
    assert set(after) == {"cv_pr_auc-0123456", "trial-0", "trial-1"}
    assert after["trial-0"].to_dictionary() == before.to_dictionary()
    assert after["cv_pr_auc-0123456"].data.metrics == {"best_cv_pr_auc": 0.6}


@pytest.mark.parametrize("step", ["create_run", "log_batch", "set_terminated"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_broken_off_at_any_step_the_next_time_makes_it_whole(
    destination: Destination, step: str, call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    real = getattr(mlflow.MlflowClient, step)

    def breaking(self: mlflow.MlflowClient, *given: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError("gone")
        return real(self, *given, **named)

    given = study(trial(0), trial(1))
    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, step, breaking)
        with pytest.raises(StoreError):
            publish(destination, given)
    publish(destination, given)
    shown = rows(destination)
    assert {run.info.status for run in shown.values()} == {"FINISHED"}
    assert shown["trial-1"].data.metrics["cv_pr_auc"] == 0.51


def test_studies_do_not_mix(destination: Destination) -> None:
    publish(destination, study(trial(0)))
    publish(destination, study(trial(1), key="fedcba9876543210"))
    assert set(rows(destination)) == {"cv_pr_auc-0123456", "trial-0", "cv_pr_auc-fedcba9", "trial-1"}


@pytest.mark.parametrize("deleted", ["trial-0", "cv_pr_auc-0123456"])
def test_a_row_that_was_deleted_stays_deleted(destination: Destination, deleted: str) -> None:
    publish(destination, study(trial(0)))
    mlflow.MlflowClient(destination.uri).delete_run(rows(destination)[deleted].info.run_id)
    publish(destination, study(trial(0)))
    assert deleted not in rows(destination)
    assert len(rows(destination, ViewType.ALL)) == 2


def test_a_server_that_is_away_is_told_in_a_line(tmp_path: Path) -> None:
    reason = show(tmp_path, study(trial(0)))
    assert reason is not None
    assert reason.startswith("http://127.0.0.1:9: ")


def test_a_project_shows_its_trials_in_its_own_store(destination: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    for name, value in PATIENT_SETTINGS.items():
        monkeypatch.setenv(name, value)  # gone again after this test
    assert show(destination.root, study(trial(0))) is None
    assert "trial-0" in rows(destination)
