"""What a stage calls. Tracking can fail; the stage that it watches cannot fail by it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from churn.tracking.destination import find_destination, project_root, refusal
from churn.tracking.handover import Execution, say_not_recorded


class Recorder:
    """Holds a publisher that gets ready while the stage computes, so that MLflow's start costs it little time."""

    def __init__(self, workspace: Path, stage: str) -> None:
        self.workspace = workspace
        self.stage = stage
        self._destination = find_destination(project_root(workspace))
        self._publisher: subprocess.Popen[str] | None = None
        if not refusal(self._destination):
            with suppress(OSError):  # what stands in the way is told when there is something to record
                self._publisher = self._start()

    def record(self, execution: Execution) -> None:
        """Have an execution published, and wait until it is; why it is not is a warning."""
        refused = refusal(self._destination)
        if refused:
            say_not_recorded(f"{self._destination.uri}: {refused}")
            return
        try:
            publisher = self._publisher or self._start()
            publisher.communicate(execution.as_text())
        except OSError as error:
            say_not_recorded(str(error))
            return
        if publisher.returncode:
            say_not_recorded(f"the process that does it ended with exit code {publisher.returncode}")

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "churn.tracking.publisher", self.stage]
        return subprocess.Popen(command, cwd=self.workspace, stdin=subprocess.PIPE, text=True)  # noqa: S603
