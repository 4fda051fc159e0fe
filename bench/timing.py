"""Wall time and peak memory of commands, each in an environment that is the same for everybody."""

import json
import logging
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from churn.errors import ChurnError
from churn.runtime import THREAD_SETTINGS

LAUNCHER = Path(__file__).with_name("launch.py")
NOT_INHERITED = ("DVC_", "GIT_", "MLFLOW_", "PYTHON")
"""Settings of the user by their first letters; those of threads are not inherited either."""
LAST_LINES = 15

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """What a command took, and what it said."""

    seconds: float
    peak_bytes: int
    """Resident memory of its largest process, children included."""
    output: str


@dataclass(frozen=True)
class Summary:
    """Middle and ends of repeated measurements."""

    median: float
    low: float
    high: float


def summarised(values: Sequence[float]) -> Summary:
    """Median, smallest and largest."""
    return Summary(statistics.median(values), min(values), max(values))


def measure(name: str, command: Sequence[str], folder: Path, settings: Mapping[str, str]) -> Measurement:
    """Run a command in a folder and note what it took, on stderr as well.

    Raises:
        ChurnError: the command failed.
    """
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), *command]
    *lines, last = _output_of(launch, folder, environment(settings)).splitlines()
    took = json.loads(last)
    if took["code"]:
        raise ChurnError(f"{name}: ended with exit code {took['code']}:\n" + "\n".join(lines[-LAST_LINES:]))
    log.info("%s: %.2f s, %s MB", name, took["seconds"], f"{took['peak'] / 1e6:,.0f}")
    return Measurement(took["seconds"], took["peak"], "\n".join(lines))


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without what would change the measurement, and with some settings."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(NOT_INHERITED) and name not in THREAD_SETTINGS
    }
    # The commands of this environment, activated or not.
    inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', '')}"
    return {**inherited, **settings}


def _output_of(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> str:
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=folder,
        env=variables,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.communicate()[0]
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()  # returns when the last of the group is gone, so nobody writes to the folder any more
        raise
