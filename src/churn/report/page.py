"""Render the report page and the model card from the same values."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import pandas as pd

from churn.config.economics import Economics
from churn.metrics.intervals import Interval
from churn.metrics.profit import NOBODY
from churn.report import captions
from churn.report.charts import drawings
from churn.report.content import (
    COLUMNS_SHOWN,
    ENTRIES_SHOWN,
    SLICES_SHOWN,
    VALUES_SHOWN,
    ReportContent,
    captions_of,
    interval,
    part_of,
)
from churn.report.formats import brief, exact_figure, form_of, inert_markdown, on_one_line, printable, ticks_of
from churn.types import DECIMALS

PAGE, CARD = "report.html.j2", "model_card.md.j2"


def render_page(results: ReportContent) -> str:
    """Render the report as one self-contained HTML document."""
    return _environment().get_template(PAGE).render(**_shared_values(results), **drawings(results))


def render_card(results: ReportContent) -> str:
    """Render the model card as Markdown."""
    return _environment().get_template(CARD).render(**_shared_values(results))


@cache
def _environment() -> jinja2.Environment:
    """Jinja environment; HTML is escaped because column names and labels are untrusted."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("churn.report", "templates"),
        autoescape=jinja2.select_autoescape(["html.j2"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=printable,
    )
    environment.filters |= {
        "share": form_of(".0%"),
        "percent": form_of(".1%"),
        "money": form_of(",.0f"),
        "signed": form_of("+,.0f"),
        "score": form_of(".3f"),
        "exact": exact_figure,
        "count": form_of(",.0f"),
        "factor": form_of(".2f"),
        "ticks": ticks_of,
        "line": on_one_line,
        "brief": brief,
        "inert": inert_markdown,
        "narrow": captions.short,
        "zip": zip,
    }
    return environment


def _shared_values(results: ReportContent) -> dict[str, Any]:
    """Template values of both the page and the card."""
    return {
        "results": results,
        "decision": results.decision,
        "sentences": tuple(_sentences(results)),
        "assumption": _assumption(results.economics),
        "break_even": _break_even(results),
        "headline": tuple(_headline(results)),
        "slices": tuple(_slices(results.slices)),
        "slice_figures": SLICE_FIGURES,
        "slices_left_out": max(results.slices["column"].nunique() - SLICES_SHOWN, 0),
        "importance": results.importance.head(COLUMNS_SHOWN).to_dict("records"),
        "columns_left_out": max(len(results.importance) - COLUMNS_SHOWN, 0),
        "findings": captions_of(results),
        "gaps": _most(results.data["missing"]),
        "unknown": _most(results.data["unknown_labels_test"]),
        "dropped": _most(results.data["rows_dropped"]),
        "dropped_on_error": _most(results.data["rows_dropped_on_error"]),
        "taken_for_gaps": _most(results.data["taken_for_gaps"]),
        "audit_findings": results.audit["findings"][:ENTRIES_SHOWN],
        "entries_shown": ENTRIES_SHOWN,
        "audit_left_out": max(len(results.audit["findings"]) - ENTRIES_SHOWN, 0),
    }


def _sentences(results: ReportContent) -> Iterator[str]:
    """Sentences on the decision and its profit."""
    decision, money = results.decision, results.money
    amount, signed, currency = form_of(",.0f"), form_of("+,.0f"), results.economics.currency
    if decision.contacted == 0 and decision.threshold >= NOBODY:
        yield "Contact no one: at these costs, no contact was profitable on the training customers."
        return
    everybody = decision.contacted == decision.customers
    threshold = f"{exact_figure(decision.threshold)} or more"
    if everybody:
        yield f"Contact everyone: all customers have a probability of churn of {threshold}."
    elif decision.contacted:
        share = _share_between(decision.contacted, decision.customers)
        yield f"Contact the {share} of customers whose probability of churn is {threshold}."
    else:
        yield f"Contact no test customer: none has a probability of churn of {threshold}."
    low, high = money["profit_per_1000_low"], money["profit_per_1000_high"]
    yield (
        f"The profit is {amount(money['profit_per_1000'])} {results.economics.per_1000} "
        f"({captions.BAND} {amount(low)} to {amount(high)}) compared with contacting no one{_doubt(low, high)}"
    )
    if everybody:
        return
    name = "profit_over_everybody_per_1000"
    low, high = money[f"{name}_low"], money[f"{name}_high"]
    yield (
        f"Compared with contacting everyone, it is {signed(money[name])} {currency} per 1,000 "
        f"({captions.BAND} {signed(low)} to {signed(high)}){_doubt(low, high)}"
    )


def _break_even(results: ReportContent) -> str:
    """What a decision by the expected profit alone would change; empty if it would change hardly anything."""
    decision, economics = results.decision, results.economics
    at_least = results.contacted[results.contacted["threshold"] >= min(economics.break_even, NOBODY)]
    churners, stayers = (int(count) for count in at_least.iloc[-1][["churners", "stayers"]])
    more = churners + stayers - decision.contacted
    if abs(more) < NOTEWORTHY * decision.customers:
        return ""
    gained = (churners - decision.churners_contacted) * economics.gain_from_churner
    gained += (stayers - decision.stayers_contacted) * economics.gain_from_stayer
    per_1000, signed = 1000 * gained / decision.customers, form_of("+,.0f")
    return (
        f"By expected profit alone, about {abs(more):,} {'more' if more > 0 else 'fewer'} test customers would be "
        f"contacted (from a probability of {economics.break_even:.3f} on); it would have changed the profit by "
        f"{signed(per_1000)} {economics.per_1000}. The threshold is the one that earned most out of fold; the two "
        "differ as far as probabilities are not calibrated, and by chance."
    )


def _share_between(some: int, all_of: int) -> str:
    """Format a share with as many decimals as needed to be neither 0% nor 100%."""
    share = some / all_of
    enough = (places for places in range(DECIMALS) if 0 < round(100 * share, places) < 100)
    return f"{share:.{next(enough, DECIMALS)}%}"


def _assumption(economics: Economics) -> str:
    """The assumptions behind all amounts (see `metrics/profit`)."""
    costs = (economics.contact_cost, economics.offer_cost, economics.customer_value)
    contact, offer, value = (f"{exact_figure(one)} {economics.currency}" for one in costs)
    return (
        f"Amounts are based on assumptions, not on measurements: a contact costs {contact}; "
        f"{form_of('.0%')(economics.acceptance_rate)} of the contacted churners accept the offer and stay, each worth "
        f"{value}; all contacted stayers accept the offer, too; an accepted offer costs {offer}."
    )


def _doubt(low: float, high: float) -> str:
    """End of a sentence on a difference in profit."""
    if low <= 0 <= high and (low, high) != (0, 0):
        return "; the difference is not significant."
    return "."


@dataclass(frozen=True)
class Headline:
    """One metric on the test rows, with the out-of-fold estimate and a random baseline."""

    title: str
    meaning: str
    form: Callable[[Any], str]
    test: Interval
    by_chance: float
    """Random baseline: as many customers contacted, chosen at random; the churn rate as each customer's probability."""
    promised: float | None
    spread: float | None
    """Standard deviation over folds."""


NOTEWORTHY = 0.01
"""Share of the test customers from which on the difference of two decisions is told."""
HEADLINES = (
    ("ROC-AUC", "correctly ranked pairs of a churner and a stayer", "roc_auc", "cv_roc_auc", form_of(".3f")),
    ("PR-AUC", "average precision", "pr_auc", "cv_pr_auc", form_of(".3f")),
    ("Precision", "share of the contacted who churned", "precision", "train_precision", form_of(".1%")),
    ("Recall", "share of churners who are contacted", "recall", "train_recall", form_of(".1%")),
    ("F1", "harmonic mean of precision and recall", "f1", "train_f1", form_of(".3f")),
    ("Accuracy", "share of correct decisions", "accuracy", "train_accuracy", form_of(".1%")),
    ("Log loss", "lower is better", "log_loss", "cv_log_loss", form_of(".3f")),
    ("Brier score", "lower is better", "brier", "cv_brier", form_of(".3f")),
)
"""Title, meaning, name of the test metric, name of the out-of-fold metric, format."""


def _headline(results: ReportContent) -> Iterator[Headline]:
    money, lot = "profit_per_1000", by_lot(results)
    promised = results.training.get(f"train_{money}")
    earned = interval(results.money, money)
    yield Headline("Profit", results.economics.per_1000, form_of(",.0f"), earned, lot[money], promised, None)
    for title, meaning, name, out_of_fold, form in HEADLINES:
        test = interval(results.test, f"test_{name}")
        if name == "precision" and not results.decision.contacted:
            test = Interval(math.nan, math.nan, math.nan)
        spread = results.training.get(f"{out_of_fold}_sd")
        yield Headline(title, meaning, form, test, lot[name], results.training.get(out_of_fold), spread)


def by_lot(results: ReportContent) -> dict[str, float]:
    """Expected value of each headline metric for a random choice of as many customers."""
    decision = results.decision
    rate, share = decision.churners / decision.customers, decision.contacted / decision.customers
    sides = [part for part in (rate, 1 - rate) if part]
    return {
        "profit_per_1000": share * results.money["profit_contact_everybody_per_1000"],
        "roc_auc": 0.5 if len(sides) == 2 else math.nan,
        "pr_auc": rate or math.nan,
        "precision": rate if share else math.nan,
        "recall": share if rate else math.nan,
        "f1": part_of(2 * rate * share, rate + share),
        "accuracy": rate * share + (1 - rate) * (1 - share),
        "log_loss": -sum(part * math.log(part) for part in sides),
        "brier": rate * (1 - rate),
    }


@dataclass(frozen=True)
class SliceRow:
    """Metrics of the customers with one value of a column."""

    value: str
    customers: int
    figures: Mapping[str, Interval]


@dataclass(frozen=True)
class SliceTable:
    """Slices of one column: its most frequent values."""

    column: str
    rows: tuple[SliceRow, ...]
    left_out: int


SLICE_FIGURES = {
    "churn_rate": ("Churned", form_of(".0%")),
    "precision": ("Precision", form_of(".0%")),
    "recall": ("Recall", form_of(".0%")),
    "roc_auc": ("ROC-AUC", form_of(".3f")),
    "profit_per_1000": ("Profit per 1,000", form_of(",.0f")),
}
"""Metrics shown for each slice: heading and format, by name."""


def _slices(table: pd.DataFrame) -> Iterator[SliceTable]:
    """Tables of slices. Metrics without an interval are omitted, since the slice is too small."""
    for column in table["column"].unique()[:SLICES_SHOWN]:
        of_column = table[table["column"] == column]
        kept = of_column.nlargest(VALUES_SHOWN, "customers", keep="first").sort_index()
        rows = tuple(_slice_row(row) for row in kept.to_dict("records"))
        yield SliceTable(str(column), rows, len(of_column) - len(kept))


def _slice_row(row: Mapping[Any, Any]) -> SliceRow:
    figures = {name: interval(row, name) for name in SLICE_FIGURES}
    known = {name: one for name, one in figures.items() if math.isfinite(one.low)}
    return SliceRow(row["value"], int(row["customers"]), known)


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Columns with a positive count, in decreasing order of the count."""
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda one: (-one[1], one[0]))
