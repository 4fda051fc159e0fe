"""Find states by name, and read their predictions for customers that the model had not seen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from churn import files
from churn.config.contract import TableContract
from churn.config.economics import Economics, in_present_terms
from churn.config.params import PARAMS_FILE, Data
from churn.config.shapes import Folds, Seed, require_shape
from churn.errors import ChurnError, DataError, excerpt, first_few
from churn.history import snapshot
from churn.history.committed import Strays, find_strays
from churn.history.git import require_repository
from churn.history.reproduce import recompute
from churn.history.snapshot import Snapshot, commit_named, state_in_git, why_incomplete
from churn.history.state import LOCK_FILE, Stages, UnidentifiedError
from churn.history.verify import ForeignResultsError
from churn.history.vouching import require_vouched
from churn.metrics import profit
from churn.metrics.paired import ModelAnswers
from churn.runtime import platform_name
from churn.table import splits
from churn.types import ROW_KEY

WORKSPACE = "workspace"
REMOTE = "origin"
"""Usual name of the git server, from which DVC experiments are pulled."""
JUDGED_BY = (
    files.OUT_OF_FOLD,
    files.Y_TRAIN,
    files.TEST_PREDICTIONS,
    files.TRAIN_ROWS,
    files.TEST_ROWS,
    files.ENCODERS,
    files.SCALER,
    files.MODEL,
)
"""Files of a state that `churn compare` and `churn promote` read."""


class MissingError(ChurnError):
    """A file of a state is not on this machine, but can be fetched or recomputed."""


def state_named(root: Path, name: str, model_md5: str | None = None) -> Snapshot:
    """Find a complete state by any of its names in git, or `workspace`; prefer one with the given model.

    Raises:
        ChurnError: the name is unknown, results belong to other inputs, or the commit contains other inputs.
    """
    if name == WORKSPACE:
        return _complete_workspace(root)
    state = state_in_git(root, name, model_md5)
    if state is None and commit_named(root, name):
        raise ChurnError(f"{name}: it has no complete dvc.lock; name another commit, or run `dvc repro` and commit")
    if state is None:
        require_repository(root)
        raise ChurnError(
            f"{excerpt(name)}: no commit with a dvc.lock, DVC experiment or fingerprint of that name is here; "
            "see `git log --all` and `dvc exp list --all`, or get it with `git fetch --tags` or `dvc exp pull`"
        )
    if state.objection:
        raise ForeignResultsError(f"{name}: {state.objection.reason}")
    if not state.complete:
        raise ChurnError(
            f"{name}: some of its results do not belong to its parameters, code and data; name a commit with a "
            "complete dvc.lock"
        )
    # A fingerprint identifies what was run, even if the commit contains other inputs.
    if name != state.fingerprint:
        require_inputs_of_commit(root, name, state)
    return state


def _complete_workspace(root: Path) -> Snapshot:
    state = snapshot.state_of_workspace(root)
    if not state.complete:
        why = why_incomplete(root, state)
        raise (ForeignResultsError if why == state.objection else ChurnError)(f"{WORKSPACE}: {why}")
    return state


def answering_state(root: Path, fingerprint: str) -> Snapshot:
    """The state whose model gave an answer: that of the folder if it is the one, else one that git records.

    Raises:
        ChurnError: no complete state here has that fingerprint.
    """
    try:
        here = snapshot.state_of_workspace(root)
    except UnidentifiedError:
        return state_named(root, fingerprint)
    return here if here.fingerprint == fingerprint and here.complete else state_named(root, fingerprint)


def require_inputs_of_commit(root: Path, name: str, state: Snapshot) -> Strays:
    """Check that a commit contains the inputs of its dvc.lock; return the other differences.

    Raises:
        ChurnError: the commit contains other inputs than its results were computed from.
    """
    try:
        found = find_strays(root, state.commit or "", state.stages, state.results)
    except UnidentifiedError as error:
        raise ChurnError(f"{name}: {error}") from None
    if found.inputs:
        raise ChurnError(
            f"{name}: {first_few(found.inputs)}: differs from the inputs in {LOCK_FILE}; run `dvc repro` and commit"
        )
    return found


def answers_out_of_fold(state: Snapshot, name: str) -> ModelAnswers:
    """Out-of-fold predictions of a state; each fold uses the threshold chosen on the others.

    Raises:
        MissingError: the predictions are not on this machine.
    """
    answers = answers_in(state, name, files.OUT_OF_FOLD, {"probability": "float64"})
    target = files.table_in(content_of(state, name, files.Y_TRAIN), f"{name}: {files.Y_TRAIN}", "int64").iloc[:, 0]
    if len(target) != len(answers) or not target.isin([0, 1]).all():
        raise DataError(f"{name}: {files.Y_TRAIN}: not the outcomes of {files.OUT_OF_FOLD}, so it cannot be evaluated")
    churned = pd.Series(target.to_numpy(), index=answers.index)
    compute, train = section_of(state, name, "compute", Seed), section_of(state, name, "train", Folds)
    contacted = profit.contacted_out_of_fold(
        churned.to_numpy(),
        answers["probability"].to_numpy(),
        splits.fold_of(answers.index, str(compute["seed"]), train["folds"]),
        train["threshold"],
        economics_of(state, name),
    )
    return ModelAnswers(churned, answers["probability"], pd.Series(contacted, index=answers.index))


def answers_on_test_rows(state: Snapshot, name: str) -> ModelAnswers:
    """Predictions of a state for its test rows.

    Raises:
        MissingError: the predictions are not on this machine.
    """
    columns = {"probability": "float64", "churned": "int64", "contact": "int64"}
    answers = answers_in(state, name, files.TEST_PREDICTIONS, columns)
    return ModelAnswers(answers["churned"], answers["probability"], answers["contact"] == 1)


def compute_missing(root: Path, state: Snapshot, name: str) -> None:
    """Rerun a committed state if a file that its evaluation needs is not on this machine.

    Raises:
        ChurnError: the state is not trusted, cannot be run here, or does not reproduce its results.
    """
    if not state.commit or not _missing(state):
        return
    require_vouched(root, state, [name])
    recompute(root, state.commit)
    if missing := _missing(state):
        raise ChurnError(
            f"{state.commit[:7]}: a rerun did not reproduce {first_few(missing)} as recorded in {LOCK_FILE}, "
            f"so it cannot be evaluated{_other_platform(state)}"
        )


def _other_platform(state: Snapshot) -> str:
    there, here = state.platform, platform_name()
    if there in (None, here):
        return ""
    return f"; it was committed on {there}, and {here} gives other bytes: `dvc pull` brings those that were committed"


def _missing(state: Snapshot) -> list[str]:
    paths = map(str, JUDGED_BY)
    return [path for path in paths if path in state.results and state.read(path) is None]


def answers_in(state: Snapshot, name: str, path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """A table of a state with an answer for each row key.

    Raises:
        DataError: it is not such a table.
        MissingError: it is not on this machine.
    """
    table = files.table_in(content_of(state, name, path), f"{name}: {path}", {ROW_KEY: "str", **columns})
    labels = [column for column in ("churned", "contact") if column in columns]
    if not (table["probability"].between(0, 1).all() and table[labels].isin([0, 1]).all(axis=None)):
        raise DataError(f"{name}: {path}: a value is no probability, outcome or decision, so it cannot be evaluated")
    if table[ROW_KEY].isna().any() or table[ROW_KEY].duplicated().any():
        raise DataError(f"{name}: {path}: a row key is missing or repeated, so it cannot be evaluated")
    return table.set_index(ROW_KEY)


def content_of(state: Snapshot, name: str, path: Path) -> bytes:
    """Content of a file of a state, with the recorded md5.

    Raises:
        DataError: the state has no such file.
        MissingError: it is not on this machine.
    """
    if str(path) not in state.results:
        raise DataError(f"{name}: its pipeline did not write {path}, so it cannot be evaluated")
    content = state.read(str(path))
    if content is None:
        raise MissingError(
            f"{name}: {path} is not in the cache; {_fetching(state, path)} gets it from a remote, if it was pushed; "
            f"`churn compare {name} --compute` computes it"
        )
    return content


def _fetching(state: Snapshot, path: Path) -> str:
    if state.experiment:
        return f"`dvc exp pull {REMOTE} {state.experiment}`"
    return f"`dvc fetch --all-commits {path}`"


def section_of(state: Snapshot, name: str, section: str, shape: object) -> Mapping[str, Any]:
    """A section of params.yaml with the values that the state was computed with.

    Raises:
        DataError: its dvc.lock does not record it, or records other values than those of the shape.
    """
    found = recorded_section(state.stages, name, section)
    require_shape(found, shape, f"{name}: {LOCK_FILE}: {section}", "so it cannot be evaluated")
    return found


def economics_of(state: Snapshot, name: str) -> Economics:
    """Costs and values (`business`) that the state was computed with.

    Raises:
        DataError: its dvc.lock records none, or other keys than those in use today.
    """
    return recorded_economics(state.stages, name)


def recorded_section(stages: Stages, name: str, section: str) -> Mapping[str, Any]:
    """As `section_of`, from the stages of a dvc.lock."""
    for stage in stages.values():
        values = stage.inputs.parameters.get(PARAMS_FILE, {})
        found = values.get(section)
        if isinstance(found, Mapping):
            return found
    raise DataError(f"{name}: its dvc.lock records no {section!r} of {PARAMS_FILE}, so it cannot be evaluated")


def recorded_economics(stages: Stages, name: str) -> Economics:
    """As `economics_of`, from the stages of a dvc.lock."""
    try:
        return Economics.model_validate(in_present_terms(recorded_section(stages, name, "business")))
    except ValidationError as error:
        raise _not_in_todays_format(name, "business", error) from None


def recorded_contract(stages: Stages, name: str) -> TableContract:
    """The contract (`data`) that a state was computed with.

    Raises:
        DataError: its dvc.lock records none, or other keys than those in use today.
    """
    try:
        return Data.model_validate(recorded_section(stages, name, "data"))
    except ValidationError as error:
        raise _not_in_todays_format(name, "data", error) from None


def _not_in_todays_format(name: str, section: str, error: ValidationError) -> DataError:
    keys = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
    return DataError(f"{name}: {PARAMS_FILE}: {section} ({keys}): not in today's format, so it cannot be evaluated")
