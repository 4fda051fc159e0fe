"""The study of a search: its trials, stored so that a kill loses no ended trial. The only module that imports Optuna.

The sampler works on a study in memory. An ended trial is written to disk in one transaction, so the file never contains
half a trial. A trial that a kill interrupted runs again with the same number.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.study import StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from churn.config import search_space
from churn.config.search_space import Candidate, Fixed, Space
from churn.drafts import replacing
from churn.errors import ChurnError
from churn.files import read_bytes
from churn.runtime import lock
from churn.types import Floats

FOLDER = Path(".churn/tuning")
NAME = "churn tune"
PRUNE_BELOW_P = 0.15
"""A trial is pruned if the signed-rank test on its folds finds it worse than the best with a p-value below this. With
five folds, that is after the third if all three are worse (p = 1/8); with Optuna's default 0.1, after the fourth."""

EXPLAINED = (OSError, OptunaError, SQLAlchemyError)
"""Errors that say themselves what is wrong with a database."""
UNREADABLE = (ValueError, OSError, EOFError, OverflowError, MemoryError, SyntaxError, TypeError)
"""What numpy raises for a file that is not one of its own."""
NUMBER, PATH, ARGUMENTS, REASON = "number", "estimator", "arguments", "reason"
"""User attributes that are stored for each trial."""
NOTED = {NUMBER: int, PATH: str, ARGUMENTS: dict, REASON: str | None}


class TrialOutcome(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


STATES = {
    TrialOutcome.COMPLETE: TrialState.COMPLETE,
    TrialOutcome.PRUNED: TrialState.PRUNED,
    TrialOutcome.FAILED: TrialState.FAIL,
}
OUTCOMES = {state: outcome for outcome, state in STATES.items()}


@dataclass(frozen=True)
class EndedTrial:
    """A trial that has ended.

    Attributes:
        value: of the objective; None if the trial is not complete.
        by_fold: objective value of each evaluated fold.
        reason: why it failed.
        is_final: whether it is stored; otherwise the next search makes it again.
    """

    number: int
    outcome: TrialOutcome
    candidate: Candidate
    value: float | None
    by_fold: Mapping[int, float]
    reason: str | None
    started: float
    ended: float
    is_final: bool = True


@dataclass(frozen=True)
class AskedTrial:
    """A trial to be evaluated.

    Attributes:
        is_listed: whether it is of the portfolio, of which every candidate gets a value.
    """

    number: int
    candidate: Candidate
    trial: optuna.Trial
    is_listed: bool = False

    def is_hopeless_after(self, fold: int, value: float) -> bool:
        """Store the value of a fold, and return whether the trial can be pruned."""
        self.trial.report(value, fold)
        if self.is_listed:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the normal approximation, if differences of folds are tied
            return self.trial.should_prune()


def _damaged(predictions: Path) -> ChurnError:
    return ChurnError(f"{predictions}: damaged; remove {predictions.parent}.db, and the search starts anew")


class Study:
    """Trials of one search space on the same data."""

    def __init__(
        self, stored: optuna.Study, predictions: Path, tried: Space, fixed: Fixed, seed: int, customers: int
    ) -> None:
        self._stored, self._predictions, self._customers = stored, predictions, customers
        self._tried, self._fixed, self._seed = tried, fixed, seed
        with self._reading():
            self._found = {trial.user_attrs[NUMBER]: trial for trial in self._whole()}
            self.ended = {number: _ended_trial(trial) for number, trial in self._found.items()}
        self._memory = optuna.create_study(direction=StudyDirection.MAXIMIZE, pruner=_pruner())

    def predictions(self, candidate: Candidate) -> Floats | None:
        """Stored out-of-fold probabilities of a candidate; None if there are none."""
        path = self._place_of(candidate)
        if not path.exists():
            return None
        try:
            found: Floats = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
        except UNREADABLE:
            raise _damaged(path) from None
        if found.dtype != np.float64 or found.shape != (self._customers,) or not ((found >= 0) & (found <= 1)).all():
            raise _damaged(path)
        return found

    def keep(self, candidate: Candidate, probability: Floats) -> None:
        """Store a candidate's out-of-fold probabilities atomically."""
        with replacing(self._place_of(candidate)) as draft, draft.open("wb") as file:
            np.save(file, probability, allow_pickle=False)

    def begin(self, present: Candidate, value: float, by_fold: Mapping[int, float]) -> None:
        """Give the sampler the present candidate, which is to be beaten, and all ended trials."""
        point = search_space.point_of(self._tried, self._fixed, present)
        replayed = FixedTrial(point)
        if point:
            search_space.suggest_candidate(self._tried, self._fixed, replayed)
        self._memory.add_trial(
            create_trial(
                value=value,
                params=replayed.params,
                distributions=replayed.distributions,
                intermediate_values=dict(by_fold),
            )
        )
        with self._reading():
            for number in sorted(self._found):
                self._memory.add_trial(self._found[number])

    def ask(self, number: int) -> AskedTrial:
        """Candidate of a trial, determined by the seed, the number and the ended trials."""
        digest = hashlib.sha256(f"{self._seed} {number}".encode()).digest()
        self._memory.sampler = sampler(int.from_bytes(digest[:4]))
        trial = self._memory.ask()
        return AskedTrial(number, search_space.suggest_candidate(self._tried, self._fixed, trial), trial)

    def enlist(self, number: int, candidate: Candidate) -> AskedTrial:
        """Make a candidate of the portfolio a trial; the sampler learns from it if it lies inside the space."""
        point = search_space.point_of(self._tried, self._fixed, candidate)
        self._memory.enqueue_trial(point)
        trial = self._memory.ask()
        if point:
            search_space.suggest_candidate(self._tried, self._fixed, trial)
        return AskedTrial(number, candidate, trial, is_listed=True)

    def tell(
        self,
        asked: AskedTrial,
        outcome: TrialOutcome,
        value: float | None = None,
        reason: str | None = None,
        *,
        lasting: bool,
    ) -> EndedTrial:
        """Store how a trial ended, on disk if it is `lasting`; otherwise the next search runs it again."""
        noted = {
            NUMBER: asked.number,
            PATH: asked.candidate.estimator,
            ARGUMENTS: asked.candidate.arguments,
            REASON: reason,
        }
        for name, content in noted.items():
            asked.trial.set_user_attr(name, content)
        told = self._memory.tell(asked.trial, value, STATES[outcome])
        if lasting:
            self._stored.add_trial(told)
        self.ended[asked.number] = ended = replace(_ended_trial(told), is_final=lasting)
        return ended

    def _reading(self) -> AbstractContextManager[None]:
        return _reading(self._predictions.with_suffix(".db"))

    def _whole(self) -> Iterator[FrozenTrial]:
        """Stored trials, without complete ones whose predictions are missing."""
        for trial in self._stored.get_trials(deepcopy=False, states=tuple(OUTCOMES)):
            one = _ended_trial(trial)
            if one.outcome is not TrialOutcome.COMPLETE or self._place_of(one.candidate).exists():
                yield trial

    def _place_of(self, candidate: Candidate) -> Path:
        return self._predictions / f"{candidate.digest}.npy"


def _ended_trial(trial: FrozenTrial) -> EndedTrial:
    noted = trial.user_attrs
    outcome = OUTCOMES[trial.state]
    for name, kind in NOTED.items():
        if not isinstance(noted[name], kind):
            raise TypeError(f"trial {trial.number}: {name} is {noted[name]!r}")
    if not all(isinstance(value, float) for value in (*(trial.values or ()), *trial.intermediate_values.values())):
        raise TypeError(f"trial {trial.number}: a value is no number")
    return EndedTrial(
        number=noted[NUMBER],
        outcome=outcome,
        candidate=Candidate(noted[PATH], noted[ARGUMENTS]),
        value=trial.value if outcome is TrialOutcome.COMPLETE else None,
        by_fold=trial.intermediate_values,
        reason=noted[REASON],
        started=_seconds(trial.datetime_start),
        ended=_seconds(trial.datetime_complete),
    )


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0


def sampler(seed: int) -> optuna.samplers.BaseSampler:
    """The sampler of a search."""
    with _accept_experimental_parts():  # models arguments jointly (multivariate), for each estimator (group)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _pruner() -> optuna.pruners.BasePruner:
    with _accept_experimental_parts():  # compares fold with fold, because some folds are harder
        return optuna.pruners.WilcoxonPruner(p_threshold=PRUNE_BELOW_P)


@contextmanager
def _accept_experimental_parts() -> Iterator[None]:
    """Suppress warnings about experimental features, which cannot change because Optuna's version is locked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@contextmanager
def open_study(root: Path, key: str, tried: Space, fixed: Fixed, seed: int, customers: int) -> Iterator[Study]:
    """Open the study with a key, for this process only; `customers` is the number of training rows.

    Raises:
        ChurnError: another process uses it, or it cannot be read or written.
    """
    folder = root / FOLDER
    path = folder / f"{key}.db"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _explain_faults(path), lock(folder / f"{key}.lock", wait=False) as held:
        if held is None:
            raise ChurnError(f"{path}: another `churn tune` is using this study; wait until it ends")
        if not path.exists():
            with replacing(path) as draft, _open_storage(draft):
                pass  # creates the tables in the draft, so that a kill does not leave half of them
        with ExitStack() as opened:
            with _reading(path):
                stored = opened.enter_context(_open_storage(path))
            yield Study(stored, folder / key, tried, fixed, seed, customers)


@contextmanager
def _open_storage(path: Path) -> Iterator[optuna.Study]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        yield optuna.create_study(study_name=NAME, storage=storage, direction="maximize", load_if_exists=True)
    finally:
        storage.engine.dispose()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Report what a database holds that `churn tune` did not write; Optuna raises anything for it."""
    try:
        yield
    except EXPLAINED:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ChurnError(
            f"{path}: not as `churn tune` wrote it ({reason}); remove it, and the search starts anew"
        ) from error


@contextmanager
def _explain_faults(path: Path) -> Iterator[None]:
    """Report errors of Optuna, its database or the disk on one line."""
    try:
        yield
    except OSError as error:
        raise ChurnError(f"{error.filename or path}: {error.strerror or error}") from error
    except (OptunaError, SQLAlchemyError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error.__cause__ or error).split())
        raise ChurnError(f"{path}: {reason}; if the file is damaged, remove it and start the search again") from error
