"""The one fitted object from customer columns to the decision: encoders, scaler, classifier, threshold.

Made of scikit-learn's own classes only, so it loads wherever scikit-learn is, without this package.
"""

import numpy as np
import pandas as pd
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
    """One fitted object from customer columns to the decision; `predict` contacts at or above the threshold."""
    pipeline = Pipeline([("encoders", encoders), ("scaler", scaler), ("classifier", classifier)])
    # As a numpy number the threshold is not cut to 32 bits for the models whose probabilities have no more.
    decision = FixedThresholdClassifier(
        FrozenEstimator(pipeline), threshold=np.float64(threshold), pos_label=1, response_method="predict_proba"
    )
    return decision.fit(example, labels)  # fits nothing: the pipeline is frozen


def pipeline_of(decision: FixedThresholdClassifier) -> Pipeline:
    """The fitted steps inside a decision."""
    return decision.estimator_.estimator


def churn_probability(decision: FixedThresholdClassifier, rows: pd.DataFrame) -> Floats:
    """Probability of churn, one a row, by the fitted object."""
    probability: Floats = decision.predict_proba(rows)[:, 1].astype(np.float64)
    return probability
