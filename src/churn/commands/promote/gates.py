"""Gates that a model must pass to become the champion: pure arithmetic, each gate with its figures.

Training rows decide, out-of-fold; test rows can only veto. Every promotion that was evaluated on the same rows before
widens the interval, so repeated attempts do not help.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.metrics.calibration import expected_calibration_error
from churn.metrics.paired import Pair, PairedDifference, profit_difference
from churn.tracking.trials import Selection
from churn.types import Floats, Labels

FALSE_PROMOTIONS = 0.05
"""Probability of promoting models that are no better, over all promotions evaluated on the same rows; measured by
`bench.promotion`."""
RESAMPLES = 100_000
SEED = 2013
FEWEST_IN_SLICE = 100
"""Fewest customers of a slice for which an interval is computed."""


@dataclass(frozen=True)
class Gate:
    """One condition, whether it holds, and why, with its figures."""

    name: str
    passed: bool
    explanation: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Rival:
    """An opponent of the challenger; in both pairs it is the old side.

    Attributes:
        test: None if there is one kind of evidence only.
        is_model: whether it is a model, in contrast to the contact-everyone and contact-no-one policies.
    """

    name: str
    training: Pair
    test: Pair | None
    is_model: bool


@dataclass(frozen=True)
class Challenge:
    """A challenger, and everything that its evaluation needs.

    Attributes:
        churned, probability: of its training rows, the probability out-of-fold.
        slices: values, as texts, of the columns that define slices, of its training rows, by row key.
        folds: of the challenger's cross-validation.
        attempt: number of promotions evaluated on these rows, from 1.
        selection: None if no recorded search tried it.
        calibration_bins: number of groups of equal size for the calibration error.
        evidence: what the training pairs and probabilities are, in words.
    """

    rivals: Sequence[Rival]
    churned: Labels
    probability: Floats
    slices: pd.DataFrame
    economics: Economics
    folds: int
    attempt: int
    selection: Selection | None
    calibration_bins: int
    max_calibration_error: float
    evidence: str = "out of fold"


def confidence_of(attempt: int) -> float:
    """Confidence of the interval that decides an attempt: 95% for the first one, then more each time.

    Attempt k may promote in error with probability 0.05 / (k (k + 1)); over all attempts these add up to 0.05.
    """
    return 1 - 2 * FALSE_PROMOTIONS / (attempt * (attempt + 1))


def widening_of(folds: int) -> float:
    """Factor that widens the interval between two models, so that it covers refit variance as well as other customers.

    A bootstrap of predictions keeps the fits as they are. But the J fits learn from mostly the same rows, so their
    errors are correlated. Nadeau and Bengio (2003), Machine Learning 52: if a fold is tested on 1/J of the rows and
    trained on the rest, the variance of the mean is not 1/J of a fold's variance but 1/J + 1/(J - 1) of it.
    """
    return float(np.sqrt(1 + folds / (folds - 1)))


def judge(challenge: Challenge) -> list[Gate]:
    """All gates, in display order."""
    return [gate for gates in GATES for gate in gates(challenge)]


def _searches(challenge: Challenge) -> Iterator[Gate]:
    """Always passes; reports the known searches, because the bias of unknown ones cannot be subtracted."""
    chosen = challenge.selection
    if chosen is None:
        yield Gate("searches on record", True, "no recorded search on this data tried these parameters", {})
        return
    off = f"{chosen.flattery:,.0f} {challenge.economics.currency} per 1,000 subtracted from its gain"
    told = f"{chosen.trials:,} trials on this data; selection bias: {off}"
    yield Gate("searches on record", True, told, {"flattery": chosen.flattery})


def earns_more(challenge: Challenge) -> Iterator[Gate]:
    """Profit compared with each rival, out-of-fold."""
    confidence = confidence_of(challenge.attempt)
    for rival in challenge.rivals:
        times = widening_of(challenge.folds) if rival.is_model else 1.0
        of_customers = _difference(rival.training, challenge.economics, confidence)
        found = _subtract_flattery(_widen(of_customers, times), challenge.selection)
        remarks = "".join(_remarks(challenge, times))
        interval = _interval_text(found, challenge, confidence)
        told = f"{interval}, {challenge.evidence}, {len(rival.training.keys):,} customers{remarks}"
        yield Gate(f"earns more than {rival.name}", found.low > 0, told, _figures(found, confidence))


def _remarks(challenge: Challenge, times: float) -> Iterator[str]:
    if times > 1:
        yield f"; interval widened {times:.2g}x for refit variance"
    if challenge.attempt > 1:
        yield f"; widened for attempt {challenge.attempt} on this data"


def _widen(found: PairedDifference, times: float) -> PairedDifference:
    low, high = (found.difference + times * (bound - found.difference) for bound in (found.low, found.high))
    return replace(found, low=low, high=high)


def _subtract_flattery(found: PairedDifference, selection: Selection | None) -> PairedDifference:
    less = selection.flattery if selection else 0.0
    return replace(found, new=found.new - less, low=found.low - less, high=found.high - less)


def _holds_on_test(challenge: Challenge) -> Iterator[Gate]:
    for rival in challenge.rivals:
        if rival.test is None:
            continue
        found = _difference(rival.test, challenge.economics, 1 - FALSE_PROMOTIONS)
        told = f"{_interval_text(found, challenge, 1 - FALSE_PROMOTIONS)}, {len(rival.test.keys):,} test customers"
        yield Gate(
            f"test rows against {rival.name}",
            found.high >= 0,
            told,
            _figures(found, 1 - FALSE_PROMOTIONS),
        )


def _slices_hold(challenge: Challenge) -> Iterator[Gate]:
    """Among many slices one looks bad by chance, so they share the error (Bonferroni)."""
    for rival in challenge.rivals:
        slices = list(_slices(challenge.slices, rival.training)) if rival.is_model else []
        if not slices:
            continue
        confidence = 1 - FALSE_PROMOTIONS / len(slices)
        differences = {
            name: _difference(rival.training, challenge.economics, confidence, inside) for name, inside in slices
        }
        worst = min(differences, key=lambda name: differences[name].high)
        yield Gate(
            f"slices against {rival.name}",
            differences[worst].high >= 0,
            f"weakest of {len(slices)}: {worst}, {_interval_text(differences[worst], challenge, confidence)}",
            _figures(differences[worst], confidence),
        )


def _slices(columns: pd.DataFrame, pair: Pair) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    of_pair = columns.loc[pair.keys]
    for column in columns:
        for value in sorted(of_pair[column].unique()):
            inside = (of_pair[column] == value).to_numpy()
            if inside.sum() >= FEWEST_IN_SLICE:
                yield f"{column}={value}", inside


def _is_calibrated(challenge: Challenge) -> Iterator[Gate]:
    error = expected_calibration_error(challenge.churned, challenge.probability, challenge.calibration_bins)
    bound = challenge.max_calibration_error
    limit = f"at most {bound:g} (promote.max_calibration_error of this folder)"
    told = f"calibration error {error:.3f} {challenge.evidence}, {limit}"
    yield Gate("calibrated", error <= bound, told, {"calibration_error": error, "bound": bound})


GATES: Sequence[Callable[[Challenge], Iterator[Gate]]] = (
    _searches,
    earns_more,
    _holds_on_test,
    _slices_hold,
    _is_calibrated,
)


def _difference(
    pair: Pair, economics: Economics, confidence: float, inside: NDArray[np.bool_] | None = None
) -> PairedDifference:
    return profit_difference(pair, economics, inside, confidence=confidence, resamples=RESAMPLES, seed=SEED)


def _interval_text(found: PairedDifference, challenge: Challenge, confidence: float) -> str:
    return (
        f"{found.difference:+,.0f} {challenge.economics.currency} per 1,000 "
        f"({100 * confidence:.4g}% interval {found.low:+,.0f} to {found.high:+,.0f})"
    )


def _figures(found: PairedDifference, confidence: float) -> dict[str, float]:
    return {"difference": found.difference, "low": found.low, "high": found.high, "confidence": confidence}
