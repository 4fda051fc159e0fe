"""Figures from points and counts. Colours keep apart for the colour-blind."""

from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from churn.business import Labels
from churn.evaluation import Interval
from churn.scores import decision_scores

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6b6b6b"  # of the palette of Okabe and Ito (2008)

STYLE: dict[Any, Any] = {
    **mpl.rcParamsDefault,  # whatever a matplotlibrc of the user says
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "figure.figsize": (5.6, 4.6),
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the same everywhere
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


@mpl.rc_context(STYLE)
def confusion_matrix(churned: Labels, contacted: NDArray[np.bool_], threshold: float) -> Figure:
    """Decisions against what happened, as counts and as shares of each row."""
    counts = np.array(
        [[np.sum((churned == actual) & (contacted == decided)) for decided in (0, 1)] for actual in (1, 0)]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    texts = [
        [f"{count:,}\n{share:.0%}" for count, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    figure, axes = _axes(f"Contacted: {shares[0, 1]:.0%} of churners, {shares[1, 1]:.0%} of stayers")
    annotations = np.array(texts)
    sns.heatmap(shares, annot=annotations, fmt="", cmap="Blues", vmin=0, vmax=1, cbar=False, linewidths=2, ax=axes)
    axes.grid(visible=False)
    axes.set_xticklabels(["left alone", "contacted"])
    axes.set_yticklabels(["churned", "stayed"], rotation=0)
    axes.set(xlabel=f"decision at threshold {threshold:.3f}", ylabel="what happened")
    return figure


@mpl.rc_context(STYLE)
def roc_curve(curve: pd.DataFrame, area: Interval, churned: Labels, contacted: NDArray[np.bool_]) -> Figure:
    """Churners found against stayers bothered."""
    figure, axes = _axes(f"ROC-AUC {_shown(area)}")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="by chance")
    axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=BLUE, linewidth=2, label="model")
    found = decision_scores(churned, contacted)["recall"]
    bothered = float(contacted[churned == 0].mean())
    axes.plot(bothered, found, "o", color=ORANGE, markersize=8, label="the decision")
    axes.set(xlabel="stayers contacted (false positive rate)", ylabel="churners contacted (true positive rate)")
    return _finished(figure, axes, "lower right")


@mpl.rc_context(STYLE)
def precision_recall_curve(
    curve: pd.DataFrame, area: Interval, churned: Labels, contacted: NDArray[np.bool_]
) -> Figure:
    """How many of the contacted would have left, against how many of the leavers are contacted."""
    figure, axes = _axes(f"PR-AUC {_shown(area)}")
    rate = float(churned.mean())
    axes.axhline(rate, color=GREY, linestyle="--", label=f"by chance ({rate:.0%} churn)")
    axes.plot(curve["recall"], curve["precision"], color=BLUE, linewidth=2, label="model")
    decision = decision_scores(churned, contacted)
    axes.plot(decision["recall"], decision["precision"], "o", color=ORANGE, markersize=8, label="the decision")
    axes.set(xlabel="churners contacted (recall)", ylabel="churners among the contacted (precision)")
    return _finished(figure, axes, "upper right")


def _axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _finished(figure: Figure, axes: Axes, legend: Literal["lower right", "upper right"]) -> Figure:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.legend(loc=legend)
    return figure


def _shown(area: Interval) -> str:
    return f"{area.value:.3f}  (95 % interval {area.low:.3f} to {area.high:.3f})"
