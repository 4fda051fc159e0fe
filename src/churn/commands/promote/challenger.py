"""The state whose model is to become the champion, and the check that users will load the evaluated model."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import FixedThresholdClassifier

from churn import files
from churn.commands.promote.gates import Gate
from churn.config.economics import Economics
from churn.config.params import PARAMS_FILE
from churn.config.shapes import RECORDED
from churn.drafts import temporary_folder
from churn.errors import ChurnError, first_few
from churn.history.git import GitRefusalError, commit_of, git
from churn.history.predictions.of_states import (
    answers_in,
    answers_on_test_rows,
    answers_out_of_fold,
    content_of,
    economics_of,
    require_inputs_of_commit,
    section_of,
    state_named,
)
from churn.history.reproduce import EVERY_CIRCUMSTANCE, NotReproducedError, reproduce
from churn.history.snapshot import Snapshot
from churn.history.state import LOCK_FILE
from churn.metrics.agreement import TOLERANCE
from churn.metrics.paired import ModelAnswers
from churn.model import decision, encoding
from churn.runtime import limited_threads
from churn.tracking.description import background_of
from churn.tracking.record import BACKGROUND_FILE, COMMIT, MODEL_FILE

if TYPE_CHECKING:
    from churn.tracking.store.registry import Registry

log = logging.getLogger(__name__)

CHAMPIONS = "churn/champion"
"""Start of the names of tags of promoted commits."""


@dataclass(frozen=True)
class NamedVersion:
    """A version of the registered model. The JSON has the attributes as keys; `commit` is empty if there is none."""

    model: str
    version: str
    commit: str

    def __str__(self) -> str:
        """Model, version and commit."""
        return f"{self.model} version {self.version}{f' (commit {self.commit[:7]})' if self.commit else ''}"


@dataclass(frozen=True)
class JudgedState:
    """A state with its predictions."""

    name: str
    state: Snapshot
    training: ModelAnswers
    test: ModelAnswers

    @property
    def model_md5(self) -> str:
        """md5 of its model."""
        return str(self.state.results[str(files.MODEL)])

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of params.yaml with the values that the state was computed with."""
        return section_of(self.state, self.name, name, RECORDED[name])

    @property
    def economics(self) -> Economics:
        """Costs and values that it was computed with."""
        return economics_of(self.state, self.name)


def judge_state(root: Path, name: str, model_md5: str | None = None) -> JudgedState:
    """Find a state by name, with its predictions for customers that its model had not seen.

    Raises:
        ChurnError: the name is unknown, or predictions are missing.
    """
    state = state_named(root, name, model_md5)
    return JudgedState(name, state, answers_out_of_fold(state, name), answers_on_test_rows(state, name))


def loads_from_registry(registry: "Registry", version: str, challenger: JudgedState) -> Gate:
    """Check that users will load the evaluated model: the version in MLflow is the commit's file.

    Raises:
        ChurnError: the version is not available, has other bytes or another loader, or scores test rows differently. A
            promotion cannot be forced then: the version would be useless.
    """
    called = name_of_version(registry, version)
    wanted = (files.MODEL, files.TEST_ROWS)
    with (
        registry.download(version) as folder,
        files_of_state(challenger, *wanted) as at,
        limited_threads(challenger.section("compute")["threads"]),
    ):
        if problem := registry.loading_problem(folder, challenger.model_md5):
            raise ChurnError(f"{called}: {problem}")
        hashes = _hashes_of_served_files(challenger, folder)
        loaded = answers_of(registry.load(folder), at / files.TEST_ROWS)
        own = answers_of(files.read_pickle(at / files.MODEL, {challenger.model_md5}), at / files.TEST_ROWS)
    if not all(one.equals(other) for one, other in zip(loaded, own, strict=True)):
        raise ChurnError(f"{called}: loaded from MLflow, it scores test rows differently from the commit's file")
    of_test_rows = answers_in(challenger.state, challenger.name, files.TEST_PREDICTIONS, {"probability": "float64"})
    written = of_test_rows["probability"]
    # On another platform the same file gives other last bits.
    if not np.allclose(loaded[0].loc[written.index], written, rtol=TOLERANCE, atol=TOLERANCE):
        raise ChurnError(f"{called}: it scores test rows differently from {files.TEST_PREDICTIONS} of the commit")
    registry.record_hashes(version, hashes)
    return Gate("loads", True, f"loaded from MLflow, it scores {len(written):,} test rows identically", {})


def _hashes_of_served_files(challenger: JudgedState, folder: Path) -> dict[str, str]:
    """SHA-256 of the files that the service loads, as the state has them; of the background if MLflow has the same."""
    state = challenger.state
    contents = {
        MODEL_FILE: state.read(str(files.MODEL)),
        PARAMS_FILE: state.read(PARAMS_FILE),
        BACKGROUND_FILE: background_of(state.read(str(files.TRAIN_ROWS))),
    }
    if (background := folder / BACKGROUND_FILE).is_file() and background.read_bytes() != contents[BACKGROUND_FILE]:
        raise ChurnError(f"{BACKGROUND_FILE}: MLflow returns other rows than the commit has")
    if not background.is_file():  # logged by an earlier version of this pipeline; the service then gives no reasons
        del contents[BACKGROUND_FILE]
    return {name: files.sha256_of_bytes(content) for name, content in contents.items() if content is not None}


def is_committed(root: Path, challenger: JudgedState) -> Gate:
    """Check that the commit contains the whole state."""
    commit = (challenger.state.commit or "")[:7]
    strays = require_inputs_of_commit(root, challenger.name, challenger.state)
    if strays.absent:
        told = f"{first_few(strays.absent)}: neither in git nor in DVC at commit {commit}; add it and commit"
    elif strays.results:
        told = (
            f"{first_few(strays.results)}: not as recorded in {LOCK_FILE} of commit {commit}; commit the recorded file"
        )
    else:
        return Gate("committed", True, f"commit {commit} holds the whole state", {})
    return Gate("committed", False, told, {})


def keep_commit(root: Path, commit: str) -> None:
    """Tag a commit whose model is to be the champion, so that it stays when its branch is deleted or rewritten.

    Raises:
        ChurnError: git cannot write the tag.
    """
    tag = f"{CHAMPIONS}/{commit[:12]}"
    if commit_of(root, tag) == commit:
        return
    try:
        git(root, "update-ref", f"refs/tags/{tag}", commit)  # `git tag` would sign it, if the user's settings say so
    except GitRefusalError as error:
        raise ChurnError(f"{error}; without the tag {tag} nothing keeps the commit, so nothing was promoted") from error
    log.info("the tag %s keeps the commit; `git push origin %s` shares it", tag, tag)


def is_reproducible(root: Path, challenger: JudgedState, found: Sequence[Gate], *, forced: bool) -> list[Gate]:
    """Check that a rerun of the commit gives the same results; skipped if another gate is closed.

    Raises:
        ChurnError: the rerun did not come to its end, which says nothing about the commit; a forced promotion goes on.
    """
    if not forced and not all(gate.passed for gate in found):
        log.info("the commit is not rerun, because a gate is closed")
        return []
    log.info("rerunning the committed state in a clone")
    try:
        done = reproduce(root, EVERY_CIRCUMSTANCE[:1], challenger.state.commit or "")
    except ChurnError as error:
        if not forced and not isinstance(error, NotReproducedError):
            raise ChurnError(f"not judged, because the rerun did not come to its end: {error}") from error
        return [Gate("reproduced", False, str(error), {})]
    return [Gate("reproduced", True, f"run again: {done}", {"results": done.results})]


def answers_of(model: FixedThresholdClassifier, rows_file: Path) -> tuple[pd.Series, pd.Series]:
    """Probability and decision of a model for each row of a table."""
    types = encoding.column_types(decision.pipeline_of(model).named_steps["encoders"])
    rows = files.read_rows(rows_file, types)
    return (
        pd.Series(decision.churn_probability(model, rows), index=rows.index, name="probability"),
        pd.Series(model.predict(rows) == 1, index=rows.index, name="contact"),
    )


@contextmanager
def files_of_state(challenger: JudgedState, *paths: Path) -> Iterator[Path]:
    """Write files of a state to a temporary folder."""
    with temporary_folder("promote") as folder:
        for path in paths:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content_of(challenger.state, challenger.name, path))
        yield folder


def named_version(registry: "Registry", number: str) -> NamedVersion:
    """A version with its model and commit, even if it was deleted."""
    version = registry.version(number)
    return NamedVersion(registry.name, number, version.tags.get(COMMIT, "") if version else "")


def name_of_version(registry: "Registry", number: str) -> str:
    """Text of `named_version`."""
    return str(named_version(registry, number))
