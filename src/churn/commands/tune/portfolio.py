"""The portfolio: configurations that are judged before any is sampled, because no single one suits every table."""

from collections.abc import Sequence
from dataclasses import dataclass

from churn.config.params import PARAMS_FILE
from churn.config.search_space import Candidate, Listed, Space
from churn.errors import ParameterError, excerpt
from churn.model.estimators import Keys


@dataclass(frozen=True)
class Member:
    """A configuration, and its position in tune.portfolio."""

    place: int
    candidate: Candidate

    @property
    def named(self) -> Keys:
        """Its keys in params.yaml."""
        here = f"tune.portfolio.{self.place}"
        return Keys(f"{here}.estimator", f"{here}.params")


Plan = tuple[Space, tuple[Member, ...]]


def members(listed: Sequence[Listed]) -> tuple[Member, ...]:
    """All configurations of the portfolio."""
    return tuple(Member(place, one.candidate) for place, one in enumerate(listed))


def restrict(space: Space, listed: tuple[Member, ...], estimator: str | None, *, alone: bool) -> Plan:
    """Leave only one estimator in the space and in the portfolio; `alone`: nothing is sampled from the space.

    Raises:
        ParameterError: nothing is left to try.
    """
    if alone and not listed:
        raise ParameterError(
            f"{PARAMS_FILE}: tune.portfolio: is empty, so --portfolio has nothing to judge; list configurations there, "
            "or leave out --portfolio to search tune.space"
        )
    tried = {path: arguments for path, arguments in space.items() if estimator in (None, path)}
    left = tuple(one for one in listed if estimator in (None, one.candidate.estimator))
    if not (left if alone else tried):
        where, known = (
            ("tune.portfolio", dict.fromkeys(one.candidate.estimator for one in listed))
            if alone
            else ("tune.space", space)
        )
        raise ParameterError(
            f"--estimator {excerpt(str(estimator))}: not in {where} of {PARAMS_FILE}, which has {', '.join(known)}"
        )
    return tried, left
