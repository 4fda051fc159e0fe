"""Estimators in params.yaml: import paths with arguments, among which can be further estimators."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PATH, ARGUMENTS = "estimator", "params"
"""Keys of a nested estimator, as in the section `train`."""


@dataclass(frozen=True)
class NestedEstimator:
    """An estimator that is an argument of another one, or a part of such an argument.

    Attributes:
        place: keys and positions that lead to it from the arguments of the outermost estimator.
    """

    place: tuple[str, ...]
    path: str
    arguments: Mapping[str, Any]


def nested_estimator(place: tuple[str, ...], value: Any) -> NestedEstimator | None:
    """The estimator that a value describes, if it does.

    That is a mapping of `estimator` and optionally `params`, or, under a key that ends in `estimator`, an import path.
    """
    if isinstance(value, Mapping) and PATH in value and set(value) <= {PATH, ARGUMENTS}:
        path, arguments = value[PATH], value.get(ARGUMENTS)
        if isinstance(path, str) and isinstance(arguments, Mapping | None):
            return NestedEstimator(place, path, arguments or {})
    if isinstance(value, str) and "." in value and place[-1].endswith(PATH):
        return NestedEstimator(place, value, {})
    return None


def import_paths(section: Any) -> Iterator[str]:
    """Import paths of the estimator that a section of params.yaml describes, and of all estimators in its arguments."""
    if isinstance(section, Mapping) and PATH in section:
        yield str(section[PATH])
        yield from _paths_in((ARGUMENTS,), section.get(ARGUMENTS))


def _paths_in(place: tuple[str, ...], value: Any) -> Iterator[str]:
    nested = nested_estimator(place, value)
    if nested is not None:
        yield from import_paths({PATH: nested.path, ARGUMENTS: nested.arguments})
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _paths_in((*place, str(name)), one)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _paths_in((*place, str(number)), one)
