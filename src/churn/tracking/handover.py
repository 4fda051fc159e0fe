"""What a stage tells the process that records it. Light to import: a stage starts with it."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from churn.tracking.destination import without_password

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Execution:
    """One stage, run once. Times in seconds since 1970."""

    stage: str
    started: float
    ended: float
    fault: str | None
    measurements: Mapping[str, float]
    pid: int = field(default_factory=os.getpid)

    def as_text(self) -> str:
        """All of it on one line."""
        return json.dumps(asdict(self))


def execution_from(text: str) -> Execution:
    """What `as_text` wrote."""
    return Execution(**json.loads(text))


def say_not_recorded(reason: str) -> None:
    """Warn, on one line and without a password."""
    log.warning("not recorded in MLflow: %s", " ".join(without_password(reason).split()))
