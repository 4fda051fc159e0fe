"""Join outcomes to earlier scores by id and day, and evaluate each month of scores.

The outcome of a score of day d is known once outcomes are complete until d + window: a customer who left from d on and
before the end of the window has churned, any other has stayed. Until then it is open, even for customers who have left:
they become known first, so a cohort that is known in part would look worse than the whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.metrics import calibration, profit
from churn.metrics.estimated_profit import GainSums, LogisticCalibration
from churn.metrics.intervals import Interval, percentile_interval, wilson_interval
from churn.metrics.scores import roc_auc
from churn.metrics.slices import roc_auc_interval
from churn.types import Floats, Labels

CHAMPION, SHADOW = "champion", "shadow"
RESAMPLES, SEED = 2_000, 2013
FEWEST_KNOWN = 50
"""Known customers below which a cohort has no figures."""
MOST_LISTED = 20
"""Customers that are listed by key for each reason."""


@dataclass(frozen=True)
class OutcomeRules:
    """How a score and an outcome belong together, in days since 1970.

    Attributes:
        known_until: outcomes are complete before this day.
    """

    window_days: int
    known_until: float


@dataclass(frozen=True)
class ModelFacts:
    """What estimates need of a model; None where its state is not here.

    Attributes:
        threshold: probability from which it contacts a customer.
    """

    calibration: LogisticCalibration
    threshold: float


@dataclass(frozen=True)
class ContactGroup:
    """Customers who were treated alike, with the churn rate that was predicted and the observed one.

    Attributes:
        name: contacted, held out (the model would contact them, but they were not), or not contacted.
    """

    name: str
    customers: int
    predicted: float
    churned: Interval


@dataclass(frozen=True)
class Cohort:
    """All scores of one month by one model.

    Attributes:
        cohort: the month, such as 2026-05.
        customers: scored customers; the first score of a month counts.
        known, open, unknown, contradicting, left_before: what is known of them. `open`: the window has not ended;
            `unknown`: not in the table of outcomes.
        scored_again: further scores of the same customers, which do not count.
        realised_profit, estimated_profit: of the known customers, per 1,000, with 95% intervals.
        calibration_error_by_chance: what chance alone exceeds in 2.5% of cases.
        groups: by contact; of the champion only.
    """

    model: str
    cohort: str
    customers: int
    known: int
    open: int
    unknown: int
    contradicting: int
    left_before: int
    scored_again: int
    known_share: float
    churn_rate: float | None = None
    realised_profit: Interval | None = None
    estimated_profit: Interval | None = None
    roc_auc: Interval | None = None
    calibration_error: float | None = None
    calibration_error_by_chance: float | None = None
    groups: tuple[ContactGroup, ...] = ()


@dataclass(frozen=True)
class JoinedOutcomes:
    """Scores with their outcomes.

    Attributes:
        scores: one row for each customer and month, with `status` and `churned`.
        scored_again: by month.
        repeated_rows: equal rows of the table of outcomes beyond the first.
    """

    scores: pd.DataFrame
    scored_again: Mapping[str, int]
    rules: OutcomeRules
    repeated_rows: int


OPEN, UNKNOWN, CONTRADICTING, LEFT_BEFORE, KNOWN = "open", "unknown", "contradicting", "left_before", "known"


def settle_outcomes(outcomes: pd.DataFrame) -> tuple[pd.Series, list[str], int]:
    """Day of leaving of each customer by row key (NaN: none), keys with contradicting days, and count of repeated rows.

    `outcomes` has `row_key` and `left`. A later report may add the day of leaving, so a day wins over none; two
    different days contradict each other.
    """
    distinct = outcomes.drop_duplicates()
    days = distinct.dropna(subset=["left"]).groupby("row_key")["left"].nunique()
    contradicting = sorted(days.index[days > 1])
    left = distinct.groupby("row_key")["left"].max()
    return left, contradicting, len(outcomes) - len(distinct)


def join_outcomes(
    scores: pd.DataFrame,
    left: pd.Series,
    contradicting: Sequence[str],
    rules: OutcomeRules,
    repeated_rows: int = 0,
) -> JoinedOutcomes:
    """Give each score its outcome; scores without a key are unknown.

    `scores` has row_key, day (since 1970, with fractions), fingerprint, probability, contact, held_out,
    shadow_probability and shadow_fingerprint.
    """
    ordered = scores.sort_values("day", kind="stable").assign(cohort=lambda one: _months(one["day"]))
    again = ordered["row_key"].notna() & ordered.duplicated(["row_key", "cohort"])
    first = ordered[~again].reset_index(drop=True)
    day = np.floor(first["day"].to_numpy(dtype=np.float64))
    gone = first["row_key"].map(left).to_numpy(dtype=np.float64)
    status = np.select(
        [
            first["row_key"].isin(contradicting),
            ~first["row_key"].isin(left.index),
            gone < day,
            day + rules.window_days > rules.known_until,
        ],
        [CONTRADICTING, UNKNOWN, LEFT_BEFORE, OPEN],
        default=KNOWN,
    )
    churned = (gone >= day) & (gone < day + rules.window_days)
    repeated = ordered[again].groupby("cohort").size()
    return JoinedOutcomes(
        first.assign(status=status, churned=(churned & (status == KNOWN)).astype(np.int64)),
        {str(month): int(n) for month, n in repeated.items()},
        rules,
        repeated_rows,
    )


def _months(days: pd.Series) -> pd.Series:
    whole = np.floor(days.to_numpy(dtype=np.float64)).astype("datetime64[D]")
    return pd.Series(np.datetime_as_string(whole, unit="M"), index=days.index)


@dataclass(frozen=True)
class Judge:
    """What cohorts are judged with: facts of each model by fingerprint, costs, and groups for the calibration error."""

    models: Mapping[str, ModelFacts]
    economics: Economics
    bins: int


@dataclass(frozen=True)
class KnownAnswers:
    """Answers of a model for customers whose outcome is known; `contacted`: what it decided, whatever was done."""

    churned: Labels
    fingerprint: NDArray[np.object_]
    probability: Floats
    contacted: NDArray[np.bool_]


def judge_cohorts(joined: JoinedOutcomes, judge: Judge) -> list[Cohort]:
    """Every month for the model that answered, then for its shadow; oldest month first."""
    return [
        cohort
        for month, scores in joined.scores.groupby("cohort")
        for cohort in _cohorts(str(month), scores, joined.scored_again.get(str(month), 0), judge)
    ]


def _cohorts(month: str, scores: pd.DataFrame, again: int, judge: Judge) -> Iterator[Cohort]:
    counted = _counted(CHAMPION, month, scores, again)
    if counted.known >= FEWEST_KNOWN:
        known = scores[scores["status"] == KNOWN]
        counted = replace(_with_figures(counted, champion_answers(known), judge), groups=tuple(_groups(known)))
    yield counted
    shadowed = scores[scores["shadow_probability"].notna()]
    if len(shadowed):
        counted = _counted(SHADOW, month, shadowed, 0)
        known = shadowed[shadowed["status"] == KNOWN]
        yield (
            _with_figures(counted, shadow_answers(known, judge.models), judge)
            if len(known) >= FEWEST_KNOWN
            else counted
        )


def champion_answers(known: pd.DataFrame) -> KnownAnswers:
    """Answers of the models that were in use."""
    return KnownAnswers(
        known["churned"].to_numpy(dtype=np.int64),
        known["fingerprint"].to_numpy(dtype=object),
        known["probability"].to_numpy(dtype=np.float64),
        (known["contact"].astype(bool) | known["held_out"].astype(bool)).to_numpy(),
    )


def shadow_answers(known: pd.DataFrame, models: Mapping[str, ModelFacts]) -> KnownAnswers:
    """Answers of the shadow; if its state is not here, decisions are unknown, and no customer counts as contacted."""
    probability = known["shadow_probability"].to_numpy(dtype=np.float64)
    thresholds = known["shadow_fingerprint"].map({name: one.threshold for name, one in models.items()})
    return KnownAnswers(
        known["churned"].to_numpy(dtype=np.int64),
        known["shadow_fingerprint"].to_numpy(dtype=object),
        probability,
        probability >= thresholds.to_numpy(dtype=np.float64),
    )


def _counted(model: str, month: str, scores: pd.DataFrame, again: int) -> Cohort:
    status = scores["status"].value_counts()
    return Cohort(
        model=model,
        cohort=month,
        customers=len(scores),
        known=int(status.get(KNOWN, 0)),
        open=int(status.get(OPEN, 0)),
        unknown=int(status.get(UNKNOWN, 0)),
        contradicting=int(status.get(CONTRADICTING, 0)),
        left_before=int(status.get(LEFT_BEFORE, 0)),
        scored_again=again,
        known_share=float((scores["status"] == KNOWN).mean()),
    )


def _with_figures(counted: Cohort, answers: KnownAnswers, judge: Judge) -> Cohort:
    by_chance = calibration.calibration_error_by_chance(answers.probability, judge.bins, resamples=RESAMPLES, seed=SEED)
    has_decisions = set(answers.fingerprint) <= set(judge.models)
    return replace(
        counted,
        churn_rate=float(answers.churned.mean()),
        realised_profit=realised_profit(answers, judge.economics) if has_decisions else None,
        estimated_profit=_estimated(answers, judge) if has_decisions else None,
        roc_auc=_roc_auc(answers),
        calibration_error=calibration.expected_calibration_error(answers.churned, answers.probability, judge.bins),
        calibration_error_by_chance=by_chance.high,
    )


def realised_profit(answers: KnownAnswers, economics: Economics) -> Interval:
    """Profit of the decisions per 1,000 customers by what became of the customers, with a 95% interval (bootstrap)."""
    gain = np.where(answers.contacted, profit.gains(answers.churned, economics), 0.0)
    kinds, counts = np.unique(gain, return_counts=True)
    drawn = np.random.default_rng(SEED).multinomial(len(gain), counts / len(gain), size=RESAMPLES)
    return percentile_interval(1000 * float(gain.mean()), list(1000 * (drawn @ kinds) / len(gain)))


def _estimated(answers: KnownAnswers, judge: Judge) -> Interval:
    """What was estimated then for the same customers; several models of one month are added up."""
    parts = []
    for fingerprint in sorted(set(answers.fingerprint)):
        own = answers.fingerprint == fingerprint
        fitted = judge.models[fingerprint].calibration
        sums = GainSums.of(answers.probability[own], answers.contacted[own], fitted, judge.economics)
        parts.append((sums.customers / len(own), sums.profit_per_1000(fitted)))
    value = sum(share * one.value for share, one in parts)
    half = float(np.sqrt(sum((share * (one.high - one.value)) ** 2 for share, one in parts)))
    return Interval(value, value - half, value + half)


def _roc_auc(answers: KnownAnswers) -> Interval:
    return Interval(
        roc_auc(answers.churned, answers.probability), *roc_auc_interval(answers.churned, answers.probability)
    )


def _groups(known: pd.DataFrame) -> Iterator[ContactGroup]:
    """Customers by what was done, since a contact changes the outcome."""
    contacted, held_out = known["contact"].astype(bool), known["held_out"].astype(bool)
    for name, inside in (
        ("contacted", contacted & ~held_out),
        ("held out", held_out),
        ("not contacted", ~contacted & ~held_out),
    ):
        group = known[inside]
        if len(group):
            rate = float(group["churned"].mean())
            low, high = wilson_interval(pd.Series([rate]), pd.Series([len(group)]))
            interval = Interval(rate, float(low[0]), float(high[0]))
            yield ContactGroup(name, len(group), float(group["probability"].mean()), interval)


@dataclass(frozen=True)
class ContactEffect:
    """Effect of contacts on churn: churn rate of the contacted minus that of the held-out customers.

    The two groups were divided by chance, so the difference is caused by the contact. 95% interval by Newcombe (1998,
    Statistics in Medicine 17, method 10).
    """

    contacted: int
    held_out: int
    difference: Interval


def contact_effect(joined: JoinedOutcomes) -> ContactEffect | None:
    """The effect over all known customers whom the model would contact; None without held-out ones."""
    known = joined.scores[joined.scores["status"] == KNOWN]
    groups = {one.name: one for one in _groups(known)} if len(known) else {}
    if not {"contacted", "held out"} <= set(groups):
        return None
    treated, control = groups["contacted"], groups["held out"]
    one, other = treated.churned, control.churned
    change = one.value - other.value
    low = change - float(np.hypot(one.value - one.low, other.high - other.value))
    high = change + float(np.hypot(one.high - one.value, other.value - other.low))
    return ContactEffect(treated.customers, control.customers, Interval(change, low, high))
