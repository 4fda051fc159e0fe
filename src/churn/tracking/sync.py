"""MLflow brought up to date with what happened: first what waits in the outbox, then states that nobody ran here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from churn.errors import ChurnError
from churn.tracking import snapshot
from churn.tracking.description import describe
from churn.tracking.destination import CLIENT_SETTINGS, Destination, find_destination, refusal
from churn.tracking.outbox import Outbox, outbox_of
from churn.tracking.snapshot import Snapshot

if TYPE_CHECKING:
    from churn.tracking.mlflow_store import Store
    from churn.tracking.publisher import Flush


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
    """Publish what waits, then what is wanted and not shown."""
    destination, outbox = find_destination(root), outbox_of(root)
    try:
        store = connect(destination)
        flushed = _flush(outbox, store, outbox.names())
        lines, faults = [f"{len(flushed.published):,} records from the outbox published"], _told(flushed)
        reconciled, missing = _reconcile(root, outbox, store, wanted)
        lines += reconciled
        faults += missing
        outbox.prune()
    except ChurnError as error:
        lines, faults = [], [str(error)]
    return Report((f"MLflow at {destination.shown}", *lines, *_kept(outbox)), tuple(faults))


def status(root: Path) -> Report:
    """Where tracking goes, what waits, and whether the state of the workspace is shown."""
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
        if store.is_complete(state.fingerprint):
            lines.append("this state is shown in MLflow")
        elif state.complete:
            faults.append("this state is not shown in MLflow; `churn sync` publishes it")
    except ChurnError as error:
        faults.append(str(error))
    return Report((*lines, *_kept(outbox)), tuple(faults))


def connect(destination: Destination) -> "Store":
    """Open the store.

    Raises:
        ChurnError: it is away, or refuses.
    """
    refused = refusal(destination)
    if refused:
        raise ChurnError(f"{destination.shown}: {refused}")
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from churn.tracking import mlflow_store  # here: mlflow takes seconds to import, and may not be needed

    return mlflow_store.open_store(destination)


def _reconcile(root: Path, outbox: Outbox, store: "Store", wanted: Wanted) -> tuple[list[str], list[str]]:
    """Publish complete states that are not shown; what was done, and what could not be."""
    lines: list[str] = []
    faults: list[str] = []
    waiting = {record.experiment.fingerprint for name in outbox.never_shown() if (record := outbox.record(name))}
    for one in _states(root, wanted):
        name = one.experiment or (one.commit or "")[:7]
        if not one.complete:
            lines.append(f"{name}: not run to its end, so there is nothing to show; `dvc repro`")
            continue
        if one.fingerprint in waiting or store.is_complete(one.fingerprint):
            continue
        if store.was_deleted(one.fingerprint) and not wanted.again:
            lines.append(f"{name}: its row was deleted in MLflow and stays so; --again brings it back")
            continue
        record, content_of = describe(one)
        outbox.add(record, content_of)
        flushed = _flush(outbox, store, [record.name])
        faults += _told(flushed)
        if flushed.published:
            without_model = "" if record.experiment.model_md5 else ", without its model, which is not in the cache"
            lines.append(f"{record.experiment.name}: published{without_model}")
    return lines, faults


def _states(root: Path, wanted: Wanted) -> Iterator[Snapshot]:
    """Each once, by fingerprint; that of the workspace first."""
    seen: set[str] = set()
    workspace = [snapshot.of_workspace(root)]
    for one in [*workspace, *(snapshot.recorded_in_git(root) if wanted.everything else ())]:
        if one.fingerprint not in seen:
            seen.add(one.fingerprint)
            yield one


def _flush(outbox: Outbox, store: "Store", names: list[str]) -> "Flush":
    from churn.tracking.publisher import flush

    return flush(outbox, store, names)


def _told(flushed: "Flush") -> list[str]:
    return [f"{name}: {'refused' if flushed.refused else 'kept'}: {reason}" for name, reason in flushed.kept.items()]


def _kept(outbox: Outbox) -> Iterator[str]:
    waiting, aside = outbox.never_shown(), outbox.set_aside()
    if waiting:
        yield f"{len(waiting):,} records wait in {outbox.folder}"
    if aside:
        yield f"{len(aside):,} records could not be read and were set aside: {', '.join(map(str, aside))}"


def _last_reason(outbox: Outbox, names: list[str]) -> str:
    reasons = [reason for name in names if (reason := outbox.outcome(name))]
    return reasons[-1] if reasons else "not tried yet; `churn sync` publishes them"
