"""What happened, as plain values that outlive the process and the folder: what MLflow will show, without MLflow.

Light to import: a stage starts with it.
"""

import getpass
import hashlib
import json
import os
import shlex
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from churn.report.origin import Origin

RUNNING, FINISHED, FAILED = "RUNNING", "FINISHED", "FAILED"

FINGERPRINT, COMPLETE, MODEL_MD5, DATA_MD5, COMMIT, EDITED, DVC_EXPERIMENT = (
    "pipeline.fingerprint",
    "pipeline.complete",
    "model.md5",
    "data.md5",
    "git.commit",
    "git.edited",
    "dvc.experiment",
)
"""Tags that rows and models are found by; complete has the results of every stage."""

EDITED_FILES = "git.edits"
"""Tag of a row that lists what was edited, where `EDITED` says that something was."""

FORM, PRESENT_FORM = "churn.form", "2"
"""Tag of a row for how its name, texts and metrics are written, and its value now; rows of other forms are rewritten.

Raise it with every change of these that `churn sync` is to bring to the rows that are there.
"""

DESCRIPTION, USER, SOURCE, SOURCE_KIND, SOURCE_COMMIT = (
    "mlflow.note.content",
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
)
"""Tags that MLflow's own pages show."""

DIGEST = "churn.digest"
"""Tag by which a row's results are known again."""

MODEL_NOTE = "model"
"""Tag of a row that says where its model is, in the words of a `ModelNote`."""


def user_name() -> str:
    """Who runs this; a user id without a name, as in a container, as a number."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def standing(tags: Mapping[str, str]) -> int:
    """How well a row's name says where its state is: 2 a commit, 1 a DVC experiment, 0 an edit that is nowhere else."""
    if DVC_EXPERIMENT in tags:
        return 1
    return 2 if tags.get(EDITED) == "false" else 0


def is_outdated(shown: Mapping[str, str], present: Mapping[str, str]) -> bool:
    """Whether a row's name and texts are to be rewritten: its edit is committed by now, or its form is old."""
    before, now = standing(shown), standing(present)
    return now > before or (now == before and shown.get(FORM, "") < present.get(FORM, ""))


class ModelNote(StrEnum):
    """Where the model of a row is, as people read it there."""

    SHOWN = "shown"
    NOT_IN_CACHE = "not in the cache"
    NOT_VOUCHED = (
        "a file only: not in the history of the branch that published it; `churn sync --all --trust BRANCH` offers it"
    )
    NOT_PLAIN = "a file only: no plain pickle, as a damaged one or one of an earlier version of this pipeline"


@dataclass(frozen=True)
class Execution:
    """One stage, run once. Times in seconds since 1970."""

    stage: str
    started: float
    ended: float
    fault: str | None
    measurements: Mapping[str, float]
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)


@dataclass(frozen=True)
class Dataset:
    """The table that was learned from."""

    name: str
    source: str
    md5: str
    rows: int | None
    """None until a stage has counted them."""


@dataclass(frozen=True)
class Experiment:
    """One state of the pipeline, with the results of those stages that belong to it."""

    fingerprint: str
    name: str
    status: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, str]
    """md5 by path within the project: shown as they are, the report with its origin beside."""
    dataset: Dataset | None
    model_md5: str | None
    """The model to be offered for loading; one that is not stands among the files."""
    example_md5: str | None
    """A few customers such as the model takes."""
    tags: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    """Type of each column that the model takes, in its order; empty where the parameters do not say it."""
    committed: float | None = None
    """When its commit was made, in seconds since 1970; None for an edit of a commit."""

    @property
    def origin(self) -> Origin:
        """Where its results belong; a commit that the files differed from is not named."""
        commit = self.tags.get(COMMIT) if self.tags.get(EDITED) == "false" else None
        name = self.tags.get(DVC_EXPERIMENT)
        if commit:
            return Origin(self.fingerprint, commit, (f"git checkout {commit}", "dvc repro"))
        return Origin(self.fingerprint, None, (f"dvc exp apply {shlex.quote(name)}",) if name else ())

    @property
    def digest(self) -> str:
        """The same for the same results, whenever and wherever they were made."""
        text = repr((sorted(self.metrics.items()), sorted(self.files.items()), self.dataset, self.model_md5))
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    @property
    def contents(self) -> set[str]:
        """md5 of everything that has to be at hand to show it."""
        return {*self.files.values(), *filter(None, (self.model_md5, self.example_md5))}


@dataclass(frozen=True)
class Record:
    """What is to be shown once: an experiment, and the execution that brought it there, if one did."""

    experiment: Experiment
    execution: Execution | None
    recorded: float = field(default_factory=time.time)
    serial: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def name(self) -> str:
        """Sorts by time; no two records share one."""
        return f"{int(1000 * self.recorded):013d}-{self.serial}"

    @property
    def started(self) -> float:
        """When the execution began, else when the state was committed or recorded; in seconds since 1970."""
        if self.execution is not None:
            return self.execution.started
        return self.experiment.committed or self.recorded

    @property
    def moment(self) -> float:
        """The moment that what it says is of: when the execution ended, or it was recorded. In seconds since 1970."""
        return self.recorded if self.execution is None else self.execution.ended

    def as_text(self) -> str:
        """All of it; a figure that is not defined as NaN."""
        return json.dumps(asdict(self), ensure_ascii=False)


def record_from(text: str) -> Record:
    """What `as_text` wrote.

    Raises:
        ValueError: it is something else.
    """
    from pydantic import TypeAdapter  # here: whoever only writes records does without

    return TypeAdapter(Record).validate_python(json.loads(text))
