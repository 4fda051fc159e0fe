"""Scores in plain arithmetic are scikit-learn's figures, ties and borders included."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from churn.metrics.scores import brier, decision_scores, log_loss, pr_auc, probability_scores, roc_auc
from churn.types import Floats, Labels

# Steps of a tenth make ties; free numbers reach the borders 0 and 1.
probabilities = st.one_of(st.integers(0, 10).map(lambda tenths: tenths / 10), st.floats(0, 1))


@st.composite
def customers(draw: st.DrawFn) -> tuple[Labels, Floats]:
    """At least one who left and one who stayed."""
    churned = draw(st.permutations([0, 1, *draw(st.lists(st.integers(0, 1)))]))
    probability = draw(st.lists(probabilities, min_size=len(churned), max_size=len(churned)))
    return np.array(churned), np.array(probability)


@given(customers())
@settings(deadline=None)
def test_probability_scores_are_those_of_scikit_learn(example: tuple[Labels, Floats]) -> None:
    expected = {
        "roc_auc": metrics.roc_auc_score(*example),
        "pr_auc": metrics.average_precision_score(*example),
        "log_loss": metrics.log_loss(*example),
        "brier": metrics.brier_score_loss(*example),
    }
    assert probability_scores(*example) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=1))
@settings(deadline=None)
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
@settings(deadline=None)
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
    assert 30 < log_loss(np.array([1, 0]), np.array([0.0, 1.0])) < 40
    assert brier(np.array([1, 0]), np.array([0.0, 1.0])) == 1


def test_contacting_nobody_scores_zero_instead_of_failing() -> None:
    nobody = np.zeros(2, dtype=bool)
    assert decision_scores(np.array([1, 0]), nobody) == {"accuracy": 0.5, "precision": 0, "recall": 0, "f1": 0}
