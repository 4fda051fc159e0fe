"""The analyst's report: one page and one model card, made of the same values by the templates in `pages`."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from churn import findings
from churn.business import NOBODY, Economics
from churn.dependence import Dependence
from churn.evaluation import Interval
from churn.findings import Finding
from churn.graphics import Axis, Plane, reach, thinned

PAGE, CARD = "report.html.j2", "model_card.md.j2"

CURVE_POINTS = 200
"""Points of a curve on the page, at most, however many are kept in the files."""
LONGEST_TEXT = 60
COLUMNS_SHOWN, SLICES_SHOWN, VALUES_SHOWN, ENTRIES_SHOWN = 20, 8, 12, 12
"""Columns by importance, columns sliced by, values of one of them, and lines of a list, at most."""


@dataclass(frozen=True)
class Decision:
    """Who is contacted, as counts of the test rows."""

    threshold: float
    churners: int
    stayers: int
    churners_contacted: int
    stayers_contacted: int

    @property
    def customers(self) -> int:
        """All of them."""
        return self.churners + self.stayers

    @property
    def contacted(self) -> int:
        """Those that the decision picks."""
        return self.churners_contacted + self.stayers_contacted


@dataclass(frozen=True)
class Results:
    """Everything that is told, as it stands in the files: figures rounded, None where one is not defined."""

    decision: Decision
    economics: Economics
    data: Mapping[str, Any]
    audit: Mapping[str, Any]
    training: Mapping[str, Any]
    test: Mapping[str, Any]
    money: Mapping[str, Any]
    curves: Mapping[str, pd.DataFrame]
    contacted: pd.DataFrame
    """Churners and stayers contacted at falling thresholds."""
    slices: pd.DataFrame
    importance: pd.DataFrame
    dependence: tuple[Dependence, ...]
    outcome: str
    """Column that is predicted."""
    classifier: str
    inputs: Mapping[str, str]
    """md5 of what was read, by path."""


def page(results: Results) -> str:
    """The report as one HTML document that needs nothing else."""
    return _environment().get_template(PAGE).render(**_shared(results), **_drawn(results))


def card(results: Results) -> str:
    """The model card as Markdown."""
    return _environment().get_template(CARD).render(**_shared(results))


@cache
def _environment() -> jinja2.Environment:
    """Names and labels come from anybody's table: on the page they are text, whatever is in them."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("churn", "pages"),
        autoescape=jinja2.select_autoescape(["html.j2"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "share": _form(".0%"),
        "percent": _form(".1%"),
        "euros": _form(",.0f"),
        "signed": _form("+,.0f"),
        "score": _form(".3f"),
        "exact": _exact,
        "count": _form(",.0f"),
        "ticks": _ticks,
        "line": _line,
        "brief": _brief,
        "inert": _inert,
        "narrow": findings.short,
        "zip": zip,
    }
    return environment


def _form(spec: str) -> Callable[[Any], str]:
    """Writes a figure; one that is not defined as a dash."""

    def written(value: Any) -> str:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return "–"
        text = format(value, spec)
        return text.lstrip("-") if not text.strip("-0.%") else text.replace("-", "−")

    return written


DECIMALS = 6
"""As the files have them."""


def _exact(value: float) -> str:
    """All that the files say of it."""
    text = _form(f",.{DECIMALS}f")(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


UNITS = {"share": (100, "%"), "euros": (1, ""), "number": (1, "")}
"""How a tick of an axis is written: times what, and in which unit."""


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    """Place and text of each tick, with as many decimals as tell them apart."""
    times, unit = UNITS[axis.form]
    values = [times * tick for tick in axis.ticks]
    exact = (
        places for places in range(DECIMALS) if all(math.isclose(v, round(v, places), abs_tol=1e-9) for v in values)
    )
    written = _form(f",.{next(exact, DECIMALS)}f")
    return [(tick, f"{written(value)}{unit}") for tick, value in zip(axis.ticks, values, strict=True)]


def _line(text: object) -> str:
    """A user's text on one line."""
    return " ".join(str(text).split())


def _brief(text: object) -> str:
    """The same, where there is little room."""
    line = _line(text)
    return line if len(line) <= LONGEST_TEXT else f"{line[: LONGEST_TEXT - 1]}…"


def _inert(text: object) -> str:
    """A user's text in Markdown, where it must be neither markup nor a cell's end."""
    plain = _line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{sign}" if sign in r"\`*_{}[]()#+!|~" else sign for sign in plain)


def _shared(results: Results) -> dict[str, Any]:
    """What both the page and the card tell."""
    return {
        "results": results,
        "decision": results.decision,
        "sentences": tuple(_sentences(results)),
        "assumption": _assumption(results.economics),
        "headline": tuple(_headline(results)),
        "slices": tuple(_slices(results.slices)),
        "slice_figures": SLICE_FIGURES,
        "slices_left_out": max(results.slices["column"].nunique() - SLICES_SHOWN, 0),
        "importance": results.importance.head(COLUMNS_SHOWN).to_dict("records"),
        "columns_left_out": max(len(results.importance) - COLUMNS_SHOWN, 0),
        "findings": _findings(results),
        "gaps": _most(results.data["missing"]),
        "unknown": _most(results.data["unknown_labels_test"]),
        "dropped": _most(results.data["rows_dropped"]),
        "dropped_on_error": _most(results.data["rows_dropped_on_error"]),
        "taken_for_gaps": _most(results.data["taken_for_gaps"]),
        "audit_findings": results.audit["findings"][:ENTRIES_SHOWN],
        "entries_shown": ENTRIES_SHOWN,
        "audit_left_out": max(len(results.audit["findings"]) - ENTRIES_SHOWN, 0),
    }


def _sentences(results: Results) -> Iterator[str]:
    """The decision and its worth, in words."""
    decision, money = results.decision, results.money
    euros, signed = _form(",.0f"), _form("+,.0f")
    if decision.contacted == 0 and decision.threshold >= NOBODY:
        yield "Contact nobody: at these costs no contact paid on the training customers."
        return
    everybody = decision.contacted == decision.customers
    threshold = f"{_exact(decision.threshold)} or more"
    if everybody:
        yield f"Contact everybody: all have a probability of churn of {threshold}."
    elif decision.contacted:
        share = _share_between(decision.contacted, decision.customers)
        yield f"Contact the {share} of customers whose probability of churn is {threshold}."
    else:
        yield f"Contact no customer here: none has a probability of churn of {threshold}."
    low, high = money["profit_per_1000_eur_low"], money["profit_per_1000_eur_high"]
    yield (
        f"That is worth {euros(money['profit_per_1000_eur'])} EUR per 1,000 customers "
        f"({findings.BAND} {euros(low)} to {euros(high)}) against contacting nobody{_doubt(low, high)}"
    )
    if everybody:
        return
    name = "profit_over_everybody_per_1000_eur"
    low, high = money[f"{name}_low"], money[f"{name}_high"]
    yield (
        f"Against contacting everybody it is {signed(money[name])} EUR per 1,000 "
        f"({findings.BAND} {signed(low)} to {signed(high)}){_doubt(low, high)}"
    )


def _share_between(some: int, all_of: int) -> str:
    """A share of some but not all, which rounding must make neither."""
    share = some / all_of
    enough = (places for places in range(DECIMALS) if 0 < round(100 * share, places) < 100)
    return f"{share:.{next(enough, DECIMALS)}%}"


def _assumption(economics: Economics) -> str:
    """What every amount rests on, and nobody has measured (see `business`)."""
    contact, offer, value = map(
        _exact, (economics.contact_cost_eur, economics.offer_cost_eur, economics.customer_value_eur)
    )
    return (
        f"Amounts assume, and do not measure, how the campaign goes: a contact costs {contact} EUR; "
        f"{_form('.0%')(economics.acceptance_rate)} of the contacted churners take the offer and stay, each worth "
        f"{value} EUR; every contacted customer who would have stayed takes the offer, too; an offer taken costs "
        f"{offer} EUR."
    )


def _doubt(low: float, high: float) -> str:
    """The end of a sentence on a gain."""
    if low <= 0 <= high and (low, high) != (0, 0):
        return "; the two cannot be told apart by these customers."
    return "."


@dataclass(frozen=True)
class Headline:
    """One figure of the test rows beside the one that was promised out of fold."""

    title: str
    meaning: str
    form: Callable[[Any], str]
    test: Interval
    by_chance: float
    """The same, were as many customers contacted by lot, and all given the churn rate as their probability."""
    promised: float | None
    spread: float | None
    """Standard deviation over folds."""


HEADLINES = (
    ("ROC-AUC", "pairs of a churner and a stayer ranked right", "roc_auc", "cv_roc_auc", _form(".3f")),
    ("PR-AUC", "average precision", "pr_auc", "cv_pr_auc", _form(".3f")),
    ("Precision", "of the contacted, those who left", "precision", "train_precision", _form(".1%")),
    ("Recall", "of those who left, the contacted", "recall", "train_recall", _form(".1%")),
    ("F1", "precision and recall in one", "f1", "train_f1", _form(".3f")),
    ("Accuracy", "decisions that came true", "accuracy", "train_accuracy", _form(".1%")),
    ("Log loss", "lower is better", "log_loss", "cv_log_loss", _form(".3f")),
    ("Brier score", "lower is better", "brier", "cv_brier", _form(".3f")),
)
"""Title, meaning, name among the test figures, name out of fold, form."""


def _headline(results: Results) -> Iterator[Headline]:
    money, lot = "profit_per_1000_eur", by_lot(results)
    promised = results.training.get(f"train_{money}")
    earned = interval(results.money, money)
    yield Headline("Profit", "EUR per 1,000 customers", _form(",.0f"), earned, lot[money], promised, None)
    for title, meaning, name, out_of_fold, form in HEADLINES:
        test = interval(results.test, f"test_{name}")
        if name == "precision" and not results.decision.contacted:
            test = Interval(math.nan, math.nan, math.nan)
        spread = results.training.get(f"{out_of_fold}_sd")
        yield Headline(title, meaning, form, test, lot[name], results.training.get(out_of_fold), spread)


def by_lot(results: Results) -> dict[str, float]:
    """What to expect of each headline figure when customers are drawn by lot and nothing is known of them."""
    decision = results.decision
    rate, share = decision.churners / decision.customers, decision.contacted / decision.customers
    sides = [part for part in (rate, 1 - rate) if part]
    return {
        "profit_per_1000_eur": share * results.money["profit_contact_everybody_per_1000_eur"],
        "roc_auc": 0.5 if len(sides) == 2 else math.nan,
        "pr_auc": rate or math.nan,
        "precision": rate if share else math.nan,
        "recall": share if rate else math.nan,
        "f1": _part(2 * rate * share, rate + share),
        "accuracy": rate * share + (1 - rate) * (1 - share),
        "log_loss": -sum(part * math.log(part) for part in sides),
        "brier": rate * (1 - rate),
    }


def calibration_error(test: Mapping[str, Any]) -> Interval:
    """With the bounds between which chance alone would bring it."""
    return Interval(test["test_ece"], test["test_ece_by_chance_low"], test["test_ece_by_chance_high"])


def interval(figures: Mapping[str, Any], name: str) -> Interval:
    """A figure with its bounds, NaN where it is not defined."""
    value, low, high = (figures.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    return Interval(*(math.nan if figure is None else float(figure) for figure in (value, low, high)))


@dataclass(frozen=True)
class SliceRow:
    """The customers with one value of a column."""

    value: str
    customers: int
    figures: Mapping[str, Interval]


@dataclass(frozen=True)
class SliceTable:
    """The values of one column, the most frequent ones."""

    column: str
    rows: tuple[SliceRow, ...]
    left_out: int


SLICE_FIGURES = {
    "churn_rate": ("Churned", _form(".0%")),
    "precision": ("Precision", _form(".0%")),
    "recall": ("Recall", _form(".0%")),
    "roc_auc": ("ROC-AUC", _form(".3f")),
    "profit_per_1000_eur": ("EUR per 1,000", _form(",.0f")),
}
"""Figures told of each slice: heading and form, by name."""


def _slices(table: pd.DataFrame) -> Iterator[SliceTable]:
    """A figure without an interval is not told: there are too few customers to say anything."""
    for column in table["column"].unique()[:SLICES_SHOWN]:
        of_column = table[table["column"] == column]
        kept = of_column.nlargest(VALUES_SHOWN, "customers", keep="first").sort_index()
        rows = tuple(_slice_row(row) for row in kept.to_dict("records"))
        yield SliceTable(str(column), rows, len(of_column) - len(kept))


def _slice_row(row: Mapping[Any, Any]) -> SliceRow:
    figures = {name: interval(row, name) for name in SLICE_FIGURES}
    known = {name: one for name, one in figures.items() if math.isfinite(one.low)}
    return SliceRow(row["value"], int(row["customers"]), known)


def _findings(results: Results) -> dict[str, Finding]:
    """The sentence over each picture, as the PNGs have them."""
    decision, test, money = results.decision, results.test, results.money
    groups = results.curves["calibration"]
    found = {
        "decisions": findings.of_decisions(
            decision.churners_contacted / max(decision.churners, 1),
            decision.stayers_contacted / max(decision.stayers, 1),
        ),
        "roc": findings.of_roc(interval(test, "test_roc_auc")),
        "precision_recall": findings.of_precision_recall(
            _precision(decision), decision.churners / decision.customers, interval(test, "test_pr_auc")
        ),
        "calibration": findings.of_calibration(calibration_error(test), len(groups), groups["customers"].median()),
        "profit": findings.of_profit(
            money["contacted_share"],
            interval(money, "profit_per_1000_eur"),
            interval(money, "profit_over_everybody_per_1000_eur"),
        ),
        "gain": findings.of_gain(_part(decision.churners_contacted, decision.churners), money["contacted_share"]),
    }
    if len(results.importance):
        first = results.importance.iloc[0]
        found["importance"] = findings.of_importance(
            str(first["feature"]), first["roc_auc_drop"], first["roc_auc_drop_sd"]
        )
    return found


def _precision(decision: Decision) -> float:
    return _part(decision.churners_contacted, decision.contacted)


def _part(some: float, all_of: float) -> float:
    return some / all_of if all_of else math.nan


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Columns by their count, the highest first, those with none left out."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda one: (-one[1], one[0]))


@dataclass(frozen=True)
class Chart:
    """One curve, drawn, and its points for whoever reads it off."""

    name: str
    title: str
    finding: Finding
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
        """The point nearest to the decision, where reading begins."""
        if self.decision is None:
            return 0
        xs, decided = self.points["x"], self.decision[0]
        return min(range(len(xs)), key=lambda place: abs((xs[place] or 0.0) - decided))


def _drawn(results: Results) -> dict[str, Any]:
    """What only the page has."""
    charts = {chart.name: chart for chart in _charts(results)}
    return {
        "charts": charts,
        "dependence": [(one, _dependence_plane(one)) for one in results.dependence],
        "drops": _drop_plane(results.importance.head(COLUMNS_SHOWN)),
        "script_data": _script_data(results, charts),
    }


def _drop_plane(table: pd.DataFrame) -> Plane:
    """Holds every bar of importance, its line, and zero."""
    ends = [
        0.0,
        *(table["roc_auc_drop"] - table["roc_auc_drop_sd"]),
        *(table["roc_auc_drop"] + table["roc_auc_drop_sd"]),
    ]
    low, high = reach(ends)
    return Plane(Axis("", low, high, "number"), Axis("", 0, 1, "number"), 200, 14, left=0, right=0, top=0, bottom=0)


def _charts(results: Results) -> Iterator[Chart]:
    decision, curves, found = results.decision, results.curves, _findings(results)
    everyone = decision.customers
    recall = _part(decision.churners_contacted, decision.churners)
    bothered = _part(decision.stayers_contacted, decision.stayers)
    share = decision.contacted / everyone
    rate = decision.churners / everyone
    earned = results.money["profit_per_1000_eur"]
    everybody = results.money["profit_contact_everybody_per_1000_eur"]
    profit = curves["profit"]
    across = _share_axis("customers contacted, likeliest churners first")
    earnings = [profit[f"profit_per_1000_eur{end}"] for end in ("", "_low", "_high")]
    low, high = reach([0.0, everybody, *(value for column in earnings for value in column)])
    yield _curve(
        "profit", "Profit", found, profit, ("contacted_share", "profit_per_1000_eur"),
        Plane(across, Axis("EUR per 1,000 customers", low, high, "euros")),
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
        Plane(_share_axis("churners contacted (recall)"), _share_axis("contacted who churned (precision)")),
        chance=[(0, rate), (1, rate)], chance_label="by chance", decision=(recall, _precision(decision)),
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
    """Of an axis that shows where few churn, too: not more than is needed, if that is much less than all."""
    highest = float(np.nanmax([0.0, *groups["predicted"], *groups["observed"], *groups["observed_high"]]))
    return 1.05 * highest if 0 < highest < 0.5 else 1.0


def _gain(results: Results) -> pd.DataFrame:
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
    found: Mapping[str, Finding],
    table: pd.DataFrame,
    columns: tuple[str, str],
    plane: Plane,
    *,
    chance: Sequence[tuple[float, float]],
    chance_label: str,
    decision: tuple[float, float] | None,
    has_bars: bool = False,
) -> Chart:
    x, y = columns
    known = table.dropna(subset=[x, y])
    known = known.iloc[thinned(len(known), CURVE_POINTS)]
    with_bounds = {f"{y}_low", f"{y}_high"} <= set(known) and known[[f"{y}_low", f"{y}_high"]].notna().all(axis=None)
    columns_told = {"x": x, "y": y} | ({"low": f"{y}_low", "high": f"{y}_high"} if with_bounds else {})
    xs = list(known[x])
    return Chart(
        name=name,
        title=title,
        finding=found[name],
        plane=plane,
        line="" if has_bars or not xs else plane.path(zip(xs, known[y], strict=True)),
        band=plane.band(xs, list(known[f"{y}_low"]), list(known[f"{y}_high"]))
        if with_bounds and xs and not has_bars
        else "",
        chance=plane.path(chance),
        chance_label=chance_label,
        decision=decision if decision and all(map(math.isfinite, decision)) else None,
        points={key: [_plain(value) for value in known[column]] for key, column in columns_told.items()},
        has_bars=has_bars,
    )


def _plain(value: float) -> float | None:
    """As JSON has it: six places, and None where a figure is not defined."""
    return round(float(value), 6) + 0.0 if math.isfinite(value) else None


ROW_HEIGHT = 40
"""Of a label and, below it, its bar."""


def _dependence_plane(one: Dependence) -> Plane:
    """Quantities run across; labels stand one below the other."""
    low, high = reach([*one.lower, *one.upper])
    probability = Axis("probability of churn", max(low, 0.0), min(high, 1.0), "share")
    if one.is_quantity:
        first, last = float(one.values[0]), float(one.values[-1])
        return Plane(Axis("", first, last, "number"), probability, width=300, height=190, left=44, bottom=26)
    rows = Axis("", -0.5, len(one.values) - 0.5, "number")
    height = 12 + 26 + ROW_HEIGHT * len(one.values)
    return Plane(probability, rows, width=300, height=height, left=14, bottom=26)


def _script_data(results: Results, charts: Mapping[str, Chart]) -> dict[str, Any]:
    """What the page's script computes from."""
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
        "costs": {
            "value": costs.customer_value_eur,
            "offer": costs.offer_cost_eur,
            "contact": costs.contact_cost_eur,
            "acceptance": costs.acceptance_rate,
        },
    }


def _as_data(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "low": axis.low, "high": axis.high, "form": axis.form}
