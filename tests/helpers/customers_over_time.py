"""Simulated: customers of the sample, month by month, with ids, dates, advancing tenure and known days of leaving.

The sample has neither ids nor dates, so both are made up, and so is the rate at which customers leave: that of a
logistic regression on the sample, which here is the truth. Whoever leaves or moves away is followed by a customer with
the same columns and a new id, as the predecessor was at the beginning, so that the mix of customers stays the same.
Nothing in here is data of a real company.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.helpers.projects import REPOSITORY

IDENTIFIER, SNAPSHOT, LEFT, TARGET = "customer_id", "snapshot_date", "churn_date", "churn"
WINDOW_DAYS = 28
"""Customers leave within so many days after a snapshot, or stay until the next one."""
LONGEST_TENURE = 72
"""The sample's highest tenure, which means that or more."""
MOVES_AWAY = 1 / 20
"""Share of the customers who end a month without having churned."""
MONTHS_BEFORE = 60

Change = Callable[[pd.DataFrame], pd.DataFrame]
"""Changes the customers of a month from then on."""
Lure = Callable[[pd.DataFrame], NDArray[np.float64]]
"""Share of the customers who would have stayed and leave nevertheless, by row."""


@dataclass(frozen=True)
class Scenario:
    """What happens in a year, by month from 1 to 12: changes of columns, and lures, which no column shows."""

    changes: Mapping[int, Change] = field(default_factory=dict)
    lures: Mapping[int, Lure] = field(default_factory=dict)


@dataclass(frozen=True)
class MonthlySnapshot:
    """All customers on one day, with the day on which each leaves before the next snapshot, if any."""

    day: date
    customers: pd.DataFrame
    left: pd.Series

    @property
    def training_table(self) -> pd.DataFrame:
        """The snapshot as a table with the target, once it is known who left."""
        return self.customers.assign(**{TARGET: np.where(self.left.notna(), "Yes", "No")})


def twelve_months(scenario: Scenario | None = None, *, customers: int = 2_000, seed: int = 1) -> list[MonthlySnapshot]:
    """A year of monthly snapshots from January 2026 on."""
    return list(_months(scenario or Scenario(), customers, np.random.default_rng(seed)))


def outcomes_table(months: list[MonthlySnapshot]) -> pd.DataFrame:
    """Customers of some months, with the day on which each left, empty for those who did not."""
    every = pd.concat(
        [pd.DataFrame({IDENTIFIER: one.customers[IDENTIFIER], LEFT: one.left}) for one in months], ignore_index=True
    )
    return every.sort_values([IDENTIFIER, LEFT]).drop_duplicates(IDENTIFIER).reset_index(drop=True)


def _months(scenario: Scenario, count: int, random: np.random.Generator) -> Iterator[MonthlySnapshot]:
    sample = pd.read_csv(REPOSITORY / "data/raw/sample_data.csv", keep_default_na=False)
    sample = sample.assign(total_charges=pd.to_numeric(sample["total_charges"], errors="coerce").fillna(0.0))
    leaving = _rate_of_leaving(sample)
    first = sample.iloc[random.choice(len(sample), count, replace=False)].drop(columns=TARGET).reset_index(drop=True)
    rows, newest = first.copy(), count
    identifiers = np.arange(count)
    for month in range(-MONTHS_BEFORE, 12):
        if change := scenario.changes.get(month + 1):
            rows, first = change(rows), change(first)
        rate = leaving(rows)
        for begun, lure in scenario.lures.items():
            rate = rate + (1 - rate) * lure(rows) if month + 1 >= begun else rate
        leaves = random.random(count) < rate
        if month >= 0:
            yield _snapshot(month, identifiers, rows, leaves, random)
        follows = leaves | (random.random(count) < MOVES_AWAY)
        identifiers = np.where(follows, newest + np.cumsum(follows), identifiers)
        newest += int(follows.sum())
        rows = _older(rows).where(pd.Series(~follows), first, axis=0)


def _rate_of_leaving(sample: pd.DataFrame) -> Callable[[pd.DataFrame], NDArray[np.float64]]:
    columns = [name for name in sample.columns if name != TARGET]
    names = pd.get_dummies(sample[columns]).columns

    def encoded(rows: pd.DataFrame) -> NDArray[np.float64]:
        return pd.get_dummies(rows[columns]).reindex(columns=names, fill_value=0).to_numpy(dtype=np.float64)

    scaler = StandardScaler().fit(encoded(sample))
    model = LogisticRegression(C=0.1, max_iter=1000).fit(scaler.transform(encoded(sample)), sample[TARGET] == "Yes")
    return lambda rows: model.predict_proba(scaler.transform(encoded(rows)))[:, 1]


def _older(rows: pd.DataFrame) -> pd.DataFrame:
    """A month later."""
    return rows.assign(
        tenure=np.minimum(rows["tenure"] + 1, LONGEST_TENURE),
        total_charges=(rows["total_charges"] + rows["monthly_charges"]).round(2),
    )


def _snapshot(
    month: int,
    identifiers: NDArray[np.int64],
    rows: pd.DataFrame,
    leaves: NDArray[np.bool_],
    random: np.random.Generator,
) -> MonthlySnapshot:
    day = date(2026, month + 1, 1)
    days = [day + timedelta(days=int(days)) for days in random.integers(0, WINDOW_DAYS, len(rows))]
    customers = rows.copy()
    customers.insert(0, IDENTIFIER, [f"C{number:07d}" for number in identifiers])
    customers.insert(1, SNAPSHOT, day.isoformat())
    left = pd.Series(
        [one.isoformat() if gone else None for one, gone in zip(days, leaves, strict=True)], dtype="object"
    )
    return MonthlySnapshot(day, customers.reset_index(drop=True), left)
