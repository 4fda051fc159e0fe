"""What a search raises is the figure of metrics/train.json, and the same figure when customers count otherwise."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from churn.commands.tune.objectives import OBJECTIVES, JudgingData, folds_of
from churn.metrics import profit
from churn.types import Floats
from tests.helpers.made_up_answers import MONEY


def ground(customers: int = 600, seed: int = 0) -> tuple[JudgingData, list[Floats]]:
    """Customers in three folds, and what two models say of them, with ties."""
    random = np.random.default_rng(seed)
    signal = random.normal(0, 1.2, customers)
    churned = (random.random(customers) < 1 / (1 + np.exp(1.2 - signal))).astype(np.int64)
    said = [(1 / (1 + np.exp(1.2 - signal - random.normal(0, 0.8, customers)))).round(2) for _ in range(2)]
    return JudgingData(churned, random.integers(0, 3, customers), "profit", MONEY), said


def test_profit_is_that_of_folds_decided_by_the_threshold_of_the_others() -> None:
    given, (said, _) = ground()
    contacted = profit.contacted_out_of_fold(given.churned, said, given.folds, "profit", MONEY)
    expected = 1000 * profit.profit_per_customer(given.churned, contacted, MONEY)
    assert OBJECTIVES["profit"].value(given, said) == expected


def test_pr_auc_is_the_mean_of_scikit_learns_over_folds() -> None:
    given, (said, _) = ground()
    expected = np.mean([average_precision_score(given.churned[fold], said[fold]) for fold in folds_of(given)])
    assert OBJECTIVES["pr_auc"].value(given, said) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_when_every_customer_counts_once_the_weighted_value_is_the_value(name: str) -> None:
    given, said = ground()
    weighted = OBJECTIVES[name].weighted(given, said)(np.ones((1, len(given.churned))))
    assert weighted[0] == pytest.approx([OBJECTIVES[name].value(given, one) for one in said], rel=1e-12)


def test_weighted_pr_auc_is_that_of_scikit_learn_with_weights() -> None:
    given, said = ground(seed=1)
    times = np.random.default_rng(2).poisson(1.0, (3, len(given.churned))).astype(np.float64)
    found = OBJECTIVES["pr_auc"].weighted(given, said)(times)
    for row, weights in enumerate(times):
        for column, one in enumerate(said):
            by_fold = [
                average_precision_score(given.churned[fold], one[fold], sample_weight=weights[fold])
                for fold in folds_of(given)
            ]
            assert found[row, column] == pytest.approx(np.mean(by_fold), rel=1e-12)


def test_weighted_profit_is_that_of_customers_who_stand_there_so_often() -> None:
    given, said = ground(seed=3)
    times = np.random.default_rng(4).poisson(1.0, len(given.churned))
    found = OBJECTIVES["profit"].weighted(given, said)(times[np.newaxis].astype(np.float64))[0]
    for column, one in enumerate(said):
        contacted = profit.contacted_out_of_fold(given.churned, one, given.folds, "profit", MONEY)
        repeated = np.repeat(np.arange(len(times)), times)
        expected = 1000 * profit.profit_per_customer(given.churned[repeated], contacted[repeated], MONEY)
        assert found[column] == pytest.approx(expected, rel=1e-12)


def test_pr_auc_without_a_churner_that_counts_is_not_defined() -> None:
    given, said = ground()
    assert np.isnan(
        OBJECTIVES["pr_auc"].weighted(given, said)((given.churned == 0).astype(np.float64)[np.newaxis])
    ).all()
