"""Registered versions, and what each of them is: a number alone does not say, for MLflow can give it again."""

from collections.abc import Iterable
from dataclasses import dataclass

import mlflow
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion

from churn.tracking.record import FINGERPRINT, LOGGED, MODEL_MD5
from churn.tracking.store.calls import faults_as_store_errors, if_there


@dataclass(frozen=True)
class Versions:
    """The registered versions of a store."""

    client: mlflow.MlflowClient

    def find(self, name: str, number: str) -> ModelVersion | None:
        """A version of a registered model, by number or alias; None if there is none."""
        by_number, by_alias = self.client.get_model_version, self.client.get_model_version_by_alias
        return if_there(lambda: by_number(name, number) if number.isdigit() else by_alias(name, number))

    def of_state(self, fingerprint: str, run_ids: Iterable[str]) -> list[ModelVersion]:
        """Versions of a state's models: those of its runs, and those with its tag, whose run may be gone."""
        asked = [*(f"run_id='{run_id}'" for run_id in run_ids), f"tags.`{FINGERPRINT}` = '{fingerprint}'"]
        with faults_as_store_errors():
            found = [version for each in asked for version in self.client.search_model_versions(each)]
        return list({(version.name, version.version): version for version in found}.values())

    def logged_model_of(self, version: ModelVersion) -> LoggedModel | None:
        """The model that a version was registered from; None if it was deleted, or is no logged model."""
        source = LOGGED.fullmatch(str(version.source))
        return if_there(lambda: self.client.get_logged_model(source[1])) if source else None

    def md5_of(self, version: ModelVersion) -> str | None:
        """md5 of a version's model as the pipeline wrote it; None for a model of another origin.

        A version that was registered directly in MLflow does not have it, but its logged model does.
        """
        if MODEL_MD5 in version.tags:
            return str(version.tags[MODEL_MD5])
        model = self.logged_model_of(version)
        return model.tags.get(MODEL_MD5) if model else None

    def fingerprint_of(self, version: ModelVersion) -> str:
        """Fingerprint of the state whose model a version is; empty for a model of another origin."""
        if FINGERPRINT in version.tags:
            return str(version.tags[FINGERPRINT])
        run = if_there(lambda: self.client.get_run(version.run_id)) if version.run_id else None
        return str(run.data.tags.get(FINGERPRINT, "")) if run else ""
