"""The fitted decision pipeline: encoders, scaler, classifier and threshold in one object.

It consists of scikit-learn classes only, so it loads without this package.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline

from churn.types import Floats


def assemble_decision(
    encoders: ColumnTransformer, scaler: ColumnTransformer, classifier: ClassifierMixin, threshold: float
) -> FixedThresholdClassifier:
    """Combine fitted steps and threshold; `predict` returns 1 (contact) at or above the threshold.

    A copy of the result, such as `cross_val_score` makes for each fold, is not fitted: its `fit` learns encoding and
    classifier anew. The threshold is a parameter, so copies keep it.
    """
    fitted = Pipeline([("encoders", encoders), ("scaler", scaler), ("classifier", classifier)])
    # A numpy float64 is not rounded to float32 when compared with a model's float32 probabilities.
    decision = FixedThresholdClassifier(
        clone(fitted), threshold=np.float64(threshold), pos_label=1, response_method="predict_proba"
    )
    # What `fit` would set, without fitting a second time.
    decision.estimator_ = fitted
    decision.n_features_in_ = fitted.n_features_in_
    decision.feature_names_in_ = fitted.feature_names_in_
    return decision


def pipeline_of(decision: FixedThresholdClassifier) -> Pipeline:
    """The fitted pipeline of a decision; models of earlier versions have it in a FrozenEstimator."""
    fitted = decision.estimator_
    return fitted.estimator if isinstance(fitted, FrozenEstimator) else fitted


BLOCK = 16
"""Rows that BLAS multiplies in one way; the last rows of another count can get other last bits."""


def whole_blocks(count: int) -> NDArray[np.intp]:
    """Positions of `count` rows, the last one repeated until their number is a multiple of BLOCK."""
    return np.minimum(np.arange(count - count % -BLOCK), max(count - 1, 0))


def churn_probability(decision: FixedThresholdClassifier, rows: pd.DataFrame) -> Floats:
    """Predicted probability of churn of each row; the same bits for a row alone and among others."""
    probability: Floats = decision.predict_proba(rows.iloc[whole_blocks(len(rows))])[:, 1].astype(np.float64)
    return probability[: len(rows)]
