"""States by name, and what their models said of customers that they had not seen."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from churn import files
from churn.config.economics import Economics, in_present_terms
from churn.config.params import PARAMS_FILE
from churn.errors import ChurnError, DataError, excerpt, first_few
from churn.history import dvc, snapshot
from churn.history.committed import Strays, find_strays
from churn.history.git import commit_of
from churn.history.reproduce import recompute
from churn.history.snapshot import Snapshot
from churn.history.state import FINGERPRINT_FORM, LOCK_FILE, UnidentifiedError
from churn.history.verify import ForeignResultsError
from churn.history.vouching import is_vouched, require_vouched, vouched_commits
from churn.metrics import profit
from churn.metrics.paired import ModelAnswers
from churn.table import splits
from churn.types import ROW_KEY

WORKSPACE = "workspace"
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
    """A file that belongs to a state is not here; it may be brought."""


def state_named(root: Path, name: str, model_md5: str | None = None) -> Snapshot:
    """A whole state, by commit, DVC experiment, fingerprint, or as `workspace`; with a model, if there is one with it.

    Raises:
        ChurnError: nothing has that name, its results are not all of one state, or the commit holds other inputs.
    """
    if name == WORKSPACE:
        state: Snapshot | None = snapshot.state_of_workspace(root)
        advice = "run `dvc repro`"
    else:
        state = state_in_git(root, name, model_md5)
        advice = "name a commit whose dvc.lock is whole"
    if state is None and commit_of(root, name):
        raise ChurnError(f"{name}: its dvc.lock records no whole state; name another commit, or `dvc repro` and commit")
    if state is None:
        raise ChurnError(
            f"{excerpt(name)}: no commit with a dvc.lock, DVC experiment or fingerprint of that name; "
            "`churn lineage` and `dvc exp list --all` know them"
        )
    if state.objection:
        raise ForeignResultsError(f"{name}: {state.objection if name == WORKSPACE else state.objection.reason}")
    if not state.complete:
        raise ChurnError(f"{name}: not all of its results are those of its parameters, code and data; {advice}")
    if name not in (WORKSPACE, state.fingerprint):  # a fingerprint names what was run, whatever the commit holds
        require_inputs_of_commit(root, name, state)
    return state


def require_inputs_of_commit(root: Path, name: str, state: Snapshot) -> Strays:
    """Where a committed state's files and its dvc.lock part, other than in inputs that contradict each other.

    Raises:
        ChurnError: the commit holds other inputs than its results were computed with.
    """
    try:
        found = find_strays(root, state.commit or "", state.stages, state.results)
    except UnidentifiedError as error:
        raise ChurnError(f"{name}: {error}") from None
    if found.inputs:
        raise ChurnError(
            f"{name}: {first_few(found.inputs)}: not what {LOCK_FILE} was computed with; run `dvc repro` and commit"
        )
    return found


def state_in_git(root: Path, name: str, model_md5: str | None = None) -> Snapshot | None:
    """A state that git records, by commit, DVC experiment or fingerprint.

    A fingerprint says nothing of the results, and anybody's branch may hold a state with it: of several, one with the
    model that is meant comes first, then one of this branch's history.
    """
    is_fingerprint = FINGERPRINT_FORM.fullmatch(name)  # first: anybody can call a tag like one
    named = None if is_fingerprint else snapshot.state_of_revision(root, name)
    if named is not None:
        return named
    recorded = list(snapshot.states_in_git(root))
    called = {commit for commit, names in dvc.experiments(root).items() if name in names}
    found = [one for one in recorded if (name == one.fingerprint if is_fingerprint else one.commit in called)]
    if not found:
        return snapshot.state_of_revision(root, name) if is_fingerprint else None
    if not is_fingerprint and len(called) > 1:
        raise ChurnError(
            f"{excerpt(name)}: {len(called)} DVC experiments have that name; give the commit of one instead"
        )
    commits = vouched_commits(root)
    with_model = [one for one in found if one.results.get(str(files.MODEL)) == model_md5]
    return next((one for one in with_model or found if is_vouched(one, commits)), (with_model or found)[0])


def answers_out_of_fold(state: Snapshot, name: str) -> ModelAnswers:
    """What the state's model said of its training rows, each fold decided by the threshold of the others.

    Raises:
        MissingError: its predictions are not here.
    """
    answers = table_of(state, name, files.OUT_OF_FOLD, index_col=ROW_KEY)
    target = table_of(state, name, files.Y_TRAIN).iloc[:, 0]
    churned = pd.Series(target.to_numpy(), index=answers.index)
    compute, train = (section_of(state, name, section) for section in ("compute", "train"))
    contacted = profit.contacted_out_of_fold(
        churned.to_numpy(),
        answers["probability"].to_numpy(),
        splits.fold_of(answers.index, str(compute["seed"]), train["folds"]),
        train["threshold"],
        economics_of(state, name),
    )
    return ModelAnswers(churned, answers["probability"], pd.Series(contacted, index=answers.index))


def answers_on_test_rows(state: Snapshot, name: str) -> ModelAnswers:
    """What the state's model said of its test rows.

    Raises:
        MissingError: its predictions are not here.
    """
    answers = table_of(state, name, files.TEST_PREDICTIONS, index_col=ROW_KEY)
    return ModelAnswers(answers["churned"], answers["probability"], answers["contact"] == 1)


def compute_missing(root: Path, state: Snapshot, name: str) -> None:
    """Run a committed state again if anything that judging it takes is not here, so that it is.

    Raises:
        ChurnError: nobody vouches for it, it cannot be run here, or it does not come out again.
    """
    if not state.commit or not _missing(state):
        return
    require_vouched(root, state, [name])
    recompute(root, state.commit)
    if missing := _missing(state):
        raise ChurnError(
            f"{state.commit[:7]}: run again, it did not give the {first_few(missing)} that {LOCK_FILE} recorded, "
            "so it cannot be judged"
        )


def _missing(state: Snapshot) -> list[str]:
    paths = map(str, JUDGED_BY)
    return [path for path in paths if path in state.results and state.read(path) is None]


def table_of(state: Snapshot, name: str, path: Path, **how: Any) -> pd.DataFrame:
    """A table that belongs to the state.

    Raises:
        MissingError: it is not here.
    """
    table: pd.DataFrame = pd.read_csv(io.BytesIO(content_of(state, name, path)), **how)
    return table


def content_of(state: Snapshot, name: str, path: Path) -> bytes:
    """A file that belongs to the state, its md5 being the recorded one.

    Raises:
        DataError: the state has no such file.
        MissingError: it is not here.
    """
    if str(path) not in state.results:
        raise DataError(f"{name}: its pipeline did not write {path}, so it cannot be judged")
    content = state.read(str(path))
    if content is None:
        raise MissingError(
            f"{name}: {path} is not in the cache; `dvc fetch --all-commits {path}` brings it from a remote, "
            f"`churn compare {name} --compute` computes it"
        )
    return content


def section_of(state: Snapshot, name: str, section: str) -> Mapping[str, Any]:
    """A section of params.yaml as the state was computed with it.

    Raises:
        DataError: its dvc.lock does not record it.
    """
    for stage in state.stages.values():
        values = stage.inputs.parameters.get(PARAMS_FILE, {})
        if section in values:
            found: Mapping[str, Any] = values[section]
            return found
    raise DataError(f"{name}: its dvc.lock records no {section!r} of {PARAMS_FILE}, so it cannot be judged")


def economics_of(state: Snapshot, name: str) -> Economics:
    """The money by which the state decided.

    Raises:
        DataError: its dvc.lock records none, or other keys than today's.
    """
    try:
        return Economics.model_validate(in_present_terms(section_of(state, name, "business")))
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
        raise DataError(
            f"{name}: {PARAMS_FILE}: business ({keys}): not as it is read today, so it cannot be judged"
        ) from None
