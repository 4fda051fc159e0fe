"""Entry point of the stages: start the recorder, then the stage."""

import argparse
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from churn.errors import ChurnError
from churn.runtime import end_like_ctrl_c, how_it_ended, log_to_stderr, same_kernels, unexpected_error_line
from churn.texts import escape_what_cannot_be_encoded, open_closed_streams

log = logging.getLogger(__name__)

STAGES = ("preprocess", "train", "evaluate")


def main() -> None:
    """Start the recorder before the stage's imports, so that MLflow is imported in parallel in its own process."""
    parser = argparse.ArgumentParser(prog="python -m churn.stages")
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--verbose", action="store_true", help="log details, and the traceback of an error")
    given = parser.parse_args()
    open_closed_streams()
    escape_what_cannot_be_encoded(sys.stdout, sys.stderr)
    log_to_stderr(given.stage, f"{given.stage}: %(message)s")
    logging.getLogger("churn").setLevel(logging.DEBUG if given.verbose else logging.INFO)
    try:
        end_like_ctrl_c()
        with same_kernels():  # before the imports: libraries choose their kernels when they are loaded
            from churn.tracking.recorder import Recorder

            recorder = Recorder(Path(), given.stage)
            runner = importlib.import_module("churn.stages.runner")
            runner.run_stage(recorder, importlib.import_module(f"churn.stages.{given.stage}").run)
    except KeyboardInterrupt as ended:
        sys.exit(f"{how_it_ended(ended)}; `dvc repro` runs this stage again")
    except Exception as error:
        log.debug("raised here", exc_info=True)
        log.error(str(error) if isinstance(error, ChurnError) else unexpected_error_line(error, Path()))
        sys.exit(1)


def start_anew(stage: str) -> NoReturn:
    """Replace this process, which has loaded the libraries, by one that has not: `python -m churn.stages STAGE`."""
    os.execv(sys.executable, [sys.executable, "-m", "churn.stages", stage, *sys.argv[1:]])  # noqa: S606
