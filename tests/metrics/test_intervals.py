"""Headline figures and their intervals."""

import math

import numpy as np
import pytest

from churn.config.economics import Economics
from churn.metrics.intervals import Interval, Statistics, flatten, headline_scores, with_intervals
from churn.metrics.scores import probability_scores
from churn.types import Floats, Labels
from tests.helpers.made_up_answers import make_predictions


def churn_rate(churned: Labels, probability: Floats) -> dict[str, float]:
    return {"churn_rate": float(churned.mean())}


def test_intervals_are_the_same_for_the_same_seed_only(headline: Statistics) -> None:
    first, again, other = (
        with_intervals(headline, *make_predictions(200), resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_an_interval_holds_the_figure_of_all_rows(headline: Statistics) -> None:
    customers = make_predictions(500)
    intervals = with_intervals(headline, *customers, resamples=200, seed=0)
    assert {name: interval.value for name, interval in intervals.items()} == headline(*customers)
    assert all(interval.low < interval.value < interval.high for interval in intervals.values())


def test_intervals_narrow_with_more_rows(headline: Statistics) -> None:
    few, many = (with_intervals(headline, *make_predictions(count), resamples=200, seed=0) for count in (200, 3200))
    for name in few:
        # sixteen times the rows: a quarter of the width, give or take
        assert many[name].high - many[name].low < (few[name].high - few[name].low) / 2


def test_the_interval_of_a_share_is_that_of_the_textbook() -> None:
    churned, probability = make_predictions(2000)
    rate = with_intervals(churn_rate, churned, probability, resamples=4000, seed=0)["churn_rate"]
    error = math.sqrt(rate.value * (1 - rate.value) / 2000)
    assert rate.low == pytest.approx(rate.value - 1.96 * error, abs=0.1 * error)
    assert rate.high == pytest.approx(rate.value + 1.96 * error, abs=0.1 * error)


def test_what_happened_is_drawn_together_with_its_prediction() -> None:
    churned = np.array([0, 1] * 20)
    loss = with_intervals(probability_scores, churned, churned.astype(float), resamples=100, seed=0)["brier"]
    assert loss == Interval(0, 0, 0)


def test_without_both_classes_there_is_neither_figure_nor_interval() -> None:
    churned, probability = np.zeros(50, dtype=int), np.linspace(0, 1, 50)
    area = with_intervals(probability_scores, churned, probability, resamples=100, seed=0)["roc_auc"]
    assert np.isnan([area.value, area.low, area.high]).all()


def test_resamples_that_miss_a_class_are_left_out_of_the_interval() -> None:
    churned, probability = np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4])
    area = with_intervals(probability_scores, churned, probability, resamples=100, seed=0)["roc_auc"]
    assert area == Interval(1, 1, 1)


def test_an_interval_is_written_as_three_figures() -> None:
    figures = flatten({"f1": Interval(0.5, 0.4, 0.6)}, prefix="test_")
    assert figures == {"test_f1": 0.5, "test_f1_low": 0.4, "test_f1_high": 0.6}


def test_headline_figures_are_of_the_decision_at_the_threshold(economics: Economics) -> None:
    churned, probability = np.array([1, 1, 0, 0]), np.array([0.9, 0.2, 0.2, 0.1])
    figures = headline_scores(0.2, economics)(churned, probability)
    assert figures["recall"] == 1
    assert figures["precision"] == pytest.approx(2 / 3)
    assert figures["f1_at_half"] == pytest.approx(2 / 3)  # one of two churners found, nobody else contacted
    assert figures["profit_per_1000"] == pytest.approx(1000 * (2 * 56 - 11) / 4)
    assert figures["profit_over_everybody_per_1000"] == pytest.approx(1000 * 11 / 4)


def test_contacting_everybody_is_worth_nothing_over_contacting_everybody(economics: Economics) -> None:
    figures = headline_scores(0.0, economics)(*make_predictions(100))
    assert figures["profit_over_everybody_per_1000"] == 0
