"""What a stage calls. Tracking can fail; the stage that it watches cannot fail by it.

Light to import: MLflow is the publisher's business.
"""

import logging
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from churn.errors import ChurnError
from churn.runtime import lock
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
        self._attendance = ExitStack()
        with suppress(OSError):  # what stands in the way is told when there is something to record
            self._attendance.enter_context(lock(self._destination.root / STAGES_LOCK, shared=True))
            if not refusal(self._destination):
                _ensure_publisher(self._destination)

    def record(self, execution: Execution) -> None:
        """Keep an execution; what cannot be kept, and what cannot be published now, is a warning."""
        try:
            self._record(execution)
        except (ChurnError, OSError) as error:
            _warn("not recorded", str(error))
        except Exception as error:  # results are there and good, whatever the record makes of them
            _warn("not recorded", f"{type(error).__name__}: {error}")
            log.debug("the fault in full", exc_info=True)
        finally:
            self._attendance.close()

    def _record(self, execution: Execution) -> None:
        record, last = self._kept(execution)
        reason = refusal(self._destination)
        if not reason:
            reason = self._publish(record, wait=last or execution.fault is not None)
        if reason:
            _warn(f"kept for MLflow at {self._destination.address}, `churn sync` publishes it", reason)

    def _kept(self, execution: Execution) -> tuple[Record, bool]:
        """The record, and whether no stage comes after this one."""
        from churn.history import snapshot, state
        from churn.tracking.description import describe

        files = snapshot.state_of_workspace(self.workspace, execution.stage, failed=execution.fault is not None)
        record, content_of = describe(files, execution)
        self._outbox.add(record, content_of)
        return record, execution.stage in state.last_stages(files.stages)

    def _publish(self, record: Record, *, wait: bool) -> str:
        try:
            _ensure_publisher(self._destination)
        except OSError as error:
            return str(error)
        return _outcome(self._outbox, record.name, self._destination) if wait else ""


def _ensure_publisher(destination: Destination) -> None:
    """Start a publisher unless one is there. It has nothing of the stage's: no terminal, no pipe, no folder.

    The lock that says so is taken here and handed on, so that there is never a second one.
    """
    package = Path(__file__).resolve().parents[2]
    with lock(destination.publisher_lock, wait=False) as held:
        if held is None:
            return
        with (destination.root / PUBLISHER_LOG).open("w") as told:
            publisher = subprocess.Popen(
                [sys.executable, "-P", "-m", "churn.tracking.publisher"],
                cwd=destination.root,
                env={**CLIENT_SETTINGS, **os.environ, "PYTHONPATH": str(package)},
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                pass_fds=[held],
                start_new_session=True,
            )
    publisher.returncode = 0  # left to itself: it outlives the stage, and nobody here waits for it


def _outcome(outbox: Outbox, name: str, destination: Destination) -> str:
    """Wait until a record is published ('') or an attempt has failed, and why."""
    end = time.monotonic() + SECONDS_TO_PUBLISH
    while time.monotonic() < end:
        reason = outbox.outcome(name)
        if reason is not None:
            return reason
        _ensure_publisher(destination)  # one that was about to leave may have missed the record
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return f"not done within {SECONDS_TO_PUBLISH:g} s"


def _warn(what: str, why: str) -> None:
    """On one line and without a password."""
    log.warning("%s: %s", what, " ".join(without_password(why).split()))
