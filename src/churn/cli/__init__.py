"""The `churn` command: options and what is printed, nothing else."""

import logging
import sys

from typer._completion_classes import completion_init

from churn.cli import data, judge, run, tracking  # noqa: F401 (each registers its commands)
from churn.cli.app import UsageError, app
from churn.errors import ChurnError, escape_controls

__all__ = ["app", "main"]


def main() -> None:
    """Run a command; a fault that the user can mend is told in a line, without a traceback."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("churn").setLevel(logging.INFO)
    completion_init()
    try:
        app(prog_name="churn")
    except UsageError as error:
        print(escape_controls(f"churn: {error}"), file=sys.stderr)
        sys.exit(2)
    except ChurnError as error:
        sys.exit(escape_controls(f"churn: {error}"))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
