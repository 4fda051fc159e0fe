"""What a retention campaign costs and brings, as `params.yaml` says it."""

from typing import Annotated

from pydantic import Field

from churn.config.contract import Strict


class Economics(Strict):
    """Costs and values of a retention campaign, in one currency."""

    customer_value_eur: Annotated[float, Field(gt=0)]
    offer_cost_eur: Annotated[float, Field(ge=0)]
    contact_cost_eur: Annotated[float, Field(ge=0)]
    acceptance_alpha: Annotated[float, Field(gt=0)]
    acceptance_beta: Annotated[float, Field(gt=0)]

    @property
    def acceptance_rate(self) -> float:
        """Mean of the Beta distribution."""
        return self.acceptance_alpha / (self.acceptance_alpha + self.acceptance_beta)

    @property
    def contacted_churner_eur(self) -> float:
        """Expected gain from contacting one customer who would have left."""
        return self.acceptance_rate * (self.customer_value_eur - self.offer_cost_eur) - self.contact_cost_eur

    @property
    def contacted_stayer_eur(self) -> float:
        """Gain from contacting one customer who would have stayed: a loss."""
        return -self.offer_cost_eur - self.contact_cost_eur
