"""The same model behind BentoML, as its documentation shows it; runs in an environment of its own."""

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1)
class Churn:
    """Scores customers."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def score(self, customers: list[dict[str, Any]]) -> dict[str, Any]:
        """Probability and decision of each customer."""
        probability = self.model.predict_proba(pd.DataFrame(customers))[:, 1]
        return {"probability": probability.tolist(), "contact": (probability >= self.model.threshold).tolist()}
