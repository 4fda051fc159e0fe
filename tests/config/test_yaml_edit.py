"""params.yaml takes a candidate in, and stays what it was otherwise."""

import pytest

from churn.config.params import PARAMS_FILE, parse_yaml
from churn.config.search_space import Candidate
from churn.config.yaml_edit import adopt_candidate, as_diff
from tests.helpers.projects import PARAMS
from tests.helpers.sample import SAMPLE_PARAMS

REAL = (SAMPLE_PARAMS / PARAMS_FILE).read_text()
PRESENT = parse_yaml(REAL, PARAMS_FILE)["train"]
LINE = "sklearn.linear_model.LogisticRegression"


def changed(old: str, new: str) -> list[str]:
    return [line for line in as_diff(old, new).splitlines()[2:] if line[0] in "+-"]


def test_values_of_the_same_estimator_are_set_in_place_with_their_comments() -> None:
    new = adopt_candidate(
        REAL, Candidate(PRESENT["estimator"], PRESENT["params"] | {"learning_rate": 0.0123, "max_iter": 99})
    )
    assert changed(REAL, new) == [
        "-    learning_rate: 0.05         # step of each tree",
        "-    max_iter: 150               # trees",
        "+    learning_rate: 0.0123       # step of each tree",
        "+    max_iter: 99                # trees",
    ]


@pytest.mark.parametrize("lacking", [{"l2_regularization"}, {"early_stopping"}, {"learning_rate", "early_stopping"}])
def test_arguments_that_the_candidate_lacks_go_with_their_comments_and_no_other_line(lacking: set[str]) -> None:
    left = {name: value for name, value in PRESENT["params"].items() if name not in lacking}
    new = adopt_candidate(REAL, Candidate(PRESENT["estimator"], left))
    assert {(line[0], line[1:].split(":")[0].strip()) for line in changed(REAL, new)} == {
        ("-", name) for name in lacking
    }


def test_the_candidate_that_stands_there_changes_no_byte() -> None:
    assert adopt_candidate(REAL, Candidate(PRESENT["estimator"], PRESENT["params"])) == REAL


@pytest.mark.parametrize(
    ("old", "own"),
    [
        ("  id: ", "  id: null "),
        ("positive: !!str Yes ", 'positive: "Yes" '),
        ("seed: 2013 ", "seed:   2013 "),
        ("split: {by: key, column: null,", "split: { by: key, column: ~,"),
        ("  - NA\n", "    - NA\n"),
        ("  folds: 5 ", "  'folds': 5 "),
    ],
)
def test_in_a_layout_of_the_users_own_every_line_stays_that_is_not_set(old: str, own: str) -> None:
    theirs = REAL.replace(old, own)
    assert theirs != REAL
    new = adopt_candidate(theirs, Candidate(PRESENT["estimator"], PRESENT["params"] | {"max_iter": 99}))
    assert new == theirs.replace("max_iter: 150 ", "max_iter: 99  ")


@pytest.mark.parametrize("value", [1e-05, 1e20, 0.1, -2.5e-07, None, True, "balanced", "yes", [100, 50], {"a": [None]}])
def test_every_value_is_read_back_as_it_was_meant(value: object) -> None:
    new = adopt_candidate(PARAMS, Candidate(LINE, {"C": 1.0, "other": value}))
    assert parse_yaml(new, PARAMS_FILE)["train"]["params"] == {"C": 1.0, "other": value}


def test_another_estimator_brings_its_own_arguments_and_nothing_else_changes() -> None:
    new = adopt_candidate(REAL, Candidate(LINE, {"C": 0.232, "class_weight": "balanced"}))
    before, after = parse_yaml(REAL, PARAMS_FILE), parse_yaml(new, PARAMS_FILE)
    assert after["train"].pop("estimator") == LINE
    assert after["train"].pop("params") == {"C": 0.232, "class_weight": "balanced"}
    del before["train"]["estimator"], before["train"]["params"]
    assert after == before
    lines = changed(REAL, new)
    assert [line for line in lines if line.startswith("+")][1:] == ["+    C: 0.232", "+    class_weight: balanced"]
    assert len(lines) == 10


@pytest.mark.parametrize("plain", [REAL, PARAMS], ids=["with comments", "without"])
def test_line_ends_of_another_system_stay(plain: str) -> None:
    candidate = Candidate(LINE, {"C": 2.0})
    assert adopt_candidate(plain.replace("\n", "\r\n"), candidate) == adopt_candidate(plain, candidate).replace(
        "\n", "\r\n"
    )
