"""Run a stage: read parameters, limit threads, report errors and record the outcome."""

import errno
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from churn.config.params import Params, load_params
from churn.errors import ChurnError, ParameterError
from churn.history import verify
from churn.history.state import StageInputs, UnidentifiedError, inputs_from_files
from churn.runtime import at_work_alone, limited_threads
from churn.tracking.record import Execution
from churn.tracking.recorder import Recorder

Measurements = Mapping[str, float]
"""Measurements that belong in no result file, such as seconds, by metric name."""

log = logging.getLogger(__name__)


def run_stage(recorder: Recorder, work: Callable[[Path, Params], Measurements]) -> None:
    """Run a stage in its folder and record it; log an error and exit with code 1."""
    workspace, stage = recorder.workspace, recorder.stage
    started = time.time()

    def record(fault: str | None, measurements: Measurements) -> None:
        recorder.record(Execution(stage, started, time.time(), fault, dict(measurements)))

    try:
        inputs = inputs_of(workspace, stage)
        params = load_params(workspace)
        with at_work_alone(workspace), limited_threads(params.compute.threads):
            measurements = work(workspace, params)
            # DVC hashes the inputs after the stage has ended, and would record these results for the new inputs.
            if inputs_of(workspace, stage) != inputs:
                raise ChurnError("parameters, code or data changed while this stage ran; run `dvc repro` again")
            if inputs is not None:
                verify.leave_provenance(workspace, stage, inputs)
    except (ChurnError, OSError) as error:
        fault = _fault_text(error)
        for line in fault.splitlines():
            log.error(line)
        log.debug("raised here", exc_info=error)
        record(fault, {})
        sys.exit(1)
    except Exception as error:
        record(f"{type(error).__name__}: {error}", {})
        raise
    record(None, measurements)


def inputs_of(workspace: Path, stage: str) -> StageInputs | None:
    """Inputs of a stage by the present files; None outside a pipeline."""
    try:
        return inputs_from_files(workspace, stage)
    except (ParameterError, UnidentifiedError):
        return None  # reported later: by the stage itself, or when it is recorded


def _fault_text(error: ChurnError | OSError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.ENOSPC:
        return f"{error.filename or 'results'}: no space left on the disk; free some (`dvc gc -w` drops unused results)"
    return f"{error.filename or type(error).__name__}: {error.strerror or error}"
