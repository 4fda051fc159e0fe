"""How every stage is run: parameters read, threads limited, faults told in one line each, the outcome recorded."""

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
"""What was measured on the way and belongs in no file, such as seconds; by metric name."""

log = logging.getLogger(__name__)


def run_stage(recorder: Recorder, work: Callable[[Path, Params], Measurements]) -> None:
    """Do a stage's work in its folder and record it; on a fault tell it and leave with exit code 1."""
    workspace, stage = recorder.workspace, recorder.stage
    started = time.time()

    def record(fault: str | None, measurements: Measurements) -> None:
        recorder.record(Execution(stage, started, time.time(), fault, dict(measurements)))

    try:
        inputs = inputs_of(workspace, stage)
        params = load_params(workspace)
        with at_work_alone(workspace), limited_threads(params.compute.threads):
            measurements = work(workspace, params)
            # DVC reads the inputs again when a stage has ended, and would take these results for theirs.
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
    """What decides a stage's results, as it stands in the files now; None outside a pipeline."""
    try:
        return inputs_from_files(workspace, stage)
    except (ParameterError, UnidentifiedError):
        return None  # told where it matters: by the stage itself, or when it is recorded


def _fault_text(error: ChurnError | OSError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.ENOSPC:
        return f"{error.filename or 'results'}: no space left on the disk; free some (`dvc gc -w` drops unused results)"
    return f"{error.filename or type(error).__name__}: {error.strerror or error}"
