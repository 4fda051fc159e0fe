"""Costs and value of a retention campaign, from `business` in params.yaml."""

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from churn.config.contract import Strict

LONGEST_CURRENCY = 5
MOST_MONEY = 1e12
"""Sums over all customers stay far from what a float cannot hold."""
FORMER_CURRENCY = "EUR"
"""Currency of states older than `business.currency`; their names of amounts ended in `_eur`."""


class Economics(Strict):
    """Costs and values of a retention campaign, in one currency."""

    currency: str
    customer_value: Annotated[float, Field(gt=0, le=MOST_MONEY)]
    offer_cost: Annotated[float, Field(ge=0, le=MOST_MONEY)]
    contact_cost: Annotated[float, Field(ge=0, le=MOST_MONEY)]
    acceptance_alpha: Annotated[float, Field(gt=0, le=1e6)]
    acceptance_beta: Annotated[float, Field(gt=0, le=1e6)]

    @field_validator("currency")
    @classmethod
    def _letters_or_signs(cls, value: str) -> str:
        """Reject all other characters: the currency is inserted into text, HTML and Markdown."""
        kinds = {"Sc" if (kind := unicodedata.category(sign)) == "Sc" else kind[0] for sign in value}
        if not 0 < len(value) <= LONGEST_CURRENCY or kinds - {"L", "Sc"}:
            raise ValueError(f"must be 1 to {LONGEST_CURRENCY} letters or currency signs, such as EUR or US$")
        return value

    @property
    def per_1000(self) -> str:
        """Unit of the amounts reported for a table."""
        return f"{self.currency} per 1,000 customers"

    @property
    def acceptance_rate(self) -> float:
        """Mean of the Beta distribution."""
        return self.acceptance_alpha / (self.acceptance_alpha + self.acceptance_beta)

    @property
    def gain_from_churner(self) -> float:
        """Expected gain from contacting one churner."""
        return self.acceptance_rate * (self.customer_value - self.offer_cost) - self.contact_cost

    @property
    def gain_from_stayer(self) -> float:
        """Gain from contacting one customer who would have stayed; negative."""
        return -self.offer_cost - self.contact_cost

    @property
    def break_even(self) -> float:
        """Probability of churn from which the expected profit of a contact is positive; infinite if it never is."""
        gain, loss = self.gain_from_churner, -self.gain_from_stayer
        return loss / (gain + loss) if gain > 0 else math.inf


_FORMER_NAME = re.compile(
    r"((?:business\.|choose\.|confirm\.)?"
    r"(?:customer_value|offer_cost|contact_cost|e?mpc|hindsight_best_profit_per_1000"
    r"|(?:train_)?profit(?:_over_everybody|_contact_nobody|_contact_everybody)?_per_1000))_eur(_low|_high)?"
)


def present_name(name: str) -> str:
    """Current name of a key or metric; in states older than `business.currency`, its name ended in `_eur`."""
    former = _FORMER_NAME.fullmatch(name)
    return f"{former[1]}{former[2] or ''}" if former else name


def present_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rename keys or metrics to their current names."""
    return {present_name(name): value for name, value in values.items()}


def in_present_terms(business: Mapping[str, Any]) -> dict[str, Any]:
    """A `business` section with current key names; adds the currency to an old one."""
    present = present_names(business)
    return present if present == dict(business) else {"currency": FORMER_CURRENCY} | present
