"""Figures say what their points and counts say, and are drawn the same every time."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve

from churn import files
from churn.metrics.intervals import Interval
from churn.report import figures
from churn.report.captions import BAND
from tests.helpers.made_up_answers import MONEY

CHURNED = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
CONTACTED = np.array([1, 1, 1, 0, 1, 1, 0, 0, 0, 0], dtype=bool)
AREA = Interval(0.8125, 0.75, 0.875)
SHOWN = "0.812  (95% interval 0.750 to 0.875)"
ROC = pd.DataFrame(
    {
        "false_positive_rate": [0, 0.25, 1],
        "true_positive_rate": [0, 0.8, 1],
        "true_positive_rate_low": [0, 0.7, 1],
        "true_positive_rate_high": [0, 0.9, 1],
    }
)
PRECISION_RECALL = pd.DataFrame(
    {"recall": [1, 0.5, 0], "precision": [0.4, 0.9, 1], "precision_low": [0.3, 0.8, 1], "precision_high": [0.5, 1, 1]}
)
CALIBRATION = pd.DataFrame(
    {
        "predicted": [0.1, 0.6],
        "observed": [0.0, 0.5],
        "customers": [20, 20],
        "observed_low": [0.0, 0.3],
        "observed_high": [0.2, 0.7],
    }
)
PROFIT = pd.DataFrame(
    {
        "contacted_share": [0, 0.5, 1],
        "profit_per_1000": [0, 900.0, 400.0],
        "profit_per_1000_low": [0, 700.0, 100.0],
        "profit_per_1000_high": [0, 1100.0, 700.0],
    }
)
DROPS = [0.3, 0.1, -0.01]
IMPORTANCE = pd.DataFrame({"feature": ["a_$x$", "b", "c"], "roc_auc_drop": DROPS, "roc_auc_drop_sd": [0.1, 0.02, 0.01]})

FIGURES: dict[str, Callable[[], Figure]] = {
    "confusion matrix": lambda: figures.confusion_matrix(CHURNED, CONTACTED, 0.25),
    "roc": lambda: figures.roc_curve(ROC, AREA, CHURNED, CONTACTED),
    "precision-recall": lambda: figures.precision_recall_curve(PRECISION_RECALL, AREA, CHURNED, CONTACTED),
    "calibration": lambda: figures.calibration_curve(CALIBRATION, Interval(0.1, 0.02, 0.08)),
    "profit": lambda: figures.profit_curve(PROFIT, Interval(900, 700, 1100), Interval(500, -20, 800), 0.5, MONEY),
    "importance": lambda: figures.feature_importance(IMPORTANCE),
}
every_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


def lines(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """Points of each line by its name in the legend."""
    (axes,) = figure.axes
    return {str(line.get_label()): [(x, y) for x, y in np.asarray(line.get_xydata())] for line in axes.lines}


def said(figure: Figure) -> tuple[str, str]:
    """The finding above a figure, and the line below it."""
    (axes,) = figure.axes
    return axes.get_title(loc="left"), axes.texts[0].get_text()


def band(figure: Figure) -> set[tuple[float, float]]:
    """Corners of the band of a curve."""
    (path,) = figure.axes[0].collections[0].get_paths()
    return {(float(x), float(y)) for x, y in np.asarray(path.vertices)}


def test_the_confusion_matrix_has_counts_and_shares_by_what_happened() -> None:
    figure = figures.confusion_matrix(CHURNED, CONTACTED, 0.25)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["1\n25%", "3\n75%", "4\n67%", "2\n33%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["churned", "stayed"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["not contacted", "contacted"]
    assert axes.get_xlabel() == "decision at threshold 0.250"
    assert axes.get_title(loc="left") == "Contacted: 75% of churners, 33% of stayers"


def test_the_confusion_matrix_can_be_drawn_when_nobody_churned() -> None:
    figure = figures.confusion_matrix(np.array([0, 0]), np.array([True, False]), 0.25)
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == [
        "0\n0%",
        "0\n0%",
        "1\n50%",
        "1\n50%",
    ]


def test_the_roc_curve_shows_its_points_and_where_the_decision_stands() -> None:
    figure = figures.roc_curve(ROC, AREA, CHURNED, CONTACTED)
    drawn = lines(figure)
    assert drawn["model"] == [(0, 0), (0.25, 0.8), (1, 1)]
    assert drawn["by chance"] == [(0, 0), (1, 1)]
    assert drawn["the decision"] == [(2 / 6, 3 / 4)]
    assert said(figure) == ("In 81% of pairs the churner is ranked first", f"ROC-AUC {SHOWN}; by chance 0.500")
    assert {(0.25, 0.7), (0.25, 0.9)} <= band(figure)


def test_the_precision_recall_curve_shows_its_points_and_where_the_decision_stands() -> None:
    figure = figures.precision_recall_curve(PRECISION_RECALL, AREA, CHURNED, CONTACTED)
    drawn = lines(figure)
    assert drawn["model"] == [(1, 0.4), (0.5, 0.9), (0, 1)]
    assert {y for _, y in drawn["by chance"]} == {0.4}
    assert drawn["the decision"] == [(3 / 4, 3 / 5)]
    assert said(figure) == ("60% of the contacted churned, 40% of all", f"PR-AUC {SHOWN}; by chance 0.400")
    assert {(0.5, 0.8), (0.5, 1.0)} <= band(figure)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=2, max_size=40))
def test_the_area_below_the_drawn_precision_is_the_average_precision_also_of_tied_scores(
    customers: list[tuple[int, int]],
) -> None:
    churned, scores = (np.array(values) for values in zip(*[*customers, (1, 2), (0, 2)], strict=True))
    precision, recall, _ = precision_recall_curve(churned, scores, drop_intermediate=True)
    curve = pd.DataFrame({"recall": recall, "precision": precision, "precision_low": 0.0, "precision_high": 1.0})
    figure = figures.precision_recall_curve(curve, AREA, churned, scores > 1)
    line = figure.axes[0].lines[1]
    assert line.get_drawstyle() == "steps-post"
    area = -np.sum(np.diff(np.asarray(line.get_xdata())) * np.asarray(line.get_ydata())[:-1])
    assert area == pytest.approx(average_precision_score(churned, scores))


def test_the_calibration_curve_shows_each_group_with_its_interval() -> None:
    figure = FIGURES["calibration"]()
    assert said(figure) == (
        "Predictions are off by 10.0 points on average",
        "a perfectly calibrated model: 2.0 to 8.0; 2 groups of about 20 customers",
    )
    (container,) = figure.axes[0].containers
    points, _, (bars,) = container.lines  # type: ignore[attr-defined]
    assert points.get_xydata().tolist() == [[0.1, 0.0], [0.6, 0.5]]
    assert [np.round(segment, 6).tolist() for segment in bars.get_segments()] == [
        [[0.1, 0.0], [0.1, 0.2]],
        [[0.6, 0.3], [0.6, 0.7]],
    ]


def test_the_profit_curve_compares_the_decision_with_chance_and_with_everybody() -> None:
    figure = FIGURES["profit"]()
    finding, subtitle = said(figure)
    assert finding == "Contacting 50% earns 900 EUR per 1,000"
    assert subtitle == "+500 against contacting everyone (95% interval -20 to +800)"
    drawn = lines(figure)
    assert drawn["the decision"] == [(0.5, 900)]
    assert drawn["chosen by chance"] == [(0, 0), (1, 400)]
    assert {(0.5, 700.0), (0.5, 1100.0)} <= band(figure)


def test_the_importance_chart_names_the_columns_as_they_are_most_important_first() -> None:
    figure = FIGURES["importance"]()
    (axes,) = figure.axes
    assert said(figure)[0] == "a_$x$ matters most"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "b", "a_$x$"]
    assert [bar.get_width() for bar in axes.patches] == DROPS[::-1]  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["客户等级", "顧客 tenure", "עברית", "Größe", "ελληνικά", "тариф", "กลุ่ม", "😀 mood"])
def test_names_in_any_script_are_drawn_or_replaced_without_a_box(name: str) -> None:
    table = IMPORTANCE.assign(feature=[name, *IMPORTANCE["feature"][1:]])
    figure = figures.feature_importance(table)
    figure.savefig(io.BytesIO(), format="png")
    (axes,) = figure.axes
    drawn = axes.get_yticklabels()[-1].get_text()
    lacking = not all(ord(sign) in figures._signs_of_font() for sign in name if sign != " ")
    assert drawn == name if not lacking else "no. 1 of the table" in drawn
    assert lacking or name in axes.get_title(loc="left")


def test_the_importance_chart_says_how_many_columns_it_leaves_out() -> None:
    many = pd.DataFrame({"feature": [f"column {n}" for n in range(50)], "roc_auc_drop": 0.1, "roc_auc_drop_sd": 0.0})
    (axes,) = figures.feature_importance(many).axes
    assert len(axes.patches) == figures.LONGEST_CHART
    assert axes.get_xlabel().endswith("(30 more not shown)")


@every_figure
def test_no_heading_of_a_figure_is_cut_off(draw: Callable[[], Figure]) -> None:
    figure = draw()
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    for title in (figure.axes[0]._left_title, figure.axes[0].texts[0]):  # type: ignore[attr-defined]
        extent = title.get_window_extent()
        assert figure.bbox.x0 <= extent.x0, title
        assert extent.x1 <= figure.bbox.x1, title


@pytest.mark.parametrize("name", ["roc", "precision-recall", "profit"])
def test_a_curve_names_its_axes_and_all_its_lines(name: str) -> None:
    figure = FIGURES[name]()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    named = {name for name in lines(figure) if not name.startswith("_")}
    assert {text.get_text() for text in legend.get_texts()} == named | {BAND}
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def test_a_currency_of_dollar_signs_is_no_formula() -> None:
    economics = MONEY.model_copy(update={"currency": "$$"})
    figure = figures.profit_curve(PROFIT, Interval(900, 700, 1100), Interval(500, -20, 800), 0.5, economics)
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    assert figure.axes[0].get_ylabel() == "$$ per 1,000 customers"


@every_figure
def test_drawing_twice_gives_equal_bytes(draw: Callable[[], Figure], tmp_path: Path) -> None:
    for name in ("once.png", "twice.png"):
        files.write_figure(tmp_path / name, draw())
    assert (tmp_path / "once.png").read_bytes() == (tmp_path / "twice.png").read_bytes()


@every_figure
def test_the_users_own_settings_of_matplotlib_change_no_byte(draw: Callable[[], Figure], tmp_path: Path) -> None:
    files.write_figure(tmp_path / "plain.png", draw())
    with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "pink", "text.color": "red", "font.size": 20}):
        figure = draw()
    files.write_figure(tmp_path / "own.png", figure)
    assert (tmp_path / "own.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


@every_figure
def test_drawing_leaves_pyplot_and_its_settings_alone(draw: Callable[[], Figure]) -> None:
    settings = dict(mpl.rcParams)
    draw()
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == settings
