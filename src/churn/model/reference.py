"""The reference that later customers are compared with: distributions of the training rows and of their scores."""

import decimal
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from churn.metrics.estimated_profit import LogisticCalibration, fit_calibration
from churn.metrics.slices import text_of
from churn.table.splits import fractions_of
from churn.texts import escaped_json
from churn.types import Floats, Labels

MOST_ROWS = 5_000
"""Training rows that are kept for the test that compares rows as a whole."""
MOST_THRESHOLDS = 1_000
"""Points at which a distribution of a number is kept; with fewer distinct values it is exact."""
SIGNIFICANT = 9
"""Digits of numbers: a fixed number of decimals would make a column of small numbers constant."""
UPWARDS = decimal.Context(prec=SIGNIFICANT, rounding=decimal.ROUND_CEILING)
MOST_LABELS = 1_000
"""Labels of a column that are counted apart; further ones are counted together."""
PROBABILITY, CHURNED = "model:out_of_fold_probability", "model:churned"
"""Columns of the kept rows beside the customer's, whose names they must not share."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberDistribution(_Frozen):
    """Distribution of a number.

    Attributes:
        missing: rows without a value.
        thresholds: increasing.
        at_or_below: rows with a value up to each threshold; the last one is the number of rows with a value.
    """

    kind: Literal["number"] = "number"
    missing: int
    thresholds: tuple[float, ...]
    at_or_below: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows with and without a value."""
        return self.missing + (self.at_or_below[-1] if self.at_or_below else 0)

    def share_at_or_below(self, bound: float) -> float:
        """Share of the values up to a bound, to the accuracy of the thresholds; NaN without values."""
        if not self.at_or_below:
            return float("nan")
        place = int(np.searchsorted(self.thresholds, bound, side="right"))
        return (self.at_or_below[place - 1] if place else 0) / self.at_or_below[-1]

    @property
    def median(self) -> float:
        """Smallest threshold that half of the values do not exceed; NaN without values."""
        if not self.at_or_below:
            return float("nan")
        return self.thresholds[int(np.searchsorted(self.at_or_below, self.at_or_below[-1] / 2))]


class LabelDistribution(_Frozen):
    """Distribution of a label; booleans have the labels 0 and 1.

    Attributes:
        missing: rows without a value.
        counts: rows of the most frequent labels.
        others: rows of all further labels.
        once: labels that a single row has. By Good and Turing (Good 1953, Biometrika 40), their share of the rows
            estimates the share of new rows whose label was never seen.
    """

    kind: Literal["label"] = "label"
    missing: int
    counts: dict[str, int]
    others: int
    once: int

    @property
    def rows(self) -> int:
        """Rows with and without a value."""
        return self.missing + sum(self.counts.values()) + self.others


class Reference(_Frozen):
    """The training rows in numbers.

    Attributes:
        rows: number of training rows.
        churn_rate: of them.
        columns: distribution of each column.
        scores: distribution of the out-of-fold probabilities.
        calibration: of the out-of-fold probabilities.
    """

    rows: int
    churn_rate: float
    columns: dict[str, NumberDistribution | LabelDistribution]
    scores: NumberDistribution
    calibration: LogisticCalibration

    def as_text(self) -> str:
        """JSON, numbers with SIGNIFICANT digits: of last bits, other processors give others."""
        text = json.dumps(_rounded(self.model_dump()), indent=1, sort_keys=True, ensure_ascii=False)
        return f"{escaped_json(text)}\n"


@dataclass(frozen=True)
class ReferenceParts:
    """The reference, and the rows that are kept with it."""

    reference: Reference
    rows: pd.DataFrame


def make_reference(
    rows: pd.DataFrame, churned: Labels, probability: Floats, types: Mapping[str, str]
) -> ReferenceParts:
    """Reference of training rows (indexed by row key) and their out-of-fold probabilities.

    `types`: type of each column in the contract.
    """
    reference = Reference(
        rows=len(rows),
        churn_rate=float(churned.mean()),
        columns={name: distribution_of(rows[name], kind) for name, kind in types.items()},
        scores=number_distribution(pd.Series(probability)),
        calibration=fit_calibration(churned, probability),
    )
    # The order of hashes is random and does not depend on other rows.
    kept = np.sort(np.argsort(fractions_of(rows.index, "monitoring reference"), kind="stable")[:MOST_ROWS])
    beside = pd.DataFrame({PROBABILITY: probability, CHURNED: churned}, index=rows.index)
    return ReferenceParts(reference, pd.concat([rows, beside], axis=1).iloc[kept])


def _significant(number: float) -> float:
    return float(f"{number:.{SIGNIFICANT}g}")


def _not_below(number: float) -> float:
    """The number with SIGNIFICANT digits, rounded up where it would otherwise be smaller."""
    nearest = _significant(number)
    return nearest if nearest >= number else float(UPWARDS.create_decimal(number))


def _rounded(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _rounded(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_rounded(value) for value in values]
    return _significant(values) if isinstance(values, float) else values


def distribution_of(values: pd.Series, kind: str) -> NumberDistribution | LabelDistribution:
    """Distribution of a column by its type in the contract."""
    return number_distribution(values) if kind == "numeric" else label_distribution(values)


def number_distribution(values: pd.Series) -> NumberDistribution:
    """Distribution of numbers, exact at up to MOST_THRESHOLDS points of about equal share."""
    known = np.sort(values.dropna().to_numpy(dtype=np.float64))
    points = np.unique(known)
    if len(points) > MOST_THRESHOLDS:
        points = np.unique(np.quantile(known, np.linspace(0, 1, MOST_THRESHOLDS), method="inverted_cdf"))
    points = np.unique([_not_below(point) for point in points.tolist()])
    counted = np.searchsorted(known, points, side="right")
    return NumberDistribution(
        missing=int(values.isna().sum()), thresholds=tuple(points.tolist()), at_or_below=tuple(counted.tolist())
    )


def label_distribution(values: pd.Series) -> LabelDistribution:
    """Distribution of labels."""
    counts = {text_of(label): int(count) for label, count in values.dropna().value_counts().items()}
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return LabelDistribution(
        missing=int(values.isna().sum()),
        counts=dict(ordered[:MOST_LABELS]),
        others=sum(count for _, count in ordered[MOST_LABELS:]),
        once=sum(count == 1 for count in counts.values()),
    )
