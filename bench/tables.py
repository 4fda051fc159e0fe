"""Tables of any length that keep the contract: rows drawn from the sample, with noise on their numbers."""

import numpy as np
import pandas as pd

from churn.config.contract import NumericColumn, TableContract

NOISE = 0.05  # standard deviations of the column
DECIMALS = 2


def resampled(texts: pd.DataFrame, contract: TableContract, rows: int, seed: int) -> pd.DataFrame:
    """Rows drawn with replacement from a table of texts; labels and gaps stay as they are."""
    random = np.random.default_rng(seed)
    table = texts.iloc[random.integers(0, len(texts), size=rows)].reset_index(drop=True)
    for name, column in contract.columns.items():
        if column.type == "numeric":
            table[name] = _with_noise(table[name], column, random)
    return table


def _with_noise(texts: pd.Series, column: NumericColumn, random: np.random.Generator) -> pd.Series:
    values = pd.to_numeric(texts, errors="coerce")
    moved = values + random.normal(0.0, NOISE * values.std(ddof=0), size=len(values))
    # Bounds last: rounding could leave them.
    numbers = moved.round(DECIMALS).clip(column.min, column.max)
    return numbers.astype("str").where(values.notna(), texts)
