"""What the model says when one column of a customer takes other values: partial dependence, with its spread.

Friedman (2001), Annals of Statistics 29(5); the spread is that of the individual curves of Goldstein et al. (2015). No
outcome is looked at. It is the model's answer and no cause.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.metrics.slices import text_of
from churn.types import Floats

ROWS, POINTS, LABELS = 500, 20, 10
"""Customers asked about, values of a quantity, and labels of a category, at most."""
LOWER, UPPER = 10, 90
"""Percentiles of the customers between which the spread is shown."""

Grid = list[float] | list[str]


def _of_quantity(known: pd.Series) -> list[float]:
    """Its values, or as many of its quantiles as there is room for."""
    distinct = np.unique(known)
    if len(distinct) <= POINTS:
        return [float(value) for value in distinct]
    return [float(value) for value in np.unique(np.quantile(known, np.linspace(0, 1, POINTS)))]


def _of_labels(known: pd.Series) -> list[str]:
    """The commonest, in the order of the alphabet."""
    return sorted(known.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:LABELS])


GRIDS: Mapping[str, Callable[[pd.Series], Grid]] = {
    "numeric": _of_quantity,
    "boolean": _of_labels,
    "categorical": _of_labels,
}
"""Values that each type of column is asked at."""


@dataclass(frozen=True)
class Dependence:
    """Probability of churn by the value of one column, over the customers."""

    column: str
    is_quantity: bool
    values: tuple[float, ...] | tuple[str, ...]
    mean: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


def partial_dependence(
    probability_of: Callable[[pd.DataFrame], Floats],
    rows: pd.DataFrame,
    types: Mapping[str, str],
    columns: Sequence[str],
) -> tuple[Dependence, ...]:
    """Dependence on each of these columns; one that has a single value says nothing and is left out."""
    sample = rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).round().astype(int))]
    grids = {name: GRIDS[types[name]](rows[name].dropna()) for name in columns}
    return tuple(
        _dependence(probability_of, sample, name, grid, is_quantity=types[name] == "numeric")
        for name, grid in grids.items()
        if len(grid) > 1
    )


def _dependence(
    probability_of: Callable[[pd.DataFrame], Floats], sample: pd.DataFrame, name: str, grid: Grid, *, is_quantity: bool
) -> Dependence:
    asked = pd.concat([sample] * len(grid), ignore_index=True)
    asked[name] = pd.Series(grid, dtype=sample[name].dtype).repeat(len(sample)).to_numpy()
    answers = probability_of(asked).reshape(len(grid), len(sample))
    lower, upper = np.percentile(answers, [LOWER, UPPER], axis=1)
    return Dependence(
        column=name,
        is_quantity=is_quantity,
        values=tuple(map(float, grid)) if is_quantity else tuple(map(text_of, grid)),
        mean=tuple(map(float, answers.mean(axis=1))),
        lower=tuple(map(float, lower)),
        upper=tuple(map(float, upper)),
    )
