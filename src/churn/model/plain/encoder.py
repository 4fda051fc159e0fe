"""Encode customers, given as plain values, as the fitted encoders and scaler do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from churn.model.encoding import column_types
from churn.types import Floats

Value = str | float | None
"""A label, a number (0.0 or 1.0 for a boolean), or None where the value is missing."""
Customer = Mapping[str, Value]


@dataclass(frozen=True)
class NumberEncoder:
    """Imputes and scales a number into one place of an encoded row."""

    place: int
    if_missing: float
    mean: float
    scale: float


@dataclass(frozen=True)
class LabelEncoder:
    """Finds the place of a label's indicator; the key None stands for a missing value."""

    places: Mapping[Value, int]


@dataclass(frozen=True)
class RowEncoder:
    """Encodes customers to rows of the classifier's input.

    Attributes:
        names: of the encoded columns, in the classifier's order.
        numbers, labels: encoder of each customer column.
    """

    names: tuple[str, ...]
    numbers: Mapping[str, NumberEncoder]
    labels: Mapping[str, LabelEncoder]

    def encode(self, customers: Sequence[Customer]) -> Floats:
        """Encoded rows, shape (customers, encoded columns)."""
        width = len(self.names)
        encoded: list[list[float]] = []
        for customer in customers:
            row = [0.0] * width
            for name, number in self.numbers.items():
                value = customer[name]
                given = number.if_missing if value is None else float(value)
                row[number.place] = (given - number.mean) / number.scale
            for name, label in self.labels.items():
                place = label.places.get(customer[name])
                if place is not None:
                    row[place] = 1.0
            encoded.append(row)
        return np.array(encoded, dtype=np.float64).reshape(len(customers), width)


def make_encoder(pipeline: Pipeline) -> RowEncoder:
    """The encoder of a fitted pipeline.

    Raises:
        AttributeError, KeyError, ValueError: the pipeline is not one that this project fits.
    """
    encoders, scaler = pipeline.named_steps["encoders"], pipeline.named_steps["scaler"]
    names = tuple(map(str, scaler.get_feature_names_out()))
    place = {name: number for number, name in enumerate(names)}
    scaled = _scaling(scaler)
    numbers: dict[str, NumberEncoder] = {}
    labels: dict[str, LabelEncoder] = {}
    for kind, transformer, columns in encoders.transformers_:
        if kind == "categorical":
            for name, categories in zip(columns, transformer.categories_, strict=True):
                labels[name] = LabelEncoder({_label(one): place[f"{name}_{one}"] for one in categories})
        else:
            for name, fill in zip(columns, transformer.statistics_, strict=True):
                numbers[name] = NumberEncoder(place[name], float(fill), *scaled.get(name, (0.0, 1.0)))
    if set(numbers) | set(labels) != set(column_types(encoders)):
        raise ValueError("a column has no encoder")
    return RowEncoder(names, numbers, labels)


def _scaling(scaler: Pipeline) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each scaled column."""
    standard = scaler.named_transformers_["numeric"]
    if not hasattr(standard, "mean_"):  # no numeric columns
        return {}
    names = standard.feature_names_in_
    return {
        str(name): (float(mean), float(scale))
        for name, mean, scale in zip(names, standard.mean_, standard.scale_, strict=True)
    }


def _label(category: Any) -> Value:
    return None if pd.isna(category) else str(category)


DTYPES = {"categorical": "str"}
"""Type in a table, by type of the column; the others are float64."""


def as_frame(customers: Sequence[Customer], types: Mapping[str, str]) -> pd.DataFrame:
    """Customers as the table that the decision reads; `types` as `column_types` returns them."""
    return pd.DataFrame(
        {
            name: pd.Series([customer[name] for customer in customers], dtype=DTYPES.get(kind, "float64"))
            for name, kind in types.items()
        }
    )
