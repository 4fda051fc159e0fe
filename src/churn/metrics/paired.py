"""Paired comparison of two models on the same customers: differences, their intervals and significance.

The paired bootstrap resamples customers and evaluates both models on each resample, so the variation that both share
cancels out. The models are fixed: the intervals cover sampling of customers, not refit variance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.errors import DataError
from churn.metrics.intervals import HIGH, LOW
from churn.metrics.profit import gains
from churn.metrics.scores import LOSSES, RANKING_SCORES, Ranking
from churn.table.keys import customer_of
from churn.types import Floats, Labels

FEWEST_COMMON = 0.5
"""Minimum number of common customers, as a share of the smaller table; below it, a comparison is refused."""

Z_95, Z_POWER_80 = 1.959964, 0.841621
"""Normal quantiles: two-sided 95%, and 80% power."""


@dataclass(frozen=True)
class ModelAnswers:
    """Outcomes, and the predictions of a model not trained on these customers; all indexed by row key."""

    churned: pd.Series
    probability: pd.Series
    contacted: pd.Series


@dataclass(frozen=True)
class PairedAnswers:
    """Predictions of one model, in the order of the pair's keys."""

    probability: Floats
    contacted: NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """Predictions of two models for the customers that both states have.

    Attributes:
        keys: row keys of the customers.
        only_old: number of customers only in the old state.
        only_new: number of customers only in the new state.
        contradicted: number of common customers left out because their outcome differs between the two tables.
    """

    keys: pd.Index
    churned: Labels
    old: PairedAnswers
    new: PairedAnswers
    only_old: int
    only_new: int
    contradicted: int

    @property
    def same(self) -> bool:
        """Whether both models give equal predictions and decisions for all customers."""
        return bool(
            np.array_equal(self.old.probability, self.new.probability)
            and np.array_equal(self.old.contacted, self.new.contacted)
        )


def pair_up(old: ModelAnswers, new: ModelAnswers, called: str = "training rows") -> Pair:
    """Join the predictions of two models by row key; `called` names the customers in messages.

    Raises:
        DataError: too few customers are in both, or they are all churners or all stayers.
    """
    common = old.churned.index.intersection(new.churned.index, sort=True)
    smaller = min(len(old.churned), len(new.churned))
    if len(common) < FEWEST_COMMON * smaller:
        raise DataError(
            f"only {len(common):,} customers are {called} of both states, of {len(old.churned):,} and "
            f"{len(new.churned):,}: too few to compare; both need the same table, data.id and preprocess.split"
        )
    agreeing = common[(old.churned.loc[common] == new.churned.loc[common]).to_numpy()]
    churned = new.churned.loc[agreeing].to_numpy(dtype=np.int64)
    if len(np.unique(churned)) < 2:
        raise DataError(f"the {len(agreeing):,} customers in both states lack churners or stayers")
    return Pair(
        agreeing,
        churned,
        _answers(old, agreeing),
        _answers(new, agreeing),
        only_old=len(old.churned) - len(common),
        only_new=len(new.churned) - len(common),
        contradicted=len(common) - len(agreeing),
    )


def _answers(judged: ModelAnswers, keys: pd.Index) -> PairedAnswers:
    return PairedAnswers(judged.probability.loc[keys].to_numpy(), judged.contacted.loc[keys].to_numpy(dtype=bool))


@dataclass(frozen=True)
class PairedDifference:
    """A metric of both models, and the interval of the difference, new minus old."""

    name: str
    old: float
    new: float
    low: float
    high: float
    standard_error: float

    @property
    def difference(self) -> float:
        """New minus old."""
        return self.new - self.old

    @property
    def is_clear(self) -> bool:
        """Whether the difference is significant: the interval excludes zero."""
        return self.low > 0 or self.high < 0


def paired_differences(pair: Pair, economics: Economics, *, resamples: int, seed: int) -> list[PairedDifference]:
    """All metrics of both models with 95% intervals, by percentile bootstrap (Efron 1979) over customers.

    All rows of a customer are resampled together, since their predictions are not independent.
    """
    random = np.random.default_rng(seed)
    customer = customer_of(pair.keys)
    count = customer.max() + 1
    sides = [_Resampled(pair.churned, answers, economics) for answers in (pair.old, pair.new)]
    everybody = np.ones(len(customer))
    old, new = (dict(side.figures(everybody)) for side in sides)
    drawn: dict[str, list[float]] = {name: [] for name in old}
    for _ in range(resamples):
        times = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)[customer]
        for (name, before), (_, after) in zip(*(side.figures(times) for side in sides), strict=True):
            drawn[name].append(after - before)
    return [_difference(name, old[name], new[name], np.array(drawn[name])) for name in old]


def _difference(name: str, old: float, new: float, drawn: Floats) -> PairedDifference:
    defined = drawn[~np.isnan(drawn)]
    low, high = np.percentile(defined, [LOW, HIGH]) if len(defined) else (np.nan, np.nan)
    error = float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
    return PairedDifference(name, old, new, float(low), float(high), error)


def profit_difference(
    pair: Pair,
    economics: Economics,
    inside: NDArray[np.bool_] | None = None,
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> PairedDifference:
    """Difference in profit per 1,000 customers, over a pair or its rows `inside`, with an interval at `confidence`.

    Bootstrap over customers as in `paired_differences`. Only a few distinct gains per customer exist, so their counts
    are drawn from a multinomial distribution; the cost hardly depends on the number of customers.
    """
    chosen = np.ones(len(pair.keys), dtype=bool) if inside is None else inside
    gain = 1000 * gains(pair.churned[chosen], economics)
    old, new = (gain * side.contacted[chosen] for side in (pair.old, pair.new))
    customer = customer_of(pair.keys[chosen])
    by_customer = np.column_stack([np.bincount(customer, weights=new - old).round(6), np.bincount(customer)])
    kinds, counts = np.unique(by_customer, axis=0, return_counts=True)
    times = np.random.default_rng(seed).multinomial(len(by_customer), counts / len(by_customer), size=resamples)
    drawn = (times @ kinds[:, 0]) / (times @ kinds[:, 1])
    tail = 50 * (1 - confidence)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    error = float(np.std(drawn, ddof=1))
    return PairedDifference("profit_per_1000", float(old.mean()), float(new.mean()), float(low), float(high), error)


class _Resampled:
    """Metrics of one model on weighted rows; quantities that do not depend on the weights are computed once."""

    def __init__(self, churned: Labels, answers: PairedAnswers, economics: Economics) -> None:
        contacted = answers.contacted.astype(np.float64)
        self._ranking = Ranking.of(churned, answers.probability)
        self._sums = np.array(
            [
                np.ones(len(churned)),
                churned,
                contacted,
                contacted * churned,
                contacted * gains(churned, economics),
                *(losses(churned, answers.probability) for losses in LOSSES.values()),
            ]
        )

    def figures(self, times: Floats) -> Iterator[tuple[str, float]]:
        count, left, called, hits, profit, *losses = self._sums @ times
        churners, stayers = self._ranking.weights(times)
        yield "profit_per_1000", 1000 * profit / count
        for name, score in RANKING_SCORES.items():
            yield name, float(score(churners, stayers))
        for name, loss in zip(LOSSES, losses, strict=True):
            yield name, loss / count
        yield "precision", hits / called if called else 0.0
        yield "recall", hits / left if left else 0.0
        yield "f1", 2 * hits / (called + left) if called + left else 0.0
        yield "contacted_share", called / count


def customers_needed(profit: PairedDifference, customers: int) -> float:
    """Number of customers needed to detect this difference with 80% power; inf if the difference is zero.

    Normal approximation: the standard error decreases with the square root of the number of customers.
    """
    if not profit.difference:
        return float("inf")
    return customers * ((Z_95 + Z_POWER_80) * profit.standard_error / profit.difference) ** 2


def verdict(pair: Pair, profit: PairedDifference, currency: str) -> str:
    """Describe the difference in profit and its significance in one sentence."""
    customers = len(pair.churned)
    if pair.same:
        return f"no difference: both predict the same for all {customers:,} customers"
    interval = f"95% interval {profit.low:+,.0f} to {profit.high:+,.0f}"
    told = f"{profit.difference:+,.0f} {currency} per 1,000 customers ({interval})"
    if profit.is_clear:
        return f"{'better' if profit.difference > 0 else 'worse'}: {told}"
    needed = customers_needed(profit, customers)
    more = f"; about {_two_digits(needed)} customers would be needed to detect it" if np.isfinite(needed) else ""
    return f"no significant difference in profit with {customers:,} customers: {told}{more}"


def _two_digits(count: float) -> str:
    """Round to two significant digits, since the count is an estimate."""
    digits = int(np.floor(np.log10(max(count, 10)))) - 1
    return f"{round(count, -digits):,.0f}"
