"""Two models on the same customers: figures as scikit-learn's, intervals that cover, verdicts that say what is so."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss, roc_auc_score

from churn.errors import DataError
from churn.metrics.paired import (
    ModelAnswers,
    Pair,
    PairedAnswers,
    PairedDifference,
    customers_needed,
    pair_up,
    paired_differences,
    profit_difference,
    verdict,
)
from tests.helpers.made_up_answers import MONEY, answers
from tests.helpers.projects import every_night


def made_up(customers: int, random: np.random.Generator, old_noise: float = 0.8, new_noise: float = 0.8) -> Pair:
    """Customers, and two models that see what moves them through noise of their own."""
    signal = random.normal(0, 1.2, customers)
    churned = (random.random(customers) < 1 / (1 + np.exp(1.2 - signal))).astype(np.int64)
    old, new = (answers(signal, random.normal(0, noise, customers)) for noise in (old_noise, new_noise))
    return Pair(pd.RangeIndex(customers), churned, old, new, only_old=0, only_new=0, contradicted=0)


def by_name(pair: Pair, resamples: int = 200) -> dict[str, PairedDifference]:
    return {one.name: one for one in paired_differences(pair, MONEY, resamples=resamples, seed=0)}


def test_every_figure_is_that_of_scikit_learn() -> None:
    pair = made_up(500, np.random.default_rng(0))
    found = by_name(pair, resamples=2)
    for side in ("old", "new"):
        given: PairedAnswers = getattr(pair, side)
        expected = {
            "roc_auc": roc_auc_score(pair.churned, given.probability),
            "pr_auc": average_precision_score(pair.churned, given.probability),
            "log_loss": log_loss(pair.churned, given.probability),
            "brier": brier_score_loss(pair.churned, given.probability),
            "f1": f1_score(pair.churned, given.contacted),
            "contacted_share": given.contacted.mean(),
        }
        for name, value in expected.items():
            assert getattr(found[name], side) == pytest.approx(value, rel=1e-12)


def test_profit_is_first_and_is_that_of_the_contacted() -> None:
    pair = made_up(300, np.random.default_rng(1))
    first = paired_differences(pair, MONEY, resamples=2, seed=0)[0]
    gains = np.where(pair.churned == 1, MONEY.gain_from_churner, MONEY.gain_from_stayer)
    assert first.name == "profit_per_1000"
    assert first.new == pytest.approx(1000 * np.where(pair.new.contacted, gains, 0).mean())


def test_the_same_seed_gives_the_same_intervals() -> None:
    pair = made_up(300, np.random.default_rng(2))
    assert by_name(pair) == by_name(pair)


def test_a_model_against_itself_differs_in_nothing() -> None:
    pair = made_up(300, np.random.default_rng(3))
    pair = replace(pair, new=pair.old)
    for one in by_name(pair).values():
        assert (one.difference, one.low, one.high) == (0, 0, 0)
    assert (
        verdict(pair, by_name(pair)["profit_per_1000"], "CHF")
        == "no difference: both predict the same for all 300 customers"
    )


def test_old_and_new_exchanged_turn_the_difference_around() -> None:
    pair = made_up(400, np.random.default_rng(4), new_noise=2)
    there, back = by_name(pair), by_name(replace(pair, old=pair.new, new=pair.old))
    for name, one in there.items():
        assert back[name].difference == pytest.approx(-one.difference)
        assert back[name].low == pytest.approx(-one.high, rel=1e-9)


def test_pairing_makes_the_interval_narrower_than_two_of_its_own() -> None:
    pair = made_up(1000, np.random.default_rng(5), old_noise=0.3, new_noise=0.3)
    auc = by_name(pair)["roc_auc"]
    apart = replace(pair, old=PairedAnswers(np.full(1000, 0.5), pair.old.contacted))
    assert auc.high - auc.low < by_name(apart)["roc_auc"].high - by_name(apart)["roc_auc"].low


def profit(difference: float, low: float, high: float) -> PairedDifference:
    return PairedDifference("profit_per_1000", 9000.0, 9000.0 + difference, low, high, (high - low) / 3.92)


def test_the_verdict_says_better_worse_or_how_many_customers_it_would_take() -> None:
    pair = made_up(5000, np.random.default_rng(6))
    better = "better: +1,840 CHF per 1,000 customers (95% interval +310 to +3,420)"
    assert verdict(pair, profit(1840, 310, 3420), "CHF") == better
    assert verdict(pair, profit(-500, -900, -100), "CHF").startswith("worse: -500 CHF")
    unclear = verdict(pair, profit(100, -96, 296), "CHF")
    assert unclear.startswith("no significant difference in profit with 5,000 customers: +100 CHF")
    assert unclear.endswith("about 39,000 customers would be needed to detect it")
    assert "would be needed" not in verdict(pair, profit(0, -100, 100), "CHF")


def test_the_customers_that_are_needed_fall_with_the_square_of_the_difference() -> None:
    assert customers_needed(profit(100, -96, 296), 5000) == pytest.approx(39_244, rel=0.001)
    assert customers_needed(profit(200, 4, 396), 5000) == pytest.approx(39_244 / 4, rel=0.001)


def judged(keys: list[str], churned: list[int]) -> ModelAnswers:
    index = pd.Index(keys)
    return ModelAnswers(
        pd.Series(churned, index),
        pd.Series(np.linspace(0, 1, len(keys)), index),
        pd.Series([True] * len(keys), index),
    )


def test_customers_are_put_side_by_side_by_key_and_the_others_counted() -> None:
    pair = pair_up(judged(["a", "b", "c", "d"], [0, 1, 0, 1]), judged(["e", "d", "b", "a"], [1, 1, 0, 0]))
    assert (pair.only_old, pair.only_new, pair.contradicted) == (1, 1, 1)
    assert pair.churned.tolist() == [0, 1]
    np.testing.assert_allclose(pair.old.probability, [0, 1])
    np.testing.assert_allclose(pair.new.probability, [1, 1 / 3])


def test_states_on_other_customers_are_not_compared() -> None:
    with pytest.raises(DataError, match="only 1 customers are training rows of both states"):
        pair_up(judged(["a", "b", "c", "d"], [0, 1, 0, 1]), judged(["a", "x", "y", "z"], [0, 1, 0, 1]))
    with pytest.raises(DataError, match="lack churners or stayers"):
        pair_up(judged(["a", "b"], [0, 0]), judged(["a", "b"], [0, 0]))


def test_profit_alone_has_the_same_interval_as_among_the_other_figures() -> None:
    pair = made_up(2000, np.random.default_rng(10))
    one = profit_difference(pair, MONEY, confidence=0.95, resamples=20_000, seed=0)
    among = by_name(pair, resamples=2000)["profit_per_1000"]
    assert (one.old, one.new) == pytest.approx((among.old, among.new))
    assert one.standard_error == pytest.approx(among.standard_error, rel=0.05)
    assert (one.low, one.high) == pytest.approx((among.low, among.high), abs=0.15 * one.standard_error)


def test_equal_customers_are_drawn_together() -> None:
    """Each of 500 customers stands four times in the table: that says no more of him than once."""
    once = made_up(500, np.random.default_rng(11))
    rows = np.repeat(np.arange(500), 4)
    keys = pd.Index([f"{customer:016x}-{repeat}" for customer in range(500) for repeat in range(4)])
    old, new = (PairedAnswers(side.probability[rows], side.contacted[rows]) for side in (once.old, once.new))
    four_times = Pair(keys, once.churned[rows], old, new, only_old=0, only_new=0, contradicted=0)
    few, many = (
        profit_difference(pair, MONEY, confidence=0.95, resamples=20_000, seed=0) for pair in (once, four_times)
    )
    assert many.difference == pytest.approx(few.difference)
    assert many.standard_error == pytest.approx(few.standard_error, rel=0.03)
    for name, one in by_name(four_times).items():
        assert one.standard_error == pytest.approx(by_name(once)[name].standard_error, rel=1e-9), name


@pytest.mark.slow
@pytest.mark.parametrize("tables", [100, *every_night(1000)])
def test_intervals_cover_the_truth_in_95_of_100_tables(tables: int) -> None:
    """Tables of 1,000 customers; the truth is the same two models on a million. Within three standard errors."""
    names = ("profit_per_1000", "roc_auc", "pr_auc", "brier")
    whole = by_name(made_up(1_000_000, np.random.default_rng(7), new_noise=1.2), resamples=2)
    random = np.random.default_rng(8)
    covered = dict.fromkeys(names, 0)
    for _ in range(tables):
        found = by_name(made_up(1000, random, new_noise=1.2), resamples=250)
        for name in names:
            covered[name] += found[name].low <= whole[name].difference <= found[name].high
    allowed = 3 * np.sqrt(tables * 0.95 * 0.05)
    assert all(abs(count - 0.95 * tables) <= allowed for count in covered.values()), covered


@pytest.mark.slow
@pytest.mark.parametrize("tables", [60, *every_night(500)])
def test_two_equally_good_models_are_seldom_told_apart(tables: int) -> None:
    random = np.random.default_rng(9)
    clear = sum(by_name(made_up(1000, random), resamples=400)["profit_per_1000"].is_clear for _ in range(tables))
    assert clear <= 0.07 * tables, clear
