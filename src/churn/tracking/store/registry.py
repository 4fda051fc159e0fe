"""MLflow's model registry: the project's model, its versions and aliases, and the ledger of champions."""

import posixpath
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.sklearn import load_model

from churn.drafts import temporary_folder
from churn.history.state import md5_of
from churn.runtime import lock
from churn.table.keys import mostly_the_same
from churn.tracking.destination import StoreError
from churn.tracking.ledger import CAME_SECOND, CHALLENGER, CHAMPION, OUTCOME, REASON, Entry, Judgement, Judges, absence
from churn.tracking.record import (
    COMMIT,
    FINGERPRINT,
    MODEL_FILE,
    MODEL_MD5,
    SHA256,
    USER,
    metric_name,
    named_apart,
    user_name,
)
from churn.tracking.store.calls import (
    ALREADY_THERE,
    default_store,
    faults_as_store_errors,
    if_there,
    milliseconds,
    open_experiment,
)
from churn.tracking.store.model_file import foreign_loader, logged_by_cloudpickle
from churn.tracking.store.rows import Store
from churn.tracking.store.served_version import download_version
from churn.tracking.store.trials import CANDIDATE, PARENT
from churn.tracking.trials import CHOSEN_BY, FLATTERY, FORMER_FLATTERY, Selection

MOST_ROWS = 50_000  # MLflow's limit for one search
FOLLOWED_BY = "promotion.followed_by"
"""A parameter of an entry, because MLflow parameters cannot be overwritten."""
VERSION, IDENTITY, FOLLOWS, RIVAL, TRAINING_ROWS, TEST_ROWS, SETTLED = (
    "promotion.version",
    "promotion.model",
    "promotion.follows",
    "promotion.rival",
    "promotion.training_rows",
    "promotion.test_rows",
    "promotion.settled",
)
"""Tags of a ledger entry."""


@dataclass(frozen=True)
class Registry:
    """The project's registered model, and the experiment with the ledger."""

    store: Store
    ledger_id: str

    @property
    def name(self) -> str:
        """Name of the registered model, which is the name of the experiment."""
        return self.store.destination.experiment

    def version(self, number: str) -> ModelVersion | None:
        """A version; None if it was deleted."""
        return self.store.versions.find(self.name, number)

    def fingerprint_of(self, number: str) -> str:
        """Fingerprint of the state whose model a version is; empty for a model of another origin."""
        version = self.version(number)
        return self.store.versions.fingerprint_of(version) if version else ""

    def identity_of(self, number: str) -> str:
        """What an entry of the ledger names of a version beside its fingerprint: the model's md5, else its source."""
        version = self.version(number)
        return (self.store.versions.md5_of(version) or str(version.source)) if version else ""

    def is_of(self, entry: Entry, number: str) -> bool:
        """Whether a version is the model that an entry of the ledger is about."""
        meant = entry.judgement
        same = self.version(number) is not None and self.fingerprint_of(number) == meant.fingerprint
        return same and meant.model in ("", self.identity_of(number))

    def number_of(self, entry: Entry) -> str | None:
        """Number of the version that an entry is about; None if MLflow does not have it any more."""
        meant = entry.judgement
        if self.is_of(entry, meant.version):
            return meant.version
        versions = self.store.versions_of(meant.fingerprint) if meant.fingerprint else []
        numbers = (str(one.version) for one in versions if one.name == self.name)
        return min((one for one in numbers if self.is_of(entry, one)), key=int, default=None)

    def has_model(self, number: str) -> bool:
        """Whether MLflow still has the record of a version's model, without which its files cannot be restored."""
        version = self.version(number)
        return version is not None and self.store.versions.logged_model_of(version) is not None

    def at(self, alias: str) -> str | None:
        """Number of the version with an alias; None if no version has it."""
        found = if_there(lambda: self.store.client.get_model_version_by_alias(self.name, alias))
        return None if found is None else str(found.version)

    def model_md5_of(self, number: str) -> str | None:
        """md5 of a version's model as the pipeline wrote it; None for a model of another origin."""
        version = self.version(number)
        return self.store.versions.md5_of(version) if version else None

    @contextmanager
    def download(self, number: str) -> Iterator[Path]:
        """Download a version, from where users load it, into a temporary folder; nothing of it is loaded.

        Raises:
            StoreError: its files are not available.
        """
        version = self.version(number)
        if version is None:
            raise StoreError(f"{self.name} version {number}: was deleted", refused=True)
        with temporary_folder("version") as folder:
            yield download_version(self.store.destination, version, folder)

    def record_hashes(self, number: str, sha256: Mapping[str, str]) -> None:
        """Record the hash of each file that the service may load, by its name."""
        with faults_as_store_errors():
            for name, value in sha256.items():
                self.store.client.set_model_version_tag(self.name, number, f"{SHA256}{name}", value)

    def loading_problem(self, folder: Path, model_md5: str) -> str | None:
        """Why a downloaded version is not the model with that md5, or would be loaded in another way; None if it is."""
        model = folder / MODEL_FILE
        if not model.is_file():
            return "MLflow returns no model file; `churn sync --all` restores files of states that this project has"
        if (found := md5_of(model)) != model_md5:
            return f"MLflow returns a model with md5 {found} instead of {model_md5}, which was evaluated"
        return foreign_loader(folder)

    def is_of_an_earlier_form(self, folder: Path) -> bool:
        """Whether a version was logged by an earlier version of this pipeline, with a pickle made by MLflow."""
        return logged_by_cloudpickle(folder)

    def load(self, folder: Path) -> Any:
        """Load a downloaded version as users do; check it with `loading_problem` first."""
        with faults_as_store_errors():
            return load_model(str(folder))

    def challenge(self, row: Run, model_md5: str, commit: str) -> str:
        """Register the model of a commit's run unless it is registered, make it the challenger, and return its version.

        Raises:
            StoreError: the store refuses or is unavailable, or the run has no model.
        """
        client = self.store.client
        with faults_as_store_errors(), lock(self.store.destination.lock):
            try:
                client.create_registered_model(self.name)
            except MlflowException as error:
                if error.error_code != ALREADY_THERE:
                    raise
            known = [
                one for one in client.search_model_versions(f"run_id='{row.info.run_id}'") if one.name == self.name
            ]
            # A run may have several models: a fingerprint can give other bytes on another kind of processor.
            same = [str(one.version) for one in known if one.tags.get(MODEL_MD5) == model_md5]
            number = min(same, key=int, default=None) or self._register(row, model_md5)
            # The run may name an earlier commit, which was edited to get this state.
            client.set_model_version_tag(self.name, number, COMMIT, commit)
            client.set_registered_model_alias(self.name, CHALLENGER, number)
        return number

    def _register(self, row: Run, model_md5: str) -> str:
        model_id = self.store.model_of(row.info.run_id, model_md5)
        if model_id is None:
            raise StoreError(f"MLflow run {row.info.run_name} has no model; `churn sync` adds it", refused=True)
        with default_store(self.store.destination):  # where MLflow looks for the model
            made = self.store.client.create_model_version(
                self.name,
                source=f"models:/{model_id}",
                run_id=row.info.run_id,
                model_id=model_id,
                tags={FINGERPRINT: row.data.tags[FINGERPRINT], MODEL_MD5: model_md5},
            )
        return str(made.version)

    def selection(self, training_rows: Sequence[str], candidate: str) -> Selection | None:
        """The most biased search that tried a candidate on mostly the same training rows (given as a sketch)."""
        client = self.store.client
        with faults_as_store_errors():
            tuning = client.get_experiment_by_name(self.store.destination.tuning)
            if tuning is None:
                return None
            tried = f"tags.`{CANDIDATE}` = '{candidate}'"
            trials = client.search_runs([tuning.experiment_id], tried, run_view_type=ViewType.ALL)
            studies = [client.get_run(study) for study in {trial.data.tags[PARENT] for trial in trials}]
            found = [
                Selection(int(study.data.metrics["complete_trials"]), flattery)
                for study in studies
                if mostly_the_same(study.data.tags.get(CHOSEN_BY, "").split(), training_rows)
                # The maximum over time counts: after the best trial is applied, what it beat is no longer a candidate.
                if (flattery := self._most_ever(study, FLATTERY, FORMER_FLATTERY)) is not None
            ]
        return max(found, key=lambda one: one.flattery, default=None)

    def _most_ever(self, row: Run, *metrics: str) -> float | None:
        histories = [self.store.client.get_metric_history(row.info.run_id, metric) for metric in metrics]
        return max((one.value for history in histories for one in history), default=None)

    def entries(self) -> list[Entry]:
        """All ledger entries, oldest first."""
        with faults_as_store_errors():
            # A decision counts even if its run was deleted.
            runs = self.store.client.search_runs([self.ledger_id], run_view_type=ViewType.ALL, max_results=MOST_ROWS)
        return sorted(filter(None, map(_entry, runs)), key=lambda entry: (entry.made, entry.id))

    def add(self, judgement: Judgement, figures: Mapping[str, float], text: str) -> Entry:
        """Add a judgement to the ledger, with its metrics and report."""
        client = self.store.client
        with faults_as_store_errors():
            tags = {
                VERSION: judgement.version,
                FOLLOWS: judgement.follows,
                FINGERPRINT: judgement.fingerprint,
                IDENTITY: judgement.model,
                RIVAL: judgement.rival,
                TRAINING_ROWS: " ".join(judgement.judges.training),
                TEST_ROWS: " ".join(judgement.judges.test),
                REASON: judgement.reason,
                USER: user_name(),
            }
            name = _row_name(judgement.outcome, judgement.version)
            run = self._interrupted(name, tags) or client.create_run(self.ledger_id, run_name=name, tags=tags)
            made = run.info.start_time
            named = named_apart(figures.items(), metric_name)
            metrics = [Metric(name, value, made, 0) for name, value in named.items()]
            client.log_batch(run.info.run_id, metrics)
            client.log_text(run.info.run_id, text, "gates.txt")
            client.set_terminated(run.info.run_id, "FINISHED")
            client.set_tag(run.info.run_id, OUTCOME, judgement.outcome)  # last: without it, a run is no entry
        if_there(lambda: self._describe_version(judgement, text))
        return Entry(run.info.run_id, made, settled=None, judgement=judgement)

    def _interrupted(self, name: str, tags: Mapping[str, str]) -> Run | None:
        """The run of the same judgement by the same user that a kill kept from becoming an entry."""
        same = f"tags.`{FINGERPRINT}` = '{tags[FINGERPRINT]}' AND attributes.run_name = '{name}'"
        found = self.store.client.search_runs([self.ledger_id], same) if tags[FINGERPRINT] else []
        return next(
            (run for run in found if OUTCOME not in run.data.tags and tags.items() <= run.data.tags.items()), None
        )

    def _describe_version(self, judgement: Judgement, text: str) -> None:
        """Show on a version's page what was decided of it last, why, and what each gate said."""
        said = f"**{judgement.outcome}**{f': {judgement.reason}' if judgement.reason else ''}"
        gates = f"\n\n```text\n{text}\n```" if "\n" in text else ""
        client, number = self.store.client, judgement.version
        client.update_model_version(self.name, number, description=f"{said}{gates}")
        for tag, value in ((OUTCOME, judgement.outcome), (REASON, judgement.reason)):
            client.set_model_version_tag(self.name, number, tag, value)

    def claim(self, entry: Entry) -> None:
        """Record at the entry that this one follows that it is followed by this one, unless another one is recorded.

        The first champion follows none, and a deleted run cannot be written to; then times decide.
        """
        followed = entry.judgement.follows
        if followed:
            if_there(lambda: self.store.client.log_param(followed, FOLLOWED_BY, entry.id))

    def settle(self, entry: Entry, number: str | None = None) -> None:
        """Move the champion alias to the version of an entry, which is no longer the challenger.

        Args:
            entry: the entry.
            number: of its version, if it is another one than the entry was made for.

        Raises:
            StoreError: the store refuses or is unavailable, or does not have the version any more.
        """
        client = self.store.client
        number = number or self.number_of(entry)
        if number is None:
            raise StoreError(absence(self.name, entry.judgement), refused=True)
        self.claim(entry)
        with faults_as_store_errors():
            client.set_registered_model_alias(self.name, CHAMPION, number)
            if self.at(CHALLENGER) == number:
                client.delete_registered_model_alias(self.name, CHALLENGER)
            if entry.settled is None:
                client.set_tag(entry.id, SETTLED, str(milliseconds(time.time())))

    def give_way(self, entry: Entry) -> None:
        """Record that another entry came first."""
        with faults_as_store_errors():
            self.store.client.set_tag(entry.id, OUTCOME, CAME_SECOND)
            self.store.client.set_tag(entry.id, "mlflow.runName", _row_name(CAME_SECOND, entry.judgement.version))
        if_there(lambda: self._describe_version(replace(entry.judgement, outcome=CAME_SECOND), ""))


def open_registry(store: Store) -> Registry:
    """The registry of a store, with its ledger.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    if reason := unfit_for_a_model(store.destination.experiment):
        raise StoreError(
            f"MLFLOW_EXPERIMENT_NAME is {store.destination.experiment!r}, which is also the name of the registered "
            f"model: {reason}; set another name",
            refused=True,
        )
    with faults_as_store_errors(), lock(store.destination.lock):
        ledger = open_experiment(store.client, store.destination, store.destination.promotions)
    return Registry(store, str(ledger.experiment_id))


def unfit_for_a_model(name: str) -> str | None:
    """Why MLflow takes an experiment of this name, but no registered model; None if it takes both."""
    if found := sorted({"/", ":"} & set(name)):
        return f"that cannot have {' or '.join(found)}"
    return "that cannot be a path" if posixpath.normpath(name) != name or name.startswith("..") or name == "." else None


def _entry(run: Run) -> Entry | None:
    tags = run.data.tags
    if OUTCOME not in tags:
        return None  # not a run of this module
    judgement = Judgement(
        outcome=tags[OUTCOME],
        version=tags[VERSION],
        follows=tags.get(FOLLOWS, ""),
        fingerprint=tags.get(FINGERPRINT, ""),
        model=tags.get(IDENTITY, ""),
        rival=tags.get(RIVAL, ""),
        judges=Judges(tuple(tags.get(TRAINING_ROWS, "").split()), tuple(tags.get(TEST_ROWS, "").split())),
        reason=tags.get(REASON, ""),
    )
    made = run.info.start_time
    return Entry(
        run.info.run_id, made, _moment(tags.get(SETTLED), made), judgement, run.data.params.get(FOLLOWED_BY, "")
    )


def _moment(settled: str | None, made: int) -> int | None:
    """When an entry was settled, in milliseconds since 1970; old entries only record that they were."""
    return made if settled == "true" else int(settled) if settled and settled.isdecimal() else None


def _row_name(outcome: str, version: str) -> str:
    return f"{outcome}: version {version}"
