"""evaluate: confirm the model on the test rows, which are used only here."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import classification_report
from sklearn.model_selection import FixedThresholdClassifier

from churn import files
from churn.config.params import Params
from churn.config.shapes import AuditFigures, TableFigures, parse_json
from churn.history.verify import known_md5s
from churn.metrics import calibration, dependence, profit
from churn.metrics.curves import contacted_by_threshold, curve_points, tenths, with_bands
from churn.metrics.intervals import (
    Interval,
    flatten,
    headline_scores,
    money_statistics,
    score_statistics,
    with_intervals,
)
from churn.metrics.slices import slice_intervals, slice_table
from churn.model import decision, encoding
from churn.report import charts, content, page
from churn.report.figures import (
    calibration_curve,
    confusion_matrix,
    feature_importance,
    precision_recall_curve,
    profit_curve,
    roc_curve,
)
from churn.report.overview import overview_of
from churn.stages.runner import Measurements, outcomes_of
from churn.stages.start import start_anew
from churn.types import DECIMALS, Floats, Labels

log = logging.getLogger(__name__)

IMPORTANCE_COLUMNS = {"feature": "str", "roc_auc_drop": "float64", "roc_auc_drop_sd": "float64"}


@dataclass(frozen=True)
class Predictions:
    """Probability, decision and outcome of each test customer."""

    churned: Labels
    probability: Floats
    contacted: NDArray[np.bool_]
    threshold: float


@dataclass(frozen=True)
class HeadlineIntervals:
    """Headline metrics by file: `scores` in test.json, `money` in business_metrics.json."""

    scores: dict[str, Interval]
    money: dict[str, Interval]


@dataclass(frozen=True)
class Evaluation:
    """All results by file; none is written before all are computed."""

    figures: dict[Path, Figure]
    metrics: dict[Path, dict[str, Any]]
    tables: dict[Path, pd.DataFrame]
    texts: dict[Path, str]


TOLD_INPUTS = (
    files.TEST_ROWS,
    files.Y_TEST,
    files.MODEL,
    files.IMPORTANCE,
    files.DATA_METRICS,
    files.AUDIT,
    files.TRAIN_METRICS,
)
"""Files whose md5 the report lists: all inputs of this stage except code and parameters."""

COLUMNS_VARIED = 4
"""Number of columns, most important first, whose partial dependence is shown."""


def run(root: Path, params: Params) -> Measurements:
    """Run the stage in a folder."""
    model, rows, churned = load_model_and_data(root)
    predictions = generate_predictions(model, rows, churned)
    headline = score(predictions, params)
    curves = points_of_curves(predictions, params)
    scored = figures_on_test_rows(predictions, headline.scores, params)
    money = calculate_business_metrics(predictions, headline.money, params)
    slices = score_slices(rows, predictions, params)
    told = gather_for_report(root, model, rows, predictions, params, scored, money, curves, slices)
    results = Evaluation(
        figures={
            files.CONFUSION_MATRIX: generate_confusion_matrix(predictions),
            files.ROC_CURVE: generate_roc_curve(predictions, curves["roc"], headline.scores["roc_auc"]),
            files.PRECISION_RECALL_CURVE: generate_pr_curve(
                predictions, curves["precision_recall"], headline.scores["pr_auc"]
            ),
            files.CALIBRATION_CURVE: calibration_curve(curves["calibration"], content.calibration_error(scored)),
            files.PROFIT_CURVE: generate_profit_curve(predictions, curves["profit"], headline.money, params),
            files.IMPORTANCE_CHART: feature_importance(told.importance),
        },
        metrics={
            files.TEST_METRICS: scored,
            files.CLASSIFICATION_REPORT: report_by_class(predictions),
            files.BUSINESS_METRICS: money,
            files.OVERVIEW: overview_of(told),
        },
        tables={
            files.SLICES: slices,
            **{files.CURVES / f"{name}.csv": curve for name, curve in curves.items()},
        },
        texts={files.REPORT: page.render_page(told), files.MODEL_CARD: page.render_card(told)},
    )
    save_results(root, results, predictions, rows.index)
    return {}


def load_model_and_data(root: Path) -> tuple[FixedThresholdClassifier, pd.DataFrame, Labels]:
    """Read the model and the test rows, not encoded."""
    model = files.read_pickle(root / files.MODEL, known_md5s(root))
    types = encoding.column_types(decision.pipeline_of(model).named_steps["encoders"])
    rows = files.read_rows(root / files.TEST_ROWS, types)
    churned = outcomes_of(root, files.Y_TEST, rows)
    log.info("%s test rows, %.1f%% churned", f"{len(rows):,}", 100 * churned.mean())
    return model, rows, churned


def generate_predictions(model: FixedThresholdClassifier, rows: pd.DataFrame, churned: Labels) -> Predictions:
    """Predict with the fitted object alone."""
    contacted = model.predict(rows) == 1
    log.info("%s of %s customers to be contacted", f"{contacted.sum():,}", f"{len(rows):,}")
    return Predictions(churned, decision.churn_probability(model, rows), contacted, float(model.threshold))


def score(predictions: Predictions, params: Params) -> HeadlineIntervals:
    """Headline metrics with intervals; one seed gives all of them the same resamples."""
    intervals = partial(
        with_intervals,
        churned=predictions.churned,
        probability=predictions.probability,
        resamples=params.evaluate.bootstrap_resamples,
        seed=params.compute.seed,
    )
    headline = HeadlineIntervals(
        scores=intervals(score_statistics(predictions.threshold)),
        money=intervals(money_statistics(predictions.threshold, params.business)),
    )
    for title, name in (("ROC-AUC", "roc_auc"), ("PR-AUC", "pr_auc")):
        area = headline.scores[name]
        log.info("%s %.3f (95%% interval %.3f to %.3f)", title, area.value, area.low, area.high)
    return headline


def points_of_curves(predictions: Predictions, params: Params) -> dict[str, pd.DataFrame]:
    """Every curve with its intervals."""
    customers = (predictions.churned, predictions.probability, params.business)
    how = params.evaluate
    points = curve_points(*customers, bins=how.calibration_bins, points=how.curve_points)
    return with_bands(points, *customers, resamples=how.bootstrap_resamples, seed=params.compute.seed)


def generate_confusion_matrix(predictions: Predictions) -> Figure:
    """Decisions by outcome."""
    return confusion_matrix(predictions.churned, predictions.contacted, predictions.threshold)


def generate_roc_curve(predictions: Predictions, curve: pd.DataFrame, area: Interval) -> Figure:
    """ROC curve with the threshold marked."""
    return roc_curve(curve, area, predictions.churned, predictions.contacted)


def generate_pr_curve(predictions: Predictions, curve: pd.DataFrame, area: Interval) -> Figure:
    """Precision-recall curve with the threshold marked."""
    return precision_recall_curve(curve, area, predictions.churned, predictions.contacted)


def generate_profit_curve(
    predictions: Predictions, curve: pd.DataFrame, money: dict[str, Interval], params: Params
) -> Figure:
    """Profit by share of customers contacted, with the decision marked."""
    earned, over_everybody = money["profit_per_1000"], money["profit_over_everybody_per_1000"]
    return profit_curve(curve, earned, over_everybody, float(predictions.contacted.mean()), params.business)


def figures_on_test_rows(predictions: Predictions, scores: dict[str, Interval], params: Params) -> dict[str, float]:
    """Scores, the calibration error, and the calibration error expected by chance."""
    bins = params.evaluate.calibration_bins
    error = calibration.expected_calibration_error(predictions.churned, predictions.probability, bins)
    by_chance = calibration.calibration_error_by_chance(
        predictions.probability, bins, resamples=params.evaluate.bootstrap_resamples, seed=params.compute.seed
    )
    return flatten({**scores, "ece_by_chance": by_chance}, prefix="test_") | {"test_ece": error}


def report_by_class(predictions: Predictions) -> dict[str, Any]:
    """Precision, recall and F1 of stayers and churners at the threshold."""
    by_class: dict[str, Any] = classification_report(
        predictions.churned,
        predictions.contacted.astype(int),
        labels=[0, 1],
        target_names=["stayed", "churned"],
        output_dict=True,
        zero_division=0,
    )
    return by_class


def calculate_business_metrics(
    predictions: Predictions, profits: dict[str, Interval], params: Params
) -> dict[str, float]:
    """Profit of the decisions, of contacting no one or everyone, and of the best threshold in hindsight."""
    money = flatten(profits)
    curve = profit.profit_curve(predictions.churned, predictions.probability, params.business)
    maximum = profit.maximum_profit(predictions.churned, predictions.probability, params.business)
    log.info("profit: %s %s", f"{money['profit_per_1000']:,.0f}", params.business.per_1000)
    return money | {
        "contacted_share": float(predictions.contacted.mean()),
        "profit_contact_nobody_per_1000": 0.0,
        "profit_contact_everybody_per_1000": 1000 * float(curve.profit_per_customer[-1]),
        "hindsight_best_profit_per_1000": 1000 * float(curve.profit_per_customer[curve.best]),
        "hindsight_best_contacted_share": float(curve.contacted_share[curve.best]),
        "mpc": maximum.mpc,
        "empc": maximum.empc,
        "empc_contacted_share": maximum.empc_contacted_share,
    }


def score_slices(rows: pd.DataFrame, predictions: Predictions, params: Params) -> pd.DataFrame:
    """Headline metrics of each group of customers; those in the report have intervals."""
    statistics = headline_scores(predictions.threshold, params.business)
    intervals = slice_intervals(
        predictions.threshold,
        params.business,
        resamples=params.evaluate.bootstrap_resamples,
        seed=params.compute.seed,
    )
    return slice_table(
        rows, predictions.churned, predictions.probability, params.evaluate.slices, statistics, intervals
    )


def gather_for_report(
    root: Path,
    model: FixedThresholdClassifier,
    rows: pd.DataFrame,
    predictions: Predictions,
    params: Params,
    scored: dict[str, float],
    money: dict[str, float],
    curves: dict[str, pd.DataFrame],
    slices: pd.DataFrame,
) -> content.ReportContent:
    """Content of the report, rounded as in the files."""
    importance = files.read_table(root / files.IMPORTANCE, IMPORTANCE_COLUMNS)
    pipeline = decision.pipeline_of(model)
    points = min(params.evaluate.curve_points, charts.CURVE_POINTS)
    return content.ReportContent(
        decision=count_decisions(predictions),
        economics=params.business,
        data=read_figures(root, files.DATA_METRICS, TableFigures),
        audit=read_figures(root, files.AUDIT, AuditFigures),
        training=read_figures(root, files.TRAIN_METRICS, dict[str, float | None]),
        test=files.round_figures(scored),
        money=files.round_figures(money),
        curves={name: curve.round(DECIMALS) for name, curve in curves.items()},
        contacted=contacted_by_threshold(predictions.churned, predictions.probability, predictions.threshold, points),
        tenths=tenths(predictions.churned, predictions.probability, params.business).round(DECIMALS),
        slices=slices.round(DECIMALS),
        importance=importance,
        dependence=dependence.partial_dependence(
            lambda asked: decision.churn_probability(model, asked),
            rows,
            encoding.column_types(pipeline.named_steps["encoders"]),
            [str(name) for name in importance["feature"].head(COLUMNS_VARIED)],
        ),
        outcome=str(files.read_labels(root / files.Y_TEST).name),
        classifier=type(pipeline.named_steps["classifier"]).__name__,
        inputs={str(path): files.md5(root / path) for path in TOLD_INPUTS},
    )


def read_figures(root: Path, path: Path, shape: object) -> dict[str, Any]:
    """Figures that another stage wrote."""
    found: dict[str, Any] = parse_json(files.read_bytes(root / path), path, shape, files.RESTORE)
    return found


def count_decisions(predictions: Predictions) -> content.DecisionCounts:
    """Numbers of customers and of contacts, by outcome."""
    left, contacted = predictions.churned == 1, predictions.contacted
    return content.DecisionCounts(
        threshold=predictions.threshold,
        churners=int(left.sum()),
        stayers=int((~left).sum()),
        churners_contacted=int((left & contacted).sum()),
        stayers_contacted=int((~left & contacted).sum()),
    )


def save_results(root: Path, results: Evaluation, predictions: Predictions, keys: pd.Index) -> None:
    """Write all results."""
    for path, figure in results.figures.items():
        files.write_figure(root / path, figure)
    for path, metrics in results.metrics.items():
        files.write_json(root / path, metrics)
    for path, table in results.tables.items():
        files.write_rounded_table(root / path, table)
    for path, text in results.texts.items():
        files.write_text(root / path, text)
    by_customer = pd.DataFrame(
        {
            "probability": predictions.probability,
            "contact": predictions.contacted.astype(int),
            "churned": predictions.churned,
        },
        index=keys,
    )
    files.write_rows(root / files.TEST_PREDICTIONS, by_customer)
    log.info("written to %s and %s", files.METRICS, files.TEST_PREDICTIONS)


if __name__ == "__main__":
    start_anew("evaluate")
