"""Convert values on two axes to coordinates and paths of an SVG."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.ticker import MaxNLocator

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """One axis of a chart."""

    label: str
    low: float
    high: float
    form: str
    """Format of values: share, money or number."""

    @property
    def ticks(self) -> tuple[float, ...]:
        """About five round values within the axis."""
        values = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        slack = 1e-9 * (self.high - self.low)
        return tuple(float(value) + 0.0 for value in values if self.low - slack <= value <= self.high + slack)


@dataclass(frozen=True)
class Plane:
    """Two axes in an SVG of `width` x `height` units; the origin is the upper left corner."""

    x: Axis
    y: Axis
    width: int = 440
    height: int = 320
    left: int = 82
    right: int = 26
    top: int = 12
    bottom: int = 46

    @property
    def floor(self) -> int:
        """Y coordinate of the lower edge of the plot area."""
        return self.height - self.bottom

    @property
    def wall(self) -> int:
        """X coordinate of the right edge of the plot area."""
        return self.width - self.right

    def across(self, value: float) -> float:
        """X coordinate of a value."""
        return round(self.left + (self.wall - self.left) * (value - self.x.low) / (self.x.high - self.x.low), 1)

    def up(self, value: float) -> float:
        """Y coordinate of a value."""
        return round(self.floor - (self.floor - self.top) * (value - self.y.low) / (self.y.high - self.y.low), 1)

    def path(self, points: Iterable[Point]) -> str:
        """SVG path of a line through points."""
        return "M" + "L".join(f"{self.across(x):g} {self.up(y):g}" for x, y in points)

    def band(self, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
        """SVG path of the area between two lines."""
        there, back = zip(x, high, strict=True), zip(reversed(x), reversed(low), strict=True)
        return self.path([*there, *back]) + "Z"


def reach(values: Iterable[float]) -> tuple[float, float]:
    """Range of an axis for these values, with a margin; never empty. NaN is ignored."""
    known = [value for value in values if not math.isnan(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    air = 0.04 * (high - low) or 1.0
    return low - air, high + air


def thin(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions, evenly spaced, including both ends."""
    if count <= most:
        return list(range(count))
    step = (count - 1) / (most - 1)
    kept = [round(place * step) for place in range(most)]
    return [kept[0], *(second for first, second in pairwise(kept) if second != first)]
