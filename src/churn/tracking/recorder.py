"""Record a stage for MLflow. An error of tracking never fails the stage.

Fast to import: only the publisher imports MLflow.
"""

import logging
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from churn.errors import ChurnError
from churn.runtime import LOCKS_CAN_BE_HANDED_ON, lock, os_error_line, without_secrets
from churn.tracking.destination import (
    CLIENT_SETTINGS,
    Destination,
    find_destination,
    project_root,
    refusal,
)
from churn.tracking.outbox import Outbox, outbox_of
from churn.tracking.record import Execution, Record

STAGES_LOCK = Path(".churn/stages.lock")
"""Shared lock of running stages; a publisher runs as long as one of them holds it."""

PUBLISHER_LOG = Path(".churn/publisher.log")
SECONDS_TO_PUBLISH = 4.0
"""How long the last stage waits. Publishing continues in the background; the next stage or sync does the rest."""
SECONDS_BETWEEN_LOOKS = 0.02

log = logging.getLogger(__name__)


class Recorder:
    """Stores the record of a stage in the outbox, and makes sure that a publisher is running."""

    def __init__(self, workspace: Path, stage: str) -> None:
        self.workspace = workspace
        self.stage = stage
        self._destination = find_destination(project_root(workspace))
        self._refusal = refusal if LOCKS_CAN_BE_HANDED_ON else _no_publisher
        self._outbox = outbox_of(self._destination.root)
        self._attendance = ExitStack()
        with suppress(OSError):  # reported later, when there is something to record
            self._attendance.enter_context(lock(self._destination.root / STAGES_LOCK, shared=True))
            if not self._refusal(self._destination):
                _ensure_publisher(self._destination)

    def record(self, execution: Execution) -> None:
        """Store an execution; log a warning if it cannot be stored, or not published now."""
        try:
            self._record(execution)
        except ChurnError as error:
            _warn("not recorded", str(error))
        except OSError as error:
            _warn("not recorded", os_error_line(error))
        except Exception as error:  # the results are valid even if recording fails
            _warn("not recorded", f"{type(error).__name__}: {error}")
            log.debug("traceback", exc_info=True)
        finally:
            self._attendance.close()

    def _record(self, execution: Execution) -> None:
        record, last = self._kept(execution)
        reason = self._refusal(self._destination)
        if not reason:
            # A stage that DVC did not start may be a container's only process, and a publisher ends with it.
            alone = "DVC_STAGE" not in os.environ
            reason = self._publish(record, wait=last or alone or execution.fault is not None)
        if reason:
            _warn(f"kept for MLflow at {self._destination.address}, `churn sync` publishes it", reason)

    def _kept(self, execution: Execution) -> tuple[Record, bool]:
        """The stored record, and whether this stage is a last one."""
        from churn.history import snapshot, state
        from churn.tracking.description import describe

        files = snapshot.state_of_workspace(self.workspace, execution.stage, failed=execution.fault is not None)
        record, content_of = describe(files, execution)
        self._outbox.add(record, content_of)
        if files.git_refusal:
            _warn("recorded without its commit, `churn sync` adds it once git answers", files.git_refusal)
        return record, execution.stage in state.last_stages(files.stages)

    def _publish(self, record: Record, *, wait: bool) -> str:
        try:
            _ensure_publisher(self._destination)
        except OSError as error:
            return str(error)
        return _outcome(self._outbox, record.name, self._destination) if wait else ""


def _no_publisher(_: Destination) -> str:
    return "no process can run in the background here, because this Python has no module fcntl"


def _ensure_publisher(destination: Destination) -> None:
    """Start a publisher unless one is running. It shares no terminal, pipe or folder with the stage.

    Its lock is acquired here and passed on, so that there are never two publishers.
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
    publisher.returncode = 0  # it outlives the stage, which does not wait for it


def _outcome(outbox: Outbox, name: str, destination: Destination) -> str:
    """Wait until a record is published; return '' or why it failed."""
    end = time.monotonic() + SECONDS_TO_PUBLISH
    while time.monotonic() < end:
        reason = outbox.outcome(name)
        if reason is not None:
            return reason
        _ensure_publisher(destination)  # one that was about to exit may have missed the record
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return f"not published within {SECONDS_TO_PUBLISH:g} s"


def _warn(what: str, why: str) -> None:
    """Log a warning on one line and without a password."""
    log.warning("%s: %s", what, " ".join(without_secrets(why).split()))
