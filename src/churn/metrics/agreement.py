"""How far results of one state that two platforms computed are apart."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

TOLERANCE = 1e-5
"""Largest distance between the same results on two platforms.

Figures have six decimals, so rounding alone can make 1e-6. Probabilities are up to 1e-7 apart: the solver of an
estimator stops within a tolerance of its own.
"""

END_OF_ROW = None


def distance(one: Any, other: Any) -> float:
    """Difference of two numbers, relative to the larger one if that exceeds 1; of other values 0 if equal, else inf."""
    if one == other:
        return 0.0
    if isinstance(one, int | float) and isinstance(other, int | float):
        apart = abs(one - other) / max(1.0, abs(one), abs(other))
        return math.inf if math.isnan(apart) else apart
    return math.inf


def distance_of_files(path: str, one: bytes, other: bytes) -> float | None:
    """Largest distance of two values in the same place of two CSV or JSON files; None for other kinds of files.

    It is infinite if rows, columns, keys or texts differ.
    """
    if path.endswith(".csv"):
        left, right = list(_cells(one)), list(_cells(other))
    elif path.endswith(".json"):
        left, right = list(_leaves(json.loads(one))), list(_leaves(json.loads(other)))
    else:
        return None
    if len(left) != len(right):
        return math.inf
    return max(map(distance, left, right), default=0.0)


def _cells(content: bytes) -> Iterator[str | float | None]:
    for row in csv.reader(content.decode().split("\n")):
        for cell in row:
            yield _number_or_text(cell)
        yield END_OF_ROW


def _number_or_text(cell: str) -> str | float:
    try:
        number = float(cell)
    except ValueError:
        return cell
    return number if math.isfinite(number) else cell


def _leaves(value: Any) -> Iterator[Any]:
    """Keys and values in a fixed order."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield key
            yield from _leaves(value[key])
        yield END_OF_ROW
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
        yield END_OF_ROW
    else:
        yield value
