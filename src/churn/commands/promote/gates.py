"""What a model has to show before it becomes the champion: pure arithmetic, each gate with its figures.

It is judged by training rows, out of fold; the test rows may only contradict. Each promotion that the same rows have
judged before makes the next one harder, so that trying often is no way in.
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
"""Chance to let in models that are no better, over all promotions that the same rows judge; measured by
`bench.promotion`."""
RESAMPLES = 100_000
SEED = 2013
FEWEST_IN_SLICE = 100
"""Customers of a slice from which on an interval says something."""


@dataclass(frozen=True)
class Gate:
    """One condition, whether it holds, and in a line by which figures."""

    name: str
    passed: bool
    explanation: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Rival:
    """Whom the challenger is judged against; in both pairs the rival is the old side.

    Attributes:
        is_model: whether it was learned and tells customers apart, and does not take all or nobody.
    """

    name: str
    training: Pair
    test: Pair
    is_model: bool


@dataclass(frozen=True)
class Challenge:
    """A challenger, and all that it is judged by.

    Attributes:
        churned, probability: of its training rows, the probability out of fold.
        slices: columns by whose values it is looked at, as texts, of its training rows, by row key.
        folds: of the challenger's cross-validation.
        attempt: counts the promotions that these rows have judged, from 1.
        selection: None when no search is known that tried it.
        calibration_bins: groups of equal size for the calibration error.
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


def confidence_of(attempt: int) -> float:
    """Confidence of the interval that decides an attempt: 95 % for the first one, then more each time.

    Attempt k may err, to the side that promotes, with 0.05 / (k (k + 1)), which is 0.05 over all of them.
    """
    return 1 - 2 * FALSE_PROMOTIONS / (attempt * (attempt + 1))


def widening_of(folds: int) -> float:
    """How much wider the interval between two models has to be, to cover other fits and not other customers alone.

    A bootstrap of answers keeps the fits as they are, but those of J folds learn from mostly the same rows, so what is
    odd about these shows in all of them. Nadeau and Bengio (2003), Machine Learning 52: where a fold is tested on 1/J
    of the rows and learned from the rest, the variance of the mean is not 1/J but 1/J + 1/(J - 1) of a fold's.
    """
    return float(np.sqrt(1 + folds / (folds - 1)))


def judge(challenge: Challenge) -> list[Gate]:
    """Every gate, in the order in which people read them."""
    return [gate for gates in GATES for gate in gates(challenge)]


def _searches(challenge: Challenge) -> Iterator[Gate]:
    """Never closed; what is known of searches is told, because what is not known cannot be taken off."""
    chosen = challenge.selection
    if chosen is None:
        yield Gate("searches on record", True, "no recorded search on this data tried these parameters", {})
        return
    off = f"{chosen.flattery:,.0f} {challenge.economics.currency} per 1,000 subtracted from its gain"
    told = f"{chosen.trials:,} trials on this data; selection bias: {off}"
    yield Gate("searches on record", True, told, {"flattery": chosen.flattery})


def earns_more(challenge: Challenge) -> Iterator[Gate]:
    """Against each rival, out of fold."""
    confidence = confidence_of(challenge.attempt)
    for rival in challenge.rivals:
        times = widening_of(challenge.folds) if rival.is_model else 1.0
        of_customers = _difference(rival.training, challenge.economics, confidence)
        found = _subtract_flattery(_widen(of_customers, times), challenge.selection)
        remarks = "".join(_remarks(challenge, times))
        interval = _interval_text(found, challenge, confidence)
        told = f"{interval}, out of fold, {len(rival.training.keys):,} customers{remarks}"
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
    told = (
        f"calibration error {error:.3f} out of fold, at most {bound:g} (promote.max_calibration_error of this folder)"
    )
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
        f"({100 * confidence:.4g} % interval {found.low:+,.0f} to {found.high:+,.0f})"
    )


def _figures(found: PairedDifference, confidence: float) -> dict[str, float]:
    return {"difference": found.difference, "low": found.low, "high": found.high, "confidence": confidence}
