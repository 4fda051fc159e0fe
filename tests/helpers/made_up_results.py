"""Results of made-up customers, any number of rows and columns, as `evaluate` gathers them for the report."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from churn import files
from churn.config.economics import Economics
from churn.metrics import dependence, intervals, profit
from churn.metrics.curves import contacted_by_threshold, curve_points, tenths, with_bands
from churn.metrics.slices import slice_intervals, slice_table
from churn.report import content
from churn.types import Floats

ECONOMICS = Economics(
    currency="EUR", customer_value=200.0, offer_cost=10.0, contact_cost=1.0, acceptance_alpha=6.0, acceptance_beta=14.0
)


def make_results(
    rows: int = 400,
    columns: Sequence[str] = ("plan", "months"),
    *,
    label: str = "basic",
    churn: float | None = None,
    slices: bool = True,
    threshold: float = 0.3,
    changed: dict[str, Any] | None = None,
) -> content.ReportContent:
    """Odd columns are quantities, even ones hold labels; `churn` 0 or 1 makes all customers alike."""
    random = np.random.default_rng(5)
    probability = random.beta(2, 4, rows)
    churned = (random.random(rows) < (probability if churn is None else churn)).astype(int)
    quantity, labels = random.normal(size=rows), random.choice([label, "other"], rows)
    table = pd.DataFrame({name: quantity if place % 2 else labels for place, name in enumerate(columns)})
    contacted = probability >= threshold
    statistics = intervals.headline_scores(threshold, ECONOMICS)
    around = partial(intervals.with_intervals, churned=churned, probability=probability, resamples=20, seed=1)
    with np.errstate(all="ignore"):
        scores = around(intervals.score_statistics(threshold))
        money = around(intervals.money_statistics(threshold, ECONOMICS))
    curve = profit.profit_curve(churned, probability, ECONOMICS)
    bounds = slice_intervals(threshold, ECONOMICS, resamples=20, seed=1)
    names = list(columns) if slices else []
    sliced = [name for place, name in enumerate(names) if not place % 2][:3]

    def answer(asked: pd.DataFrame) -> Floats:
        return np.linspace(0.1, 0.6, len(asked))

    types = {name: "numeric" if place % 2 else "categorical" for place, name in enumerate(columns)}
    given: dict[str, Any] = {
        "decision": content.DecisionCounts(
            threshold,
            int(churned.sum()),
            int((1 - churned).sum()),
            int((churned & contacted).sum()),
            int(((1 - churned) & contacted).sum()),
        ),
        "economics": ECONOMICS,
        "data": {
            "rows_in": 5 * rows + 7,
            "rows_kept": 5 * rows,
            "rows_train": 4 * rows,
            "rows_test": rows,
            "churn_rate_train": 0.25,
            "churn_rate_test": float(churned.mean()),
            "rows_equal_to_another": 0,
            "missing": dict.fromkeys(columns, 3),
            "rows_dropped": {columns[0]: 7},
            "rows_dropped_on_error": {},
            "taken_for_gaps": {},
            "unknown_labels_test": {},
        },
        "audit": {"failing": 0, "warnings": 0, "accepted": 0, "findings": []},
        "training": {"cv_roc_auc": 0.8, "cv_roc_auc_sd": 0.01, "threshold": threshold},
        "test": files.round_figures(
            intervals.flatten(scores, prefix="test_")
            | {"test_ece": 0.02, "test_ece_by_chance_low": 0.01, "test_ece_by_chance_high": 0.03}
        ),
        "money": files.round_figures(
            intervals.flatten(money)
            | {
                "contacted_share": float(contacted.mean()),
                "profit_contact_everybody_per_1000": 1000 * float(curve.profit_per_customer[-1]),
            }
        ),
        "curves": made_up_curves(churned, probability),
        "contacted": contacted_by_threshold(churned, probability, threshold, 200),
        "tenths": tenths(churned, probability, ECONOMICS).round(6),
        "slices": slice_table(table, churned, probability, sliced, statistics, bounds).round(6),
        "importance": pd.DataFrame(
            {"feature": columns, "roc_auc_drop": np.linspace(0.1, -0.01, len(columns)), "roc_auc_drop_sd": 0.01}
        ),
        "dependence": dependence.partial_dependence(answer, table, types, columns[:4]),
        "outcome": "gone",
        "classifier": "LogisticRegression",
        "inputs": {str(files.MODEL): "0" * 32, str(files.TEST_ROWS): "1" * 32},
    }
    return content.ReportContent(**given | (changed or {}))


def made_up_curves(churned: Any, probability: Floats) -> dict[str, pd.DataFrame]:
    """The curves with bands; numpy warns where one class is missing, as it does of a stage."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curves = curve_points(churned, probability, ECONOMICS, bins=10, points=200)
        banded = with_bands(curves, churned, probability, ECONOMICS, resamples=20, seed=1)
    return {name: curve.round(6) for name, curve in banded.items()}
