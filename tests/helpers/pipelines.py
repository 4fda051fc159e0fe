"""Unfitted pipelines, and how much importance may cost."""

from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

from churn.config.contract import TableContract
from churn.model import encoding
from churn.model.cross_validation import untrained_pipeline
from churn.model.importance import ImportanceEffort
from churn.types import Floats, Labels

LITTLE_EFFORT = ImportanceEffort(repeats=2, max_rows=50)

FULL_EFFORT = ImportanceEffort(repeats=3, max_rows=10_000)


# scikit-learn comes without types, hence the ignored subclassing of it.
class ConstantClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Half a chance for everybody; what the libraries below have in common."""

    def fit(self, X: pd.DataFrame, y: Labels) -> Self:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        return np.full((len(X), 2), 0.5)


def pipeline(contract: TableContract, classifier: BaseEstimator) -> Pipeline:
    encoders, scaler = encoding.make_encoders(contract.columns), encoding.make_scaler(contract.columns)
    return untrained_pipeline(encoders, scaler, classifier)
