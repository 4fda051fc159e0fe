"""Plain values that describe what is published to MLflow; they outlive the process and the workspace.

Fast to import, because every stage starts with it.
"""

import getpass
import hashlib
import itertools
import json
import os
import re
import shlex
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TypeVar

from churn.report.origin import Origin
from churn.texts import escaped_json

Value = TypeVar("Value")

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
"""Tags by which runs and models are found; a complete run has the results of every stage."""

EDITED_FILES = "git.edits"
"""Tag of a run that lists the edited files, if `EDITED` is true."""

FORM, PRESENT_FORM = "churn.form", "2"
"""Tag of a run with the form of its name, texts and metric names, and the present form.

Increase it when you change one of these, so that `churn sync` rewrites existing runs.
"""

DESCRIPTION, USER, SOURCE, SOURCE_KIND, SOURCE_COMMIT = (
    "mlflow.note.content",
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
)
"""Tags that MLflow's own pages show."""

PLATFORM = "platform"
"""Tag of a run with the system and machine that computed its results, such as "Linux x86_64"."""

DIGEST = "churn.digest"
"""Tag that identifies the results of a run."""

SHA256 = "sha256."
"""Start of tags of a registered version: the hash of each file that the service loads, by the file's name."""

MODEL_FILE, BACKGROUND_FILE = "model.pkl", "background.csv"
"""Files in the folder of an MLflow model: the pickle, and the training rows that reasons compare with."""

LOGGED = re.compile(r"models:/(m-[0-9a-f]+)")
"""Source of a version of a logged model; other sources could point anywhere."""

MODEL_NOTE = "model"
"""Tag of a run with a `ModelNote`: where its model is."""


LONGEST_KEY = 250
"""Characters; MLflow refuses longer names of parameters and metrics."""


def metric_name(text: str) -> str:
    """A text as the name of a metric, which a filter such as `metrics.test_f1 > 0.6` takes without quotes."""
    return _shortened(re.sub(r"[^\w.]", "_", text), text)


def parameter_name(text: str) -> str:
    """A text as the name of a parameter."""
    return _shortened(re.sub(r"[^\w\-. ]", "_", text), text)


def _shortened(fit: str, text: str) -> str:
    """A name within MLflow's limit; what is cut off is named by a hash, so that long names stay apart."""
    if len(fit) <= LONGEST_KEY:
        return fit
    mark = f"_{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"
    return f"{fit[: LONGEST_KEY - len(mark)]}{mark}"


def named_apart(values: Iterable[tuple[str, Value]], name_of: Callable[[str], str]) -> dict[str, Value]:
    """Values by the names that MLflow takes; of texts that would have the same name, later ones get a number."""
    found: dict[str, Value] = {}
    for text, value in values:
        numbered = (name_of(f"{text}_{number}") for number in itertools.count(2))
        name = next(one for one in itertools.chain([name_of(text)], numbered) if one not in found)
        found[name] = value
    return found


def user_name() -> str:
    """Who runs this; a user id without a name, as in a container, as a number."""
    try:
        return getpass.getuser()
    except (ImportError, OSError, KeyError):  # ImportError: no `pwd`, and no name in the environment
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def standing(tags: Mapping[str, str]) -> int:
    """What the name of a run refers to.

    2 a commit, 1 a DVC experiment, 0 an edit that is stored nowhere else, -1 nothing: git did not answer.
    """
    if DVC_EXPERIMENT in tags:
        return 1
    return {"false": 2, "true": 0}.get(tags.get(EDITED, ""), -1)


def is_outdated(shown: Mapping[str, str], present: Mapping[str, str]) -> bool:
    """Whether the name and texts of a run need an update: its edit was committed, or its form is old."""
    before, now = standing(shown), standing(present)
    return now > before or (now == before and shown.get(FORM, "") < present.get(FORM, ""))


class ModelNote(StrEnum):
    """Where the model of a run is. The values are stored and shown in MLflow."""

    SHOWN = "shown"
    NOT_IN_CACHE = "not in the cache"
    NOT_VOUCHED = (
        "a file only: not in the history of the branch that published it; `churn sync --all --trust BRANCH` offers it"
    )
    NOT_PLAIN = "a file only: no plain pickle, as a damaged one or one of an earlier version of this pipeline"


@dataclass(frozen=True)
class Execution:
    """One execution of a stage. Times in seconds since 1970."""

    stage: str
    started: float
    ended: float
    fault: str | None
    measurements: Mapping[str, float]
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)


@dataclass(frozen=True)
class Dataset:
    """The table that the model was trained on."""

    name: str
    source: str
    md5: str
    rows: int | None
    """None until a stage has counted them."""


@dataclass(frozen=True)
class Experiment:
    """A state of the pipeline, with the results of the stages that belong to it."""

    fingerprint: str
    name: str
    status: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, str]
    """md5 by path within the project; published unchanged, except that the report gets its origin."""
    dataset: Dataset | None
    model_md5: str | None
    """md5 of the model that is offered for loading; any other model is one of the files."""
    example_md5: str | None
    """md5 of a few customers as input example of the model."""
    tags: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    """Type of each input column of the model, in order; empty if the parameters do not list them."""
    committed: float | None = None
    """When its commit was made, in seconds since 1970; None for an edit of a commit."""

    @property
    def origin(self) -> Origin:
        """Origin of the results; a commit is named only if the files did not differ from it."""
        commit = self.tags.get(COMMIT) if self.tags.get(EDITED) == "false" else None
        name = self.tags.get(DVC_EXPERIMENT)
        if commit:
            return Origin(self.fingerprint, commit, (f"git checkout {commit}", "dvc repro"))
        return Origin(self.fingerprint, None, (f"dvc exp apply {shlex.quote(name)}",) if name else ())

    @property
    def digest(self) -> str:
        """Hash of the results, independent of time and place."""
        text = repr((sorted(self.metrics.items()), sorted(self.files.items()), self.dataset, self.model_md5))
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    @property
    def contents(self) -> set[str]:
        """md5 of every file needed to publish it."""
        return {*self.files.values(), *filter(None, (self.model_md5, self.example_md5))}


@dataclass(frozen=True)
class Record:
    """One record to publish: an experiment, and the execution that produced it, if any."""

    experiment: Experiment
    execution: Execution | None
    recorded: float = field(default_factory=time.time)
    serial: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def name(self) -> str:
        """Unique name; sorts by time."""
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
        """JSON of the record; undefined numbers are NaN."""
        return escaped_json(json.dumps(asdict(self), ensure_ascii=False))


def record_from(content: bytes) -> Record:
    """Parse the output of `as_text`.

    Raises:
        ValueError: the text is not a record.
    """
    from pydantic import TypeAdapter  # imported here: writing records does not need it

    return TypeAdapter(Record).validate_json(content)
