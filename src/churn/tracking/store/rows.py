"""MLflow runs (rows): one for each state, found by its fingerprint, and one for each execution, in another experiment.

Modules that import mlflow are themselves imported late, because that takes a second. Every operation can be interrupted
and repeated: it looks up what exists and adds what is missing.
"""

import json
import math
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    FileInfo,
    InputTag,
    LoggedModel,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from churn import files
from churn.drafts import temporary_folder
from churn.runtime import lock
from churn.tracking import record
from churn.tracking.destination import Destination, StoreError
from churn.tracking.record import (
    COMMIT,
    COMPLETE,
    DESCRIPTION,
    DIGEST,
    DVC_EXPERIMENT,
    EDITED,
    EDITED_FILES,
    FAILED,
    FINGERPRINT,
    FINISHED,
    MODEL_MD5,
    MODEL_NOTE,
    RUNNING,
    SOURCE,
    SOURCE_COMMIT,
    SOURCE_KIND,
    USER,
    Execution,
    Experiment,
    ModelNote,
    Record,
    is_outdated,
    standing,
    user_name,
)
from churn.tracking.store import model_file
from churn.tracking.store.calls import (
    CLIENT_ERRORS,
    ENTRIES_A_CALL,
    default_store,
    faults_as_store_errors,
    if_there,
    milliseconds,
    open_client,
    open_experiment,
)
from churn.tracking.store.database import prepare_database
from churn.tracking.store.model_file import MODEL_FILES, ContentOf
from churn.tracking.store.places import lay_out_file, require_apart_from_project
from churn.tracking.store.versions import Versions

OF_ITS_NAME = frozenset({COMMIT, EDITED, EDITED_FILES, DVC_EXPERIMENT, DESCRIPTION, SOURCE_COMMIT, USER})
"""Tags that go with a row's name."""
RECORD, ENDED = "churn.record", "churn.ended"
"""Tags with the record of an execution, and with the time of the latest status of a state's run."""


@dataclass(frozen=True)
class Store:
    """A destination with both of its experiments open."""

    destination: Destination
    client: mlflow.MlflowClient
    experiment_id: str
    executions_id: str
    identity: str
    """Changes if the store or its experiment is recreated."""

    def publish(self, given: Record, content_of: ContentOf) -> None:
        """Update the run of the experiment and add the execution.

        Raises:
            StoreError: the store refuses, or is unavailable.
        """
        with faults_as_store_errors(), lock(self.destination.lock):
            self._bring_up_to_date(given, content_of)
            # After the row, so that `was_deleted` can tell.
            if given.execution is not None:
                self._add_execution(given, given.execution)

    def complete_row(self, fingerprint: str) -> Run | None:
        """The complete run of an experiment."""
        with faults_as_store_errors():
            complete = [row for row in self._rows(fingerprint) if row.data.tags.get(COMPLETE) == "true"]
            return complete[0] if complete else None

    def was_deleted(self, fingerprint: str) -> bool:
        """Whether the run of an experiment was deleted, and there is no other.

        `mlflow gc` leaves nothing of a deleted run, but the executions of its stages, which are shown after it.
        """
        of_state = f"tags.`{FINGERPRINT}` = '{fingerprint}'"
        with faults_as_store_errors():
            if rows := self._rows(fingerprint, ViewType.ALL):
                return all(row.info.lifecycle_stage == "deleted" for row in rows)
            return bool(self.client.search_runs([self.executions_id], of_state, ViewType.ALL, max_results=1))

    def rows_tagged(self, tag: str, value: str) -> list[Run]:
        """Runs with a value of a tag."""
        with faults_as_store_errors():
            found = self.client.search_runs([self.experiment_id], filter_string=f"tags.`{tag}` = '{value}'")
            return list(found)

    def row(self, run_id: str) -> Run | None:
        """A run by its id; None if there is none."""
        return if_there(lambda: self.client.get_run(run_id))

    def experiment(self, name: str) -> mlflow.entities.Experiment | None:
        """An experiment by name; None if there is none."""
        return if_there(lambda: self.client.get_experiment_by_name(name))

    def files_of_version(self, version: ModelVersion) -> set[str]:
        """Names of the files in the folder of a version's model; empty if the folder or the model was deleted."""
        model = self.versions.logged_model_of(version)
        with faults_as_store_errors():
            return self._listed(partial(self.client.list_logged_model_artifacts, model.model_id)) if model else set()

    @property
    def versions(self) -> Versions:
        """Registered versions."""
        return Versions(self.client)

    def versions_of(self, fingerprint: str) -> list[ModelVersion]:
        """Registered versions of a state's models, also those whose run was deleted."""
        with faults_as_store_errors():
            runs = [row.info.run_id for row in self._rows(fingerprint, ViewType.ALL)]
        return self.versions.of_state(fingerprint, runs)

    def _rows(self, fingerprint: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        """Runs of an experiment, complete ones first, then the oldest."""
        found = self.client.search_runs(
            [self.experiment_id], filter_string=f"tags.`{FINGERPRINT}` = '{fingerprint}'", run_view_type=view
        )
        return sorted(
            found, key=lambda row: (row.data.tags.get(COMPLETE) != "true", row.info.start_time, row.info.run_id)
        )

    def _only_row(self, fingerprint: str) -> Run | None:
        """The run of an experiment; a second one, created by another machine, is deleted."""
        rows = self._rows(fingerprint)
        for other in rows[1:]:
            self.client.delete_run(other.info.run_id)
        return rows[0] if rows else None

    def _find_or_create(self, given: Record) -> Run:
        experiment = given.experiment
        row = self._only_row(experiment.fingerprint)
        if row is not None:
            return row
        self.client.create_run(
            self.experiment_id,
            start_time=milliseconds(given.started),
            run_name=experiment.name,
            tags={FINGERPRINT: experiment.fingerprint, COMPLETE: "false"},
        )
        made = self._only_row(experiment.fingerprint)
        if made is None:
            raise StoreError("a run that was just created is missing", refused=False)
        return made

    def _bring_up_to_date(self, given: Record, content_of: ContentOf) -> None:
        experiment = given.experiment
        row = self._find_or_create(given)
        run_id = row.info.run_id
        measured = given.execution.measurements if given.execution else {}
        ended = milliseconds(given.moment)
        tags = row.data.tags
        older = ended < int(tags.get(ENDED, 0))
        if tags.get(COMPLETE) == "true" and (
            older or experiment.status != FINISHED or tags.get(DIGEST) == experiment.digest
        ):
            if tags.get(DIGEST) == experiment.digest:
                self._bring_back(row, experiment, content_of)
                if is_outdated(tags, experiment.tags):
                    self._log_name_and_tags(row, experiment.name, experiment.tags)
                    self._log_files(run_id, experiment, content_of)  # the report names its commit
            self._log_metrics(row, measured, given.moment)
            return  # everything else is logged already
        self._log_parameters(row, experiment.parameters)
        model_id = self._find_or_log_model(row, experiment, content_of)
        self._log_metrics(row, {**experiment.metrics, **measured}, given.moment, model_id)
        self._log_dataset(run_id, experiment.dataset)
        self._log_files(run_id, experiment, content_of)
        if experiment.status == FINISHED or not older:
            self._set_status(run_id, experiment.status, ended if given.execution else _ended(row))
            # Last, so that a run is marked complete only when everything is logged.
            said = {**experiment.tags, ENDED: str(ended), DIGEST: experiment.digest}
            if tags.get(MODEL_NOTE) == ModelNote.SHOWN and tags.get(MODEL_MD5) == said.get(MODEL_MD5):
                # Another machine published the model, which is not available here.
                said[MODEL_NOTE] = ModelNote.SHOWN.value
            self._log_name_and_tags(row, experiment.name, said)
        self._only_row(experiment.fingerprint)

    def _log_name_and_tags(self, row: Run, name: str, tags: Mapping[str, str]) -> None:
        """Log what people read; a name that refers to more than the given one stays, with the tags that go with it."""
        shown, run_id = row.data.tags, row.info.run_id
        if standing(shown) > standing(tags):
            tags = {tag: value for tag, value in tags.items() if tag not in OF_ITS_NAME}
        else:
            if row.info.run_name != name:
                self.client.update_run(run_id, name=name)
            for tag in OF_ITS_NAME & shown.keys() - tags.keys():
                self.client.delete_tag(run_id, tag)
        changed = [RunTag(tag, value) for tag, value in tags.items() if shown.get(tag) != value]
        self.client.log_batch(run_id, tags=changed)

    def _log_parameters(self, row: Run, parameters: Mapping[str, str]) -> None:
        # Values that DVC considers equal can differ in form (1, 1.0), and MLflow parameters cannot be changed.
        absent = [Param(name, value) for name, value in parameters.items() if name not in row.data.params]
        for start in range(0, len(absent), ENTRIES_A_CALL):
            self.client.log_batch(row.info.run_id, params=absent[start : start + ENTRIES_A_CALL])

    def _log_metrics(self, row: Run, metrics: Mapping[str, float], when: float, model_id: str | None = None) -> None:
        """Log metrics that the run lacks; a metric that is new to it is logged for the model, too.

        Always with the time of measurement: of two values MLflow shows the later one, whichever was logged first.
        """
        known = row.data.metrics
        logged = [
            Metric(name, value, milliseconds(when), 0, model_id=None if name in known else model_id)
            for name, value in metrics.items()
            if not _equal(known.get(name), value)
        ]
        for start in range(0, len(logged), ENTRIES_A_CALL):
            self.client.log_batch(row.info.run_id, metrics=logged[start : start + ENTRIES_A_CALL])

    def _log_dataset(self, run_id: str, dataset: record.Dataset | None) -> None:
        """Log the table once its rows are counted; MLflow keeps one dataset for each name and digest."""
        if dataset is None or dataset.rows is None:
            return
        entry = Dataset(
            name=dataset.name,
            digest=dataset.md5,
            source_type="local",
            source=json.dumps({"uri": dataset.source}),
            profile=json.dumps({"num_rows": dataset.rows}),
        )
        self.client.log_inputs(run_id, [DatasetInput(entry, [InputTag("mlflow.data.context", "training")])])

    def _log_files(self, run_id: str, experiment: Experiment, content_of: ContentOf) -> None:
        """Log all files in one call, from a folder of links with the files' own paths; the report gets its origin.

        The digest is that of the report without origin, so the origin never makes a run look new.
        """
        with temporary_folder("files") as folder:
            for path, md5 in experiment.files.items():
                lay_out_file(folder, path, content_of(md5), experiment)
            require_apart_from_project(self.destination, self.client.get_run(run_id).info.artifact_uri)
            self.client.log_artifacts(run_id, str(folder))

    def _find_or_log_model(self, row: Run, experiment: Experiment, content_of: ContentOf) -> str | None:
        """Id of the run's logged model. Logged before the metrics: a model logged later requires each of them again."""
        model = experiment.model_md5
        if model is None:
            return None
        ready = self.model_of(row.info.run_id, model)
        if ready is not None:
            return ready
        for interrupted in self._models_of(row.info.run_id, model):
            self.client.delete_logged_model(interrupted.model_id)
        require_apart_from_project(self.destination, self.client.get_experiment(self.experiment_id).artifact_location)
        with default_store(self.destination, self.experiment_id):
            return model_file.log_model(row.info.run_id, experiment, content_of)

    def lacking(self, row: Run, experiment: Experiment) -> list[str]:
        """Files of an experiment that its run lacks, including those of the model."""
        with faults_as_store_errors():
            there = set[str]()
            for folder in {posixpath.dirname(path) for path in experiment.files}:
                there |= self._listed(partial(self.client.list_artifacts, row.info.run_id, folder or None))
            gone = sorted(set(experiment.files) - there)
            if experiment.model_md5 is None:
                return gone
            model_id = self.model_of(row.info.run_id, experiment.model_md5)
            whole = (
                model_id is not None
                and self._listed(partial(self.client.list_logged_model_artifacts, model_id)) >= MODEL_FILES
            )
            return gone if whole else [*gone, str(files.MODEL)]

    def _listed(self, look: Callable[[], list[FileInfo]]) -> set[str]:
        """Paths of the files in a folder of artifacts; empty if the folder is gone."""
        try:
            return {file.path for file in look() if not file.is_dir}
        except MlflowException as error:
            if error.get_http_status_code() in CLIENT_ERRORS:
                return set()
            raise

    def _bring_back(self, row: Run, experiment: Experiment, content_of: ContentOf) -> None:
        """Restore files that were deleted from a complete run; registered versions load from there."""
        gone = self.lacking(row, experiment)
        if str(files.MODEL) in gone:
            model_id = self._find_or_log_model(row, experiment, content_of)
            with temporary_folder("model") as folder:
                of_model = Model(model_uuid=model_id, run_id=row.info.run_id, model_id=model_id)
                model_file.save_model(str(folder), of_model, **model_file.parts_of_model(experiment, content_of))
                require_apart_from_project(self.destination, self.client.get_logged_model(model_id).artifact_location)
                self.client.log_model_artifacts(model_id, str(folder))
        if gone != [str(files.MODEL)] and gone:
            self._log_files(row.info.run_id, experiment, content_of)

    def model_of(self, run_id: str, md5: str) -> str | None:
        """Id of a run's logged model, if it is complete."""
        with faults_as_store_errors():
            ready = [one for one in self._models_of(run_id, md5) if one.status == LoggedModelStatus.READY]
        return str(ready[0].model_id) if ready else None

    def _models_of(self, run_id: str, md5: str) -> list[LoggedModel]:
        of_row = f"source_run_id = '{run_id}' AND tags.`{MODEL_MD5}` = '{md5}'"
        return list(self.client.search_logged_models([self.experiment_id], filter_string=of_row))

    def _add_execution(self, given: Record, execution: Execution) -> None:
        found = self.client.search_runs([self.executions_id], filter_string=f"tags.`{RECORD}` = '{given.name}'")
        run = (
            found[0]
            if found
            else self.client.create_run(
                self.executions_id,
                start_time=milliseconds(execution.started),
                run_name=execution.stage,
                tags={
                    RECORD: given.name,
                    FINGERPRINT: given.experiment.fingerprint,
                    USER: given.experiment.tags.get(USER, user_name()),
                    SOURCE: f"python -m churn.stages {execution.stage}",
                    SOURCE_KIND: "LOCAL",
                    "stage": execution.stage,
                    "host": execution.host,
                    "pid": str(execution.pid),
                    **({"fault": execution.fault} if execution.fault else {}),
                },
            )
        )
        measurements = {"duration": execution.ended - execution.started, **execution.measurements}
        self._log_metrics(run, measurements, execution.ended)
        status = FAILED if execution.fault else FINISHED
        self._set_status(run.info.run_id, status, milliseconds(execution.ended))

    def _set_status(self, run_id: str, status: str, ended: int | None) -> None:
        """`ended` in milliseconds; None for a state that was not run, so that it shows no duration."""
        if status == RUNNING or ended is None:
            self.client.update_run(run_id, status=status)
        else:
            self.client.set_terminated(run_id, status, end_time=ended)


def open_store(destination: Destination) -> Store:
    """Open a store; an embedded one and missing experiments are created.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    with faults_as_store_errors(), lock(destination.lock):
        prepare_database(destination)
        client = open_client(destination)
        experiment = open_experiment(client, destination, destination.experiment)
        executions = open_experiment(client, destination, destination.executions)
    identity = f"{experiment.experiment_id}-{experiment.creation_time}"
    return Store(destination, client, str(experiment.experiment_id), str(executions.experiment_id), identity)


def _ended(row: Run) -> int | None:
    """When the last stage of a row ended that was run; what came after that was restored from a cache."""
    started = row.info.status != FINISHED and ENDED in row.data.tags
    return int(row.data.tags[ENDED]) if started else row.info.end_time


def _equal(known: float | None, value: float) -> bool:
    return known is not None and (known == value or (math.isnan(known) and math.isnan(value)))
