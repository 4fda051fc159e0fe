"""The portfolio of a search: judged first and whole, once, in a fixed order; its winner can be written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from churn.commands.tune import search, workers
from churn.commands.tune.result import Result, as_rows
from churn.commands.tune.study import EndedTrial, TrialOutcome
from churn.config.params import PARAMS_FILE, check_params, load_params, read_yaml
from churn.config.search_space import Candidate
from churn.errors import ParameterError
from tests.helpers.projects import NO_SERVER, shell
from tests.helpers.states import edit

pytestmark = pytest.mark.slow

LINE, TREE = "sklearn.linear_model.LogisticRegression", "sklearn.tree.DecisionTreeClassifier"
BAYES, SCALED = "sklearn.naive_bayes.GaussianNB", "sklearn.calibration.CalibratedClassifierCV"
LISTED: list[dict[str, Any]] = [
    {"estimator": TREE, "params": {"max_depth": 3, "criterion": "gini", "min_samples_leaf": 10}},
    {"estimator": LINE, "params": {"C": 0.5}},
    {"estimator": BAYES, "params": {}},
    {"estimator": SCALED, "params": {"estimator": {"estimator": TREE, "params": {"max_depth": 2}}, "cv": 3}},
]
EMPTY = "portfolio: []"


def list_in(root: Path, listed: list[dict[str, Any]]) -> None:
    edit(root / PARAMS_FILE, EMPTY, f"portfolio: {json.dumps(listed)}")


@pytest.fixture
def root(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose pipeline has run, with a portfolio, as the current folder."""
    monkeypatch.chdir(finished)
    list_in(finished, LISTED)
    return finished


def ignoring(*_: object) -> None:
    """Nobody watches."""


def judged(root: Path, jobs: int = 1, **options: Any) -> Result:
    """Judge the portfolio alone."""
    return search.run(search.prepare(root, only_portfolio=True, **options), jobs, ignoring)


def searched(root: Path, trials: int) -> Result:
    return search.run(search.prepare(root, trials=trials), 1, ignoring)


def told(result: Result) -> list[tuple[Any, ...]]:
    """All of the trials but when they were."""
    return [(one.number, one.outcome, one.candidate, one.value, dict(one.by_fold)) for one in result.ended]


def test_every_configuration_is_judged_in_all_folds_in_the_order_of_the_file(root: Path) -> None:
    result = judged(root)
    assert [one.candidate for one in result.ended] == [Candidate(one["estimator"], one["params"]) for one in LISTED]
    assert [len(one.by_fold) for one in result.ended] == [3] * len(LISTED), "none is pruned"
    assert all(one.value is not None for one in result.ended)
    assert result.gain is not None


def test_it_is_the_same_whenever_and_with_however_many_jobs_it_is_judged(root: Path) -> None:
    first = judged(root)
    shutil.rmtree(root / ".churn/tuning")
    again = judged(root, jobs=2)
    assert told(again) == told(first)
    assert again.gain == first.gain


def test_interrupted_it_goes_on_without_judging_anything_twice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Candidate] = []

    class Watched(workers.Worker):
        def give(self, candidate: Candidate, *rest: Any) -> None:
            given.append(candidate)
            super().give(candidate, *rest)

    def interrupt(ended: EndedTrial, best: float, left: int) -> None:
        if ended.number == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(workers, "Worker", Watched)
    with pytest.raises(KeyboardInterrupt):
        search.run(search.prepare(root, only_portfolio=True), 1, interrupt)
    result = judged(root)
    present = load_params(root).train
    expected = [Candidate(present.estimator, present.params), *(one.candidate for one in result.ended)]
    assert [given.count(one) for one in expected] == [3] * len(expected)


def test_a_search_judges_the_portfolio_first_and_then_samples(root: Path) -> None:
    alone = judged(root)
    result = searched(root, 3)
    assert told(result)[: len(LISTED)] == told(alone)
    assert [one.number for one in result.ended] == list(range(len(LISTED) + 3))
    shutil.rmtree(root / ".churn/tuning")
    assert told(searched(root, 3)) == told(result), "also when the portfolio was not judged by itself before"


def test_a_portfolio_decides_which_study_it_is(root: Path) -> None:
    before = search.prepare(root).key
    assert search.prepare(root, only_portfolio=True).key == before
    edit(root / PARAMS_FILE, '"max_depth": 3', '"max_depth": 4')
    assert search.prepare(root).key != before


def test_one_estimator_restricts_the_portfolio_too(root: Path) -> None:
    assert [one.candidate.estimator for one in judged(root, estimator=BAYES).ended] == [BAYES], (
        "though not in the space"
    )
    assert {one.candidate.estimator for one in searched_for(root, TREE).ended} == {TREE}
    with pytest.raises(
        ParameterError, match=r"^--estimator 'Oak': not in tune.portfolio of params.yaml, which has skl"
    ):
        search.prepare(root, estimator="Oak", only_portfolio=True)


def searched_for(root: Path, estimator: str) -> Result:
    return search.run(search.prepare(root, trials=2, estimator=estimator), 1, ignoring)


def test_a_configuration_that_fails_is_told_and_the_others_are_judged(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(root / PARAMS_FILE, '"gini"', '"wrong"')
    result = judged(root)
    assert [one.outcome is TrialOutcome.FAILED for one in result.ended] == [True, False, False, False]
    reason = "params.yaml: tune.portfolio.0.params: rejected by DecisionTreeClassifier: "
    assert str(result.ended[0].reason).startswith(reason)
    assert f"trial 0 failed: {reason}" in caplog.text
    row = next(line.split() for line in result.as_text().splitlines() if line.split()[:1] == ["0"])
    assert row[:4] == ["0", "failed", "portfolio", "DecisionTreeClassifier"]


@pytest.mark.parametrize(
    ("listed", "line"),
    [
        ({"estimator": TREE}, "tune.portfolio.0.params: missing; all keys are required "),
        ({"estimator": TREE, "params": {}, "colour": 1}, "tune.portfolio.0.colour: unknown key; remove it"),
        ({"estimator": TREE, "params": 3}, "tune.portfolio.0.params: 3 is not accepted: "),
        (TREE, f"tune.portfolio.0: '{TREE}' is not accepted: must be a section of keys"),
        ({"estimator": TREE, "params": {"depth": 3}}, f"tune.portfolio.0.params.depth: {TREE} has no such argument; "),
        (
            {"estimator": "sklearn.tree.Oak", "params": {}},
            "tune.portfolio.0.estimator: cannot import 'sklearn.tree.Oak'",
        ),
        (
            {"estimator": SCALED, "params": {"estimator": {"estimator": TREE, "params": {"depth": 3}}}},
            f"tune.portfolio.0.params.estimator.params.depth: {TREE} has no such argument; ",
        ),
    ],
)
def test_an_entry_that_cannot_be_tried_is_one_line_before_anything_runs(
    finished: Path, listed: dict[str, Any], line: str
) -> None:
    list_in(finished, [listed])
    with pytest.raises(ParameterError) as refused:
        search.prepare(finished)
    assert str(refused.value).startswith(f"params.yaml: {line}")
    assert "\n" not in str(refused.value)
    assert not (finished / ".churn/tuning").exists()


def test_an_empty_portfolio_leaves_the_search_and_refuses_to_be_judged_alone(finished: Path) -> None:
    assert search.prepare(finished, trials=2).trials == 2
    with pytest.raises(ParameterError, match=r"^params.yaml: tune.portfolio: is empty, so --portfolio .*leave out"):
        search.prepare(finished, only_portfolio=True)


def test_the_table_shows_the_whole_portfolio_beside_the_best_trials(root: Path) -> None:
    result = searched(root, 8)
    _, _, table = result.as_text().partition("trial  ")
    rows = [line.split() for line in table.splitlines()[1:] if line.split()[:1] and line.split()[0].isdigit()]
    sources = [row[2] for row in rows]
    assert sources.count("portfolio") == len(LISTED)
    assert sources.count("space") == 5
    values = [float(row[1].replace(",", "")) for row in rows]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("weak", ["params: {C: 0.0001}", "params: {C: 0.0001, tol: 0.01}"])
def test_the_winner_is_written_exactly_as_it_is_listed(root: Path, weak: str) -> None:
    edit(root / PARAMS_FILE, "params: {C: 1.0}", weak)
    result = judged(root)
    assert result.best is not None
    assert search.apply(result)
    train = read_yaml(root / PARAMS_FILE)["train"]
    assert Candidate(train["estimator"], train["params"]) == result.best.candidate
    check_params(read_yaml(root / PARAMS_FILE))
    assert judged(root).best is None


def test_mlflow_gets_a_row_for_each_configuration(root: Path) -> None:
    study = as_rows(judged(root))
    assert [one.parameters["train.estimator"] for one in study.trials] == [one["estimator"] for one in LISTED]
    assert study.parameters["estimators"] == f"{TREE}, {LINE}, {BAYES}, {SCALED}"


def test_the_command_judges_the_portfolio_and_prints_json(root: Path) -> None:
    run = shell(root)
    content = json.loads(run("churn tune --portfolio --json", MLFLOW_TRACKING_URI=NO_SERVER).stdout)
    assert [(one["portfolio"], one["estimator"]) for one in content["trials"]] == [
        (True, one["estimator"]) for one in LISTED
    ]
    refused = run("churn tune --portfolio --trials 3", check=False, MLFLOW_TRACKING_URI=NO_SERVER)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].endswith("--trials: --portfolio samples no trials; leave out one of the two")
