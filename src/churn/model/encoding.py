"""Encoders and scaler: unfitted makers, and what a fitted one knows. Fitted on training rows only."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from churn.config.contract import Column, columns_of_type

ENCODERS: dict[str, Callable[[], TransformerMixin]] = {
    "categorical": lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "boolean": lambda: SimpleImputer(strategy="most_frequent", keep_empty_features=True),
    "numeric": lambda: SimpleImputer(strategy="median", keep_empty_features=True),
}
"""Maker of the encoder for each type of column. A label not seen in training becomes all zeros."""


def make_encoders(columns: dict[str, Column]) -> ColumnTransformer:
    """Customer columns to numbers without gaps, labels one-hot."""
    named = {kind: columns_of_type(columns, kind) for kind in ENCODERS}
    steps = [(kind, ENCODERS[kind](), names) for kind, names in named.items() if names]
    return ColumnTransformer(steps, verbose_feature_names_out=False, sparse_threshold=0).set_output(transform="pandas")


def make_scaler(columns: dict[str, Column]) -> ColumnTransformer:
    """Encoded columns to comparable size: quantities to mean 0 and deviation 1, the rest as it is."""
    steps = [("numeric", StandardScaler(), columns_of_type(columns, "numeric"))]
    scaler = ColumnTransformer(steps, remainder="passthrough", verbose_feature_names_out=False)
    return scaler.set_output(transform="pandas")


def column_types(encoders: ColumnTransformer) -> dict[str, str]:
    """Type of each customer column that the encoders were fitted on, in the contract's order."""
    types = {name: kind for kind, _, names in encoders.transformers for name in names}
    return {name: types[name] for name in encoders.feature_names_in_}


def encoded_columns(encoders: ColumnTransformer) -> dict[str, list[str]]:
    """Names of the encoded columns that fitted encoders make of each customer column."""
    groups: dict[str, list[str]] = {}
    for kind, transformer, names in encoders.transformers_:
        for position, name in enumerate(names):
            labels = transformer.categories_[position] if kind == "categorical" else None
            groups[name] = [name] if labels is None else [f"{name}_{label}" for label in labels]
    return groups


def unknown_labels(encoders: ColumnTransformer, rows: pd.DataFrame) -> dict[str, int]:
    """Values in each categorical column that the fitted encoders never saw, and so encode as none of the labels."""
    if "categorical" not in encoders.named_transformers_:
        return {}
    one_hot = encoders.named_transformers_["categorical"]
    seen = zip(one_hot.feature_names_in_, one_hot.categories_, strict=True)
    return {str(name): int((~rows[name].isin(list(labels))).sum()) for name, labels in seen}


def encode(encoders: ColumnTransformer, scaler: ColumnTransformer, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows as the classifier gets them, float64, in the same order."""
    encoded: pd.DataFrame = scaler.transform(encoders.transform(rows))
    return encoded.astype(np.float64)
