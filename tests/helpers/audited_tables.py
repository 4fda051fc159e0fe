"""Made-up tables of customers of many kinds: clean ones, to plant in what the audit has to find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.audit.view import AuditInput
from churn.config.contract import TableContract
from churn.config.params import load_params
from churn.table.parsing import parse_table
from churn.table.reader import read_source
from tests.helpers.projects import REPOSITORY
from tests.helpers.sample import SAMPLE_PARAMS

Random = np.random.Generator
Floats = NDArray[np.float64]

TEST_SHARE = 0.3
FOLDS = 5


@dataclass(frozen=True)
class Customers:
    """Typed columns, their types and the outcome of each row; `place` is that in the file. Shared, so never changed."""

    table: pd.DataFrame
    churned: NDArray[np.int64]
    place: NDArray[np.int64]

    def with_column(self, name: str, values: Any) -> Self:
        return replace(self, table=self.table.assign(**{name: values}))

    def with_copies(self, share: float, change: Callable[[pd.DataFrame], pd.DataFrame], seed: int) -> Self:
        """A share of the rows once more, changed a little, at the end of the file."""
        random = np.random.default_rng(seed)
        again = random.choice(len(self.table), int(share * len(self.table)), replace=False)
        table = pd.concat([self.table, change(self.table.iloc[again])], ignore_index=True)
        churned = np.concatenate([self.churned, self.churned[again]])
        return replace(self, table=table, churned=churned, place=np.arange(1, len(table) + 1))

    def with_copies_in_train(
        self, share: float, change: Callable[[pd.DataFrame], pd.DataFrame], seed: int
    ) -> AuditInput:
        """Divided by row, then a share of the test rows once more among the training rows, changed a little."""
        audited = self.audited(seed)
        again = np.random.default_rng(seed).choice(len(audited.test), int(share * len(audited.test)), replace=False)
        train = pd.concat([audited.train, change(audited.test.iloc[again])], ignore_index=True)
        return replace(
            audited,
            train=train,
            churned=np.resize(audited.churned, len(train)),
            folds=np.resize(audited.folds, len(train)),
            places=np.arange(1, len(train) + 1),
        )

    def contract(self, accept: tuple[str, ...] = ()) -> TableContract:
        return contract_of({str(name): kind_of(self.table[name]) for name in self.table}, accept)

    def audited(self, seed: int = 0) -> AuditInput:
        """Divided by row: training and test rows, and folds."""
        random = np.random.default_rng([seed, 99])
        order = random.permutation(len(self.table))  # rows arrive sorted by a hash
        test, train = np.split(order, [int(TEST_SHARE * len(order))])
        return AuditInput(
            train=self.table.iloc[train].reset_index(drop=True),
            churned=self.churned[train],
            test=self.table.iloc[test].reset_index(drop=True),
            folds=random.integers(0, FOLDS, len(train)),
            places=self.place[train],
            times={},
            names={},
        )


@cache
def sample_customers() -> Customers:
    """Those of the sample that the repository holds."""
    params = load_params(SAMPLE_PARAMS).data
    table, faults = parse_table(read_source(REPOSITORY / params.source, params.format), params)
    assert not faults
    churned = table[params.target.column].to_numpy().astype(np.int64)
    return Customers(table[list(params.columns)], churned, np.arange(1, len(table) + 1))


def kind_of(column: pd.Series) -> str:
    if not pd.api.types.is_numeric_dtype(column):
        return "categorical"
    return "boolean" if column.dropna().isin([0, 1]).all() else "numeric"


def contract_of(kinds: dict[str, str], accept: tuple[str, ...] = ()) -> TableContract:
    shared = {"missing": "allow", "on_error": "fail"}
    kind_of_column: dict[str, dict[str, Any]] = {
        "numeric": {"type": "numeric", "min": None, "max": None, **shared},
        "categorical": {"type": "categorical", "values": None, **shared},
        "boolean": {"type": "boolean", **shared},
    }
    return TableContract.model_validate(
        {
            "format": {"delimiter": ",", "quote": '"', "encoding": "utf-8", "decimal": "."},
            "id": None,
            "target": {"column": "outcome", "positive": "yes", "negative": "no", "missing": "fail"},
            "missing_values": [],
            "columns": {name: kind_of_column[kind] for name, kind in kinds.items()},
            "unused": {},
            "audit": {"max_column_auc": 0.9, "accept": list(accept)},
        }
    )


def _money(random: Random, lean: Floats) -> Iterator[Any]:
    yield np.exp(random.normal(3, 1, len(lean)) + random.uniform(0, 0.6) * lean).round(2)


def _bill(random: Random, lean: Floats) -> Iterator[Any]:
    """Months, a monthly fee and about their product."""
    months = random.integers(0, 73, len(lean)).astype(float)
    fee = (20 + 100 * random.beta(2, 2, len(lean))).round(random.integers(0, 3))
    yield months
    yield fee
    yield (months * fee * random.normal(1, 0.03, len(lean))).round(2)


def _salary(random: Random, lean: Floats) -> Iterator[Any]:
    yield np.maximum(12_000, random.normal(55_000 + 5_000 * lean, 18_000)).round()


def _age(random: Random, lean: Floats) -> Iterator[Any]:
    yield np.clip(random.normal(45 + 4 * lean, 15), 18, 95).round()


def _count(random: Random, lean: Floats) -> Iterator[Any]:
    yield random.poisson(random.uniform(0.1, 8), len(lean)).astype(float)


def _balance(random: Random, lean: Floats) -> Iterator[Any]:
    """Nothing on many accounts, whole euros on the others."""
    empty = random.random(len(lean)) < random.uniform(0.1, 0.6)
    yield np.where(empty, 0.0, random.gamma(2, 40_000, len(lean)).round())


def _ratio(random: Random, lean: Floats) -> Iterator[Any]:
    yield random.beta(2, 5, len(lean)).round(3)


def _flag(random: Random, lean: Floats) -> Iterator[Any]:
    yield (random.random(len(lean)) < 1 / (1 + np.exp(random.normal(0, 1.5) + 0.5 * lean))).astype(float)


def _label(random: Random, lean: Floats) -> Iterator[Any]:
    share = 1 / np.arange(1, random.integers(3, 13)) ** random.uniform(0, 1.5)
    yield pd.array(
        np.array([f"kind {n}" for n in range(len(share))])[random.choice(len(share), len(lean), p=share / share.sum())],
        dtype="str",
    )


def _town(random: Random, lean: Floats) -> Iterator[Any]:
    yield pd.array([f"town {n}" for n in random.zipf(1.5, len(lean)) % 500], dtype="str")


def _services(random: Random, lean: Floats) -> Iterator[Any]:
    """A line, services that need it, and its price, a list price but for a few cents."""
    line = random.choice(["none", "copper", "fibre"], len(lean), p=[0.25, 0.4, 0.35])
    yield pd.array(line, dtype="str")
    for _ in range(random.integers(2, 6)):
        taken = np.where(random.random(len(lean)) < 0.5 + 0.1 * lean.clip(-3, 3), "yes", "no")
        yield pd.array(np.where(line == "none", "no line", taken), dtype="str")
    yield (
        pd.Series(line).map({"none": 20.0, "copper": 45.0, "fibre": 70.0}) + random.integers(-20, 21, len(lean)) / 20
    ).to_numpy()


MAKERS = (_money, _bill, _salary, _age, _count, _balance, _ratio, _flag, _label, _town, _services)
COARSE_MAKERS = (_flag, _label, _flag, _count)


@lru_cache(maxsize=8)
def clean_customers(seed: int, rows: int | None = None, columns: int | None = None) -> Customers:
    """A table nobody need suspect: what any column tells of the outcome is modest."""
    random = np.random.default_rng(seed)
    rows = rows or int(np.exp(random.uniform(np.log(200), np.log(5000))))
    columns = columns or int(random.integers(3, 31))
    makers = COARSE_MAKERS if random.random() < 0.15 else MAKERS
    lean = random.normal(0, 1, rows)
    made: dict[str, Any] = {}
    while len(made) < columns:
        maker = makers[random.integers(len(makers))]
        made |= {
            f"{maker.__name__[1:]} {'abcdefghijklmnopqrstuvwxyzäöüß'[len(made) + n]}": values
            for n, values in enumerate(maker(random, lean))
            if len(made) + n < columns
        }
    table = pd.DataFrame(made)
    churned = _outcome(random, table)
    for name in table:
        if random.random() < 0.3:
            table[name] = table[name].mask(random.random(rows) < random.uniform(0.005, 0.2))
    return Customers(table, churned, random.permutation(rows) + 1)


def _outcome(random: Random, table: pd.DataFrame) -> NDArray[np.int64]:
    """From a logistic model in which the ranks of two columns count most."""
    weight = random.normal(0, 0.25, table.shape[1])
    weight[random.permutation(table.shape[1])[:2]] = random.uniform(0.4, 1.1, 2)
    codes = [
        pd.factorize(table[name], sort=True)[0] if kind_of(table[name]) == "categorical" else table[name]
        for name in table
    ]
    ranks = np.column_stack([pd.Series(column).rank(pct=True) for column in codes])
    leaning = (ranks - ranks.mean(axis=0)) / np.maximum(ranks.std(axis=0), 1e-9) @ weight
    cut = np.quantile(leaning + random.logistic(0, 1, len(table)), 1 - random.uniform(0.05, 0.5))
    churned: NDArray[np.int64] = (leaning + random.logistic(0, 1, len(table)) > cut).astype(np.int64)
    return churned
