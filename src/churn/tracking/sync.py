"""Bring MLflow up to date: publish the outbox, then states that were not run on this machine."""

import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from churn import files
from churn.config.params import read_yaml
from churn.errors import ChurnError, ParameterError, first_few
from churn.history import snapshot
from churn.history.snapshot import Snapshot, obstacle_of
from churn.history.state import PIPELINE_FILE, UnidentifiedError
from churn.history.vouching import is_vouched, require_names, vouched_commits
from churn.metrics.agreement import TOLERANCE, distance
from churn.runtime import environment, os_error_line
from churn.texts import counted
from churn.tracking.description import describe
from churn.tracking.destination import PATIENCE, PATIENT_SETTINGS, Destination, find_destination, refusal
from churn.tracking.outbox import Outbox, outbox_of
from churn.tracking.record import DIGEST, MODEL_MD5, MODEL_NOTE, PLATFORM, Experiment, ModelNote, is_outdated
from churn.tracking.reports import ShownAs, StatusReport, SyncedState, SyncOutcome, SyncReport, Unpublished

if TYPE_CHECKING:
    from mlflow.entities import Run

    from churn.tracking.store.rows import Store


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncRequest:
    """Which states to publish in addition to the outbox."""

    everything: bool
    """Every state that git records, not only the workspace."""
    again: bool
    """Also states whose run was deleted in MLflow."""
    trusted: tuple[str, ...] = ()
    """Revisions whose history is trusted in addition to that of HEAD."""


def sync(root: Path, wanted: SyncRequest) -> SyncReport:
    """Publish the outbox, then the requested states that MLflow lacks.

    Raises:
        ChurnError: the folder is not a project.
    """
    read_yaml(root / PIPELINE_FILE)
    require_names(root, wanted.trusted)
    destination, outbox = find_destination(root), outbox_of(root)
    lines: list[str] = [f"MLflow at {destination.address}"]
    faults: list[str] = []
    published: int | None = None
    states: list[SyncedState] = []
    obstacle = ""
    pages = ""
    try:
        with connection(destination) as store:
            published = _flush(outbox, store, outbox.names(), faults)
            lines.append(f"{counted(published, 'record')} published" if published else "no records wait")
            commits = vouched_commits(root, wanted.trusted)
            workspace, obstacle = _workspace(root)
            faults += [f"the state of this folder is not published: {obstacle}"] if obstacle else []
            for one in _states(root, None if obstacle else workspace, wanted):
                states += _reconcile(one, commits, outbox, store, wanted, faults)
            if not states and not faults:
                lines.append("every state is in MLflow" if wanted.everything else "this state is in MLflow")
            outbox.prune()
            pages = destination.pages_of(store.experiment_id)
    except ChurnError as error:
        faults.append(str(error))
    except OSError as error:
        faults.append(os_error_line(error))
    return SyncReport(
        address=destination.address,
        published=published,
        states=tuple(states),
        unpublished=_unpublished(outbox),
        pages=pages,
        lines=(*lines, *(one.note for one in states), *_waiting_lines(outbox), *_pages_line(destination, pages)),
        faults=tuple(faults),
        obstacle=obstacle,
    )


def status(root: Path) -> StatusReport:
    """Tracking destination, pending records, and whether MLflow has the state of the workspace.

    Raises:
        ChurnError: the folder is not a project.
    """
    read_yaml(root / PIPELINE_FILE)
    destination, outbox = find_destination(root), outbox_of(root)
    lines = [f"MLflow at {destination.address}, experiment {destination.experiment}"]
    faults: list[str] = []
    fingerprint: str | None = None
    complete: bool | None = None
    unshown: int | None = None
    shown_as: ShownAs | None = None
    obstacle = pages = ""
    try:
        state, obstacle = _workspace(root)
        faults += [obstacle] if obstacle else []
        if state is not None:
            fingerprint, complete = state.fingerprint, state.complete
            unrun = "" if complete or obstacle else ": not run yet; run `dvc repro`"
            lines.append(f"state {fingerprint}: {'complete' if complete else 'incomplete'}{unrun}")
            if state.git_refusal:
                faults.append(state.git_refusal)
        with connection(destination) as store:
            waiting = outbox.without_receipt(store.identity)
            unshown = len(waiting)
            if waiting:
                faults.append(f"{len(waiting):,} records wait in the outbox: {_last_reason(outbox, waiting)}")
            if state is not None:
                shown_as = _look_for_row(state, store, lines, faults)
            faults += _faults_of_champion(store)
            pages = destination.pages_of(store.experiment_id)
    except ChurnError as error:
        faults.append(str(error))
    except OSError as error:
        faults.append(os_error_line(error))
    return StatusReport(
        address=destination.address,
        experiment=destination.experiment,
        fingerprint=fingerprint,
        complete=complete,
        waiting=unshown,
        shown_as=shown_as,
        unpublished=_unpublished(outbox),
        pages=pages,
        lines=(*lines, *_waiting_lines(outbox), *_pages_line(destination, pages)),
        faults=tuple(faults),
        obstacle=obstacle,
    )


def _workspace(root: Path) -> tuple[Snapshot | None, str]:
    """The state of the folder, None if it cannot be identified, and why its results cannot be used; '' if they can."""
    try:
        workspace = snapshot.state_of_workspace(root)
    except (UnidentifiedError, ParameterError) as error:
        return None, str(error)
    obstacle = obstacle_of(root, workspace) or workspace.objection
    return workspace, str(obstacle) if obstacle else ""


def _faults_of_champion(store: "Store") -> list[str]:
    from churn.tracking.store.champion import faults_of_champion  # here: it imports mlflow

    return list(faults_of_champion(store))


def _look_for_row(state: Snapshot, store: "Store", lines: list[str], faults: list[str]) -> ShownAs:
    """Report whether MLflow has a state, and what is missing."""
    row = store.complete_row(state.fingerprint)
    if row is not None and state.complete:
        experiment = describe(state)[0].experiment
        if gone := store.lacking(row, experiment):
            faults.append(
                f"files of this state's MLflow run are missing ({first_few(gone)}); `churn sync` restores them"
            )
            return ShownAs.LACKS_FILES
        if is_outdated(row.data.tags, experiment.tags):
            lines.append("this state is in MLflow; `churn sync` brings its name and description up to date")
            return ShownAs.SHOWN
        same = row.data.tags.get(DIGEST) == experiment.digest
        lines.append(f"this state is in MLflow{'' if same else _other_execution(row, experiment)}")
        return ShownAs.SHOWN if same else ShownAs.OTHER_RUN
    if row is not None:
        lines.append("this state is in MLflow; some of its results are missing in this folder")
        return ShownAs.SHOWN
    if store.was_deleted(state.fingerprint):
        lines.append("the MLflow run of this state was deleted; `churn sync --again` restores it")
        return ShownAs.DELETED
    if state.complete:
        faults.append("this state is not in MLflow; `churn sync` publishes it")
    return ShownAs.ABSENT


def _other_execution(row: "Run", here: Experiment) -> str:
    told = ", with the results of another execution"
    platforms = row.data.tags.get(PLATFORM, "an unknown platform"), here.tags.get(PLATFORM, "an unknown platform")
    if platforms[0] == platforms[1]:
        return told
    figures = row.data.metrics.keys() & here.metrics.keys()
    apart = max((distance(row.data.metrics[name], here.metrics[name]) for name in figures), default=0.0)
    return (
        f"{told} on {platforms[0]}, here on {platforms[1]}: metrics differ by at most {apart:.1e} "
        f"({TOLERANCE:g} is usual between platforms)"
    )


def row_of(root: Path, one: Snapshot, store: "Store", trusted: Sequence[str]) -> "Run":
    """The MLflow run of a complete state with its model; it is published if necessary.

    Raises:
        ChurnError: it cannot be published.
    """
    faults: list[str] = []
    outbox = outbox_of(root)
    _flush(outbox, store, outbox.names(), faults)
    faults.clear()  # errors of other states do not matter here
    commits = vouched_commits(root, trusted)
    wanted = SyncRequest(everything=False, again=True)
    told = [done.note for done in _reconcile(one, commits, outbox, store, wanted, faults)]
    row = store.complete_row(one.fingerprint)
    if row is None or faults:
        raise ChurnError("\n".join(faults or told) or f"{one.fingerprint}: cannot be published; see `churn status`")
    note = row.data.tags.get(MODEL_NOTE)
    if note == ModelNote.NOT_IN_CACHE:
        raise ChurnError(f"{one.commit}: its model is not in the cache; `dvc fetch --all-commits` gets it")
    if note != ModelNote.SHOWN:
        raise ChurnError(f"{one.commit}: its model is {note}; `dvc repro` and a commit give one that can be registered")
    return row


@contextmanager
def connection(destination: Destination) -> Iterator["Store"]:
    """Open the store, with longer timeouts.

    Raises:
        ChurnError: it is unavailable, or refuses.
    """
    refused = refusal(destination, PATIENCE)
    if refused:
        raise ChurnError(f"{destination.address}: {refused}")
    with environment(PATIENT_SETTINGS, unless_given=True):
        from churn.tracking.store import rows  # here: mlflow takes seconds to import, and may not be needed

        yield rows.open_store(destination)


def _reconcile(
    one: Snapshot, commits: frozenset[str], outbox: Outbox, store: "Store", wanted: SyncRequest, faults: list[str]
) -> Iterator[SyncedState]:
    """Publish a state that MLflow lacks, or has incompletely, and report it."""
    name = one.experiment or (one.commit or "")[:7]
    done = functools.partial(SyncedState, name, one.fingerprint)
    if one.objection:
        yield done(SyncOutcome.FOREIGN, f"{name}: not published: {one.objection.reason}")
        return
    if not one.complete:
        told = f"{name}: its results are incomplete, so there is nothing to publish; run `dvc repro`"
        yield done(SyncOutcome.INCOMPLETE, told)
        return
    row = store.complete_row(one.fingerprint)
    if row is None and store.was_deleted(one.fingerprint) and not wanted.again:
        told = f"{name}: its MLflow run was deleted; pass --again to restore it"
        yield done(SyncOutcome.DELETED, told)
        return
    try:
        record, content_of = describe(one, vouched=is_vouched(one, commits) or _offers_its_model(row, one))
    except Exception as error:  # a fetched branch can contain anything; it must not block the other states
        faults.append(f"{name}: {' '.join(f'{type(error).__name__}: {error}'.split())}")
        log.debug("%s", name, exc_info=True)
        return
    if row is not None and _nothing_to_add(row, record.experiment, store):
        return
    waiting = (outbox.record(other) for other in outbox.names_never_shown())
    if any(other.experiment.digest == record.experiment.digest for other in waiting if other):
        return  # already refused and reported
    outbox.add(record, content_of)
    if _flush(outbox, store, [record.name], faults):
        note = record.experiment.tags.get(MODEL_NOTE, ModelNote.SHOWN)
        told = f"{record.experiment.name}: published{'' if note == ModelNote.SHOWN else f'; its model: {note}'}"
        yield done(SyncOutcome.PUBLISHED, told)


def _offers_its_model(row: "Run | None", one: Snapshot) -> bool:
    """Whether a run already offers this very model for loading, so that restoring it trusts nothing new."""
    tags = row.data.tags if row else {}
    return tags.get(MODEL_NOTE) == ModelNote.SHOWN and tags.get(MODEL_MD5) == one.results.get(str(files.MODEL))


def _nothing_to_add(row: "Run", experiment: Experiment, store: "Store") -> bool:
    """Whether a complete run has everything that this checkout could publish."""
    shown, here = row.data.tags.get(MODEL_NOTE), experiment.tags.get(MODEL_NOTE)
    if shown == here and is_outdated(row.data.tags, experiment.tags):
        return False
    if here != ModelNote.SHOWN:  # another machine may have published the model
        others = {path: md5 for path, md5 in experiment.files.items() if path != str(files.MODEL)}
        return shown in (here, ModelNote.SHOWN) and not store.lacking(row, replace(experiment, files=others))
    return shown == here and not store.lacking(row, experiment)


def _states(root: Path, workspace: Snapshot | None, wanted: SyncRequest) -> Iterator[Snapshot]:
    """States to publish, each fingerprint once; the workspace first."""
    seen: set[str] = set()
    if workspace is not None:
        seen.add(workspace.fingerprint)
        yield workspace
    for one in snapshot.states_in_git(root) if wanted.everything else ():
        if one.fingerprint not in seen:
            seen.add(one.fingerprint)
            yield one


def _flush(outbox: Outbox, store: "Store", names: list[str], faults: list[str]) -> int:
    """Publish records and return how many were published; append the errors of the others to `faults`."""
    from churn.tracking.publisher import flush  # here: it imports mlflow

    flushed = flush(outbox, store, names)
    faults += [f"{name}: {'refused' if kept.refused else 'kept'}: {kept.reason}" for name, kept in flushed.kept.items()]
    return len(flushed.published)


def _unpublished(outbox: Outbox) -> Unpublished:
    return Unpublished(len(outbox.names_never_shown()), tuple(map(str, outbox.records_set_aside())))


def _pages_line(destination: Destination, pages: str) -> Iterator[str]:
    if pages:
        yield f"`make ui`, then {pages}" if destination.needs_ui else pages


def _waiting_lines(outbox: Outbox) -> Iterator[str]:
    waiting, aside = outbox.names_never_shown(), outbox.records_set_aside()
    if waiting:
        yield f"{len(waiting):,} records wait in {outbox.folder}"
    if aside:
        yield f"{len(aside):,} records could not be read and were set aside: {', '.join(map(str, aside))}"


def _last_reason(outbox: Outbox, names: list[str]) -> str:
    reasons = [reason for name in names if (reason := outbox.outcome(name))]
    return reasons[-1] if reasons else "not tried yet; `churn sync` publishes them"
