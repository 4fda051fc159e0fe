"""What `churn tune` tries: whole configurations (the portfolio), and ranges or choices for each argument (the space).

Does not import Optuna.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from churn.config.contract import Strict

SIGNIFICANT_DIGITS = 3
"""Precision of sampled decimal numbers, so that params.yaml holds exactly the value that was tried."""

ESTIMATOR = "estimator"
"""Name of the sampler's parameter for the estimator; arguments are named `<import path>.<argument>`."""


class Suggests(Protocol):
    """The part of the interface of Optuna's trials that is used here."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Suggest a number from low to high."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """Suggest a whole number from low to high, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Suggest one of the choices."""


def _number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError("must be a finite number")


class NumericRange(Strict):
    """Numbers from low to high, whole if both bounds are. With log, values are sampled on a logarithmic scale."""

    low: Annotated[Any, BeforeValidator(_number)]
    high: Annotated[Any, BeforeValidator(_number)]
    log: bool

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}; for one fixed value, list it: [value]")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true requires low above 0, not {self.low:g}")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def example(self) -> float:
        """A value from the range."""
        return float(self.low) if not self.whole else self.low

    def suggest(self, name: str, trial: Suggests) -> float:
        """Let the trial choose a value, rounded to SIGNIFICANT_DIGITS."""
        if self.whole:
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        drawn = trial.suggest_float(name, self.low, self.high, log=self.log)
        return min(max(float(f"{drawn:.{SIGNIFICANT_DIGITS}g}"), float(self.low)), float(self.high))

    def point(self, name: str, value: object) -> dict[str, Any] | None:
        """The value as a point for the sampler; None if it is outside the range."""
        kinds = int if self.whole else (int, float)
        inside = isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high
        return {name: value} if inside else None


class Choices(RootModel[tuple[Any, ...]]):
    """Values of any kind to choose from. A single value is fixed: the sampler gets no parameter for it."""

    model_config = ConfigDict(frozen=True)
    root: Annotated[tuple[Any, ...], Field(min_length=1, strict=False)]

    @property
    def example(self) -> Any:
        """The first choice."""
        return self.root[0]

    def suggest(self, name: str, trial: Suggests) -> Any:
        """Let the trial choose a value."""
        places = range(len(self.root))
        return self.root[trial.suggest_categorical(name, list(places)) if len(self.root) > 1 else 0]

    def point(self, name: str, value: object) -> dict[str, Any] | None:
        """The value as a point for the sampler (its position); None if it is not one of the choices."""
        if value not in self.root:
            return None
        return {name: self.root.index(value)} if len(self.root) > 1 else {}


def _kind(value: object) -> str | None:
    """Whether a value of params.yaml is a range or choices; None for neither."""
    kinds = {NumericRange: "range", Mapping: "range", Choices: "choices", Sequence: "choices"}
    found = [kind for one, kind in kinds.items() if isinstance(value, one) and not isinstance(value, str)]
    return found[0] if found else None


Allowed = Annotated[
    Annotated[NumericRange, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(
        _kind,
        custom_error_type="range_or_choices",
        custom_error_message="must be a range {low, high, log} or a list of choices",
    ),
]
Space = dict[str, dict[str, Allowed]]
"""Ranges or choices by import path of the estimator, then by argument name."""

Fixed = Mapping[str, Mapping[str, Any]]
"""Fixed arguments by import path of the estimator, then by argument name."""


@dataclass(frozen=True)
class Candidate:
    """An estimator with its arguments, as written in params.yaml."""

    estimator: str
    arguments: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Hash of the candidate; independent of the order of its arguments."""
        text = json.dumps([self.estimator, self.arguments], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Listed(Strict):
    """A configuration of the portfolio, as under `train`."""

    estimator: str
    params: dict[str, Any]

    @property
    def candidate(self) -> Candidate:
        """The configuration as a candidate."""
        return Candidate(self.estimator, self.params)


Portfolio = Annotated[tuple[Listed, ...], Field(strict=False)]
"""Configurations that are judged first, whatever the search space."""


def suggest_candidate(space: Space, fixed: Fixed, trial: Suggests) -> Candidate:
    """Let the trial choose an estimator and its arguments."""
    paths = list(space)
    path = trial.suggest_categorical(ESTIMATOR, paths) if len(paths) > 1 else paths[0]
    tried = {name: allowed.suggest(f"{path}.{name}", trial) for name, allowed in space[path].items()}
    return Candidate(path, {**fixed.get(path, {}), **tried})


def examples(space: Space, fixed: Fixed) -> list[Candidate]:
    """One example candidate for each estimator."""
    return [
        Candidate(path, {**fixed.get(path, {}), **{name: one.example for name, one in arguments.items()}})
        for path, arguments in space.items()
    ]


def point_of(space: Space, fixed: Fixed, candidate: Candidate) -> dict[str, Any]:
    """A candidate as a point of the search space, by the sampler's parameter names; empty if it lies outside."""
    path = candidate.estimator
    if path not in space or set(candidate.arguments) != {*fixed.get(path, {}), *space[path]}:
        return {}
    point: dict[str, Any] = {ESTIMATOR: path} if len(space) > 1 else {}
    for name, allowed in space[path].items():
        part = allowed.point(f"{path}.{name}", candidate.arguments[name])
        if part is None:
            return {}
        point |= part
    return point


def fixed_arguments(space: Space, present: Candidate) -> Fixed:
    """Arguments of the present estimator that the search space does not list."""
    listed = space.get(present.estimator, {})
    return {present.estimator: {name: value for name, value in present.arguments.items() if name not in listed}}
