"""Which outcome belongs to a score, what is not counted, and the figures of a month."""

import math

import numpy as np
import pandas as pd
import pytest

from churn.config.params import Params
from churn.metrics.estimated_profit import LogisticCalibration
from churn.monitoring.outcomes import (
    CHAMPION,
    SHADOW,
    Cohort,
    Judge,
    ModelFacts,
    OutcomeRules,
    contact_effect,
    join_outcomes,
    judge_cohorts,
    settle_outcomes,
)

MAY_1 = 20_574
"""Days from 1970 to 2026-05-01."""
RULES = OutcomeRules(window_days=30, known_until=MAY_1 + 45)
PERFECT = ModelFacts(LogisticCalibration(0.0, 1.0, 0.01, 0.01, 0.0), threshold=0.3)


def scored(**columns: object) -> pd.DataFrame:
    plain = {
        "row_key": ["a"],
        "day": MAY_1 + 0.5,
        "fingerprint": "f1",
        "probability": 0.4,
        "contact": True,
        "held_out": False,
        "shadow_probability": np.nan,
        "shadow_fingerprint": None,
    }
    return pd.DataFrame(plain | columns)


def told(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["row_key", "left"])


def status_of(scores: pd.DataFrame, outcomes: pd.DataFrame, rules: OutcomeRules = RULES) -> list[tuple[str, int]]:
    left, contradicting, _ = settle_outcomes(outcomes)
    joined = join_outcomes(scores, left, contradicting, rules).scores
    return list(zip(joined["status"], joined["churned"], strict=True))


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (math.nan, ("known", 0)),
        (MAY_1, ("known", 1)),  # on the day of the score
        (MAY_1 + 29, ("known", 1)),
        (MAY_1 + 30, ("known", 0)),  # after the window
        (MAY_1 - 1, ("left_before", 0)),
    ],
)
def test_a_customer_who_leaves_within_the_window_has_churned(left: float, expected: tuple[str, int]) -> None:
    assert status_of(scored(), told(("a", left))) == [expected]


def test_nothing_is_known_before_the_window_is_over_even_of_those_who_left() -> None:
    early = OutcomeRules(window_days=30, known_until=MAY_1 + 29)
    assert status_of(scored(), told(("a", MAY_1 + 3)), early)[0][0] == "open"


def test_a_customer_who_is_not_listed_is_unknown_and_has_not_stayed() -> None:
    assert status_of(scored(), told(("b", math.nan))) == [("unknown", 0)]
    assert status_of(scored(row_key=[None]), told(("b", math.nan))) == [("unknown", 0)]


def test_two_days_of_leaving_contradict_and_a_day_completes_an_earlier_report_without_one() -> None:
    assert status_of(scored(), told(("a", MAY_1 + 2), ("a", MAY_1 + 9))) == [("contradicting", 0)]
    assert status_of(scored(), told(("a", math.nan), ("a", MAY_1 + 2))) == [("known", 1)]


def test_equal_rows_are_counted_once_and_told() -> None:
    _, contradicting, repeated = settle_outcomes(told(("a", MAY_1), ("a", MAY_1), ("b", math.nan)))
    assert (contradicting, repeated) == ([], 1)


def test_the_first_score_of_a_month_counts() -> None:
    scores = pd.concat([scored(day=MAY_1 + 4, probability=0.9), scored(probability=0.2)], ignore_index=True)
    left, contradicting, _ = settle_outcomes(told(("a", math.nan)))
    joined = join_outcomes(scores, left, contradicting, RULES)
    assert joined.scores["probability"].tolist() == [0.2]
    assert joined.scored_again == {"2026-05": 1}


def month(count: int = 4_000, lure: float = 0.0, seed: int = 1, **columns: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of a month and outcomes that are as likely as predicted, but for a lure."""
    random = np.random.default_rng(seed)
    probability = random.beta(1.2, 3, count)
    keys = [f"{number:016x}" for number in range(count)]
    leaves = random.random(count) < probability + lure * (1 - probability)
    scores = scored(row_key=keys, probability=probability, contact=probability >= 0.3, **columns)
    left = np.where(leaves, MAY_1 + random.integers(0, 30, count), np.nan)
    return scores, pd.DataFrame({"row_key": keys, "left": left})


def cohorts_of(scores: pd.DataFrame, outcomes: pd.DataFrame, params: Params) -> dict[str, Cohort]:
    left, contradicting, _ = settle_outcomes(outcomes)
    judge = Judge({"f1": PERFECT, "f2": PERFECT}, params.business, bins=10)
    return {one.model: one for one in judge_cohorts(join_outcomes(scores, left, contradicting, RULES), judge)}


def test_realised_and_estimated_profit_agree_while_customers_leave_as_predicted(params: Params) -> None:
    found = cohorts_of(*month(), params)[CHAMPION]
    assert found.realised_profit
    assert found.estimated_profit
    assert found.calibration_error_by_chance
    assert found.estimated_profit.low <= found.realised_profit.value <= found.estimated_profit.high
    assert found.calibration_error is not None
    assert found.calibration_error <= found.calibration_error_by_chance
    assert (found.cohort, found.known, found.known_share) == ("2026-05", 4_000, 1.0)


def test_realised_profit_and_calibration_show_what_the_estimate_cannot_see(params: Params) -> None:
    found = cohorts_of(*month(lure=0.2), params)[CHAMPION]
    assert found.realised_profit
    assert found.estimated_profit
    assert found.calibration_error_by_chance
    assert found.realised_profit.low > found.estimated_profit.high
    assert found.calibration_error is not None
    assert found.calibration_error > 3 * found.calibration_error_by_chance


def test_the_shadow_is_judged_on_its_own_scores(params: Params) -> None:
    scores, outcomes = month()
    random = np.random.default_rng(2)
    shadowed = scores.assign(shadow_probability=random.random(len(scores)), shadow_fingerprint="f2")
    found = cohorts_of(shadowed, outcomes, params)
    shadow, champion = found[SHADOW].roc_auc, found[CHAMPION].roc_auc
    assert shadow
    assert champion
    assert shadow.high < champion.low
    assert found[SHADOW].realised_profit != found[CHAMPION].realised_profit


def test_a_model_whose_state_is_absent_has_no_profit_but_a_roc_auc(params: Params) -> None:
    scores, outcomes = month()
    found = cohorts_of(scores.assign(fingerprint="absent"), outcomes, params)[CHAMPION]
    assert (found.realised_profit, found.estimated_profit) == (None, None)
    assert found.roc_auc is not None


def test_a_month_with_few_known_customers_has_counts_and_no_figures(params: Params) -> None:
    scores, outcomes = month(count=30)
    found = cohorts_of(scores, outcomes, params)[CHAMPION]
    assert (found.known, found.roc_auc) == (30, None)


def test_held_out_customers_measure_the_effect_of_contacts() -> None:
    """Every second churner who is contacted stays."""
    scores, outcomes = month(count=8_000)
    random = np.random.default_rng(3)
    held_out = scores["contact"] & (random.random(8_000) < 0.3)
    kept = scores["contact"] & ~held_out & (random.random(8_000) < 0.5)
    scores = scores.assign(contact=scores["contact"] & ~held_out, held_out=held_out)
    left, contradicting, _ = settle_outcomes(outcomes.assign(left=outcomes["left"].mask(kept)))
    effect = contact_effect(join_outcomes(scores, left, contradicting, RULES))
    assert effect
    would_leave = float(outcomes["left"][held_out].notna().mean())
    assert effect.difference.value == pytest.approx(-would_leave / 2, abs=0.04)
    assert effect.difference.high < 0


def test_without_held_out_customers_there_is_no_effect_to_tell() -> None:
    scores, outcomes = month(count=200)
    left, contradicting, _ = settle_outcomes(outcomes)
    assert contact_effect(join_outcomes(scores, left, contradicting, RULES)) is None
