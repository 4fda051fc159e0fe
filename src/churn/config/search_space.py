"""What a search may try: estimators, and for each of their arguments a range or choices. No Optuna here."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, RootModel, Tag, model_validator

from churn.config.contract import Strict

SIGNIFICANT_DIGITS = 3
"""Of every number with decimals that is tried, so that it stands in params.yaml exactly as it was tried."""

ESTIMATOR = "estimator"
"""Name under which a sampler is asked which estimator; an argument's name is that of its estimator, a dot, its own."""


class Suggests(Protocol):
    """What Optuna's trials can do."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number of a range."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """A whole number of a range, ends included."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of some values."""


def _number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError("must be a finite number")


class NumericRange(Strict):
    """Numbers from low to high; when both are whole, whole ones. With log, small ones as often as large ones."""

    low: Annotated[Any, BeforeValidator(_number)]
    high: Annotated[Any, BeforeValidator(_number)]
    log: bool

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}; for one fixed value, list it: [value]")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs a low above 0, not {self.low:g}")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def example(self) -> float:
        """Some value of it."""
        return float(self.low) if not self.whole else self.low

    def suggest(self, name: str, trial: Suggests) -> float:
        """The value that a trial is to try, rounded."""
        if self.whole:
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        drawn = trial.suggest_float(name, self.low, self.high, log=self.log)
        return min(max(float(f"{drawn:.{SIGNIFICANT_DIGITS}g}"), float(self.low)), float(self.high))

    def point(self, name: str, value: object) -> dict[str, Any] | None:
        """What a trial with this value has under that name; None when the value is outside."""
        kinds = int if self.whole else (int, float)
        inside = isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high
        return {name: value} if inside else None


class Choices(RootModel[tuple[Any, ...]]):
    """Values of any kind, of which one is tried; of one alone, that one, and a sampler is not asked."""

    model_config = ConfigDict(frozen=True)
    root: Annotated[tuple[Any, ...], Field(min_length=1, strict=False)]

    @property
    def example(self) -> Any:
        """Some value of it."""
        return self.root[0]

    def suggest(self, name: str, trial: Suggests) -> Any:
        """The value that a trial is to try."""
        places = range(len(self.root))
        return self.root[trial.suggest_categorical(name, list(places)) if len(self.root) > 1 else 0]

    def point(self, name: str, value: object) -> dict[str, Any] | None:
        """What a trial with this value has under that name; None when the value is none of the choices."""
        if value not in self.root:
            return None
        return {name: self.root.index(value)} if len(self.root) > 1 else {}


def _kind(value: object) -> str | None:
    """Which of the two a value of params.yaml is; None for neither."""
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
"""By import path of an estimator and name of an argument."""

Fixed = Mapping[str, Mapping[str, Any]]
"""Arguments that are not searched, by import path of the estimator."""


@dataclass(frozen=True)
class Candidate:
    """An estimator with its arguments, as they would stand in params.yaml."""

    estimator: str
    arguments: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The same for equal candidates, whatever the order of their arguments."""
        text = json.dumps([self.estimator, self.arguments], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def suggest_candidate(space: Space, fixed: Fixed, trial: Suggests) -> Candidate:
    """What a trial is to try."""
    paths = list(space)
    path = trial.suggest_categorical(ESTIMATOR, paths) if len(paths) > 1 else paths[0]
    tried = {name: allowed.suggest(f"{path}.{name}", trial) for name, allowed in space[path].items()}
    return Candidate(path, {**fixed.get(path, {}), **tried})


def examples(space: Space, fixed: Fixed) -> list[Candidate]:
    """One candidate of each estimator."""
    return [
        Candidate(path, {**fixed.get(path, {}), **{name: one.example for name, one in arguments.items()}})
        for path, arguments in space.items()
    ]


def point_of(space: Space, fixed: Fixed, candidate: Candidate) -> dict[str, Any]:
    """A candidate as a point of the space, by the names that a sampler knows; empty when it lies outside."""
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
    """What stays as it is: the present arguments that the space does not list, for the present estimator."""
    listed = space.get(present.estimator, {})
    return {present.estimator: {name: value for name, value in present.arguments.items() if name not in listed}}
