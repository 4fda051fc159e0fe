"""Run a stage: read parameters, limit threads, report errors and record the outcome."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from churn import files
from churn.config.params import Params, load_params
from churn.errors import ChurnError, DataError, ParameterError
from churn.history import verify
from churn.history.state import StageInputs, UnidentifiedError, inputs_from_files
from churn.runtime import at_work_alone, limited_threads, os_error_line, unexpected_error_line, without_secrets
from churn.tracking.record import Execution
from churn.tracking.recorder import Recorder
from churn.types import Labels

if TYPE_CHECKING:
    import pandas as pd  # only for types

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
    except Exception as error:
        fault = _fault_text(error, workspace)
        for line in fault.splitlines():
            log.error(line)
        log.debug("raised here", exc_info=True)
        record(without_secrets(fault), {})
        sys.exit(1)
    record(None, measurements)


def outcomes_of(root: Path, path: Path, rows: "pd.DataFrame") -> Labels:
    """Outcomes of rows, which another stage wrote.

    Raises:
        DataError: the file has others.
    """
    labels = files.read_labels(root / path)
    if len(labels) != len(rows) or labels.empty or not labels.isin([0, 1]).all():
        raise DataError(f"{path}: not the outcomes of {len(rows):,} rows, 1 or 0 each; {files.RESTORE}")
    return labels.to_numpy()


def inputs_of(workspace: Path, stage: str) -> StageInputs | None:
    """Inputs of a stage by the present files; None outside a pipeline."""
    try:
        return inputs_from_files(workspace, stage)
    except (ParameterError, UnidentifiedError):
        return None  # reported later: by the stage itself, or when it is recorded


def _fault_text(error: Exception, workspace: Path) -> str:
    if isinstance(error, ChurnError):
        return str(error)
    return os_error_line(error) if isinstance(error, OSError) else unexpected_error_line(error, workspace)
