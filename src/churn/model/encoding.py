"""Create encoders and scaler, and inspect fitted ones. They are fitted on training rows only."""

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
"""Factory of the encoder for each column type. A label not seen in training is encoded as all zeros."""


def make_encoders(columns: dict[str, Column]) -> ColumnTransformer:
    """Encoders that impute missing values and one-hot encode labels."""
    named = {kind: columns_of_type(columns, kind) for kind in ENCODERS}
    steps = [(kind, ENCODERS[kind](), names) for kind, names in named.items() if names]
    return ColumnTransformer(steps, verbose_feature_names_out=False, sparse_threshold=0).set_output(transform="pandas")


def make_scaler(columns: dict[str, Column]) -> ColumnTransformer:
    """Scaler of encoded columns: numeric columns to mean 0 and standard deviation 1, other columns unchanged."""
    steps = [("numeric", StandardScaler(), columns_of_type(columns, "numeric"))]
    scaler = ColumnTransformer(steps, remainder="passthrough", verbose_feature_names_out=False)
    return scaler.set_output(transform="pandas")


def column_types(encoders: ColumnTransformer) -> dict[str, str]:
    """Type of each customer column that the encoders were fitted on, in the contract's order."""
    types = {name: kind for kind, _, names in encoders.transformers for name in names}
    return {name: types[name] for name in encoders.feature_names_in_}


def encoded_columns(encoders: ColumnTransformer) -> dict[str, list[str]]:
    """Names of the encoded columns for each customer column, from fitted encoders."""
    groups: dict[str, list[str]] = {}
    for kind, transformer, names in encoders.transformers_:
        for position, name in enumerate(names):
            labels = transformer.categories_[position] if kind == "categorical" else None
            groups[name] = [name] if labels is None else [f"{name}_{label}" for label in labels]
    return groups


def unknown_labels(encoders: ColumnTransformer, rows: pd.DataFrame) -> dict[str, int]:
    """Number of values in each categorical column that were not seen in training."""
    if "categorical" not in encoders.named_transformers_:
        return {}
    one_hot = encoders.named_transformers_["categorical"]
    seen = zip(one_hot.feature_names_in_, one_hot.categories_, strict=True)
    return {str(name): int((~rows[name].isin(list(labels))).sum()) for name, labels in seen}


def encode(encoders: ColumnTransformer, scaler: ColumnTransformer, rows: pd.DataFrame) -> pd.DataFrame:
    """Encode and scale rows to float64, in the same order."""
    encoded: pd.DataFrame = scaler.transform(encoders.transform(rows))
    return encoded.astype(np.float64)
