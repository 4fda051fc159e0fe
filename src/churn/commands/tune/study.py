"""The study of a search: its trials, kept so that a kill loses none that has ended. Alone imports Optuna.

The sampler works on a study in memory. A trial is written to disk when it is finished, in one transaction, so what is
on disk is never half a trial; one that was under way at a kill is tried again under the same number.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from churn.errors import ChurnError
from churn.files import replacing
from churn.runtime import lock
from churn.types import Floats

FOLDER = Path(".churn/tuning")
NAME = "churn tune"
PRUNE_BELOW_P = 0.15
"""A trial is pruned when the signed-rank test on its folds says with less doubt that it is worse than the best. Of five
folds, that is after the third when all three are worse (1/8); by the library's 0.1 it would be after the fourth."""

NUMBER, PATH, ARGUMENTS, REASON = "number", "estimator", "arguments", "reason"
"""What is noted of a trial beside what Optuna notes."""


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
        value: of the objective; None unless complete.
        by_fold: what each judged fold was worth.
        reason: why it failed.
    """

    number: int
    outcome: TrialOutcome
    candidate: Candidate
    value: float | None
    by_fold: Mapping[int, float]
    reason: str | None
    started: float
    ended: float


@dataclass(frozen=True)
class AskedTrial:
    """A trial that is to be judged."""

    number: int
    candidate: Candidate
    trial: optuna.Trial

    def is_hopeless_after(self, fold: int, value: float) -> bool:
        """Note what a fold was worth, and say whether the rest need not be judged."""
        self.trial.report(value, fold)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the normal approximation, where differences of folds are tied
            return self.trial.should_prune()


class Study:
    """Trials of one space on one ground."""

    def __init__(self, stored: optuna.Study, predictions: Path, tried: Space, fixed: Fixed, seed: int) -> None:
        self._stored, self._predictions = stored, predictions
        self._tried, self._fixed, self._seed = tried, fixed, seed
        self._found = {trial.user_attrs[NUMBER]: trial for trial in self._whole()}
        self.ended = {number: _ended_trial(trial) for number, trial in self._found.items()}
        self._memory = optuna.create_study(direction=StudyDirection.MAXIMIZE, pruner=_pruner())

    def predictions(self, candidate: Candidate) -> Floats | None:
        """Out-of-fold probabilities that were kept of a candidate."""
        path = self._place_of(candidate)
        if not path.exists():
            return None
        found: Floats = np.load(path, allow_pickle=False)
        return found

    def keep(self, candidate: Candidate, probability: Floats) -> None:
        """Keep a candidate's out-of-fold probabilities, whole or not at all."""
        with replacing(self._place_of(candidate)) as draft, draft.open("wb") as file:
            np.save(file, probability, allow_pickle=False)

    def begin(self, present: Candidate, value: float, by_fold: Mapping[int, float]) -> None:
        """Let the sampler know the present candidate, which is to be beaten, and all trials that have ended."""
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
        for number in sorted(self._found):
            self._memory.add_trial(self._found[number])

    def ask(self, number: int) -> AskedTrial:
        """What the trial of that number is to try: by the seed, the number, and the trials that have ended."""
        digest = hashlib.sha256(f"{self._seed} {number}".encode()).digest()
        self._memory.sampler = _sampler(int.from_bytes(digest[:4]))
        trial = self._memory.ask()
        return AskedTrial(number, search_space.suggest_candidate(self._tried, self._fixed, trial), trial)

    def tell(
        self,
        asked: AskedTrial,
        outcome: TrialOutcome,
        value: float | None = None,
        reason: str | None = None,
        *,
        lasting: bool,
    ) -> EndedTrial:
        """Note how a trial ended, on disk if that is `lasting`: else the next search makes it again."""
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
        self.ended[asked.number] = ended = _ended_trial(told)
        return ended

    def _whole(self) -> Iterator[FrozenTrial]:
        """Those on disk whose predictions, if they have any, are there too."""
        for trial in self._stored.get_trials(deepcopy=False, states=tuple(OUTCOMES)):
            one = _ended_trial(trial)
            if one.outcome is not TrialOutcome.COMPLETE or self._place_of(one.candidate).exists():
                yield trial

    def _place_of(self, candidate: Candidate) -> Path:
        return self._predictions / f"{candidate.digest}.npy"


def _ended_trial(trial: FrozenTrial) -> EndedTrial:
    noted = trial.user_attrs
    outcome = OUTCOMES[trial.state]
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


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with (
        _accept_experimental_parts()
    ):  # the one that learns how arguments of one estimator act together, for each estimator
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _pruner() -> optuna.pruners.BasePruner:
    with _accept_experimental_parts():  # the one that compares fold with fold, some of which are harder than others
        return optuna.pruners.WilcoxonPruner(p_threshold=PRUNE_BELOW_P)


@contextmanager
def _accept_experimental_parts() -> Iterator[None]:
    """Optuna's version is locked, so what it calls experimental does not change unseen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@contextmanager
def open_study(root: Path, key: str, tried: Space, fixed: Fixed, seed: int) -> Iterator[Study]:
    """The study of that key, for this process alone.

    Raises:
        ChurnError: another process has it, or it cannot be read or written.
    """
    folder = root / FOLDER
    path = folder / f"{key}.db"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _explain_faults(path), lock(folder / f"{key}.lock", wait=False) as held:
        if held is None:
            raise ChurnError(f"{path}: another `churn tune` is at work on this study; wait until it has ended")
        if not path.exists():
            with replacing(path) as draft, _open_storage(draft):
                pass  # its tables are there from now on: a kill while they are made leaves none of them
        with _open_storage(path) as stored:
            yield Study(stored, folder / key, tried, fixed, seed)


@contextmanager
def _open_storage(path: Path) -> Iterator[optuna.Study]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        yield optuna.create_study(study_name=NAME, storage=storage, direction="maximize", load_if_exists=True)
    finally:
        storage.engine.dispose()


@contextmanager
def _explain_faults(path: Path) -> Iterator[None]:
    """What Optuna, its database or the disk says, in one line."""
    try:
        yield
    except OSError as error:
        raise ChurnError(f"{error.filename or path}: {error.strerror or error}") from error
    except (OptunaError, SQLAlchemyError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error.__cause__ or error).split())
        raise ChurnError(f"{path}: {reason}; when it is broken, remove it: the search starts anew") from error
