"""Trials in MLflow: one run for each, below the run of their study, in a separate experiment.

A run is found by the study's key and the trial's number, so that publishing can be interrupted and repeated. Deleted
runs stay deleted.
"""

import time
from collections.abc import Mapping

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag, ViewType

from churn.runtime import lock
from churn.tracking.destination import Destination
from churn.tracking.record import FAILED, FINISHED
from churn.tracking.store.calls import (
    ENTRIES_A_CALL,
    faults_as_store_errors,
    milliseconds,
    open_client,
    open_experiment,
)
from churn.tracking.trials import StudyRow, TrialRow

STUDY, TRIAL, STATE, REASON = "tuning.study", "tuning.trial", "tuning.state", "tuning.reason"
CANDIDATE = "tuning.candidate"
PARENT = "mlflow.parentRunId"
WHOLE = "study"
"""Trial number of the study's own run."""
ROWS_A_CALL = 1000
FOLD = "fold"
LONGEST_VALUE = 6000
"""MLflow's limit for parameter values."""


def publish(destination: Destination, study: StudyRow) -> None:
    """Publish what MLflow lacks of a study.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    with faults_as_store_errors(), lock(destination.lock):
        client = open_client(destination)
        experiment = open_experiment(client, destination, destination.tuning)
        _StudyRows(client, str(experiment.experiment_id), study).bring_up_to_date()


class _StudyRows:
    def __init__(self, client: mlflow.MlflowClient, experiment_id: str, study: StudyRow) -> None:
        self._client, self._experiment_id, self._study = client, experiment_id, study
        self._rows = self._found()

    def _found(self) -> dict[str, Run]:
        """Runs of the study by trial, including deleted ones."""
        rows: dict[str, Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string=f"tags.`{STUDY}` = '{self._study.key}'",
                run_view_type=ViewType.ALL,
                max_results=ROWS_A_CALL,
                page_token=token,
            )
            for row in page:
                rows.setdefault(row.data.tags[TRIAL], row)
            token = page.token
            if not token:
                return rows

    def bring_up_to_date(self) -> None:
        started = min(trial.started for trial in self._study.trials)
        parent = self._row(WHOLE, self._study.name, started, {})
        if parent.info.lifecycle_stage == "deleted":
            return
        for trial in self._study.trials:
            self._show(trial, parent.info.run_id)
        ended = max(trial.ended for trial in self._study.trials)
        # With the present time: of two values with equal times MLflow shows the larger, not the later.
        metrics = self._metrics(self._study.metrics, time.time())
        self._log(parent, self._study.parameters, metrics, self._study.tags)
        self._client.set_terminated(parent.info.run_id, FINISHED, end_time=milliseconds(ended))

    def _show(self, trial: TrialRow, parent: str) -> None:
        row = self._row(str(trial.number), f"trial-{trial.number}", trial.started, {PARENT: parent})
        is_whole = row.info.status == FINISHED or (row.info.status == FAILED and trial.failed)
        if row.info.lifecycle_stage == "deleted" or is_whole:
            return
        when = milliseconds(trial.ended)
        by_fold = [Metric(FOLD, value, when, fold) for fold, value in trial.folds.items()]
        reason = {REASON: trial.reason or ""} if trial.reason or REASON in row.data.tags else {}
        said = {CANDIDATE: trial.candidate, STATE: trial.state, **reason}
        self._log(row, trial.parameters, [*self._metrics(trial.metrics, trial.ended), *by_fold], said)
        # Last, so that an ended run is complete.
        self._client.set_terminated(row.info.run_id, FAILED if trial.failed else FINISHED, end_time=when)

    def _row(self, trial: str, name: str, started: float, tags: dict[str, str]) -> Run:
        return self._rows.get(trial) or self._client.create_run(
            self._experiment_id,
            start_time=milliseconds(started),
            run_name=name,
            tags={STUDY: self._study.key, TRIAL: trial, **tags},
        )

    def _log(self, row: Run, parameters: Mapping[str, str], metrics: list[Metric], tags: Mapping[str, str]) -> None:
        given = [
            Param(name, value[:LONGEST_VALUE]) for name, value in parameters.items() if name not in row.data.params
        ]
        for start in range(0, max(len(given), 1), ENTRIES_A_CALL):
            self._client.log_batch(
                row.info.run_id,
                metrics=metrics if start == 0 else [],
                params=given[start : start + ENTRIES_A_CALL],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )

    def _metrics(self, metrics: Mapping[str, float], when: float) -> list[Metric]:
        return [Metric(name, value, milliseconds(when), 0) for name, value in metrics.items()]
