"""Values become places on a sheet."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.report.svg import Axis, Plane, reach, thin

PLANE = Plane(Axis("x", 0, 1, "share"), Axis("y", -100, 300, "euros"))


def test_the_ends_of_both_axes_are_the_edges_of_the_sheet() -> None:
    assert (PLANE.across(0), PLANE.across(1)) == (PLANE.left, PLANE.wall)
    assert (PLANE.up(-100), PLANE.up(300)) == (PLANE.floor, PLANE.top)


def test_a_path_goes_through_its_points_and_a_band_back_again() -> None:
    left, right, floor, top = PLANE.left, PLANE.wall, PLANE.floor, PLANE.top
    assert PLANE.path([(0, -100), (1, 300)]) == f"M{left} {floor}L{right} {top}"
    assert (
        PLANE.band([0, 1], [-100, -100], [300, 300]) == f"M{left} {top}L{right} {top}L{right} {floor}L{left} {floor}Z"
    )


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_ticks_are_few_and_within_their_axis(low: float, width: float) -> None:
    ticks = Axis("x", low, low + width, "number").ticks
    assert len(ticks) <= 7
    assert all(low - 1e-6 * width <= tick <= low + 1.000001 * width for tick in ticks)


@pytest.mark.parametrize("values", [[], [math.nan], [2.0, 2.0], [-5.0, 3.0, math.nan]])
def test_an_axis_always_has_a_length(values: list[float]) -> None:
    low, high = reach(values)
    assert low < high
    assert all(low <= value <= high for value in values if not math.isnan(value))


@given(count=st.integers(0, 5000), most=st.integers(2, 300))
def test_thinning_keeps_both_ends_in_order_and_no_more_than_it_may(count: int, most: int) -> None:
    kept = thin(count, most)
    assert len(kept) == min(count, most)
    assert kept == sorted(set(kept))
    if count:
        assert (kept[0], kept[-1]) == (0, count - 1)
