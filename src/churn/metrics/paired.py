"""Two models judged on the same customers: what differs, how sure that is, and whether one of them is better.

The bootstrap draws customers and takes both models' answers for each, so what is hard or easy about a customer cancels
out. The models stay as they are: the interval tells of other customers, not of other fits.
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
"""Part of the smaller table that both must share, or they are not judged on the same customers."""

Z_95, Z_POWER_80 = 1.959964, 0.841621
"""Of a normal distribution: two-sided 95 %, one-sided 80 %."""


@dataclass(frozen=True)
class ModelAnswers:
    """What happened to customers, and what a model that had not seen them said; all indexed by row key."""

    churned: pd.Series
    probability: pd.Series
    contacted: pd.Series


@dataclass(frozen=True)
class PairedAnswers:
    """One model's answers, one a customer."""

    probability: Floats
    contacted: NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """Both models' answers for the customers that both were judged on.

    Attributes:
        keys: row key of each.
        only_old: customers of the old state alone.
        only_new: customers of the new state alone.
        contradicted: common customers left out because the two tables say different things of what happened.
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
        """Whether both give the same answer for every customer."""
        return bool(
            np.array_equal(self.old.probability, self.new.probability)
            and np.array_equal(self.old.contacted, self.new.contacted)
        )


def pair_up(old: ModelAnswers, new: ModelAnswers, called: str = "training rows") -> Pair:
    """Put both models' answers side by side; `called` is what their customers are, for messages.

    Raises:
        DataError: too few customers are in both, or churners or stayers are lacking among them.
    """
    common = old.churned.index.intersection(new.churned.index, sort=True)
    smaller = min(len(old.churned), len(new.churned))
    if len(common) < FEWEST_COMMON * smaller:
        raise DataError(
            f"only {len(common):,} customers are {called} of both states, of {len(old.churned):,} and "
            f"{len(new.churned):,}: too few to compare; keep preprocess.split_salt and the table's id"
        )
    agreeing = common[(old.churned.loc[common] == new.churned.loc[common]).to_numpy()]
    churned = new.churned.loc[agreeing].to_numpy(dtype=np.int64)
    if len(np.unique(churned)) < 2:
        raise DataError(f"the {len(agreeing):,} customers that both states share lack churners or stayers")
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
    """A figure of both models, and the 95 % interval of the difference, new minus old."""

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
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_differences(pair: Pair, economics: Economics, *, resamples: int, seed: int) -> list[PairedDifference]:
    """Every figure of both models on the same customers, by percentile bootstrap (Efron 1979) over customers.

    A customer is drawn with all his rows: they get nearly the same answers, so they do not count as several.
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
    """Difference in profit per 1,000, of all customers of a pair or of those `inside`, at any confidence.

    The bootstrap above, but there are only a few different sums of gains, and how often each is drawn is multinomial,
    which makes it fast at any size.
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
    """Figures of one model when each customer counts a number of times; what does not change is reckoned once."""

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
    """How many customers a difference of this size would take to be seen in four of five tables; inf for none at all.

    By the normal approximation: the standard error falls with the root of the number of customers.
    """
    if not profit.difference:
        return float("inf")
    return customers * ((Z_95 + Z_POWER_80) * profit.standard_error / profit.difference) ** 2


def verdict(pair: Pair, profit: PairedDifference, currency: str) -> str:
    """The difference in profit in plain words."""
    customers = len(pair.churned)
    if pair.same:
        return f"no difference: both predict the same for all {customers:,} customers"
    interval = f"95 % interval {profit.low:+,.0f} to {profit.high:+,.0f}"
    told = f"{profit.difference:+,.0f} {currency} per 1,000 customers ({interval})"
    if profit.is_clear:
        return f"{'better' if profit.difference > 0 else 'worse'}: {told}"
    needed = customers_needed(profit, customers)
    more = f"; about {_two_digits(needed)} customers would be needed to detect it" if np.isfinite(needed) else ""
    return f"no significant difference with {customers:,} customers: {told}{more}"


def _two_digits(count: float) -> str:
    """To two digits: it is an estimate."""
    digits = int(np.floor(np.log10(max(count, 10)))) - 1
    return f"{round(count, -digits):,.0f}"
