"""`churn tune`: a search for better arguments on training rows, and what its gain is worth when corrected.

This process asks for trials and notes how they end; others judge, a fold at a time (`workers`). What is already known
is not judged again: neither trials of an earlier search of the same study, nor a candidate that was judged before.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

import numpy as np

from churn import artifacts, cleaning, modeling, space, study, workers
from churn.adoption import adopted, as_diff
from churn.business import Floats, Labels
from churn.correction import CorrectedGain, corrected_gain
from churn.errors import ChurnError, ParameterError, shown
from churn.modeling import OF_TRAIN, Keys
from churn.objective import OBJECTIVES, Ground, Objective, folds_of
from churn.params import PARAMS_FILE, Params, load_params
from churn.space import Candidate, Fixed, Space
from churn.stages.execution import at_work_alone, limited_threads
from churn.stages.train import TrainingData, load_processed_data
from churn.study import Ended, Outcome, Study
from churn.tracking import state, trials
from churn.tracking.trials import StudyRow, TrialRow
from churn.workers import FoldError, Material, Worker

RESAMPLES = 1000
SHOWN = 5
TRAINING_SIDE = tuple(
    map(str, (artifacts.TRAIN_ROWS, artifacts.X_TRAIN, artifacts.Y_TRAIN, artifacts.ENCODERS, artifacts.SCALER))
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Search:
    """What is searched, and on what.

    Attributes:
        present: what stands under `train` now: the one to beat.
        key: identity of the study: the same for all that decides a candidate's value and the trials' order.
        trials: how many there are to be, those of earlier searches included.
    """

    root: Path
    objective: Objective
    present: Candidate
    tried: Space
    fixed: Fixed
    material: Material
    ground: Ground
    key: str
    trials: int

    def as_text(self) -> str:
        """For the terminal."""
        estimators = ", ".join(_short(path) for path in self.tried)
        return (
            f"searching {estimators} for {self.objective.metric}: {self.trials:,} trials, "
            f"{len(folds_of(self.ground))} folds each, study {study.FOLDER / self.key}.db"
        )


@dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        present: value of the present parameters.
        gain: what is left of the best one's gain; None when no trial is complete.
        old: text of params.yaml.
        new: the same with the best candidate; None when none is better than the present one.
    """

    search: Search
    present: float
    ended: tuple[Ended, ...]
    gain: CorrectedGain | None
    old: str
    new: str | None

    @property
    def ranked(self) -> list[Ended]:
        """Complete trials, best first; of equal ones the earlier."""
        complete = [one for one in self.ended if one.value is not None]
        return sorted(complete, key=lambda one: (-_value(one), one.number))

    @property
    def best(self) -> Ended | None:
        """The best trial, when it is better than the present parameters."""
        return next((one for one in self.ranked[:1] if _value(one) > self.present), None)

    def counts(self) -> dict[str, int]:
        """How many trials ended in each way."""
        return {outcome: sum(one.outcome is outcome for one in self.ended) for outcome in Outcome}

    def as_json(self) -> str:
        """For programs."""
        best = self.best
        content = {
            "study": self.search.key,
            "objective": self.search.objective.metric,
            "present": self.present,
            "best": None if best is None else {"trial": best.number, "value": best.value, **_named(best.candidate)},
            "corrected_gain": None if self.gain is None else vars(self.gain),
            "trials": [
                {"trial": one.number, "state": one.outcome, "value": one.value, "folds": len(one.by_fold)}
                | {"reason": one.reason, **_named(one.candidate)}
                for one in self.ended
            ],
        }
        return artifacts.json_text(content)

    def as_text(self) -> str:
        """For the terminal."""
        return "\n".join([*self._summary(), "", *self._table(), *self._offer()])

    def _summary(self) -> Iterator[str]:
        objective, best = self.search.objective, self.best
        form = objective.form
        yield f"present    {self.present:{form}} {objective.unit} ({objective.metric}, out of fold)"
        if best is None:
            yield "best       nothing better than the present parameters was found"
        else:
            gained = f"{_value(best) - self.present:+{form}}"
            yield f"best       {_value(best):{form}}, trial {best.number}: {gained} by the customers that chose it"
        if self.gain is not None:
            yield (
                f"corrected  {self.gain.mean:+{form}} by customers that had no say in it, 95 % interval "
                f"{self.gain.low:+{form}} to {self.gain.high:+{form}}"
            )
            yield f"           {_verdict(self.gain)}"
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in self.counts().items())
        yield f"trials     {len(self.ended):,}: {told}"

    def _table(self) -> Iterator[str]:
        rows = [("trial", self.search.objective.metric, "estimator", "arguments")]
        for one in self.ranked[:SHOWN]:
            tried = self.search.tried[one.candidate.estimator]
            arguments = ", ".join(f"{name}={one.candidate.arguments[name]}" for name in tried)
            value = f"{_value(one):{self.search.objective.form}}"
            rows.append((str(one.number), value, _short(one.candidate.estimator), arguments))
        widths = [max(len(row[place]) for row in rows) for place in range(3)]
        for number, value, estimator, arguments in rows:
            yield f"{number:>{widths[0]}}  {value:>{widths[1]}}  {estimator:<{widths[2]}}  {arguments}"

    def _offer(self) -> Iterator[str]:
        if self.new is not None:
            yield ""
            yield as_diff(self.old, self.new).rstrip("\n")


def _value(one: Ended) -> float:
    return float("-inf") if one.value is None else one.value


def _short(path: str) -> str:
    return path.rpartition(".")[2]


def _named(candidate: Candidate) -> dict[str, Any]:
    return {"estimator": candidate.estimator, "arguments": dict(candidate.arguments)}


def _verdict(gain: CorrectedGain) -> str:
    if not gain.is_clear:
        return "no gain can be told from chance"
    return "the gain is no matter of chance" if gain.mean > 0 else "what the search chooses is worse than the present"


def prepare(root: Path, *, trials: int | None = None, estimator: str | None = None) -> Search:
    """See that the search can be made, before anything is judged.

    Raises:
        ChurnError: the data are not those of the present parameters.
        ParameterError: params.yaml asks for what cannot be tried.
        DataError: a fold lacks churners or stayers.
    """
    params = load_params(root)
    tried = _restricted(params.tune.space, estimator)
    present = Candidate(params.train.estimator, params.train.params)
    fixed = space.fixed_arguments(tried, present)
    _require_makeable(present, space.examples(tried, fixed), params)
    with at_work_alone(root):
        inputs = _vouched_inputs(root)
        data = load_processed_data()
    folds = cleaning.fold_of(data.rows.index, str(params.compute.seed), params.train.folds)
    modeling.require_both_classes(data.y, folds)
    return Search(
        root=root,
        objective=OBJECTIVES[params.tune.objective],
        present=present,
        tried=tried,
        fixed=fixed,
        material=_material(data, folds, params),
        ground=Ground(data.y, folds, params.train.threshold, params.business),
        key=_key(inputs, params, tried, fixed),
        trials=params.tune.trials if trials is None else trials,
    )


def _restricted(tried: Space, estimator: str | None) -> Space:
    if estimator is None:
        return tried
    if estimator not in tried:
        raise ParameterError(
            f"--estimator {shown(estimator)}: not in tune.space of {PARAMS_FILE}, which has {', '.join(tried)}"
        )
    return {estimator: tried[estimator]}


def _require_makeable(present: Candidate, others: Sequence[Candidate], params: Params) -> None:
    for candidate, named in [(present, OF_TRAIN), *((one, _keys(one)) for one in others)]:
        modeling.make_classifier(
            candidate.estimator,
            candidate.arguments,
            seed=params.compute.seed,
            threads=params.compute.threads,
            named=named,
        )


def _keys(candidate: Candidate) -> Keys:
    return Keys(f"tune.space.{candidate.estimator}", f"tune.space.{candidate.estimator}")


def _vouched_inputs(root: Path) -> Mapping[str, str | None]:
    """md5 of all that `train` reads, code included."""
    if not state.results_are_vouched_for(root, "preprocess", TRAINING_SIDE):
        raise ChurnError(
            f"{artifacts.PROCESSED}: not what the present parameters, code and table give; run `dvc repro preprocess`"
        )
    return state.inputs_from_files(root, "train").dependencies


def _material(data: TrainingData, folds: Labels, params: Params) -> Material:
    return Material(data.rows, data.y, folds, data.encoders, data.scaler, params.compute.seed, params.compute.threads)


def _key(inputs: Mapping[str, str | None], params: Params, tried: Space, fixed: Fixed) -> str:
    decides = {
        "inputs": dict(inputs),
        "objective": params.tune.objective,
        "space": {path: {name: one.model_dump() for name, one in given.items()} for path, given in tried.items()},
        "fixed": {path: given for path, given in fixed.items() if path in tried},
        "business": params.business.model_dump(),
        "folds": params.train.folds,
        "threshold": params.train.threshold,
        "compute": params.compute.model_dump(),
        "sampler": version("optuna"),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]


OnTrial = Callable[[Ended, float], None]
"""Told of each trial that has ended, and of the best value so far."""


def run(search: Search, jobs: int, on_trial: OnTrial) -> Result:
    """Make the trials that are missing, and say what all of them found.

    Raises:
        ChurnError: the present parameters cannot be judged, all trials failed, or the study cannot be kept.
    """
    with (
        limited_threads(search.material.threads),
        study.opened(search.root, search.key, search.tried, search.fixed, search.material.seed) as kept,
    ):
        trials.warm_up(search.root)
        missing = [number for number in range(search.trials) if number not in kept.ended]
        needed = bool(missing) or kept.predictions(search.present) is None
        with workers.workers(jobs, search.material) if needed else nullcontext(()) as hired:
            present = _judge_present(search, kept, hired)
            _make_trials(search, kept, hired, missing, _best_so_far(kept, present, on_trial))
        return _result(search, kept, present)


def _best_so_far(kept: Study, present: float, on_trial: OnTrial) -> Callable[[Ended], None]:
    best = max([present, *map(_value, kept.ended.values())])

    def told(ended: Ended) -> None:
        nonlocal best
        best = max(best, _value(ended))
        if ended.outcome is Outcome.FAILED:
            log.warning("trial %s failed: %s", ended.number, ended.reason)
        on_trial(ended, best)

    return told


@dataclass
class _Attempt:
    """A candidate while it is judged, fold after fold."""

    candidate: Candidate
    named: Keys
    search: Search
    is_hopeless_after: Callable[[int, float], bool]
    settle: Callable[["_Attempt"], None]
    by_fold: dict[int, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        self.probability = np.full(len(self.search.ground.churned), np.nan)
        self._folds = folds_of(self.search.ground)

    @property
    def value(self) -> float:
        return self.search.objective.value(self.search.ground, self.probability)

    def give(self, worker: Worker) -> None:
        worker.give(self.candidate, len(self.by_fold), self.named)

    def take(self, worker: Worker) -> None:
        try:
            self.add(worker.take())
        except FoldError as error:
            self.outcome, self.reason = Outcome.FAILED, str(error)

    def add(self, probability: Floats) -> None:
        """The next fold."""
        if not np.isfinite(probability).all():
            raise FoldError(f"params.yaml: {self.named.estimator}: gives probabilities that are not numbers")
        fold = len(self.by_fold)
        inside, ground = self._folds[fold], self.search.ground
        self.probability[inside] = probability
        self.by_fold[fold] = self.search.objective.of_fold(ground, ground.churned[inside], probability)
        hopeless = self.is_hopeless_after(fold, self.by_fold[fold])
        if len(self.by_fold) == len(self._folds):
            self.outcome = Outcome.COMPLETE
        elif hopeless:
            self.outcome = Outcome.PRUNED

    def know(self, probability: Floats | None) -> None:
        """All folds at once, when they were judged before."""
        for inside in self._folds if probability is not None else ():
            if self.outcome is None and probability is not None:
                self.add(probability[inside])


def _judge_present(search: Search, kept: Study, hired: Sequence[Worker]) -> float:
    attempt = _Attempt(search.present, OF_TRAIN, search, lambda *_: False, lambda _: None)
    attempt.know(kept.predictions(search.present))
    _play(iter([attempt]), hired)
    if attempt.outcome is not Outcome.COMPLETE:
        raise ChurnError(f"the present parameters cannot be judged: {attempt.reason}")
    kept.keep(search.present, attempt.probability)
    value = attempt.value
    kept.begin(search.present, value, attempt.by_fold)
    return value


def _make_trials(
    search: Search, kept: Study, hired: Sequence[Worker], numbers: Sequence[int], on_ended: Callable[[Ended], None]
) -> None:
    def attempts() -> Iterator[_Attempt]:
        for number in numbers:
            yield begun(number)

    def begun(number: int) -> _Attempt:
        asked = kept.ask(number)

        def settle(attempt: _Attempt) -> None:
            complete = attempt.outcome is Outcome.COMPLETE
            if complete:
                kept.keep(attempt.candidate, attempt.probability)
            value = attempt.value if complete else None
            on_ended(kept.tell(asked, attempt.outcome or Outcome.FAILED, value, attempt.reason))

        attempt = _Attempt(asked.candidate, _keys(asked.candidate), search, asked.is_hopeless_after, settle)
        attempt.know(kept.predictions(asked.candidate))
        return attempt

    _play(attempts(), hired)


def _play(attempts: Iterator[_Attempt], hired: Sequence[Worker]) -> None:
    """Judge attempts, each by one worker; the next one is asked for only when a worker is free for it."""
    idle = list(hired)
    busy: dict[Connection, tuple[Worker, _Attempt]] = {}
    exhausted = False
    while True:
        while not exhausted and (idle or not hired):
            attempt = next(attempts, None)
            if attempt is None:
                exhausted = True
            elif attempt.outcome is not None:
                attempt.settle(attempt)
            else:
                worker = idle.pop()
                attempt.give(worker)
                busy[worker.connection] = worker, attempt
        if not busy:
            return
        for ready in wait(list(busy)):
            worker, attempt = busy.pop(cast(Connection, ready))
            attempt.take(worker)
            if attempt.outcome is None:
                attempt.give(worker)
                busy[worker.connection] = worker, attempt
            else:
                idle.append(worker)
                attempt.settle(attempt)


def _result(search: Search, kept: Study, present: float) -> Result:
    ended = tuple(kept.ended[number] for number in sorted(kept.ended))
    if all(one.outcome is Outcome.FAILED for one in ended):
        raise ChurnError(f"all {len(ended):,} trials failed, the last one: {ended[-1].reason}")
    complete = [one.candidate for one in ended if one.outcome is Outcome.COMPLETE]
    old = (search.root / PARAMS_FILE).read_bytes().decode("utf-8")
    found = Result(search, present, ended, _gain(search, kept, complete), old, None)
    new = adopted(old, found.best.candidate) if found.best else None
    return Result(search, present, ended, found.gain, old, new)


def _gain(search: Search, kept: Study, complete: Sequence[Candidate]) -> CorrectedGain | None:
    known = [kept.predictions(one) for one in (search.present, *complete)]
    predictions = [one for one in known if one is not None]
    if not complete:
        return None
    weighted = search.objective.weighted(search.ground, predictions)
    return corrected_gain(weighted, len(search.ground.churned), resamples=RESAMPLES, seed=search.material.seed)


def apply(result: Result) -> bool:
    """Write the best candidate into params.yaml, whole or not at all; whether there was one.

    Raises:
        ChurnError: the file changed meanwhile, or cannot be written.
    """
    if result.new is None:
        return False
    path = result.search.root / PARAMS_FILE
    try:
        if path.read_bytes().decode("utf-8") != result.old:
            raise ChurnError(f"{PARAMS_FILE}: was edited while the search ran; run the same command again")
        with artifacts.replacing(path) as draft:
            draft.write_bytes(result.new.encode("utf-8"))
    except OSError as error:
        raise ChurnError(f"{PARAMS_FILE}: cannot be written: {error.strerror}") from None
    return True


def show(result: Result) -> None:
    """Bring MLflow up to date with the study; what hinders that costs a warning."""
    refused = trials.show(result.search.root, as_rows(result))
    if refused:
        log.warning("not shown in MLflow: %s; the next `churn tune` adds what is missing", refused)


def as_rows(result: Result) -> StudyRow:
    """The study as plain values."""
    search, counts = result.search, result.counts()
    gain = result.gain
    corrected = {} if gain is None else {f"corrected_gain{name}": value for name, value in _bounds(gain)}
    best = result.ranked[:1]
    return StudyRow(
        key=search.key,
        name=f"{search.objective.metric}-{search.key[:7]}",
        parameters={"objective": search.objective.metric, "estimators": ", ".join(search.tried)},
        metrics={
            f"present_{search.objective.metric}": result.present,
            **{f"best_{search.objective.metric}": _value(one) for one in best},
            **corrected,
            **{f"{outcome}_trials": float(count) for outcome, count in counts.items()},
        },
        trials=tuple(_row(one, search.objective.metric) for one in result.ended),
    )


def _bounds(gain: CorrectedGain) -> Iterator[tuple[str, float]]:
    yield from (("", gain.mean), ("_low", gain.low), ("_high", gain.high))


def _row(one: Ended, metric: str) -> TrialRow:
    arguments = {f"train.params.{name}": _text(value) for name, value in one.candidate.arguments.items()}
    value = {} if one.value is None else {metric: one.value}
    return TrialRow(
        number=one.number,
        state=one.outcome,
        failed=one.outcome is Outcome.FAILED,
        parameters={"train.estimator": one.candidate.estimator, **arguments},
        metrics={**value, "duration": one.ended - one.started},
        folds=one.by_fold,
        reason=one.reason,
        started=one.started,
        ended=one.ended,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
