"""The fitted decision pipeline: encoders, scaler, classifier and threshold in one object.

It consists of scikit-learn classes only, so it loads without this package.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline

from churn.types import Floats, Labels


def assemble_decision(
    encoders: ColumnTransformer,
    scaler: ColumnTransformer,
    classifier: ClassifierMixin,
    threshold: float,
    example: pd.DataFrame,
    labels: Labels,
) -> FixedThresholdClassifier:
    """Combine fitted steps and threshold; `predict` returns 1 (contact) at or above the threshold."""
    pipeline = Pipeline([("encoders", encoders), ("scaler", scaler), ("classifier", classifier)])
    # A numpy float64 is not rounded to float32 when compared with a model's float32 probabilities.
    decision = FixedThresholdClassifier(
        FrozenEstimator(pipeline), threshold=np.float64(threshold), pos_label=1, response_method="predict_proba"
    )
    return decision.fit(example, labels)  # only sets fitted attributes: the pipeline is frozen


def pipeline_of(decision: FixedThresholdClassifier) -> Pipeline:
    """The fitted pipeline of a decision."""
    return decision.estimator_.estimator


BLOCK = 16
"""Rows that BLAS multiplies in one way; the last rows of another count can get other last bits."""


def whole_blocks(count: int) -> NDArray[np.intp]:
    """Positions of `count` rows, the last one repeated until their number is a multiple of BLOCK."""
    return np.minimum(np.arange(count - count % -BLOCK), max(count - 1, 0))


def churn_probability(decision: FixedThresholdClassifier, rows: pd.DataFrame) -> Floats:
    """Predicted probability of churn of each row; the same bits for a row alone and among others."""
    probability: Floats = decision.predict_proba(rows.iloc[whole_blocks(len(rows))])[:, 1].astype(np.float64)
    return probability[: len(rows)]
