"""MLflow brought up to date with what happened: first what waits in the outbox, then states that nobody ran here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.params import read_yaml
from churn.tracking import snapshot
from churn.tracking.description import describe
from churn.tracking.destination import PATIENCE, PATIENT_SETTINGS, Destination, find_destination, refusal
from churn.tracking.outbox import Outbox, outbox_of
from churn.tracking.record import MODEL_NOTE, NOT_IN_CACHE
from churn.tracking.snapshot import Snapshot
from churn.tracking.state import PIPELINE_FILE, UnidentifiedError

if TYPE_CHECKING:
    from mlflow.entities import Run

    from churn.tracking.mlflow_store import Store


@dataclass(frozen=True)
class Report:
    """What was done or found, and what is not as it should be, in lines for people."""

    lines: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """Which states are to be shown beside those that wait in the outbox."""

    everything: bool
    """Every state that git records, and not the workspace alone."""
    again: bool
    """Also those whose row somebody deleted."""


def sync(root: Path, wanted: Wanted) -> Report:
    """Publish what waits, then what is wanted and not shown.

    Raises:
        ChurnError: this is no project's folder.
    """
    read_yaml(root / PIPELINE_FILE)
    destination, outbox = find_destination(root), outbox_of(root)
    lines: list[str] = [f"MLflow at {destination.shown}"]
    faults: list[str] = []
    try:
        store = connect(destination)
        published = _flush(outbox, store, outbox.names(), faults)
        lines.append(f"{published:,} records from the outbox published")
        for one in _states(root, wanted, faults):
            lines += _reconcile(one, outbox, store, wanted, faults)
        outbox.prune()
    except (ChurnError, OSError) as error:
        faults.append(str(error))
    return Report((*lines, *_kept(outbox)), tuple(faults))


def status(root: Path) -> Report:
    """Where tracking goes, what waits, and whether the state of the workspace is shown.

    Raises:
        ChurnError: this is no project's folder.
    """
    read_yaml(root / PIPELINE_FILE)
    destination, outbox = find_destination(root), outbox_of(root)
    lines = [f"MLflow at {destination.shown}, experiment {destination.experiment}"]
    faults: list[str] = []
    try:
        state = snapshot.of_workspace(root)
        lines.append(f"state {state.fingerprint}: {'complete' if state.complete else 'not run to its end'}")
        store = connect(destination)
        waiting = outbox.without_receipt(store.identity)
        if waiting:
            faults.append(f"{len(waiting):,} records wait in the outbox: {_last_reason(outbox, waiting)}")
        if store.complete_row(state.fingerprint):
            lines.append("this state is shown in MLflow")
        elif store.was_deleted(state.fingerprint):
            lines.append("the row of this state was deleted in MLflow; `churn sync --again` brings it back")
        elif state.complete:
            faults.append("this state is not shown in MLflow; `churn sync` publishes it")
    except (ChurnError, OSError) as error:
        faults.append(str(error))
    return Report((*lines, *_kept(outbox)), tuple(faults))


def row_of(root: Path, one: Snapshot, store: "Store") -> "Run":
    """The row of a whole state with its model, published if it is not shown yet.

    Raises:
        ChurnError: it cannot be shown.
    """
    faults: list[str] = []
    outbox = outbox_of(root)
    _flush(outbox, store, outbox.names(), faults)
    told = list(_reconcile(one, outbox, store, Wanted(everything=False, again=True), faults))
    row = store.complete_row(one.fingerprint)
    if row is None:
        raise ChurnError("\n".join(faults or told) or f"{one.fingerprint}: cannot be shown in MLflow; `churn status`")
    if row.data.tags.get(MODEL_NOTE) == NOT_IN_CACHE:
        raise ChurnError(f"{one.commit}: its model is not in the cache; `dvc fetch --all-commits` brings it")
    return row


def connect(destination: Destination) -> "Store":
    """Open the store.

    Raises:
        ChurnError: it is away, or refuses.
    """
    refused = refusal(destination, PATIENCE)
    if refused:
        raise ChurnError(f"{destination.shown}: {refused}")
    for name, value in PATIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from churn.tracking import mlflow_store  # here: mlflow takes seconds to import, and may not be needed

    return mlflow_store.open_store(destination)


def _reconcile(one: Snapshot, outbox: Outbox, store: "Store", wanted: Wanted, faults: list[str]) -> Iterator[str]:
    """Publish a state that is not shown, and say so."""
    name = one.experiment or (one.commit or "")[:7]
    if not one.complete:
        yield f"{name}: not run to its end, so there is nothing to show; `dvc repro`"
        return
    row = store.complete_row(one.fingerprint)
    if row is not None and row.data.tags.get(MODEL_NOTE) != NOT_IN_CACHE:
        return
    if row is None and store.was_deleted(one.fingerprint) and not wanted.again:
        yield f"{name}: its row was deleted in MLflow and stays so; --again brings it back"
        return
    try:
        record, content_of = describe(one)
    except (ChurnError, ValueError) as error:
        faults.append(f"{name}: {error}")
        return
    waiting = (outbox.record(other) for other in outbox.never_shown())
    if any(other.experiment.digest == record.experiment.digest for other in waiting if other):
        return  # refused, and told
    if row is not None and record.experiment.model_md5 is None:
        return  # nothing to add to it
    outbox.add(record, content_of)
    if _flush(outbox, store, [record.name], faults):
        without_model = "" if record.experiment.model_md5 else ", without its model, which is not in the cache"
        yield f"{record.experiment.name}: published{without_model}"


def _states(root: Path, wanted: Wanted, faults: list[str]) -> Iterator[Snapshot]:
    """Each once, by fingerprint; that of the workspace first."""
    seen: set[str] = set()
    try:
        workspace = [snapshot.of_workspace(root)]
        seen.add(workspace[0].fingerprint)
        yield from workspace
    except UnidentifiedError as error:
        faults.append(str(error))
    for one in snapshot.recorded_in_git(root) if wanted.everything else ():
        if one.fingerprint not in seen:
            seen.add(one.fingerprint)
            yield one


def _flush(outbox: Outbox, store: "Store", names: list[str], faults: list[str]) -> int:
    """How many records were published; what was kept goes to the faults."""
    from churn.tracking.publisher import flush  # here: it imports mlflow

    flushed = flush(outbox, store, names)
    faults += [f"{name}: {'refused' if kept.refused else 'kept'}: {kept.reason}" for name, kept in flushed.kept.items()]
    return len(flushed.published)


def _kept(outbox: Outbox) -> Iterator[str]:
    waiting, aside = outbox.never_shown(), outbox.set_aside()
    if waiting:
        yield f"{len(waiting):,} records wait in {outbox.folder}"
    if aside:
        yield f"{len(aside):,} records could not be read and were set aside: {', '.join(map(str, aside))}"


def _last_reason(outbox: Outbox, names: list[str]) -> str:
    reasons = [reason for name in names if (reason := outbox.outcome(name))]
    return reasons[-1] if reasons else "not tried yet; `churn sync` publishes them"
