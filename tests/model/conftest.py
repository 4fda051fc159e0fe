"""Training rows of the small table, as in a stage."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from churn.config.contract import TableContract
from churn.table.parsing import parse_table
from churn.types import Labels


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in a stage."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def rows(customers: pd.DataFrame, contract: TableContract) -> pd.DataFrame:
    table, faults = parse_table(customers, contract)
    assert not faults
    return table[list(contract.columns)]


@pytest.fixture
def y(customers: pd.DataFrame) -> Labels:
    return (customers["gone"] == "yes").to_numpy().astype(np.int64)


@pytest.fixture
def folds(rows: pd.DataFrame) -> Labels:
    return np.arange(len(rows)) % 3
