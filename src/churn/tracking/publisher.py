"""Background process that publishes the outbox while stages compute: one for a whole `dvc repro`.

Importing MLflow and opening a store take seconds; done once and in parallel, they cost the stages little. The process
publishes records, notes the result of each attempt, and exits when no stage has run for a while. If it is killed, the
outbox still contains all unpublished records.
"""

import logging
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from churn.runtime import is_locked, log_text_to_stderr
from churn.tracking.destination import Destination, StoreError, find_destination, refusal
from churn.tracking.outbox import Outbox, outbox_of
from churn.tracking.record import Record
from churn.tracking.recorder import STAGES_LOCK
from churn.tracking.store import rows
from churn.tracking.store.rows import Store

SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_WITHOUT_A_STAGE = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptRecord:
    """Why a record could not be published; if it was refused, a retry will not help."""

    reason: str
    refused: bool


@dataclass
class FlushResult:
    """Published records, and those that are still in the outbox."""

    published: list[str] = field(default_factory=list)
    kept: dict[str, KeptRecord] = field(default_factory=dict)


def flush(outbox: Outbox, store: Store, names: Iterable[str]) -> FlushResult:
    """Publish records, oldest first. If one is refused, continue; if the store is unavailable, stop."""
    result = FlushResult()
    away: KeptRecord | None = None
    for name in sorted(set(names).intersection(outbox.without_receipt(store.identity))):
        record = outbox.record(name)
        if record is None:
            continue
        kept = away or _attempt(outbox, store, name, record)
        with suppress(OSError):  # the result is returned anyway
            outbox.note_outcome(name, kept.reason if kept else "")
        if kept is None:
            result.published.append(name)
            continue
        result.kept[name] = kept
        away = None if kept.refused else kept
    return result


def _attempt(outbox: Outbox, store: Store, name: str, record: Record) -> KeptRecord | None:
    """Publish a record; None on success."""
    try:
        store.publish(record, outbox.content)
        outbox.give_receipt(store.identity, name)
    except StoreError as error:
        return KeptRecord(str(error), error.refused)
    except OSError as error:
        return KeptRecord(str(error), refused=False)
    except Exception as error:  # a record that fails in MLflow or in a model's code must not block the others
        log.debug("%s", name, exc_info=True)
        return KeptRecord(f"{type(error).__name__}: {error}", refused=True)
    return None


def work(destination: Destination, outbox: Outbox) -> None:
    """Publish pending and new records, trying each once, until no stage has run for SECONDS_WITHOUT_A_STAGE."""
    store, reason = _open(destination)
    tried = set(outbox.names()).difference(outbox.names_never_shown())
    left = time.monotonic() + SECONDS_WITHOUT_A_STAGE
    pruned = False
    while time.monotonic() < left or is_locked(destination.root / STAGES_LOCK) or not pruned:
        if not outbox.folder.parent.is_dir():
            return  # the project was deleted
        new = [name for name in outbox.names() if name not in tried]
        if new:
            tried.update(new)
            if store is None:
                store, reason = _open(destination)
            if store is None:
                for name in new:
                    outbox.note_outcome(name, reason)
            else:
                flush(outbox, store, new)
            left = time.monotonic() + SECONDS_WITHOUT_A_STAGE
            pruned = False
        elif not pruned and time.monotonic() >= left:
            outbox.prune()
            pruned = True
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _open(destination: Destination) -> tuple[Store | None, str]:
    refused = refusal(destination)
    if refused:
        return None, refused
    try:
        return rows.open_store(destination), ""
    except StoreError as error:
        return None, str(error)


def main() -> None:
    """Publish for the project in the current folder; the process that starts this one holds the publisher's lock."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log_text_to_stderr("%(asctime)s %(message)s")
    logging.getLogger("churn").setLevel(logging.DEBUG)
    root = Path.cwd()
    work(find_destination(root), outbox_of(root))


if __name__ == "__main__":
    main()
