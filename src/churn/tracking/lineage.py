"""Find the state of a model, MLflow run, registered version, fingerprint or commit, and all its other names."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn import files
from churn.errors import ChurnError
from churn.history import snapshot
from churn.history.dvc import experiments, remedy_for_absent
from churn.history.lineage import Lineage, commands_to_restore, holds_its_inputs, without_repeats
from churn.history.predictions.log import read_predictions
from churn.history.predictions.of_states import WORKSPACE, require_inputs_of_commit
from churn.history.snapshot import Snapshot, commit_named, is_on_branch_or_tag, obstacle_of
from churn.history.state import FINGERPRINT_FORM, LOCK_FILE, UnidentifiedError, md5_of
from churn.history.verify import ForeignResultsError
from churn.runtime import without_secrets
from churn.tracking.description import describe
from churn.tracking.destination import StoreError, find_destination
from churn.tracking.ledger import OUTCOME, REASON
from churn.tracking.record import COMMIT, DATA_MD5, DVC_EXPERIMENT, EDITED, FINGERPRINT, MODEL_MD5
from churn.tracking.sync import connection

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from churn.tracking.store.rows import Store

log = logging.getLogger(__name__)

REGISTERED = re.compile(r"(?:models:/)?([^/@]+)(?:/|@)([^/@]+)")
RUN_FORM = re.compile(r"[0-9a-f]{32}")
REQUEST_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Ids that the service gives to requests; a run's id has no dashes."""


@dataclass(frozen=True)
class _FoundState:
    """A state, and the md5 of its model if the given name identifies the model.

    Attributes:
        asked: the state of the commit or DVC experiment that was asked for, if any.
    """

    fingerprint: str
    model_md5: str | None = None
    asked: Snapshot | None = None

    def is_of(self, one: Snapshot) -> bool:
        """Whether a snapshot is this state, with this model."""
        return one.fingerprint == self.fingerprint and self.model_md5 in (None, one.results.get(str(files.MODEL)))


def lineage_of(root: Path, asked: str, log: Path | None = None) -> Lineage:
    """Find the state that an object belongs to; `log` is the service's prediction log, to look for requests in.

    Raises:
        ChurnError: no known state has it.
    """
    if log is not None and REQUEST_FORM.fullmatch(asked):
        asked = _fingerprint_of_request(asked, log)
    with ExitStack() as stack:
        store, unknown = _store(root, stack)
        try:
            return _lineage_of(root, asked, store, unknown)
        except StoreError as error:  # git may still know the state
            return _lineage_of(root, asked, None, (f"MLflow runs: {error}",))


def _fingerprint_of_request(request_id: str, log: Path) -> str:
    logged = read_predictions(log, request_id)
    if logged.empty:
        raise ChurnError(f"{request_id}: not in the log {log}; --log names another folder")
    return str(logged["fingerprint"].iloc[0])


def _lineage_of(root: Path, asked: str, store: "Store | None", unknown: tuple[str, ...]) -> Lineage:
    workspace = _workspace(root)
    recorded = list(snapshot.states_in_git(root))
    found = _find(root, asked, [*filter(None, [workspace]), *recorded], store)
    fingerprint = found.fingerprint
    asked_for = [found.asked] if found.asked else []
    others = (one for one in recorded if found.is_of(one) and one.commit not in {two.commit for two in asked_for})
    of_state = [*asked_for, *others]
    rows = store.rows_tagged(FINGERPRINT, fingerprint) if store else []
    in_workspace = workspace is not None and found.is_of(workspace)
    tags = _tags(of_state[0] if of_state else workspace if in_workspace else None, rows)
    model_md5 = found.model_md5 or tags.get(MODEL_MD5)
    versions = [
        one
        for one in (store.versions_of(fingerprint) if store else [])
        if store and store.versions.md5_of(one) == model_md5
    ]
    return Lineage(
        fingerprint=fingerprint,
        commits=without_repeats(one.commit for one in of_state if one.experiment is None),
        experiments=without_repeats(one.experiment for one in of_state),
        in_workspace=in_workspace,
        model_md5=model_md5,
        data_md5=tags.get(DATA_MD5),
        runs=tuple(row.info.run_id for row in rows),
        versions=without_repeats(f"{one.name}/{one.version}" for one in versions),
        verdicts=without_repeats(_verdict(one) for one in versions),
        absent=without_repeats(absent for row in rows for absent in _absent_names(root, row.data.tags)),
        unknown=(*unknown, *_obstacle(root, workspace if in_workspace else None)),
        commands=commands_to_restore(root, next((one for one in of_state if holds_its_inputs(root, one)), None)),
    )


def _absent_names(root: Path, tags: Mapping[str, str]) -> Iterator[str]:
    """What an MLflow run names, and this clone does not have: fetched from elsewhere, rewritten or removed."""
    commit, experiment = tags.get(COMMIT), tags.get(DVC_EXPERIMENT)
    if experiment and not any(experiment in names for names in experiments(root).values()):
        yield f"DVC experiment {experiment}, which the MLflow run names"
    elif commit and tags.get(EDITED) == "false" and not experiment and not is_on_branch_or_tag(root, commit):
        yield f"commit {commit[:7]}, which the MLflow run names (`git fetch` may get it)"


def _obstacle(root: Path, workspace: Snapshot | None) -> Iterator[str]:
    """Why files of the state of this folder cannot be used, if so."""
    obstacle = obstacle_of(root, workspace) if workspace else None
    if obstacle:
        yield f"files of this folder: {obstacle}"


def _verdict(version: "ModelVersion") -> str | None:
    """The last decision of `churn promote` or `churn rollback` about a version."""
    outcome, reason = version.tags.get(OUTCOME), version.tags.get(REASON)
    return f"{version.name}/{version.version} {outcome}{f': {reason}' if reason else ''}" if outcome else None


def _workspace(root: Path) -> Snapshot | None:
    try:
        return snapshot.state_of_workspace(root)
    except UnidentifiedError:
        return None


def _store(root: Path, stack: ExitStack) -> tuple["Store | None", tuple[str, ...]]:
    try:
        return stack.enter_context(connection(find_destination(root))), ()
    except ChurnError as error:
        return None, (f"MLflow runs: {without_secrets(str(error))}",)


def _tags(state: Snapshot | None, rows: "list[Run]") -> Mapping[str, str]:
    """Tags of the state, or of its MLflow run."""
    if state is None:
        return rows[0].data.tags if rows else {}
    try:
        return describe(state)[0].experiment.tags
    except Exception as error:  # a fetched branch can contain anything
        log.warning("%s: %s", state.commit, " ".join(f"{type(error).__name__}: {error}".split()))
        log.debug("traceback", exc_info=True)
        return {name: md5 for name, md5 in ((MODEL_MD5, _model_of(state)),) if md5}


def _find(root: Path, asked: str, states: Sequence[Snapshot], store: "Store | None") -> _FoundState:
    for find in (_of_model_file, _of_fingerprint, _of_commit, _of_row, _of_version):
        found = find(root, asked, states, store)
        if found:
            return found
    if (md5 := _absent_results(states).get(asked)) and not (root / asked).is_file():
        raise ChurnError(f"{asked}: recorded in {LOCK_FILE}, but not here; {remedy_for_absent(root, [md5])}")
    if commit_named(root, asked):
        raise ChurnError(f"{asked}: it has no complete {LOCK_FILE}, so no state was recorded there")
    foreign = next((one.objection for one in states if one.objection), None) if (root / asked).is_file() else None
    raise ChurnError(
        f"{asked}: unknown: it matches no commit, DVC experiment, MLflow run or registered model"
        f"{f'; {foreign}' if foreign else ''}"
    )


def _of_model_file(root: Path, asked: str, states: Sequence[Snapshot], store: "Store | None") -> _FoundState | None:
    md5 = md5_of(root / asked) if (root / asked).is_file() else None
    of_model = [one for one in states if md5 is not None and _model_of(one) == md5]
    if len(of_model) > 1:  # the same model: a complete state comes first, in a commit that holds its inputs
        of_model.sort(key=lambda one: (not one.complete, not holds_its_inputs(root, one)))
    if of_model:
        return _FoundState(of_model[0].fingerprint, md5)
    rows = store.rows_tagged(MODEL_MD5, md5) if store and md5 else []
    return _of_run(rows[0], md5) if rows else None


def _absent_results(states: Sequence[Snapshot]) -> Mapping[str, str]:
    """md5 by path of results of this folder that are not here."""
    return next((one.absent for one in states if one.absent), {})


def _of_fingerprint(root: Path, asked: str, states: Sequence[Snapshot], store: "Store | None") -> _FoundState | None:
    if store and FINGERPRINT_FORM.fullmatch(asked) and store.rows_tagged(FINGERPRINT, asked):
        return _FoundState(asked)
    found = next((one for one in states if one.fingerprint == asked), None)
    return _FoundState(_require_own(asked, found).fingerprint) if found else None


def _of_commit(root: Path, asked: str, states: Sequence[Snapshot], store: "Store | None") -> _FoundState | None:
    if asked == WORKSPACE:
        here = snapshot.state_of_workspace(root)
        return _FoundState(_require_own(asked, here).fingerprint, _model_of(here))
    found = snapshot.state_of_revision(root, asked)
    if found is None:
        return None
    require_inputs_of_commit(root, asked, _require_own(asked, found))
    return _FoundState(found.fingerprint, _model_of(found), found)


def _of_row(root: Path, asked: str, states: Sequence[Snapshot], store: "Store | None") -> _FoundState | None:
    row = store.row(asked) if store and RUN_FORM.fullmatch(asked) else None
    return _of_run(row) if row else None


def _of_version(root: Path, asked: str, states: Sequence[Snapshot], store: "Store | None") -> _FoundState | None:
    form = REGISTERED.fullmatch(asked)
    version = store.versions.find(form[1], form[2]) if store and form else None
    fingerprint = store.versions.fingerprint_of(version) if store and version else ""
    return _FoundState(fingerprint, store.versions.md5_of(version)) if store and version and fingerprint else None


def _of_run(row: "Run", model_md5: str | None = None) -> _FoundState | None:
    fingerprint = row.data.tags.get(FINGERPRINT)
    return _FoundState(fingerprint, model_md5) if fingerprint else None


def _require_own(asked: str, one: Snapshot) -> Snapshot:
    if one.objection:
        raise ForeignResultsError(f"{asked}: {one.objection.reason}")
    return one


def _model_of(one: Snapshot) -> str | None:
    return one.results.get(str(files.MODEL))
