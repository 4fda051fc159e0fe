"""What may be tried: every value is in its range, rounded, and stands in params.yaml as it was tried."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.config.params import Tune
from churn.config.search_space import (
    Candidate,
    NumericRange,
    Space,
    examples,
    fixed_arguments,
    point_of,
    suggest_candidate,
)

TREE, LINE = "sklearn.tree.DecisionTreeClassifier", "sklearn.linear_model.LogisticRegression"
CONTENT: dict[str, dict[str, Any]] = {
    TREE: {"max_depth": {"low": 1, "high": 4, "log": False}, "criterion": ["gini", "entropy"], "splitter": ["best"]},
    LINE: {"C": {"low": 0.001, "high": 10.0, "log": True}},
}
SPACE: Space = Tune.model_validate({"objective": "profit", "trials": 1, "portfolio": [], "space": CONTENT}).space


class Drawing:
    """Suggests at random, and notes what it was asked for."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self.point: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        return float(self._noted(name, self._random.uniform(low, high)))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        return int(self._noted(name, self._random.randint(low, high)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._noted(name, self._random.choice(choices))

    def _noted(self, name: str, value: Any) -> Any:
        self.point[name] = value
        return value


def test_only_arguments_of_the_estimator_that_is_tried_are_asked_for() -> None:
    seen = set()
    for seed in range(20):
        trial = Drawing(seed)
        candidate = suggest_candidate(SPACE, {}, trial)
        seen.add(candidate.estimator)
        assert set(trial.point) - {"estimator"} <= {f"{candidate.estimator}.{name}" for name in candidate.arguments}
        assert set(candidate.arguments) == set(CONTENT[candidate.estimator])
    assert seen == {TREE, LINE}


def test_a_list_of_one_is_a_fixed_value_and_the_sampler_is_not_asked() -> None:
    trial = Drawing(0)
    assert suggest_candidate({TREE: SPACE[TREE]}, {}, trial).arguments["splitter"] == "best"
    assert set(trial.point) == {f"{TREE}.max_depth", f"{TREE}.criterion"}


def test_a_range_between_whole_numbers_gives_whole_numbers() -> None:
    drawn = {suggest_candidate({TREE: SPACE[TREE]}, {}, Drawing(seed)).arguments["max_depth"] for seed in range(40)}
    assert drawn == {1, 2, 3, 4}
    assert all(isinstance(one, int) for one in drawn)


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_a_rounded_value_stays_in_its_range(low: float, width: float, seed: int) -> None:
    high = low + width
    if not low < high:
        return
    value = NumericRange(low=low, high=high, log=False).suggest("x", Drawing(seed))
    assert low <= value <= high
    assert value in (low, high) or value == float(f"{value:.3g}")


def test_present_arguments_that_are_not_listed_stay_but_only_for_the_present_estimator() -> None:
    fixed = fixed_arguments(SPACE, Candidate(LINE, {"C": 1.0, "max_iter": 500}))
    assert [one.arguments for one in examples(SPACE, fixed)] == [
        {"max_depth": 1, "criterion": "gini", "splitter": "best"},
        {"max_iter": 500, "C": 0.001},
    ]


@pytest.mark.parametrize("seed", range(10))
def test_what_was_suggested_is_found_again_as_a_point(seed: int) -> None:
    trial = Drawing(seed)
    candidate = suggest_candidate({TREE: SPACE[TREE]}, {}, trial)
    found = point_of({TREE: SPACE[TREE]}, {}, candidate)
    assert found[f"{TREE}.max_depth"] == candidate.arguments["max_depth"]
    assert CONTENT[TREE]["criterion"][found[f"{TREE}.criterion"]] == candidate.arguments["criterion"]


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(LINE, {"C": 11.0}),
        Candidate(LINE, {"C": "1"}),
        Candidate(LINE, {"C": 1.0, "tol": 0.1}),
        Candidate(TREE, {"max_depth": 2.5, "criterion": "gini", "splitter": "best"}),
        Candidate(TREE, {"max_depth": 2, "criterion": "log_loss", "splitter": "best"}),
        Candidate("sklearn.svm.SVC", {}),
    ],
)
def test_what_lies_outside_is_no_point(candidate: Candidate) -> None:
    assert point_of(SPACE, {}, candidate) == {}


def test_equal_candidates_are_known_whatever_the_order_of_their_arguments() -> None:
    one, other = Candidate(LINE, {"C": 1.0, "tol": 0.1}), Candidate(LINE, {"tol": 0.1, "C": 1.0})
    assert one.digest == other.digest != Candidate(LINE, {"C": 1.0, "tol": 0.2}).digest
