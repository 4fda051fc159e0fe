"""Charts of the page as SVG, and the data for its script."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from churn.metrics.dependence import Dependence
from churn.report.captions import Caption
from churn.report.content import COLUMNS_SHOWN, ReportContent, captions_of, part_of, precision_of
from churn.report.svg import Axis, Plane, reach, thin
from churn.types import DECIMALS

CURVE_POINTS = 200
"""Maximum points of a curve on the page."""


@dataclass(frozen=True)
class Chart:
    """One chart as SVG paths, with its points for the slider."""

    name: str
    title: str
    finding: Caption
    plane: Plane
    line: str
    band: str
    chance: str
    chance_label: str
    decision: tuple[float, float] | None
    points: Mapping[str, Sequence[float | None]]
    has_bars: bool = False

    @property
    def start(self) -> int:
        """Index of the point nearest to the decision: the initial position of the slider."""
        if self.decision is None:
            return 0
        xs, decided = self.points["x"], self.decision[0]
        return min(range(len(xs)), key=lambda place: abs((xs[place] or 0.0) - decided))


def drawings(results: ReportContent) -> dict[str, Any]:
    """Template values that only the page uses."""
    charts = {chart.name: chart for chart in _charts(results)}
    return {
        "charts": charts,
        "dependence": [(one, _dependence_plane(one)) for one in results.dependence],
        "drops": _drop_plane(results.importance.head(COLUMNS_SHOWN)),
        "script_data": _script_data(results, charts),
    }


def _drop_plane(table: pd.DataFrame) -> Plane:
    """Plane that fits all importance bars, their ± sd lines, and zero."""
    ends = [
        0.0,
        *(table["roc_auc_drop"] - table["roc_auc_drop_sd"]),
        *(table["roc_auc_drop"] + table["roc_auc_drop_sd"]),
    ]
    low, high = reach(ends)
    return Plane(Axis("", low, high, "number"), Axis("", 0, 1, "number"), 200, 14, left=0, right=0, top=0, bottom=0)


def _charts(results: ReportContent) -> Iterator[Chart]:
    decision, curves, found = results.decision, results.curves, captions_of(results)
    everyone = decision.customers
    recall = part_of(decision.churners_contacted, decision.churners)
    bothered = part_of(decision.stayers_contacted, decision.stayers)
    share = decision.contacted / everyone
    rate = decision.churners / everyone
    earned = results.money["profit_per_1000"]
    everybody = results.money["profit_contact_everybody_per_1000"]
    profit = curves["profit"]
    across = _share_axis("customers contacted, most likely churners first")
    earnings = [profit[f"profit_per_1000{end}"] for end in ("", "_low", "_high")]
    low, high = reach([0.0, everybody, *(value for column in earnings for value in column)])
    yield _curve(
        "profit", "Profit", found, profit, ("contacted_share", "profit_per_1000"),
        Plane(across, Axis(results.economics.per_1000, low, high, "money")),
        chance=[(0, 0), (1, everybody)], chance_label="chosen by chance", decision=(share, earned),
    )  # fmt: skip
    yield _curve(
        "gain", "Gain", found, _gain(results), ("contacted_share", "recall"),
        Plane(across, _share_axis("churners contacted")),
        chance=[(0, 0), (1, 1)], chance_label="chosen by chance", decision=(share, recall),
    )  # fmt: skip
    yield _curve(
        "roc", "ROC", found, curves["roc"], ("false_positive_rate", "true_positive_rate"),
        Plane(_share_axis("stayers contacted"), _share_axis("churners contacted")),
        chance=[(0, 0), (1, 1)], chance_label="by chance", decision=(bothered, recall),
    )  # fmt: skip
    yield _curve(
        "precision_recall", "Precision and recall", found, curves["precision_recall"][::-1], ("recall", "precision"),
        Plane(_share_axis("churners contacted (recall)"), _share_axis("churners among the contacted (precision)")),
        chance=[(0, rate), (1, rate)], chance_label="by chance", decision=(recall, precision_of(decision)),
        in_steps=True,
    )  # fmt: skip
    top = _top_of(curves["calibration"])
    yield _curve(
        "calibration", "Calibration", found, curves["calibration"], ("predicted", "observed"),
        Plane(_share_axis("predicted probability of churn", top), _share_axis("share that churned", top)),
        chance=[(0, 0), (top, top)], chance_label="as predicted", decision=None, has_bars=True,
    )  # fmt: skip


def _share_axis(label: str, top: float = 1.0) -> Axis:
    return Axis(label, 0.0, top, "share")


def _top_of(groups: pd.DataFrame) -> float:
    """Upper end of the calibration axes: 1, or less if all values are below 0.5."""
    highest = float(np.nanmax([0.0, *groups["predicted"], *groups["observed"], *groups["observed_high"]]))
    return 1.05 * highest if 0 < highest < 0.5 else 1.0


def _gain(results: ReportContent) -> pd.DataFrame:
    contacted, decision = results.contacted, results.decision
    return pd.DataFrame(
        {
            "contacted_share": (contacted["churners"] + contacted["stayers"]) / decision.customers,
            "recall": contacted["churners"] / (decision.churners or math.nan),
        }
    )


def _curve(
    name: str,
    title: str,
    found: Mapping[str, Caption],
    table: pd.DataFrame,
    columns: tuple[str, str],
    plane: Plane,
    *,
    chance: Sequence[tuple[float, float]],
    chance_label: str,
    decision: tuple[float, float] | None,
    has_bars: bool = False,
    in_steps: bool = False,
) -> Chart:
    x, y = columns
    known = table.dropna(subset=[x, y])
    known = known.iloc[thin(len(known), CURVE_POINTS)]
    with_bounds = {f"{y}_low", f"{y}_high"} <= set(known) and known[[f"{y}_low", f"{y}_high"]].notna().all(axis=None)
    columns_told = {"x": x, "y": y} | ({"low": f"{y}_low", "high": f"{y}_high"} if with_bounds else {})
    drawn = _as_steps(known[list(columns_told.values())], x) if in_steps else known
    xs = list(drawn[x])
    return Chart(
        name=name,
        title=title,
        finding=found[name],
        plane=plane,
        line="" if has_bars or not xs else plane.path(zip(xs, drawn[y], strict=True)),
        band=plane.band(xs, list(drawn[f"{y}_low"]), list(drawn[f"{y}_high"]))
        if with_bounds and xs and not has_bars
        else "",
        chance=plane.path(chance),
        chance_label=chance_label,
        decision=decision if decision and all(map(math.isfinite, decision)) else None,
        points={key: [_plain(value) for value in known[column]] for key, column in columns_told.items()},
        has_bars=has_bars,
    )


def _as_steps(table: pd.DataFrame, x: str) -> pd.DataFrame:
    """Corners of a curve whose values between two points are those of the right one, as between two recalls."""
    twice = table.loc[table.index.repeat(2)]
    return twice.iloc[1:].assign(**{x: twice[x].to_numpy()[:-1]})


def _plain(value: float) -> float | None:
    """Value for JSON: rounded to six decimals, None if undefined."""
    return round(float(value), DECIMALS) + 0.0 if math.isfinite(value) else None


ROW_HEIGHT = 40
"""Height of a label and the bar below it."""


def _dependence_plane(one: Dependence) -> Plane:
    """Plane of a dependence chart: numeric values on the x axis, labels in rows."""
    low, high = reach([*one.lower, *one.upper])
    probability = Axis("probability of churn", max(low, 0.0), min(high, 1.0), "share")
    if one.is_quantity:
        first, last = float(one.values[0]), float(one.values[-1])
        return Plane(Axis("", first, last, "number"), probability, width=300, height=190, left=44, bottom=26)
    rows = Axis("", -0.5, len(one.values) - 0.5, "number")
    height = 12 + 26 + ROW_HEIGHT * len(one.values)
    return Plane(probability, rows, width=300, height=height, left=14, bottom=26)


def _script_data(results: ReportContent, charts: Mapping[str, Chart]) -> dict[str, Any]:
    """Data for the page's script."""
    counts, decision, costs = results.contacted, results.decision, results.economics
    return {
        "charts": {
            name: {
                "points": chart.points,
                "axes": [_as_data(chart.plane.x), _as_data(chart.plane.y)],
                "frame": [chart.plane.left, chart.plane.top, chart.plane.wall, chart.plane.floor],
                "decision": chart.decision,
            }
            for name, chart in charts.items()
        },
        "thresholds": counts["threshold"].tolist(),
        "churners": counts["churners"].tolist(),
        "stayers": counts["stayers"].tolist(),
        "all_churners": decision.churners,
        "all_stayers": decision.stayers,
        "decision": decision.threshold,
        "currency": costs.currency,
        "costs": {
            "value": costs.customer_value,
            "offer": costs.offer_cost,
            "contact": costs.contact_cost,
            "acceptance": costs.acceptance_rate,
        },
    }


def _as_data(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "low": axis.low, "high": axis.high, "form": axis.form}
