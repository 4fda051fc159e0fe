"""Registered versions as the service reads them: found by alias, with the hashes of the files that it loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion

from churn.config.params import PARAMS_FILE
from churn.texts import one_line
from churn.tracking.destination import Destination, StoreError
from churn.tracking.record import BACKGROUND_FILE, COMMIT, FINGERPRINT, LOGGED, MODEL_FILE, SHA256
from churn.tracking.store.calls import default_store, faults_as_store_errors, if_there


@dataclass(frozen=True)
class ServedVersion:
    """A registered version.

    Attributes:
        commit: the commit that it was promoted from; None if none is recorded.
        sha256: hash by file, as the registry records it; empty for a version of another origin.
    """

    name: str
    number: str
    run_id: str
    fingerprint: str
    commit: str | None
    sha256: Mapping[str, str]


def find_version(client: MlflowClient, name: str, alias: str) -> ServedVersion | None:
    """The version with an alias; None if there is none.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    found = if_there(lambda: client.get_model_version_by_alias(name, alias))
    if found is None:
        return None
    hashes = {tag.removeprefix(SHA256): value for tag, value in found.tags.items() if tag.startswith(SHA256)}
    return ServedVersion(
        name=name,
        number=str(found.version),
        run_id=str(found.run_id),
        fingerprint=str(found.tags.get(FINGERPRINT, "")),
        commit=found.tags.get(COMMIT),
        sha256=hashes,
    )


def download(client: MlflowClient, destination: Destination, version: ServedVersion, folder: Path) -> dict[str, bytes]:
    """Contents of the files that the registry has a hash for; none of them is checked or loaded here.

    Raises:
        StoreError: the files are not available, or the registry has no hash of the model.
    """
    called = f"{version.name} version {version.number}"
    if not {MODEL_FILE, PARAMS_FILE} <= version.sha256.keys():
        raise StoreError(
            f"{called}: the registry records no sha256 of its files, so it is not loaded; "
            "`churn promote` of its commit records them",
            refused=True,
        )
    found = if_there(lambda: client.get_model_version(version.name, version.number))
    if found is None:
        raise StoreError(f"{called}: was deleted", refused=True)
    model = download_version(destination, found, folder / "model")
    with faults_as_store_errors():
        params = model / PARAMS_FILE
        if not params.is_file():  # logged by an earlier version of this pipeline
            params = Path(client.download_artifacts(version.run_id, PARAMS_FILE, str(folder)))
        paths = {MODEL_FILE: model / MODEL_FILE, PARAMS_FILE: params, BACKGROUND_FILE: model / BACKGROUND_FILE}
        return {name: path.read_bytes() for name, path in paths.items() if name in version.sha256}


def download_version(destination: Destination, version: ModelVersion, folder: Path) -> Path:
    """Download a version, from where users load it, into a folder; nothing of it is loaded.

    Raises:
        StoreError: its files are not available, or could come from anywhere.
    """
    if not LOGGED.fullmatch(str(version.source)):
        raise StoreError(
            f"{version.name} version {version.version}: its model was not logged in this store", refused=True
        )
    folder.mkdir(parents=True, exist_ok=True)
    source = f"models:/{version.name}/{version.version}"
    try:
        with faults_as_store_errors(), default_store(destination):
            return Path(download_artifacts(source, dst_path=str(folder), tracking_uri=destination.uri))
    except StoreError as error:
        raise StoreError(
            f"{version.name} version {version.version}: its files cannot be downloaded: {one_line(str(error))}; "
            "`churn sync --all` restores files of states that this project has",
            refused=error.refused,
        ) from error
