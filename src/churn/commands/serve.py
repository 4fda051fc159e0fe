"""`churn serve`: settings from the environment and the command line, then the service."""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from churn.errors import ChurnError, excerpt
from churn.service.settings import PREFIX, ServeSettings


def read_settings(**given: Any) -> ServeSettings:
    """Settings; values given on the command line come before the environment.

    Raises:
        ChurnError: a value is not accepted, or a variable of that prefix is unknown.
    """
    known = {f"{PREFIX}{name}".upper() for name in ServeSettings.model_fields}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            raise ChurnError(f"{name}: no such setting; docs/service.md lists all")
    try:
        return ServeSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"{PREFIX}{fault['loc'][0]}".upper()
        reason = re.sub(r"^Input should be", "must be", fault["msg"])
        raise ChurnError(f"{name}: {excerpt(fault['input'])} is not accepted: {reason}") from None


def serve(root: Path, settings: ServeSettings) -> None:
    """Serve until the process is ended.

    Raises:
        ChurnError: the service cannot start.
    """
    from churn.service.server import serve as run

    run(root, settings)
