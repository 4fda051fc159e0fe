"""What a stage calls. Tracking can fail; the stage that it watches cannot fail by it.

Light to import: MLflow is the publisher's business.
"""

import fcntl
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from churn.errors import ChurnError
from churn.tracking.destination import (
    CLIENT_SETTINGS,
    Destination,
    find_destination,
    project_root,
    refusal,
    without_password,
)
from churn.tracking.outbox import Outbox, outbox_of
from churn.tracking.record import Execution, Record

STAGES_LOCK = Path(".churn/stages.lock")
"""Shared by the stages at work; a publisher stays as long as one of them holds it."""

PUBLISHER_LOG = Path(".churn/publisher.log")
SECONDS_TO_PUBLISH = 4.0
"""How long the last stage waits. What takes longer goes on beside, or is published by the next stage or sync."""
SECONDS_BETWEEN_LOOKS = 0.02

log = logging.getLogger(__name__)


class Recorder:
    """Keeps what a stage did in the outbox, and sees that a publisher is at work."""

    def __init__(self, workspace: Path, stage: str) -> None:
        self.workspace = workspace
        self.stage = stage
        self._destination = find_destination(project_root(workspace))
        self._outbox = outbox_of(self._destination.root)
        with suppress(OSError):  # what stands in the way is told when there is something to record
            _attend(self._destination.root)
            if not refusal(self._destination):
                _ensure_publisher(self._destination)

    def record(self, execution: Execution) -> None:
        """Keep an execution; what cannot be kept, and what cannot be published now, is a warning."""
        try:
            record, last = self._kept(execution)
        except (ChurnError, OSError) as error:
            _warn("not recorded", str(error))
            return
        except Exception as error:  # results are there and good, whatever the record makes of them
            _warn("not recorded", f"{type(error).__name__}: {error}")
            log.debug("the fault in full", exc_info=True)
            return
        reason = refusal(self._destination)
        if not reason:
            reason = self._publish(record, wait=last or execution.fault is not None)
        if reason:
            _warn(f"kept for MLflow at {self._destination.shown}, `churn sync` publishes it", reason)

    def _kept(self, execution: Execution) -> tuple[Record, bool]:
        """The record, and whether no stage comes after this one."""
        from churn.tracking import snapshot, state  # here: a stage need not wait for them to start
        from churn.tracking.description import describe

        files = snapshot.of_workspace(self.workspace, execution.stage, failed=execution.fault is not None)
        record, content_of = describe(files, execution)
        self._outbox.add(record, content_of)
        return record, execution.stage in state.last_stages(files.stages)

    def _publish(self, record: Record, *, wait: bool) -> str:
        try:
            _ensure_publisher(self._destination)
        except OSError as error:
            return str(error)
        return _outcome(self._outbox, record.name, self._destination) if wait else ""


def _attend(root: Path) -> None:
    """Be seen at work until this process ends, in whatever way."""
    (root / STAGES_LOCK).parent.mkdir(parents=True, exist_ok=True)
    fcntl.flock(os.open(root / STAGES_LOCK, os.O_RDWR | os.O_CREAT, 0o644), fcntl.LOCK_SH)


def _ensure_publisher(destination: Destination) -> None:
    """Start a publisher unless one is there. It has nothing of the stage's: no terminal, no pipe, no folder."""
    if _publisher_is_there(destination):
        return
    package = Path(__file__).resolve().parents[2]
    environment = {**CLIENT_SETTINGS, **os.environ, "PYTHONPATH": str(package)}
    with (destination.root / PUBLISHER_LOG).open("a") as told:
        publisher = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "churn.tracking.publisher", str(destination.publisher_lock)],
            cwd=destination.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
    publisher.returncode = 0  # left to itself: it outlives the stage, and nobody here waits for it


def _publisher_is_there(destination: Destination) -> bool:
    with destination.publisher_lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _outcome(outbox: Outbox, name: str, destination: Destination) -> str:
    """Wait until a record is published ('') or an attempt has failed, and why."""
    end = time.monotonic() + SECONDS_TO_PUBLISH
    while time.monotonic() < end:
        reason = outbox.outcome(name)
        if reason is not None:
            return reason
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return f"not done within {SECONDS_TO_PUBLISH:g} s"


def _warn(what: str, why: str) -> None:
    """On one line and without a password."""
    log.warning("%s: %s", what, " ".join(without_password(why).split()))
