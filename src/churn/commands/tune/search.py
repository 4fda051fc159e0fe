"""`churn tune`: search for better parameters on training rows, and correct the gain for selection bias.

This process asks for trials and stores how they ended; workers evaluate one fold at a time (`workers`). Known results
are reused: trials of an earlier search of the same study, and candidates that were evaluated before.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import cast

import numpy as np

from churn import files
from churn.commands.tune import portfolio, study, workers
from churn.commands.tune.objectives import OBJECTIVES, JudgingData, Objective, folds_of
from churn.commands.tune.portfolio import Member
from churn.commands.tune.result import Result, Search, as_rows, value_of
from churn.commands.tune.study import FOLDER, AskedTrial, EndedTrial, Study, TrialOutcome
from churn.commands.tune.workers import FoldError, Material, PassingFoldError, Worker
from churn.config import search_space
from churn.config.params import PARAMS_FILE, Params, load_params
from churn.config.search_space import Candidate, Fixed, Space
from churn.config.yaml_edit import adopt_candidate
from churn.drafts import replacing_outputs
from churn.errors import ChurnError, excerpt
from churn.history import snapshot, state, verify
from churn.metrics.selection_bias import CorrectedGain, corrected_gain
from churn.model import cross_validation, estimators
from churn.model.estimators import OF_TRAIN, Keys
from churn.runtime import at_work_alone, limited_threads
from churn.stages.train import TrainingData, load_processed_data
from churn.table import keys, splits
from churn.tracking import trials
from churn.types import Floats, Labels

RESAMPLES = 1000
TRAINING_SIDE = tuple(map(str, (files.TRAIN_ROWS, files.X_TRAIN, files.Y_TRAIN, files.ENCODERS, files.SCALER)))

log = logging.getLogger(__name__)


def prepare(
    root: Path, *, trials: int | None = None, estimator: str | None = None, only_portfolio: bool = False
) -> Search:
    """Check that the search is possible before anything is evaluated.

    `trials` are sampled from the space after the portfolio was judged; none with `only_portfolio`.

    Raises:
        ChurnError: the processed data do not belong to the present parameters.
        ParameterError: params.yaml asks for something that cannot be tried.
        DataError: a fold lacks churners or stayers.
    """
    params = load_params(root)
    text = (root / PARAMS_FILE).read_bytes().decode("utf-8")
    space, present = params.tune.space, Candidate(params.train.estimator, params.train.params)
    listed = portfolio.members(params.tune.portfolio)
    examples = search_space.examples(space, search_space.fixed_arguments(space, present))
    _require_makeable(
        [
            (present, OF_TRAIN),
            *((one.candidate, one.named) for one in listed),
            *((one, _keys(one)) for one in examples),
        ],
        params,
    )
    tried, members = portfolio.restrict(space, listed, estimator, alone=only_portfolio)
    sampled = params.tune.trials if trials is None else trials
    fixed = search_space.fixed_arguments(tried, present)
    with at_work_alone(root):
        inputs = _vouched_inputs(root)
        data = load_processed_data(root)
    folds = splits.fold_of(data.rows.index, str(params.compute.seed), params.train.folds)
    cross_validation.require_both_classes(data.y, folds)
    return Search(
        root=root,
        text=text,
        objective=OBJECTIVES[params.tune.objective],
        present=present,
        tried=tried,
        fixed=fixed,
        material=_material(data, folds, params),
        ground=JudgingData(data.y, folds, params.train.threshold, params.business),
        key=_key(inputs, params, tried, fixed, members),
        portfolio=members,
        trials=len(members) + (0 if only_portfolio else sampled),
    )


def _require_makeable(candidates: Sequence[tuple[Candidate, Keys]], params: Params) -> None:
    for candidate, named in candidates:
        estimators.make_classifier(
            candidate.estimator,
            candidate.arguments,
            seed=params.compute.seed,
            threads=params.compute.threads,
            named=named,
        )


def _keys(candidate: Candidate) -> Keys:
    path = candidate.estimator if candidate.estimator.isprintable() else excerpt(candidate.estimator)
    return Keys(f"tune.space.{path}", f"tune.space.{path}")


def _vouched_inputs(root: Path) -> Mapping[str, str | None]:
    """md5 of all inputs of `train`, code included."""
    snapshot.require_no_conflict(root)
    if not verify.results_are_vouched_for(root, "preprocess", TRAINING_SIDE):
        if any(not (root / path).is_file() for path in TRAINING_SIDE) and state.read_lock(root):
            verify.require_own_results(root, TRAINING_SIDE)
        raise ChurnError(
            f"{files.PROCESSED}: does not belong to the present parameters, code and table; run `dvc repro preprocess`"
        )
    return state.inputs_from_files(root, "train").dependencies


def _material(data: TrainingData, folds: Labels, params: Params) -> Material:
    return Material(data.rows, data.y, folds, data.encoders, data.scaler, params.compute.seed, params.compute.threads)


def _key(
    inputs: Mapping[str, str | None], params: Params, tried: Space, fixed: Fixed, members: Sequence[Member]
) -> str:
    decides = {
        "inputs": dict(inputs),
        "objective": params.tune.objective,
        # Lists, because the order affects the sampler.
        "space": [(path, [(name, one.model_dump()) for name, one in given.items()]) for path, given in tried.items()],
        "portfolio": [(one.candidate.estimator, one.candidate.arguments) for one in members],
        "fixed": {path: given for path, given in fixed.items() if path in tried},
        "business": params.business.model_dump(),
        "folds": params.train.folds,
        "threshold": params.train.threshold,
        "compute": params.compute.model_dump(),
        "sampler": version("optuna"),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:16]


OnTrial = Callable[[EndedTrial, float, int], None]
"""Called with each ended trial, the best value so far, and the number of trials left."""


def run(search: Search, jobs: int, on_trial: OnTrial) -> Result:
    """Run the missing trials, and return the result of all.

    Raises:
        ChurnError: the present parameters cannot be evaluated, all trials failed, or the study cannot be stored.
    """
    with (
        limited_threads(search.material.threads),
        study.open_study(
            search.root, search.key, search.tried, search.fixed, search.material.seed, len(search.ground.churned)
        ) as kept,
    ):
        trials.warm_up(search.root)
        missing = [number for number in range(search.trials) if number not in kept.ended]
        needed = bool(missing) or kept.predictions(search.present) is None
        with workers.workers(jobs, search.material) if needed else nullcontext(()) as hired:
            present = _judge_present(search, kept, hired)
            on_ended = _progress_reporter(kept, present, len(missing), on_trial)
            attempts = (_begin(search, kept, number) for number in missing)
            _play(attempts, hired, lambda attempt: on_ended(_note_end(kept, attempt)))
        return _result(search, kept, present)


def _progress_reporter(kept: Study, present: float, left: int, on_trial: OnTrial) -> Callable[[EndedTrial], None]:
    best = max([present, *map(value_of, kept.ended.values())])

    def told(ended: EndedTrial) -> None:
        nonlocal best, left
        best, left = max(best, value_of(ended)), left - 1
        if ended.outcome is TrialOutcome.FAILED:
            log.warning("trial %s failed: %s", ended.number, ended.reason)
        on_trial(ended, best, left)

    return told


@dataclass
class _Attempt:
    """A candidate that is evaluated fold by fold; `asked` is its trial, None for the present parameters."""

    search: Search
    candidate: Candidate
    named: Keys
    asked: AskedTrial | None = None
    by_fold: dict[int, float] = field(default_factory=dict)
    outcome: TrialOutcome | None = None
    reason: str | None = None
    is_final: bool = True
    """Whether another search would give the same result."""

    def __post_init__(self) -> None:
        self.probability = np.full(len(self.search.ground.churned), np.nan)
        self._folds = folds_of(self.search.ground)

    @property
    def value(self) -> float | None:
        complete = self.outcome is TrialOutcome.COMPLETE
        return self.search.objective.value(self.search.ground, self.probability) if complete else None

    def give_to(self, worker: Worker) -> None:
        worker.give(self.candidate, len(self.by_fold), self.named)

    def take_from(self, worker: Worker) -> None:
        try:
            self._add(worker.take())
        except FoldError as error:
            self.outcome, self.reason = TrialOutcome.FAILED, str(error)
            self.is_final = not isinstance(error, PassingFoldError)

    def remember(self, probability: Floats | None) -> "_Attempt":
        """Reuse the predictions of an earlier evaluation of the candidate."""
        if probability is not None:
            for inside in self._folds:
                if self.outcome is None:
                    self._add(probability[inside])
        return self

    def _add(self, probability: Floats) -> None:
        if not np.isfinite(probability).all():
            raise FoldError(f"params.yaml: {self.named.estimator}: returns probabilities that are NaN or infinite")
        fold = len(self.by_fold)
        inside, ground = self._folds[fold], self.search.ground
        self.probability[inside] = probability
        value = self.search.objective.of_fold(ground, ground.churned[inside], probability)
        self.by_fold[fold] = value
        hopeless = self.asked is not None and self.asked.is_hopeless_after(fold, value)
        if len(self.by_fold) == len(self._folds):
            self.outcome = TrialOutcome.COMPLETE
        elif hopeless:
            self.outcome = TrialOutcome.PRUNED


def _judge_present(search: Search, kept: Study, hired: Sequence[Worker]) -> float:
    attempt = _Attempt(search, search.present, OF_TRAIN).remember(kept.predictions(search.present))
    _play(iter([attempt]), hired, lambda _: None)
    value = attempt.value
    if value is None:
        raise ChurnError(f"the present parameters cannot be evaluated: {attempt.reason}")
    kept.keep(search.present, attempt.probability)
    kept.begin(search.present, value, attempt.by_fold)
    return value


def _begin(search: Search, kept: Study, number: int) -> _Attempt:
    """The next trial: the portfolio's configurations come first, then those of the sampler."""
    if number < len(search.portfolio):
        member = search.portfolio[number]
        asked, named = kept.enlist(number, member.candidate), member.named
    else:
        asked = kept.ask(number)
        named = _keys(asked.candidate)
    return _Attempt(search, asked.candidate, named, asked).remember(kept.predictions(asked.candidate))


def _note_end(kept: Study, attempt: _Attempt) -> EndedTrial:
    """Store a trial that has ended; its predictions first, so that a complete trial always has them."""
    if attempt.asked is None or attempt.outcome is None:
        raise ValueError("not a trial, or not ended")
    value = attempt.value
    if value is not None:
        kept.keep(attempt.candidate, attempt.probability)
    return kept.tell(attempt.asked, attempt.outcome, value, attempt.reason, lasting=attempt.is_final)


def _play(attempts: Iterator[_Attempt], hired: Sequence[Worker], settle: Callable[[_Attempt], None]) -> None:
    """Evaluate attempts, each by one worker; the next one is requested only when a worker is free."""
    idle = list(hired)
    busy: dict[Connection, tuple[Worker, _Attempt]] = {}
    exhausted = False
    while True:
        while not exhausted and (idle or not hired):
            attempt = next(attempts, None)
            if attempt is None:
                exhausted = True
            elif attempt.outcome is not None:
                settle(attempt)
            else:
                worker = idle.pop()
                attempt.give_to(worker)
                busy[worker.connection] = worker, attempt
        if not busy:
            return
        for ready in wait(list(busy)):
            worker, attempt = busy.pop(cast(Connection, ready))
            attempt.take_from(worker)
            if attempt.outcome is None:
                attempt.give_to(worker)
                busy[worker.connection] = worker, attempt
            else:
                idle.append(worker)
                settle(attempt)


def _result(search: Search, kept: Study, present: float) -> Result:
    ended = tuple(kept.ended[number] for number in sorted(kept.ended))
    if all(one.outcome is TrialOutcome.FAILED for one in ended):
        raise ChurnError(f"all {len(ended):,} trials failed, the last one: {ended[-1].reason}")
    complete = [one.candidate for one in ended if one.outcome is TrialOutcome.COMPLETE]
    known = [kept.predictions(one) for one in (search.present, *complete)]
    predictions = [one for one in known if one is not None]
    if len(predictions) < len(known):
        raise ChurnError(f"{FOLDER}: predictions of an ended trial are gone; remove the study's .db file to start anew")
    if not complete:
        return Result(search, present, ended, None)
    found = Result(search, present, ended, _gain(search, search.objective, predictions))
    highest = predictions[1 + complete.index(found.ranking[0].candidate)]
    return replace(
        found,
        flattery=_flattery(found, predictions, highest),
        new=adopt_candidate(search.text, found.best.candidate) if found.best else None,
    )


def _gain(search: Search, judged: Objective, predictions: Sequence[Floats]) -> CorrectedGain:
    """The gain in a metric, corrected for selection by the objective of the search."""
    weighted = judged.weighted(search.ground, predictions)
    chosen_by = None if judged is search.objective else search.objective.weighted(search.ground, predictions)
    customer, seed = keys.customer_of(search.material.rows.index), search.material.seed
    return corrected_gain(weighted, customer, resamples=RESAMPLES, seed=seed, chosen_by=chosen_by)


def _flattery(found: Result, predictions: Sequence[Floats], highest: Floats) -> float:
    """Selection bias of the best trial in profit, whatever the objective, because promotions use profit.

    It is computed even if the best trial has become the present parameters: it was selected all the same.
    """
    search, profit = found.search, OBJECTIVES["profit"]
    seeming = profit.value(search.ground, highest) - profit.value(search.ground, predictions[0])
    left = found.gain if search.objective is profit else _gain(search, profit, predictions)
    return max(seeming - left.mean, 0.0) if left else 0.0


def apply(result: Result) -> bool:
    """Write the best candidate into params.yaml atomically; return whether there was one.

    Raises:
        ChurnError: the file changed during the search, or cannot be written.
    """
    if result.new is None:
        return False
    path = result.search.root / PARAMS_FILE
    try:
        if path.read_bytes().decode("utf-8") != result.search.text:
            raise ChurnError(f"{PARAMS_FILE}: was edited while the search ran; run the same command again")
        with replacing_outputs(path) as (draft,):
            draft.write_bytes(result.new.encode("utf-8"))
    except OSError as error:
        raise ChurnError(f"{PARAMS_FILE}: cannot be written: {error.strerror}") from None
    return True


def show(result: Result) -> None:
    """Publish the study to MLflow; log a warning if that fails."""
    refused = trials.show(result.search.root, as_rows(result))
    if refused:
        log.warning("not published to MLflow: %s; the next `churn tune` publishes what is missing", refused)
