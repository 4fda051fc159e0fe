"""Figures say what their points and counts say, and are drawn the same every time."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from churn import artifacts, plots
from churn.evaluation import Interval

CHURNED = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
CONTACTED = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], dtype=bool)
AREA = Interval(0.8125, 0.75, 0.875)
ROC = pd.DataFrame({"false_positive_rate": [0, 0.25, 1], "true_positive_rate": [0, 0.8, 1]})
PRECISION_RECALL = pd.DataFrame({"recall": [1, 0.5, 0], "precision": [0.4, 0.9, 1]})

FIGURES: dict[str, Callable[[], Figure]] = {
    "confusion matrix": lambda: plots.confusion_matrix(CHURNED, CONTACTED, 0.25),
    "roc": lambda: plots.roc_curve(ROC, AREA, CHURNED, CONTACTED),
    "precision-recall": lambda: plots.precision_recall_curve(PRECISION_RECALL, AREA, CHURNED, CONTACTED),
}
every_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


def lines(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """Points of each line by its name in the legend."""
    (axes,) = figure.axes
    return {str(line.get_label()): [(x, y) for x, y in np.asarray(line.get_xydata())] for line in axes.lines}


def test_the_confusion_matrix_has_counts_and_shares_by_what_happened() -> None:
    figure = plots.confusion_matrix(CHURNED, CONTACTED, 0.25)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["1\n25%", "3\n75%", "4\n67%", "2\n33%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["churned", "stayed"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left alone", "contacted"]
    assert axes.get_xlabel() == "decision at threshold 0.250"
    assert axes.get_title(loc="left") == "Contacted: 75% of churners, 33% of stayers"


def test_the_confusion_matrix_can_be_drawn_when_nobody_churned() -> None:
    figure = plots.confusion_matrix(np.array([0, 0]), np.array([True, False]), 0.25)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0\n0%", "0\n0%", "1\n50%", "1\n50%"]


def test_the_roc_curve_shows_its_points_and_where_the_decision_stands() -> None:
    figure = plots.roc_curve(ROC, AREA, CHURNED, CONTACTED)
    drawn = lines(figure)
    assert drawn["model"] == [(0, 0), (0.25, 0.8), (1, 1)]
    assert drawn["by chance"] == [(0, 0), (1, 1)]
    assert drawn["the decision"] == [(2 / 6, 3 / 4)]
    assert figure.axes[0].get_title(loc="left") == "ROC-AUC 0.812  (95 % interval 0.750 to 0.875)"


def test_the_precision_recall_curve_shows_its_points_and_where_the_decision_stands() -> None:
    figure = plots.precision_recall_curve(PRECISION_RECALL, AREA, CHURNED, CONTACTED)
    drawn = lines(figure)
    assert drawn["model"] == [(1, 0.4), (0.5, 0.9), (0, 1)]
    assert {y for _, y in drawn["by chance (40% churn)"]} == {0.4}
    assert drawn["the decision"] == [(3 / 4, 3 / 5)]
    assert figure.axes[0].get_title(loc="left") == "PR-AUC 0.812  (95 % interval 0.750 to 0.875)"


@pytest.mark.parametrize("name", ["roc", "precision-recall"])
def test_a_curve_names_its_axes_and_all_its_lines(name: str) -> None:
    figure = FIGURES[name]()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(lines(figure))
    assert axes.get_xlabel()
    assert axes.get_ylabel()


@every_figure
def test_drawing_twice_gives_equal_bytes(draw: Callable[[], Figure], tmp_path: Path) -> None:
    for name in ("once.png", "twice.png"):
        artifacts.write_figure(tmp_path / name, draw())
    assert (tmp_path / "once.png").read_bytes() == (tmp_path / "twice.png").read_bytes()


@every_figure
def test_the_users_own_settings_of_matplotlib_change_no_byte(draw: Callable[[], Figure], tmp_path: Path) -> None:
    artifacts.write_figure(tmp_path / "plain.png", draw())
    with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "pink", "text.color": "red", "font.size": 20}):
        figure = draw()
    artifacts.write_figure(tmp_path / "own.png", figure)
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


@every_figure
def test_drawing_leaves_pyplot_and_its_settings_alone(draw: Callable[[], Figure]) -> None:
    settings = dict(mpl.rcParams)
    draw()
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == settings
