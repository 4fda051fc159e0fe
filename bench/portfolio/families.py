"""Families of made-up tables that ask for different models, and the sample; a part of each stays unseen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from churn.config.contract import CategoricalColumn, Column, NumericColumn
from churn.stages.train import load_processed_data
from churn.table import splits
from churn.table.keys import KEY_DIGITS, sha256_of
from churn.types import Floats, Labels

UNSEEN = 10_000
"""Customers of a made-up table that neither the choice nor the search sees."""
UNSEEN_SHARE = 0.3
"""The same of the sample's training rows; its test rows stay closed."""


@dataclass(frozen=True)
class Customers:
    """Rows by key, and who churned."""

    rows: pd.DataFrame
    churned: Labels


@dataclass(frozen=True)
class Table:
    """A table of which a part is unseen."""

    training: Customers
    unseen: Customers

    @property
    def columns(self) -> dict[str, Column]:
        """The contract's columns: numbers, and texts."""
        policy = {"missing": "allow", "on_error": "fail"}
        numeric = NumericColumn.model_validate({"type": "numeric", "min": None, "max": None, **policy})
        labels = CategoricalColumn.model_validate({"type": "categorical", "values": None, **policy})
        rows = self.training.rows
        return {str(name): numeric if rows[name].dtype == np.float64 else labels for name in rows}


@dataclass(frozen=True)
class Family:
    """How tables are made.

    Attributes:
        customers: training customers.
        churn_rate: their expected share of churners.
        noise: 1 leaves the log odds as made, less makes the outcome surer, more less sure.
        copies: greatest number of equal rows of a customer, all with one outcome.
        make: rows, and the log odds of churn before noise.
    """

    customers: int
    churn_rate: float
    noise: float
    make: Callable[[np.random.Generator, int], tuple[pd.DataFrame, Floats]]
    copies: int = 1

    def draw(self, seed: int) -> Table:
        """Draw the truth and the customers."""
        random = np.random.default_rng(seed)
        rows, leaning = self.make(random, self.customers + UNSEEN)
        odds = (leaning - leaning.mean()) / (leaning.std() * self.noise)
        level = brentq(lambda shift: expit(odds + shift).mean() - self.churn_rate, -50, 50)
        churned = (random.random(len(rows)) < expit(odds + level)).astype(np.int64)
        rows.index = pd.Index([sha256_of(f"{seed} {number}")[:KEY_DIGITS] for number in range(len(rows))])
        training = np.arange(len(rows)) < self.customers
        seen = _repeated(
            Customers(rows[training], churned[training]), random.integers(1, self.copies + 1, sum(training))
        )
        return Table(seen, Customers(rows[~training], churned[~training]))


def _repeated(customers: Customers, times: Labels) -> Customers:
    """Equal rows with the suffixes of their keys."""
    places = np.repeat(np.arange(len(times)), times)
    repeat = np.concatenate([np.arange(1, count + 1) for count in times])
    names = [
        key if again == 1 else f"{key}-{again}" for key, again in zip(customers.rows.index[places], repeat, strict=True)
    ]
    return Customers(customers.rows.iloc[places].set_axis(names, axis=0), customers.churned[places])


def _numbers(random: np.random.Generator, count: int, columns: int) -> Floats:
    return random.normal(size=(count, columns))


def _frame(numbers: Floats, labels: Mapping[str, NDArray[np.int64]]) -> pd.DataFrame:
    columns = {f"n{place}": column for place, column in enumerate(numbers.T)}
    texts = {name: pd.Series([f"v{one}" for one in codes], dtype=object) for name, codes in labels.items()}
    return pd.DataFrame(columns | texts)


def _labels(random: np.random.Generator, count: int, sizes: Mapping[str, int]) -> dict[str, NDArray[np.int64]]:
    """Labels of which some are frequent and many rare."""
    return {
        name: random.choice(size, count, p=(weights := 1 / np.arange(1, size + 1)) / weights.sum())
        for name, size in sizes.items()
    }


def _tree(random: np.random.Generator, numbers: Floats, depth: int) -> Floats:
    """A random tree's value of each row."""
    values = np.zeros(len(numbers))
    waiting = [(np.arange(len(numbers)), depth)]
    while waiting:
        inside, left = waiting.pop()
        if not left or len(inside) < 2:
            values[inside] = random.normal()
            continue
        column = numbers[inside, random.integers(numbers.shape[1])]
        low = column < np.quantile(column, random.uniform(0.25, 0.75))
        waiting += [(inside[low], left - 1), (inside[~low], left - 1)]
    return values


def _interactions(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, Floats]:
    numbers, labels = _numbers(random, count, 10), _labels(random, count, {"plan": 4, "channel": 3})
    pairs = sum(np.sign(numbers[:, one]) * numbers[:, one + 1] for one in (0, 2, 4))
    by_plan = random.normal(size=4)[labels["plan"]] * numbers[:, 6]
    return _frame(numbers, labels), pairs + by_plan + 0.5 * numbers[:, 7]


def _deep(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, Floats]:
    """A tree of many leaves, and little else."""
    numbers = _numbers(random, count, 8)
    return _frame(numbers.round(1), {}), _tree(random, numbers, 6) + 0.3 * numbers[:, 0]


def _smooth(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, Floats]:
    numbers, labels = _numbers(random, count, 12), _labels(random, count, {"plan": 5, "region": 12})
    waves = np.sin(2 * numbers[:, 0]) + np.abs(numbers[:, 1]) + numbers[:, 2] * numbers[:, 3]
    region = random.normal(size=12)[labels["region"]]
    return _frame(numbers, labels), waves + 0.7 * region + 0.5 * numbers[:, 4] + 0.5 * _tree(random, numbers[:, :6], 6)


def _wide(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, Floats]:
    numbers = _numbers(random, count, 80)
    numbers[:, 40:] = 0.7 * numbers[:, :40] + 0.7 * numbers[:, 40:]
    leaning = numbers[:, :12] @ random.normal(size=12) + 1.5 * numbers[:, 12] * numbers[:, 13]
    return _frame(numbers, {}), leaning + 2 * (numbers[:, 14] > 0.5)


def _linear(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, Floats]:
    numbers, labels = _numbers(random, count, 18), _labels(random, count, {f"c{one}": 4 for one in range(8)})
    effects = sum(0.5 * random.normal(size=4)[codes] for codes in labels.values())
    return _frame(numbers, labels), numbers @ (0.6 * random.normal(size=18)) + effects


def _gappy(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, Floats]:
    """Gaps that mean something, and labels of which many are rare."""
    numbers = _numbers(random, count, 8)
    labels = _labels(random, count, {"city": 60, "tariff": 30, "device": 40})
    effects = sum(
        random.normal(size=size)[labels[name]] for name, size in (("city", 60), ("tariff", 30), ("device", 40))
    )
    gaps = random.random(numbers.shape) < 0.25
    leaning = effects + 1.2 * gaps[:, 0] - 1.2 * gaps[:, 1] + np.where(gaps, 0.0, numbers)[:, 2:5].sum(axis=1)
    leaning += np.sign(numbers[:, 5]) * np.where(labels["tariff"] % 2, 1.0, -1.0)
    return _frame(np.where(gaps, np.nan, numbers), labels), leaning


FAMILIES = {
    "interactions": Family(6_000, 0.25, 0.4, _interactions),
    "equal customers": Family(2_800, 0.17, 0.12, _deep, copies=3),
    "many rows": Family(12_000, 0.2, 0.6, _smooth),
    "many columns": Family(3_000, 0.25, 0.5, _wide),
    "few rows": Family(1_000, 0.16, 0.6, _linear),
    "rare churn": Family(8_000, 0.03, 0.6, _smooth),
    "labels and gaps": Family(6_000, 0.2, 0.5, _gappy),
}
SAMPLE = "sample"
NAMES = (SAMPLE, *FAMILIES)


def draw(name: str, seed: int) -> Table:
    """The table of a family, or the sample's training rows in two parts."""
    if name != SAMPLE:
        return FAMILIES[name].draw(seed)
    data = load_processed_data(Path())
    unseen = splits.is_test(data.rows.index, f"portfolio {seed}", UNSEEN_SHARE)
    rows = data.rows.astype(dict.fromkeys(data.rows.select_dtypes(["number", "bool"]), np.float64))
    return Table(Customers(rows[~unseen], data.y[~unseen]), Customers(rows[unseen], data.y[unseen]))
