"""Matplotlib figures from curve points and counts, in a color-blind safe palette."""

import functools
import re
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from churn.config.economics import Economics
from churn.metrics.intervals import Interval
from churn.metrics.scores import decision_scores
from churn.report import captions
from churn.report.captions import BAND, Caption, short
from churn.types import Labels

UNNAMED = "…"

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6b6b6b"  # Okabe and Ito (2008)

LONGEST_CHART = 20
HALF_BLUE = 0.4805
"""Share above which a cell is so dark (color map Blues) that its text is white."""

STYLE: dict[Any, Any] = {
    **mpl.rcParamsDefault,  # ignore the user's matplotlibrc
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.figsize": (5.6, 4.6),
    "font.family": "DejaVu Sans",  # bundled with matplotlib, so equal on all machines
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.edgecolor": "none",
    "legend.framealpha": 1,
}


@mpl.rc_context(STYLE)
def confusion_matrix(churned: Labels, contacted: NDArray[np.bool_], threshold: float) -> Figure:
    """Confusion matrix as counts and shares of each row."""
    counts = np.array(
        [[np.sum((churned == actual) & (contacted == decided)) for decided in (0, 1)] for actual in (1, 0)]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    texts = [
        [f"{count:,}\n{share:.0%}" for count, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    figure, axes = _axes(captions.of_decisions(shares[0, 1], shares[1, 1]))
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, linewidth=2, edgecolor="white")
    for row, column in np.ndindex(shares.shape):
        colour = "w" if shares[row, column] > HALF_BLUE else ".15"
        axes.text(column + 0.5, row + 0.5, texts[row][column], size=13, color=colour, ha="center", va="center")
    axes.grid(visible=False)
    axes.set(xlim=(0, 2), ylim=(2, 0))
    axes.set_xticks([0.5, 1.5], ["not contacted", "contacted"])
    axes.set_yticks([0.5, 1.5], ["churned", "stayed"], va="center")
    axes.spines[:].set_visible(False)
    axes.set(xlabel=f"decision at threshold {threshold:.3f}", ylabel="outcome")
    return figure


@mpl.rc_context(STYLE)
def roc_curve(curve: pd.DataFrame, area: Interval, churned: Labels, contacted: NDArray[np.bool_]) -> Figure:
    """ROC curve with the decision."""
    figure, axes = _axes(captions.of_roc(area))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="by chance")
    _draw_with_band(axes, curve, "false_positive_rate", "true_positive_rate", "model")
    found = decision_scores(churned, contacted)["recall"]
    bothered = float(contacted[churned == 0].mean())
    _mark_decision(axes, bothered, found)
    axes.set(xlabel="stayers contacted (false positive rate)", ylabel="churners contacted (true positive rate)")
    return _in_unit_square(figure, axes, "lower right")


@mpl.rc_context(STYLE)
def precision_recall_curve(
    curve: pd.DataFrame, area: Interval, churned: Labels, contacted: NDArray[np.bool_]
) -> Figure:
    """Precision-recall curve with the decision, as steps: the area below them is the average precision.

    `curve` has falling recall. A straight line between two points would show precisions that no threshold reaches.
    """
    rate = float(churned.mean())
    decision = decision_scores(churned, contacted)
    precision = decision["precision"] if contacted.any() else float("nan")
    figure, axes = _axes(captions.of_precision_recall(precision, rate, area))
    axes.axhline(rate, color=GREY, linestyle="--", label="by chance")
    _draw_with_band(axes, curve, "recall", "precision", "model", step="post")
    if contacted.any():
        _mark_decision(axes, decision["recall"], precision)
    axes.set(xlabel="churners contacted (recall)", ylabel="churners among the contacted (precision)")
    return _in_unit_square(figure, axes, "upper right")


@mpl.rc_context(STYLE)
def calibration_curve(groups: pd.DataFrame, error: Interval) -> Figure:
    """Observed churn rate against mean predicted probability, in groups of equal size."""
    figure, axes = _axes(captions.of_calibration(error, len(groups), groups["customers"].median()))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="as predicted")
    observed = groups["observed"]
    reach = [observed - groups["observed_low"], groups["observed_high"] - observed]
    label = f"model, {BAND}"
    axes.errorbar(groups["predicted"], observed, np.maximum(reach, 0), fmt="o", color=BLUE, capsize=3, label=label)
    axes.set(xlabel="predicted probability of churn", ylabel="share that churned")
    return _in_unit_square(figure, axes, "upper left")


@mpl.rc_context(STYLE)
def profit_curve(
    curve: pd.DataFrame, earned: Interval, over_everybody: Interval, contacted_share: float, economics: Economics
) -> Figure:
    """Profit against the share of customers contacted, most likely churners first."""
    figure, axes = _axes(captions.of_profit(contacted_share, earned, over_everybody, economics.currency))
    everybody = curve["profit_per_1000"].iloc[-1]
    axes.axhline(0, color=GREY, linewidth=1)
    axes.plot([0, 1], [0, everybody], color=GREY, linestyle="--", label="chosen by chance")
    _draw_with_band(axes, curve, "contacted_share", "profit_per_1000", "model")
    _mark_decision(axes, contacted_share, earned.value)
    axes.set(xlabel="customers contacted", xlim=(-0.01, 1.01))
    axes.set_ylabel(economics.per_1000, parse_math=False)  # a currency may be US$
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(loc="lower right")
    return figure


@mpl.rc_context(STYLE)
def feature_importance(table: pd.DataFrame) -> Figure:
    """Permutation importance with standard deviations, of the LONGEST_CHART most important columns."""
    shown = table.head(LONGEST_CHART)[::-1]
    rest = len(table) - len(shown)
    first = table.iloc[0]
    figure, axes = _axes(captions.of_importance(first["feature"], first["roc_auc_drop"], first["roc_auc_drop_sd"]))
    ranks = range(len(shown), 0, -1)
    names = [
        _drawable(short(name), f"no. {rank} of the table") for name, rank in zip(shown["feature"], ranks, strict=True)
    ]
    places = np.arange(len(shown))
    axes.barh(places, shown["roc_auc_drop"], xerr=shown["roc_auc_drop_sd"], color=BLUE, ecolor="black", capsize=2)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(places, names, fontsize=8, parse_math=False)
    axes.grid(visible=False, axis="y")
    unseen = f" ({rest} more not shown)" if rest else ""
    axes.set(xlabel=f"drop in ROC-AUC when the column is shuffled{unseen}")
    return figure


def _drawable(text: str, instead: str) -> str:
    """The text, in which signs that the font lacks, such as those of Chinese, are replaced as a whole.

    Fonts of the machine would give other pictures on other machines. The report page shows every name.
    """
    lacking = {sign for sign in text if not sign.isspace() and ord(sign) not in _signs_of_font()}
    if not lacking:
        return text
    run = f"[{re.escape(''.join(sorted(lacking)))}]"
    return re.sub(f"{run}(?:.*{run})?", instead, text)


@functools.cache
def _signs_of_font() -> frozenset[int]:
    return frozenset(get_font(fontManager.findfont(STYLE["font.family"])).get_charmap())


def _draw_with_band(
    axes: Axes, curve: pd.DataFrame, x: str, y: str, label: str, *, step: Literal["post"] | None = None
) -> None:
    band = curve[f"{y}_low"], curve[f"{y}_high"]
    axes.fill_between(curve[x], *band, color=BLUE, alpha=0.2, linewidth=0, label=BAND, step=step)
    axes.plot(curve[x], curve[y], color=BLUE, linewidth=2, label=label, drawstyle=f"steps-{step}" if step else None)


def _mark_decision(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, "o", color=ORANGE, markersize=9, markeredgecolor="white", label="the decision")


def _axes(finding: Caption) -> tuple[Figure, Axes]:
    """Axes with a caption; captions contain column names, so math text is disabled."""
    finding = Caption(_drawable(finding.title, UNNAMED), _drawable(finding.detail, UNNAMED))
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_title(finding.title, pad=24 if finding.detail else 6, parse_math=False)
    axes.annotate(
        finding.detail, (0, 1), (0, 9), "axes fraction", "offset points", color=GREY, fontsize=9, parse_math=False
    )
    return figure, axes


def _in_unit_square(figure: Figure, axes: Axes, legend: Literal["lower right", "upper right", "upper left"]) -> Figure:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.legend(loc=legend)
    return figure
