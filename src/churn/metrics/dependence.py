"""Partial dependence of the predicted probability on one column, with the spread over customers.

Friedman (2001), Annals of Statistics 29(5); the spread is over the individual conditional expectation curves of
Goldstein et al. (2015). Outcomes are not used. The result describes the model, not a causal effect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from churn.metrics.slices import text_of
from churn.types import Floats

ROWS, POINTS, LABELS = 500, 20, 10
"""Maximum number of customers, of values of a numeric column, and of labels."""
LOWER, UPPER = 10, 90
"""Percentiles over customers that bound the spread."""

Grid = list[float] | list[str]


def _of_quantity(known: pd.Series) -> list[float]:
    """The distinct values, or POINTS quantiles if there are more."""
    distinct = np.unique(known)
    if len(distinct) <= POINTS:
        return [float(value) for value in distinct]
    return [float(value) for value in np.unique(np.quantile(known, np.linspace(0, 1, POINTS)))]


def _of_labels(known: pd.Series) -> list[str]:
    """The most frequent labels, in alphabetical order."""
    return sorted(known.value_counts().sort_index().sort_values(ascending=False, kind="stable").index[:LABELS])


GRIDS: Mapping[str, Callable[[pd.Series], Grid]] = {
    "numeric": _of_quantity,
    "boolean": _of_labels,
    "categorical": _of_labels,
}
"""Function that chooses the grid values, by column type."""


@dataclass(frozen=True)
class Dependence:
    """Mean and spread of the predicted probability of churn, by the value of one column."""

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
    """Partial dependence on each of these columns; columns with a single value are skipped."""
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
