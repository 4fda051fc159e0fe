"""Where the served model comes from: the files of this project, or a version of the registered model."""

import logging
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from pydantic import ValidationError

from churn import files
from churn.config.params import PARAMS_FILE, check_params, parse_yaml
from churn.drafts import temporary_folder
from churn.errors import ChurnError
from churn.files import sha256_of_bytes
from churn.history.git import GitRefusalError, git, git_diff
from churn.history.predictions.of_states import recorded_contract, recorded_economics
from churn.history.state import LOCK_FILE, fingerprint
from churn.history.verify import recorded_stages_of_workspace, require_own_results
from churn.model.decision import pipeline_of
from churn.model.encoding import column_types
from churn.model.plain.encoder import Customer
from churn.model.reference import Reference
from churn.runtime import environment
from churn.service.served_model import ModelOrigin, ModelParts
from churn.tracking.description import BACKGROUND_ROWS
from churn.tracking.destination import PATIENCE, PATIENT_SETTINGS, Destination, find_destination, refusal
from churn.tracking.record import BACKGROUND_FILE, MODEL_FILE

if TYPE_CHECKING:
    from churn.tracking.store.served_version import ServedVersion

log = logging.getLogger(__name__)

MODEL_NAME = "churn"
"""Name of the model of this folder, in the API."""


class NoModelError(ChurnError):
    """There is no model yet; the text says how to make one."""


class ModelSource(Protocol):
    """Finds and loads a model."""

    def signature(self) -> Hashable:
        """Changes when there may be another model.

        Raises:
            ChurnError: there is none, or its place cannot be reached.
        """
        ...

    def load(self) -> ModelParts:
        """Load the present model; nothing is unpickled before its hash is checked.

        Raises:
            ChurnError: it is not what its place says.
        """
        ...


@dataclass(frozen=True)
class ProjectFiles:
    """models/churn_model.pkl of a project, as dvc.lock records it."""

    root: Path

    def signature(self) -> Hashable:
        """Times and sizes of dvc.lock and of the model."""
        stats: list[tuple[int, int, int]] = []
        for path in (LOCK_FILE, files.MODEL):
            try:
                found = (self.root / path).stat()
            except OSError:
                raise NoModelError(f"{path}: {self._why_absent()}") from None
            stats.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(stats)

    def _why_absent(self) -> str:
        if not (self.root / LOCK_FILE).is_file():
            return "no model yet: run `make run`"
        return f"not here: `dvc pull` or `dvc checkout` brings the model that {LOCK_FILE} records, `dvc repro` makes it"

    def load(self) -> ModelParts:
        """Load the model, with the contract and the costs that dvc.lock records for it."""
        self.signature()
        md5s = frozenset(require_own_results(self.root, [str(files.MODEL)]).values())
        content = files.read_bytes(self.root / files.MODEL, files.LARGEST_RESULT)
        decision = files.unpickle(content, files.MODEL, md5s)
        stages = recorded_stages_of_workspace(self.root).stages
        return ModelParts(
            decision=decision,
            contract=recorded_contract(stages, LOCK_FILE),
            economics=recorded_economics(stages, LOCK_FILE),
            background=self.background(decision),
            origin=ModelOrigin(
                name=MODEL_NAME,
                fingerprint=fingerprint(stages),
                sha256=sha256_of_bytes(content),
                commit=_commit(self.root),
                version=None,
            ),
            reference=self._reference(),
        )

    def _reference(self) -> Reference | None:
        """Distributions of the training rows; nothing if they are not on this machine or of another format."""
        if not (self.root / files.REFERENCE).is_file():
            return None
        try:
            require_own_results(self.root, [str(files.REFERENCE)])
            return Reference.model_validate_json(files.read_bytes(self.root / files.REFERENCE))
        except (ChurnError, ValidationError):
            return None

    def background(self, decision: Any) -> Sequence[Customer]:
        """What reasons compare with: the training rows whose keys come first, since keys are hashes.

        Nothing if they are not on this machine: reasons are then refused, scores are not.
        """
        if not (self.root / files.TRAIN_ROWS).is_file():
            return ()
        try:
            require_own_results(self.root, [str(files.TRAIN_ROWS)])
        except ChurnError:
            return ()
        types = column_types(pipeline_of(decision).named_steps["encoders"])
        return customers_of(files.read_rows(self.root / files.TRAIN_ROWS, types).head(BACKGROUND_ROWS))


@dataclass(frozen=True)
class RegisteredVersion:
    """The version of the registered model that has an alias."""

    destination: Destination
    alias: str

    def signature(self) -> Hashable:
        """Number of the version, and the hashes that the registry records for it."""
        with self._reached():
            found = self._find()
        return found.number, tuple(sorted(found.sha256.items()))

    def load(self) -> ModelParts:
        """Download the version and check the hash of each file before it is used."""
        from churn.tracking.store.calls import open_client  # imports mlflow
        from churn.tracking.store.served_version import download

        with self._reached(), temporary_folder("serve") as folder:
            found = self._find()
            contents = download(open_client(self.destination), self.destination, found, folder)
        name = f"{found.name} version {found.number}"
        for file, content in contents.items():
            sha256 = sha256_of_bytes(content)
            if sha256 != found.sha256[file]:
                raise ChurnError(
                    f"{name}: {file} has sha256 {sha256} instead of {found.sha256[file]}, which the registry records, "
                    "so nothing of it is loaded; promote a sound model, or restore the file"
                )
        model = contents[MODEL_FILE]
        decision = files.unpickle(model, name, {files.md5_of_bytes(model)})
        params = check_params(parse_yaml(contents[PARAMS_FILE].decode(), f"{name}: {PARAMS_FILE}"))
        background = contents.get(BACKGROUND_FILE)
        types = column_types(pipeline_of(decision).named_steps["encoders"])
        rows = [] if background is None else customers_of(files.rows_in(background, f"{name}: background", types))
        origin = ModelOrigin(found.name, found.fingerprint, found.sha256[MODEL_FILE], found.commit, found.number)
        return ModelParts(decision, params.data, params.business, rows, origin)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """The client's settings, after a quick check that the server answers.

        Raises:
            ChurnError: it does not.
        """
        with environment(PATIENT_SETTINGS, unless_given=True):
            if reason := refusal(self.destination, PATIENCE):
                raise ChurnError(f"MLflow at {self.destination.address}: {reason}")
            yield

    def _find(self) -> "ServedVersion":
        from churn.tracking.store.calls import open_client
        from churn.tracking.store.served_version import find_version

        found = find_version(open_client(self.destination), self.destination.experiment, self.alias)
        if found is None:
            raise NoModelError(f"{self.destination.experiment}@{self.alias}: no such version yet: run `churn promote`")
        return found


def source_of(root: Path, model: str, alias: str = "champion") -> ModelSource:
    """The source that a setting names."""
    return ProjectFiles(root) if model == "file" else RegisteredVersion(find_destination(root), alias)


def customers_of(rows: pd.DataFrame) -> list[Customer]:
    """Rows of a table as plain values, None for missing ones."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()} for row in rows.to_dict("records")
    ]


def _commit(root: Path) -> str | None:
    """The commit that records the present dvc.lock; None if it is not committed, or git does not tell."""
    try:
        if git_diff(root, "--quiet", "HEAD", "--", LOCK_FILE) is None:
            return None
        return git(root, "log", "-1", "--format=%H", "--", LOCK_FILE) or None
    except GitRefusalError as error:
        log.warning("the commit of the model is not known: %s", error)
        return None
