"""Scores in plain arithmetic are scikit-learn's figures, ties and borders included."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from churn.metrics.scores import (
    LOSSES,
    RANKING_SCORES,
    Ranking,
    decision_scores,
    log_losses,
    pr_auc,
    probability_scores,
    roc_auc,
    squared_errors,
)
from churn.types import Floats, Labels

BY_SCIKIT_LEARN = {
    "roc_auc": metrics.roc_auc_score,
    "pr_auc": metrics.average_precision_score,
    "log_loss": metrics.log_loss,
    "brier": metrics.brier_score_loss,
}

# Steps of a tenth make ties; free numbers reach the borders 0 and 1.
probabilities = st.one_of(st.integers(0, 10).map(lambda tenths: tenths / 10), st.floats(0, 1))


@st.composite
def customers(draw: st.DrawFn) -> tuple[Labels, Floats]:
    """At least one who left and one who stayed."""
    churned = draw(st.permutations([0, 1, *draw(st.lists(st.integers(0, 1)))]))
    probability = draw(st.lists(probabilities, min_size=len(churned), max_size=len(churned)))
    return np.array(churned), np.array(probability)


@given(customers())
def test_probability_scores_are_those_of_scikit_learn(example: tuple[Labels, Floats]) -> None:
    expected = {name: score(*example) for name, score in BY_SCIKIT_LEARN.items()}
    assert probability_scores(*example) == pytest.approx(expected, abs=1e-12)


@st.composite
def weighted_customers(draw: st.DrawFn) -> tuple[Labels, Floats, Floats]:
    """Customers, and how often each counts, one row a resample; some rows leave out all who left, or all who stayed."""
    churned, probability = draw(customers())
    weights = st.one_of(st.integers(0, 3).map(float), st.floats(0.01, 3))
    times = st.lists(weights, min_size=len(churned), max_size=len(churned)).filter(any)
    return churned, probability, np.array(draw(st.lists(times, min_size=1, max_size=3)))


@pytest.mark.parametrize("name", RANKING_SCORES)
@given(example=weighted_customers())
def test_weighted_ranking_scores_are_those_of_scikit_learn(name: str, example: tuple[Labels, Floats, Floats]) -> None:
    churned, probability, times = example
    found = RANKING_SCORES[name](*Ranking.of(churned, probability).weights(times))
    one_by_one = [RANKING_SCORES[name](*Ranking.of(churned, probability).weights(row)) for row in times]
    assert found == pytest.approx(one_by_one, nan_ok=True, abs=1e-12)
    for value, weights in zip(found, times, strict=True):
        stayers_needed = name == "roc_auc"
        if not weights[churned == 1].any() or (stayers_needed and not weights[churned == 0].any()):
            assert math.isnan(value)
        else:
            expected = BY_SCIKIT_LEARN[name](churned, probability, sample_weight=weights)
            assert value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
@given(example=weighted_customers())
def test_weighted_means_of_losses_are_the_scores_of_scikit_learn(
    name: str, example: tuple[Labels, Floats, Floats]
) -> None:
    churned, probability, times = example
    for weights in times:
        found = np.average(LOSSES[name](churned, probability), weights=weights)
        expected = BY_SCIKIT_LEARN[name](churned, probability, sample_weight=weights)
        assert found == pytest.approx(expected, abs=1e-9)


def test_resamples_may_have_any_number_of_leading_axes() -> None:
    churned, probability = np.array([0, 1, 1, 0]), np.array([0.1, 0.7, 0.7, 0.8])
    times = np.random.default_rng(0).poisson(2.0, (2, 3, 4)).astype(np.float64)
    for score in RANKING_SCORES.values():
        found = score(*Ranking.of(churned, probability).weights(times))
        flat = score(*Ranking.of(churned, probability).weights(times.reshape(6, 4)))
        assert found.shape == (2, 3)
        assert found.ravel() == pytest.approx(flat, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=1))
def test_decision_scores_are_those_of_scikit_learn(decisions: list[tuple[int, bool]]) -> None:
    churned, contacted = (np.array(side) for side in zip(*decisions, strict=True))
    expected = {
        "accuracy": metrics.accuracy_score(churned, contacted),
        "precision": metrics.precision_score(churned, contacted, zero_division=0),
        "recall": metrics.recall_score(churned, contacted, zero_division=0),
        "f1": metrics.f1_score(churned, contacted, zero_division=0),
    }
    assert decision_scores(churned, contacted) == pytest.approx(expected)


@given(customers(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_ranking_score(example: tuple[Labels, Floats], random: Random) -> None:
    churned, probability = example
    order = list(range(len(churned)))
    random.shuffle(order)
    assert roc_auc(churned[order], probability[order]) == roc_auc(churned, probability)
    assert pr_auc(churned[order], probability[order]) == pytest.approx(pr_auc(churned, probability))


@pytest.mark.parametrize("only", [0, 1])
def test_a_ranking_of_one_class_has_no_roc_auc(only: int) -> None:
    assert math.isnan(roc_auc(np.array([only, only]), np.array([0.1, 0.9])))


def test_without_churners_there_is_no_average_precision() -> None:
    assert math.isnan(pr_auc(np.array([0, 0]), np.array([0.1, 0.9])))


def test_certainty_that_is_wrong_costs_much_but_not_everything() -> None:
    wrong = np.array([1, 0]), np.array([0.0, 1.0])
    assert np.all((log_losses(*wrong) > 30) & (log_losses(*wrong) < 40))
    assert squared_errors(*wrong).tolist() == [1, 1]


def test_contacting_nobody_scores_zero_instead_of_failing() -> None:
    nobody = np.zeros(2, dtype=bool)
    assert decision_scores(np.array([1, 0]), nobody) == {"accuracy": 0.5, "precision": 0, "recall": 0, "f1": 0}
