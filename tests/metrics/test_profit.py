"""What a campaign earns: the profit curve, the threshold it leads to, and the published measures MPC and EMPC."""

from pathlib import Path

import numpy as np
import pytest
from empulse.metrics import empc_score, mpc_score
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import beta

from churn import files
from churn.config.economics import Economics
from churn.metrics.profit import (
    NOBODY,
    MaximumProfit,
    maximum_profit,
    most_profitable_threshold,
    profit_curve,
    profit_per_customer,
)
from churn.types import Floats, Labels


def economics(**changes: float) -> Economics:
    """The campaign of Verbraken et al. 2013, or another."""
    published = {
        "customer_value": 200.0,
        "offer_cost": 10.0,
        "contact_cost": 1.0,
        "acceptance_alpha": 6.0,
        "acceptance_beta": 14.0,
    }
    return Economics(currency="EUR", **(published | changes))


EVEN = economics(customer_value=30.0, contact_cost=0.0, acceptance_alpha=1.0, acceptance_beta=1.0)
"""A contact brings 10 EUR from one who would have left and loses 10 EUR on one who would have stayed."""

HOPELESS = economics(offer_cost=300.0)
"""The offer costs more than the customer is worth."""

# Few distinct probabilities, so that ties are common; 1.0 and 0.0 among them, as random forests say them.
customers = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 2 / 3, 1.0])), min_size=1)
campaigns = st.builds(
    economics,
    customer_value=st.floats(1, 500),
    offer_cost=st.floats(0, 100),
    contact_cost=st.floats(0, 20),
    acceptance_alpha=st.floats(0.5, 20),
    acceptance_beta=st.floats(0.5, 20),
)


def arrays(pairs: list[tuple[int, float]]) -> tuple[Labels, Floats]:
    return np.array([label for label, _ in pairs]), np.array([probability for _, probability in pairs])


def test_a_contact_brings_what_the_published_campaign_says() -> None:
    campaign = economics()
    assert campaign.gain_from_churner == pytest.approx(0.3 * (200 - 10) - 1)
    assert campaign.gain_from_stayer == -10 - 1


def test_customers_of_equal_probability_are_contacted_together() -> None:
    curve = profit_curve(np.array([1, 0, 1, 0]), np.array([0.2, 0.6, 0.6, 0.9]), EVEN)
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.6, 0.2]
    assert curve.contacted_share.tolist() == [0, 0.25, 0.75, 1]
    assert curve.profit_per_customer.tolist() == [0, -2.5, -2.5, 0]


@given(customers, campaigns)
def test_every_point_of_the_curve_is_the_campaign_counted_customer_by_customer(
    pairs: list[tuple[int, float]], campaign: Economics
) -> None:
    curve = profit_curve(*arrays(pairs), campaign)
    assert curve.thresholds.tolist() == [np.inf, *sorted({probability for _, probability in pairs}, reverse=True)]
    for threshold, share, profit in zip(
        curve.thresholds, curve.contacted_share, curve.profit_per_customer, strict=True
    ):
        contacted = [label for label, probability in pairs if probability >= threshold]
        earned = [campaign.gain_from_churner if label else campaign.gain_from_stayer for label in contacted]
        assert share == len(contacted) / len(pairs)
        assert profit == pytest.approx(sum(earned) / len(pairs), abs=1e-9)


@given(customers, campaigns)
def test_mpc_and_empc_are_those_of_the_library_empulse(pairs: list[tuple[int, float]], campaign: Economics) -> None:
    churned, probability = arrays(pairs)
    assume(0 < churned.mean() < 1 and campaign.customer_value > campaign.offer_cost)
    costs = {
        "clv": campaign.customer_value,
        "incentive_cost": campaign.offer_cost,
        "contact_cost": campaign.contact_cost,
    }
    accepted = {"alpha": campaign.acceptance_alpha, "beta": campaign.acceptance_beta}
    ours = maximum_profit(churned, probability, campaign)
    mpc = mpc_score(churned, probability, accept_rate=campaign.acceptance_rate, **costs)
    assert ours.mpc == pytest.approx(mpc, abs=1e-9)
    assert ours.empc == pytest.approx(empc_score(churned, probability, **accepted, **costs), abs=1e-9)
    share = empc_score.optimal_rate(churned, probability, **accepted, **costs)
    assert ours.empc_contacted_share == pytest.approx(share, abs=1e-9)


def test_nobody_is_worth_an_offer_that_costs_more_than_he_brings() -> None:
    churned, probability = np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7])
    maximum = maximum_profit(churned, probability, HOPELESS)
    assert maximum == MaximumProfit(mpc=0.0, empc=0.0, empc_contacted_share=0.0)


def test_empc_is_the_best_profit_averaged_over_how_many_accept() -> None:
    random = np.random.default_rng(0)
    probability = random.random(500)
    churned = (random.random(500) < probability / 2).astype(int)
    best_profits, best_shares = [], []
    for accepting in beta(6, 14).ppf((np.arange(400) + 0.5) / 400):
        curve = profit_curve(churned, probability, economics(acceptance_alpha=accepting, acceptance_beta=1 - accepting))
        best_profits.append(curve.profit_per_customer[curve.best])
        best_shares.append(curve.contacted_share[curve.best])
    maximum = maximum_profit(churned, probability, economics())
    assert maximum.empc == pytest.approx(np.mean(best_profits), rel=1e-3)
    assert maximum.empc_contacted_share == pytest.approx(np.mean(best_shares), rel=1e-2)


def test_of_equal_profits_the_best_contacts_fewest() -> None:
    curve = profit_curve(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.7]), EVEN)
    assert curve.profit_per_customer[1] == curve.profit_per_customer[3]
    assert curve.best == 1


@given(customers)
def test_nobody_is_contacted_when_no_contact_pays_however_sure_the_model_is(pairs: list[tuple[int, float]]) -> None:
    churned, probability = arrays([*pairs, (1, 1.0)])
    threshold = most_profitable_threshold(churned, probability, HOPELESS)
    assert threshold == NOBODY
    assert not np.any(probability >= threshold)


def test_everybody_is_contacted_when_every_contact_pays() -> None:
    churned, probability = np.array([1, 1, 1]), np.array([0.9, 0.0000004, 0.4])
    threshold = most_profitable_threshold(churned, probability, economics())
    assert np.all(probability >= threshold)
    assert profit_per_customer(churned, probability >= threshold, economics()) == pytest.approx(56)


def test_the_threshold_earns_the_best_profit_of_the_curve() -> None:
    churned, probability = np.array([1, 0, 1, 0, 0, 0]), np.array([0.8, 0.7, 0.6, 0.3, 0.2, 0.1])
    threshold = most_profitable_threshold(churned, probability, EVEN)
    curve = profit_curve(churned, probability, EVEN)
    assert threshold == 0.8
    assert profit_per_customer(churned, probability >= threshold, EVEN) == curve.profit_per_customer[curve.best]


@given(st.floats(0, 1))
def test_rounding_never_lets_the_threshold_pass_the_customer_it_was_chosen_by(probability: float) -> None:
    threshold = most_profitable_threshold(np.array([1]), np.array([probability]), economics())
    assert threshold <= probability < threshold + 1.000001e-6


@pytest.mark.parametrize("probability", [0.07, np.nextafter(0.07, 0), np.nextafter(0.3, 1), 1 / 3, 1.0, 0.0])
def test_the_threshold_in_the_written_figures_is_the_one_the_model_decides_by(
    probability: float, tmp_path: Path
) -> None:
    threshold = most_profitable_threshold(np.array([1]), np.array([probability]), economics())
    files.write_json(tmp_path / "train.json", {"threshold": threshold, "nobody": NOBODY})
    assert files.read_json(tmp_path / "train.json") == {"threshold": threshold, "nobody": NOBODY}
    assert probability >= threshold


def test_a_round_probability_stays_the_threshold_as_it_is() -> None:
    assert most_profitable_threshold(np.array([1]), np.array([0.3]), economics()) == 0.3
