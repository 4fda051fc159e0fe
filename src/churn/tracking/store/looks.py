"""Looks of `churn monitor` in MLflow: one run for each, found by its key, so that publishing can be repeated."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import mlflow
from mlflow.entities import Metric, Param, Run, RunTag, ViewType

from churn.runtime import lock
from churn.tracking.destination import Destination
from churn.tracking.record import COMMIT, FINGERPRINT, FINISHED
from churn.tracking.store.calls import (
    ENTRIES_A_CALL,
    faults_as_store_errors,
    milliseconds,
    open_client,
    open_experiment,
)

LOOK = "monitoring.look"
ROWS_A_CALL = 1000


def publish(destination: Destination, looks: Sequence[Mapping[str, Any]]) -> None:
    """Publish the looks that MLflow lacks, entries of the journal; deleted rows stay deleted.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    with faults_as_store_errors(), lock(destination.lock):
        client = open_client(destination)
        experiment_id = str(open_experiment(client, destination, destination.monitoring).experiment_id)
        rows = {row.data.tags[LOOK]: row for row in _rows(client, experiment_id)}
        for look in looks:
            row = rows.get(look["key"])
            if row is None or (row.info.status != FINISHED and row.info.lifecycle_stage != "deleted"):
                _show(client, experiment_id, look, row)


def _rows(client: mlflow.MlflowClient, experiment_id: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs(
            [experiment_id],
            filter_string=f"tags.`{LOOK}` != ''",
            run_view_type=ViewType.ALL,
            max_results=ROWS_A_CALL,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _show(client: mlflow.MlflowClient, experiment_id: str, look: Mapping[str, Any], begun: Run | None) -> None:
    when = milliseconds(datetime.fromisoformat(look["made"]).timestamp())
    name = f"{'alarm' if look['is_alarm'] else 'look'} {look['made'][:10]}"
    row = begun or client.create_run(experiment_id, start_time=when, run_name=name, tags={LOOK: look["key"]})
    metrics = [Metric(key, value, when, 0) for key, value in _metrics(look) if value is not None]
    parameters = [Param(key, str(look[key])) for key in ("source", "since", "until", "level", "looks_per_year")]
    tags = [RunTag(FINGERPRINT, look["fingerprint"]), RunTag("monitoring.alarms", "; ".join(_alarms(look))[:5000])]
    if look["commit"]:
        tags.append(RunTag(COMMIT, look["commit"]))
    for start in range(0, len(metrics), ENTRIES_A_CALL):
        client.log_batch(row.info.run_id, metrics=metrics[start : start + ENTRIES_A_CALL])
    client.log_batch(row.info.run_id, params=parameters, tags=tags)
    # Last, so that an ended run is complete.
    client.set_terminated(row.info.run_id, FINISHED, end_time=when)


def _alarms(look: Mapping[str, Any]) -> Iterator[str]:
    for check in look["checks"]:
        yield from (f"{check['name']}: {one['effect']}" for one in check["findings"] if one["is_alarm"])


def _metrics(look: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield "alarm", float(look["is_alarm"])
    for name in ("customers", "scored", "refused"):
        yield name, float(look[name])
    for bound, value in look["estimated_profit"].items():
        yield f"estimated_profit_per_1000{'' if bound == 'value' else f'_{bound}'}", value
    for check in look["checks"]:
        yield f"{check['name']}_alarm", float(check["is_alarm"])
        yield f"{check['name']}_p_value", check["p_value"]
        if check["findings"]:
            yield f"{check['name']}_shift", max(one["shift"] for one in check["findings"])
