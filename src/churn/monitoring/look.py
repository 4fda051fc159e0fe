"""One look at scored customers: what was compared, whether it is an alarm, and the profit to expect."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.metrics.estimated_profit import GainSums
from churn.metrics.intervals import Interval
from churn.model.reference import PROBABILITY, Reference
from churn.monitoring.drift import DriftCheck
from churn.monitoring.summary import LookSummary, gains_by_slice

SLICES_TOLD = 3


@dataclass(frozen=True)
class SliceShift:
    """A group of customers, in training and now.

    Attributes:
        share, share_now: of the customers.
        money, money_now: its part of the estimated profit, per 1,000 customers of all groups.
        standardised: change of the share in standard errors.
    """

    column: str
    value: str
    share: float
    share_now: float
    money: float
    money_now: float
    standardised: float


@dataclass(frozen=True)
class Look:
    """The result of `churn monitor`. The JSON has the attributes as keys.

    Attributes:
        made: when the look was made, ISO 8601.
        source: the table or the log.
        since, until: limits that were asked for; empty without.
        oldest, newest: times of the customers; empty if they have none.
        customers, scored, refused, of_other_models: numbers of customers; those refused break the contract.
        level: probability of a false alarm at this look.
        estimated_profit, training_profit: per 1,000 customers, with 95% intervals; of training rows out of fold.
        slices: those whose share changed most, first.
        remarks: what makes the figures less certain.
    """

    made: str
    source: str
    fingerprint: str
    commit: str
    since: str
    until: str
    oldest: str
    newest: str
    customers: int
    scored: int
    refused: int
    of_other_models: int
    level: float
    looks_per_year: int
    false_alarms_per_year: float
    currency: str
    checks: tuple[DriftCheck, ...]
    estimated_profit: Interval
    training_profit: Interval
    slices: tuple[SliceShift, ...]
    remarks: tuple[str, ...]

    @property
    def is_alarm(self) -> bool:
        """Whether a check is an alarm."""
        return any(check.is_alarm for check in self.checks)

    def lines(self) -> Iterator[str]:
        """The look as text."""
        until = "" if self.newest == self.oldest else f" to {self.newest}"
        of = f" of {self.oldest}{until}" if self.oldest else ""
        yield f"{self.source}: {self.customers:,} customers{of}, model of {self.fingerprint[:12]}"
        for check in self.checks:
            yield from _lines_of(check)
        low, high = self.estimated_profit.low, self.estimated_profit.high
        if self.scored:
            yield (
                f"estimated profit: {self.estimated_profit.value:,.0f} {self.currency} per 1,000 customers "
                f"(95% interval {low:,.0f} to {high:,.0f}); training customers: {self.training_profit.value:,.0f}"
            )
            yield "the estimate assumes that such customers churn as before; `churn outcomes` shows whether they do"
        for one in self.slices[:SLICES_TOLD]:
            yield (
                f"slice {one.column} = {one.value}: {one.share:.1%} → {one.share_now:.1%} of the customers, "
                f"{one.money:,.0f} → {one.money_now:,.0f} {self.currency} per 1,000"
            )
        yield from (f"note: {remark}" for remark in self.remarks)
        alarms = "1 false alarm" if self.false_alarms_per_year == 1 else f"{self.false_alarms_per_year:g} false alarms"
        per_year = f"{alarms} a year at {self.looks_per_year} looks"
        yield f"{'ALARM' if self.is_alarm else 'no alarm'} (level of a look {self.level:.2%}: {per_year})"


def _lines_of(check: DriftCheck) -> Iterator[str]:
    alarms = [one for one in check.findings if one.is_alarm]
    for one in sorted(alarms, key=lambda one: (one.corrected, -one.shift)):
        yield f"ALARM {check.name}: {one.effect} ({one.kind}, corrected p {one.corrected:.2g}, shift {one.shift:.3f})"
    if not alarms:
        tested = f"{len(check.findings)} compared, smallest corrected p {check.p_value:.2g}"
        yield f"ok    {check.name}: {tested if check.findings else 'nothing to compare'}"


def gains_of_training(
    rows: pd.DataFrame, threshold: float, slices: Sequence[str], reference: Reference, economics: Economics
) -> tuple[GainSums, dict[tuple[str, str], GainSums]]:
    """Estimated gains of the kept training rows out of fold: of all, and of each slice."""
    probability = rows[PROBABILITY].to_numpy(dtype=np.float64)
    contacted = probability >= threshold

    def gains_of(inside: NDArray[np.intp]) -> GainSums:
        return GainSums.of(probability[inside], contacted[inside], reference.calibration, economics)

    return gains_of(np.arange(len(rows))), gains_by_slice(rows, slices, gains_of)


def slice_shifts(
    summary: LookSummary, training: GainSums, of_slices: Mapping[tuple[str, str], GainSums]
) -> list[SliceShift]:
    """Slices in training and now, those whose share changed most first."""
    found = [
        _shift(*named, of_slices.get(named, GainSums()), training, now, summary.gains_with_columns)
        for named, now in _with_absent(summary.gains_of_slices, of_slices)
    ]
    return sorted(found, key=lambda one: (-abs(one.standardised), one.column, one.value))


def _with_absent(
    now: Mapping[tuple[str, str], GainSums], before: Mapping[tuple[str, str], GainSums]
) -> Iterator[tuple[tuple[str, str], GainSums]]:
    if now:
        yield from ((named, now.get(named, GainSums())) for named in sorted({*now, *before}))


def _shift(
    column: str, value: str, before: GainSums, all_before: GainSums, now: GainSums, all_now: GainSums
) -> SliceShift:
    share, share_now = before.customers / all_before.customers, now.customers / all_now.customers
    pooled = (before.customers + now.customers) / (all_before.customers + all_now.customers)
    error = math.sqrt(pooled * (1 - pooled) * (1 / all_before.customers + 1 / all_now.customers))
    return SliceShift(
        column=column,
        value=value,
        share=share,
        share_now=share_now,
        money=1000 * before.gain / all_before.customers,
        money_now=1000 * now.gain / all_now.customers,
        standardised=(share_now - share) / error if error else 0.0,
    )
