"""Input and findings of the checks. Checks read features and identifiers of test rows, never their outcomes.

Where a statistic allows it, checks use a sample: every n-th row. Rows are sorted by key, so the sample does not depend
on the order of the file.
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


Severity = Literal["fail", "warn"]


@dataclass(frozen=True)
class AuditInput:
    """Input of the audit: training rows with outcomes, test rows without."""

    train: pd.DataFrame
    """The contract's columns: numeric and boolean as float64, categorical as text, missing values as NaN."""
    churned: NDArray[np.int64]
    test: pd.DataFrame
    folds: NDArray[np.int64]
    """Fold of each training row, from 0."""
    places: NDArray[np.int64]
    """Row number of each training row in the file, from 1."""
    times: Mapping[str, NDArray[np.float64]]
    """By date column: times of the training rows as numbers."""
    names: Mapping[str, tuple[Codes, Codes]]
    """By column that may name customers (the id, unused ones, features named so): integer codes of the training and of
    the test rows; missing values are negative."""


@dataclass(frozen=True)
class AuditFinding:
    """One possible cause of too optimistic metrics."""

    check: str
    severity: Severity
    columns: tuple[str, ...]
    evidence: str

    @property
    def name(self) -> str:
        """Name to list in data.audit.accept."""
        return f"{self.check}:{','.join(self.columns)}" if self.columns else self.check


class AuditView:
    """Input of the audit with values that several checks share."""

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
        """Columns in decreasing order of their number of distinct values."""
        rows = self.every(ROWS_TO_COMPARE)
        return sorted(self.columns, key=lambda column: -int(column.labels(rows).max(initial=0)))

    @property
    def tells_customers_apart(self) -> bool:
        """Whether any column has many distinct values; otherwise equal rows are expected."""
        values = self.widest_first[0].labels(self.every(ROWS_TO_COMPARE))
        return len(self.audited.test) > 0 and int(values.max(initial=0)) + 1 >= DISTINCT_FOR_TWINS

    @cached_property
    def compared_rows(self) -> Places:
        """Positions of the sampled test rows, which are compared with all training rows."""
        return evenly_spread(len(self.audited.test), ROWS_TO_COMPARE)

    @cached_property
    def equal_to_train(self) -> NDArray[np.bool_]:
        """Which of the compared test rows equal a training row in all features."""
        return in_train(self.widest_first, len(self.audited.train), self.compared_rows, exact_hash)

    def every(self, at_most: int) -> slice:
        """Slice of at most `at_most` training rows, evenly spaced."""
        return slice(None, None, _step(len(self.audited.train), at_most))
