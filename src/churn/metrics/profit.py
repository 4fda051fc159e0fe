"""Profit of contacting customers, in the currency of params.yaml.

The model of the campaign is that of Verbraken, Verbeke and Baesens (2013), IEEE TKDE 25(5): each contact has a cost;
every contacted stayer accepts the offer; a contacted churner accepts it with some probability and then stays, which
retains the customer value.
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import betaincc

from churn.config.economics import Economics
from churn.metrics.scores import counts_by_probability
from churn.types import Floats, Labels

NOBODY = 1.000001
"""Threshold above any probability, with six decimals: some models predict exactly 1.0."""


@dataclass(frozen=True)
class ProfitCurve:
    """Expected profit of contacting all customers at or above each threshold, in decreasing order of thresholds.

    The first point contacts no one (threshold infinity), the last one contacts everyone.
    """

    thresholds: Floats
    contacted_share: Floats
    profit_per_customer: Floats

    @property
    def best(self) -> int:
        """Index of the highest profit; in a tie, the point with the fewest contacts."""
        return int(np.argmax(self.profit_per_customer))


def gains(churned: Labels, economics: Economics) -> Floats:
    """Expected gain of contacting each customer, given the outcome."""
    return np.where(churned == 1, economics.gain_from_churner, economics.gain_from_stayer)


def expected_gain(probability: Floats, economics: Economics) -> Floats:
    """Expected gain of contacting each customer, given the probability of churn."""
    return probability * economics.gain_from_churner + (1 - probability) * economics.gain_from_stayer


def profit_per_customer(churned: Labels, contacted: NDArray[np.bool_], economics: Economics) -> float:
    """Expected profit of contacting the `contacted` customers, divided by the number of all customers."""
    return float(np.where(contacted, gains(churned, economics), 0.0).mean())


def profit_curve(churned: Labels, probability: Floats, economics: Economics) -> ProfitCurve:
    """Profit at every distinct threshold."""
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    last_of_ties = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    total = np.cumsum(gains(churned, economics)[order])[last_of_ties]
    return ProfitCurve(
        thresholds=np.append(np.inf, ranked[last_of_ties]),
        contacted_share=np.append(0.0, (last_of_ties + 1) / len(ranked)),
        profit_per_customer=np.append(0.0, total / len(ranked)),
    )


def most_profitable_threshold(churned: Labels, probability: Floats, economics: Economics) -> float:
    """Threshold with the highest profit on these rows; NOBODY if no contact is profitable.

    Rounded down to six decimals, so that reports show exactly the threshold that the model uses.
    """
    curve = profit_curve(churned, probability, economics)
    best = curve.thresholds[curve.best]
    if np.isinf(best):
        return NOBODY
    # Decimal: in binary, the product with 1e6 may round up, above the probability of the last contacted customer.
    return float(Decimal(str(best)).quantize(Decimal("0.000001"), rounding=ROUND_FLOOR))


def choose_threshold(churned: Labels, probability: Floats, wanted: str | float, economics: Economics) -> float:
    """The value of `train.threshold`, or the most profitable threshold if it is "profit"."""
    return most_profitable_threshold(churned, probability, economics) if isinstance(wanted, str) else wanted


def contacted_out_of_fold(
    churned: Labels, probability: Floats, folds: Labels, wanted: str | float, economics: Economics
) -> NDArray[np.bool_]:
    """Which rows are contacted if each fold uses the threshold chosen on the other folds."""
    contacted = np.zeros(len(churned), dtype=bool)
    for fold in np.unique(folds):
        inside = folds == fold
        threshold = choose_threshold(churned[~inside], probability[~inside], wanted, economics)
        contacted[inside] = probability[inside] >= threshold
    return contacted


@dataclass(frozen=True)
class MaximumProfit:
    """Maximum profit of a ranking, with the threshold chosen in hindsight; for comparison with published results."""

    mpc: float
    empc: float
    empc_contacted_share: float


def maximum_profit(churned: Labels, probability: Floats, economics: Economics) -> MaximumProfit:
    """MPC (acceptance rate at its mean) and EMPC (acceptance rate ~ Beta), per customer.

    Verbraken, Verbeke and Baesens (2013), IEEE TKDE 25(5). Their integral is over the vertices of the ROC convex hull.
    Isotonic regression of the outcome gives the same hull as groups of customers with equal churn rate. Contacting a
    group is profitable above a certain acceptance rate; its gain is integrated from that rate up to 1.
    """
    curve = profit_curve(churned, probability, economics)
    churners, stayers = counts_by_probability(churned, probability)
    customers = churners + stayers
    churn_rate = isotonic_regression(churners / customers, weights=customers).x
    loss = churn_rate * economics.contact_cost - (1 - churn_rate) * economics.gain_from_stayer
    gain = churn_rate * max(economics.customer_value - economics.offer_cost, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        worth_it_from = np.where(gain > 0, np.minimum(loss / gain, 1.0), 1.0)
    alpha, beta = economics.acceptance_alpha, economics.acceptance_beta
    accepted = economics.acceptance_rate * betaincc(alpha + 1, beta, worth_it_from)
    contacted = betaincc(alpha, beta, worth_it_from)
    return MaximumProfit(
        mpc=float(curve.profit_per_customer[curve.best]),
        empc=float(np.average(gain * accepted - loss * contacted, weights=customers)),
        empc_contacted_share=float(np.average(contacted, weights=customers)),
    )
