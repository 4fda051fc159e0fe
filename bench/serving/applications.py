"""Two small applications to measure beside the service; run from the project's folder."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI

bare, around_object = FastAPI(), FastAPI()


@bare.post("/score")
async def constant(given: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """A constant."""
    return {"probability": 0.5, "contact": True, "customers": len(given)}


@bare.get("/ready")
@around_object.get("/ready")
async def ready() -> dict[str, bool]:
    """Ready."""
    return {"ready": True}


_path = Path("models/churn_model.pkl")
model = joblib.load(_path) if _path.exists() else None


@around_object.post("/score")
def score(given: dict[str, Any] | list[dict[str, Any]]) -> dict[str, Any]:
    """As many would write it."""
    rows = pd.DataFrame(given if isinstance(given, list) else [given])
    probability = model.predict_proba(rows)[:, 1]  # type: ignore[union-attr]
    return {"probability": probability.tolist(), "contact": (probability >= model.threshold).tolist()}  # type: ignore[union-attr]
