"""What the checks look at, and what they find. Of the test rows only features are looked at.

Where a statistic allows it, a fixed part of the rows stands for all: every n-th one, and the rows arrive sorted by key,
so nothing depends on their order in the file but what is said of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from churn.audit.columns import AuditedColumn, Codes, Places, _step, evenly_spread
from churn.audit.row_hashes import exact_hash, in_train
from churn.config.contract import TableContract

ROWS_TO_COMPARE = 20_000

DISTINCT_FOR_TWINS = 20


@dataclass(frozen=True)
class AuditInput:
    """What the audit looks at: training rows with their outcome; of the test rows nothing but their features."""

    train: pd.DataFrame
    """The contract's columns, typed: numeric and boolean as float64, categorical as text, gaps as NaN."""
    churned: NDArray[np.int64]
    test: pd.DataFrame
    folds: NDArray[np.int64]
    """Fold of each training row, from 0."""
    places: NDArray[np.int64]
    """Place of each training row in the file, from 1."""
    times: Mapping[str, NDArray[np.float64]]
    """By the name of each column of dates: for the training rows, numbers that rise with time."""
    names: Mapping[str, tuple[Codes, Codes]]
    """By the name of each column that may name customers and is no feature: of the training and of the test rows a
    number for each value, below 0 for a gap."""


@dataclass(frozen=True)
class AuditFinding:
    """One thing that may flatter the figures."""

    check: str
    severity: Literal["fail", "warn"]
    columns: tuple[str, ...]
    evidence: str

    @property
    def name(self) -> str:
        """What data.audit.accept lists."""
        return f"{self.check}:{','.join(self.columns)}" if self.columns else self.check


class AuditView:
    """What the checks share."""

    def __init__(self, audited: AuditInput, contract: TableContract, by_time: bool) -> None:
        self.audited = audited
        self.contract = contract
        self.by_time = by_time
        self.columns = [
            AuditedColumn(name, column.type, audited.train[name], audited.test[name])
            for name, column in contract.columns.items()
        ]

    @cached_property
    def widest_first(self) -> list[AuditedColumn]:
        """Columns by their count of values."""
        rows = self.every(ROWS_TO_COMPARE)
        return sorted(self.columns, key=lambda column: -int(column.labels(rows).max(initial=0)))

    @property
    def tells_customers_apart(self) -> bool:
        """Whether a column has many values; without one, customers are alike by nature."""
        values = self.widest_first[0].labels(self.every(ROWS_TO_COMPARE))
        return len(self.audited.test) > 0 and int(values.max(initial=0)) + 1 >= DISTINCT_FOR_TWINS

    @cached_property
    def compared_rows(self) -> Places:
        """Places of the test rows that are looked for among all training rows."""
        return evenly_spread(len(self.audited.test), ROWS_TO_COMPARE)

    @cached_property
    def equal_to_train(self) -> NDArray[np.bool_]:
        """Which of these have all features of a training row."""
        return in_train(self.widest_first, len(self.audited.train), self.compared_rows, exact_hash)

    def every(self, at_most: int) -> slice:
        """Training rows that stand for all, evenly spread."""
        return slice(None, None, _step(len(self.audited.train), at_most))
