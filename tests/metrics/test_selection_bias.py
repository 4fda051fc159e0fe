"""The gain of having chosen the best of many is told without the flattery."""

import numpy as np
import pytest

from churn.commands.tune.objectives import OBJECTIVES, JudgingData
from churn.metrics.selection_bias import corrected_gain
from churn.types import Floats, Labels
from tests.helpers.made_up_answers import MONEY


def gain_of(
    values: Floats, resamples: int = 500, seed: int = 0, customer: Labels | None = None
) -> tuple[float, float, float]:
    found = corrected_gain(
        lambda times: times @ values / times.sum(axis=1, keepdims=True),
        np.arange(len(values)) if customer is None else customer,
        resamples=resamples,
        seed=seed,
    )
    return found.mean, found.low, found.high


def test_a_candidate_that_is_better_for_everybody_keeps_its_whole_gain() -> None:
    present = np.random.default_rng(0).normal(0, 1, 300)
    assert gain_of(np.column_stack([present, present + 2])) == pytest.approx((2, 2, 2))


def test_without_a_better_candidate_nothing_is_gained() -> None:
    present = np.random.default_rng(0).normal(0, 1, 300)
    assert gain_of(np.column_stack([present, present - 2])) == (0, 0, 0)


def test_the_same_seed_gives_the_same_gain_however_much_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0, 1, (200, 10))
    first = gain_of(values)
    monkeypatch.setattr("churn.metrics.selection_bias.WEIGHTS_AT_ONCE", 200 * 7)
    assert gain_of(values) == pytest.approx(first, rel=1e-12)
    assert gain_of(values, seed=1) != pytest.approx(first, rel=1e-6)


def test_customers_who_chose_do_not_judge() -> None:
    """One customer decides who is best; without him nobody differs, so nothing is gained."""
    values = np.zeros((50, 2))
    values[0, 1] = 1000.0
    assert gain_of(values) == (0, 0, 0)


def test_rows_of_one_customer_choose_or_judge_together() -> None:
    """Each customer stands ten times in the table: that says no more of him than once."""
    once = np.random.default_rng(3).normal(0, 1, (40, 8))
    customer = np.repeat(np.arange(40), 10)
    assert gain_of(once[customer], customer=customer) == pytest.approx(gain_of(once))


def test_a_gain_that_is_not_defined_anywhere_is_no_number() -> None:
    found = corrected_gain(lambda times: np.full((len(times), 2), np.nan), np.arange(20), resamples=100, seed=0)
    assert np.isnan([found.mean, found.low, found.high]).all()
    assert not found.is_clear


def test_what_is_gained_may_be_another_value_than_the_one_that_chooses() -> None:
    present = np.random.default_rng(2).normal(0, 1, 300)
    ranked, earned = np.column_stack([present, present + 1]), np.column_stack([present, present - 3])
    found = corrected_gain(
        lambda times: times @ earned / times.sum(axis=1, keepdims=True),
        np.arange(len(present)),
        resamples=100,
        seed=0,
        chosen_by=lambda times: times @ ranked,
    )
    assert found.mean == pytest.approx(-3)


def chosen_among_equals(chosen_by: str, judged: str) -> tuple[Floats, Floats]:
    """Gain of the best as it seems, and as corrected, in each of 40 tables.

    30 models see what moves customers through noise of their own, all alike.
    """
    random, customers = np.random.default_rng(5), 800
    seeming, corrected = [], []
    for _ in range(40):
        signal = random.normal(0, 1.2, customers)
        churned = (random.random(customers) < 1 / (1 + np.exp(1.2 - signal))).astype(np.int64)
        ground = JudgingData(churned, random.integers(0, 5, customers), "profit", MONEY)
        said = [1 / (1 + np.exp(1.2 - signal - random.normal(0, 0.8, customers))) for _ in range(30)]
        best = said[int(np.argmax([OBJECTIVES[chosen_by].value(ground, one) for one in said]))]
        seeming.append(OBJECTIVES[judged].value(ground, best) - OBJECTIVES[judged].value(ground, said[0]))
        weighted, choosing = (OBJECTIVES[name].weighted(ground, said) for name in (judged, chosen_by))
        found = corrected_gain(weighted, np.arange(customers), resamples=200, seed=0, chosen_by=choosing)
        corrected.append(found.mean)
    return np.array(seeming), np.array(corrected)


def error_of_mean(values: Floats) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_best_of_many_equally_good_ones_gains_nothing_when_corrected(name: str) -> None:
    seeming, corrected = chosen_among_equals(name, name)
    error = error_of_mean(corrected)
    assert abs(np.mean(corrected)) < 3 * error, (np.mean(corrected), error)
    assert np.mean(seeming) > 10 * error, (np.mean(seeming), error)


@pytest.mark.long
def test_the_best_by_one_figure_gains_nothing_in_another_when_corrected() -> None:
    _, corrected = chosen_among_equals("pr_auc", "profit")
    assert abs(np.mean(corrected)) < 3 * error_of_mean(corrected)
