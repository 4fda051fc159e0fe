"""Run a command of `churn`."""

import logging
import sys

from typer._completion_classes import completion_init

from churn.cli import data, judging, monitoring, running, serving, tracking  # noqa: F401 - each registers its commands
from churn.cli.app import UsageError, app
from churn.errors import ChurnError, escape_controls
from churn.runtime import require_posix, same_kernels


def main() -> None:
    """Run a command. An error that the user can fix is printed without a traceback."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("churn").setLevel(logging.INFO)
    completion_init()  # Typer does this only with its own completion options
    try:
        require_posix()
        with same_kernels():  # before a command imports the libraries that choose among kernels
            app(prog_name="churn")
    except UsageError as error:
        print(escape_controls(f"churn: {error}"), file=sys.stderr)
        sys.exit(2)
    except ChurnError as error:
        sys.exit(escape_controls(f"churn: {error}"))
