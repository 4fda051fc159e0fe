"""Results of two platforms are compared value by value."""

import math

import pytest

from churn.metrics.agreement import TOLERANCE, distance, distance_of_files

SCORES = b"row,probability\na,0.25\nb,1e-9\n"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (0.5, 0.5, 0.0),
        (0.5, 0.75, 0.25),
        (1000.0, 1001.0, 1 / 1001),
        (3, 3.0, 0.0),
        (math.inf, math.inf, 0.0),
        (math.inf, 1.0, math.inf),
        (math.nan, 1.0, math.inf),
        ("a", "a", 0.0),
        ("a", "b", math.inf),
        ("1", 1, math.inf),
        (None, 0.0, math.inf),
    ],
)
def test_numbers_have_a_distance_relative_to_large_ones_and_all_else_is_equal_or_not(
    one: object, other: object, expected: float
) -> None:
    assert distance(one, other) == pytest.approx(expected)
    assert distance(other, one) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("path", "one", "other", "expected"),
    [
        ("scores.csv", SCORES, SCORES, 0.0),
        ("scores.csv", SCORES, SCORES.replace(b"0.25", b"0.2500000001"), 1e-10),
        ("scores.csv", SCORES, SCORES.replace(b"0.25", b"0.5"), 0.25),
        ("scores.csv", SCORES, SCORES.replace(b"a,", b"c,"), math.inf),
        ("scores.csv", SCORES, SCORES + b"c,0.5\n", math.inf),
        ("scores.csv", b"a,b\nc\n", b"a\nb,c\n", math.inf),
        ("train.json", b'{"auc": 0.85, "bins": [1, 2]}', b'{"bins": [1, 2.5], "auc": 0.85}', 0.2),
        ("train.json", b'{"auc": 0.85}', b'{"roc": 0.85}', math.inf),
        ("train.json", b'{"auc": [1], "b": 2}', b'{"auc": [1, 2], "b": 2}', math.inf),
        ("train.json", b'{"auc": null}', b'{"auc": null}', 0.0),
    ],
)
def test_files_are_as_far_apart_as_their_farthest_values(path: str, one: bytes, other: bytes, expected: float) -> None:
    assert distance_of_files(path, one, other) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("path", ["roc_curve.png", "churn_model.pkl", "report.html"])
def test_pictures_models_and_pages_have_no_values(path: str) -> None:
    assert distance_of_files(path, b"\x89", b"\x80") is None


def test_a_last_decimal_that_is_rounded_otherwise_is_allowed() -> None:
    assert distance(0.845123, 0.845124) < TOLERANCE
