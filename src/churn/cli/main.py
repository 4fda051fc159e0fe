"""Run a command of `churn`."""

import errno
import logging
import os
import sys
from pathlib import Path

from typer._completion_classes import completion_init

from churn.cli import data, judging, monitoring, running, serving, tracking  # noqa: F401 - each registers its commands
from churn.cli.app import UsageError, app
from churn.errors import ChurnError, escape_controls
from churn.runtime import (
    end_like_ctrl_c,
    exit_code_of,
    how_it_ended,
    log_text_to_stderr,
    os_error_line,
    require_posix,
    same_kernels,
    unexpected_error_line,
    without_secrets,
)
from churn.texts import escape_what_cannot_be_encoded, open_closed_streams

log = logging.getLogger(__name__)


def main() -> None:
    """Run a command. No error shows a traceback: that of an unforeseen one goes to a log file."""
    open_closed_streams()
    escape_what_cannot_be_encoded(sys.stdout, sys.stderr)
    log_text_to_stderr("%(message)s")
    logging.getLogger("churn").setLevel(logging.INFO)
    try:
        end_like_ctrl_c()
        completion_init()  # Typer does this only with its own completion options
        require_posix()
        with same_kernels():  # before a command imports the libraries that choose among kernels
            _run()
    except KeyboardInterrupt as ended:
        print(f"churn: {how_it_ended(ended)}", file=sys.stderr)
        sys.exit(exit_code_of(ended))
    except UsageError as error:
        print(_told(str(error)), file=sys.stderr)
        sys.exit(2)
    except ChurnError as error:
        sys.exit(_told(str(error)))
    except OSError as error:
        sys.exit(_told(os_error_line(error)))
    except Exception as error:
        log.debug("not foreseen", exc_info=True)
        sys.exit(_told(unexpected_error_line(error, Path.cwd())))


def _run() -> None:
    """Run the command that the arguments name; what it printed has been written, or there is an error."""
    try:
        app(prog_name="churn")
    except SystemExit:
        _flush()
        raise
    _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would flush again at its end, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # nobody reads on, as behind `head`
            sys.exit(1)
        raise OSError(error.errno, error.strerror, "standard output") from error


def _told(error: str) -> str:
    return escape_controls(without_secrets(f"churn: {error}"))
