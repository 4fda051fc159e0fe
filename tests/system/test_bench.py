"""The benchmark measures what it says: seconds and memory of commands, ratios within rounds, tables of any length."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import joblib
import pandas as pd
import pytest
from bench.growth import FLOOR_OF_PREDICT, PREDICT, Point, growth_exponent, measure_growth
from bench.report import COMPARISONS, PREDICT_ROWS, Machine, Results, report_text, within_rounds
from bench.rounds import Round, play, prepare, set_parameter
from bench.sameness import compare
from bench.tables import resampled
from bench.timing import environment, measure, summarised

from churn.config.contract import TableContract
from churn.config.params import Params, load_params
from churn.errors import ChurnError
from churn.history import state
from churn.table import parsing, validation
from tests.helpers.projects import REPOSITORY, make_customers, shell

MEGABYTE = 1_000_000
ROUND = Round(
    untracked=17.0,
    tracked=20.0,
    bare=10.0,
    evaluate_only=7.0,
    up_to_date=1.1,
    empty_project=1.0,
    other_bytes=(),
)
COMMAND = [sys.executable, "-m", "bench.pipeline", "--rounds", "1", "--sizes", "500"]


def results(*rounds: Round, growth: tuple[Point, ...] = ()) -> Results:
    machine = Machine(cpus=2, python="3.11.0", packages=("dvc 3.0",), commit="abc1234")
    return Results(machine, rounds, growth, starts=())


def line_with(text: str, report: str) -> str:
    (found,) = [line for line in report.splitlines() if text in line]
    return found


def test_the_exponent_of_a_known_power_is_found() -> None:
    points = [Point("train", rows, 3.0 * rows**1.5, 0) for rows in (10, 100, 1000, 70_000)]
    assert growth_exponent(points) == pytest.approx(1.5)


def test_the_exponent_between_the_last_two_sizes_leaves_the_first_out() -> None:
    growth = tuple(Point("train", rows, seconds, 0) for rows, seconds in ((10, 5.0), (100, 5.0), (1000, 50.0)))
    line = report_text(results(ROUND, growth=growth)).split("last two sizes")[1].splitlines()[2]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == ["train", "0.50", "1.00"]


def test_ratios_are_taken_within_rounds() -> None:
    """Three moments of the machine, each slowing both cases alike: the ratio is 2 in every one of them."""
    rounds = [replace(ROUND, tracked=2 * slow, bare=slow) for slow in (10.0, 30.0, 11.0)]
    assert within_rounds(rounds, COMPARISONS[0]) == summarised([2.0, 2.0, 2.0])


def test_the_median_ratio_is_not_the_ratio_of_the_medians() -> None:
    rounds = [replace(ROUND, tracked=tracked, bare=bare) for tracked, bare in ((10.0, 1.0), (20.0, 10.0), (30.0, 20.0))]
    assert within_rounds(rounds, COMPARISONS[0]).median == 2.0
    assert within_rounds([*rounds[:1], *rounds[:1], rounds[2]], COMPARISONS[0]).median == 10.0


def test_the_report_says_which_aims_are_met_and_which_are_not() -> None:
    met = report_text(results(ROUND))
    missed = report_text(results(replace(ROUND, tracked=23.0)))
    assert "not met" not in met
    assert "not met" in line_with("pipeline to bare script", missed)
    assert "not met" in line_with("tracking, in seconds", missed)
    assert "not met" not in line_with("evaluate alone to", missed)


def test_predicting_is_judged_at_the_size_of_its_aim_alone() -> None:
    def growth(rows: int) -> tuple[Point, ...]:
        return (Point(PREDICT, rows, 16.0, 1400 * MEGABYTE), Point(FLOOR_OF_PREDICT, rows, 10.0, 900 * MEGABYTE))

    at_size = report_text(results(ROUND, growth=growth(PREDICT_ROWS)))
    assert "| not met" in line_with("predict / floor", at_size)
    assert "| met" in line_with("peak GB of predict", at_size)
    assert report_text(results(ROUND, growth=growth(1000))).count("not measured") == 2


def test_the_report_names_results_that_have_other_bytes() -> None:
    assert "same bytes as (a), every file" in report_text(results(ROUND))
    assert "models/a.pkl" in report_text(results(ROUND, replace(ROUND, other_bytes=("models/a.pkl",))))


def test_a_resampled_table_keeps_the_contract(contract: TableContract) -> None:
    texts = resampled(make_customers(), contract, rows=3000, seed=1)
    table, unparsed = parsing.parse_table(texts, contract)
    assert len(table) == 3000
    assert validation.all_faults(table, unparsed, contract) == []
    assert 0.02 < table["fee"].isna().mean() < 0.1
    assert set(texts.loc[table["fee"].isna(), "fee"]) == {"NA"}
    assert table["months"].between(0, 100).all()


def test_a_resampled_table_has_new_numbers_and_the_old_labels(contract: TableContract) -> None:
    customers = make_customers()
    texts = resampled(customers, contract, rows=3000, seed=1)
    assert texts["fee"].nunique() > 2 * customers["fee"].nunique()
    for name in ("gone", "plan", "senior"):
        assert set(texts[name]) == set(customers[name])


def test_a_seed_gives_the_same_table_again_and_another_seed_another(contract: TableContract) -> None:
    first, again, other = (resampled(make_customers(), contract, rows=200, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    "code",
    [
        "b'1' * 200_000_000",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', \"b'1' * 200_000_000\"])",
    ],
    ids=["its own", "a process that it starts"],
)
def test_the_peak_memory_of_a_child_is_seen(code: str, tmp_path: Path) -> None:
    peak = measure("child", (sys.executable, "-c", code), tmp_path, {}).peak_bytes
    assert 200 * MEGABYTE < peak < 260 * MEGABYTE


def test_the_memory_of_the_one_who_measures_is_not_counted(tmp_path: Path) -> None:
    held = bytearray(b"1" * 200 * MEGABYTE)
    assert measure("child", (sys.executable, "-c", "pass"), tmp_path, {}).peak_bytes < 50 * MEGABYTE
    assert len(held) == 200 * MEGABYTE


def test_a_command_that_fails_is_told_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match=r"(?s)child: ended with exit code 3.*so it is"):
        measure("child", ("sh", "-c", "echo so it is; exit 3"), tmp_path, {})


def test_settings_of_the_user_do_not_reach_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "OMP_NUM_THREADS", "PYTHONPATH", "DVC_ROOT"):
        monkeypatch.setenv(name, "user's")
    monkeypatch.setenv("HOME_OF_TEST", "kept")
    variables = environment({"PYTHONPATH": "src"})
    assert "user's" not in variables.values()
    assert (variables["HOME_OF_TEST"], variables["PYTHONPATH"]) == ("kept", "src")


def test_one_parameter_is_changed_and_no_other(folder: Path, params: Params) -> None:
    set_parameter(folder, ("compute", "seed"), 8)
    expected = params.model_copy(update={"compute": params.compute.model_copy(update={"seed": 8})})
    assert load_params(folder) == expected


def test_results_with_another_content_are_found(tmp_path: Path) -> None:
    pipeline, bare = tmp_path / "pipeline", tmp_path / "bare"
    for folder in (pipeline, bare):
        folder.mkdir()
        (folder / "same.csv").write_text("a\n")
        (folder / "other.csv").write_text(f"{folder.name}\n")
        (folder / "size.json").write_text(f'{{"model_size_mb": {len(folder.name)}, "auc": 1}}')
        (folder / "figure.json").write_text(f'{{"auc": {len(folder.name)}}}')
    (pipeline / "absent.csv").write_text("a\n")
    text = "".join(("te", "xt"))
    joblib.dump([text, text], pipeline / "model.pkl")
    joblib.dump([text, "".join(("te", "xt"))], bare / "model.pkl")
    joblib.dump([1], pipeline / "other.pkl")
    joblib.dump([2], bare / "other.pkl")
    for folder in (pipeline, bare):
        (folder / "report.html").write_text(f"model.pkl {state.md5_of(folder / 'model.pkl')}")
        (folder / "other.html").write_text(f"other.pkl {state.md5_of(folder / 'other.pkl')}")
    made = {
        "stage": state.Stage(
            state.StageInputs("", {}, {}), {path.name: state.md5_of(path) for path in pipeline.iterdir()}
        )
    }
    sameness = compare(made, pipeline, bare)
    assert set(sameness.other_bytes) == {"size.json", "model.pkl", "report.html"}
    assert set(sameness.different) == {"other.csv", "figure.json", "absent.csv", "other.pkl", "other.html"}


@pytest.mark.long
def test_a_round_does_the_work_that_it_says_and_leaves_the_repository_alone(finished: Path, tmp_path: Path) -> None:
    places = prepare(finished, tmp_path)
    one = play(places, 1, "round")
    growth = measure_growth(places.tracked, tmp_path, [500])
    report = report_text(results(one, growth=growth))
    assert {point.work for point in growth} >= {"preprocess", "train"}
    assert str(tmp_path) not in report
    assert shell(finished)("git status --porcelain").stdout == ""
    assert shell(places.tracked)("git status --porcelain -- params.yaml").stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_leaves_no_folder(how: signal.Signals, finished: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = environment({"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "TMPDIR": str(temporary)})
    process = subprocess.Popen(COMMAND, cwd=finished, env=variables, stderr=subprocess.PIPE)
    # A stage is at work when it has written its first result.
    while not list(temporary.glob("churn-bench-*/untracked/data/processed/*.csv")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode == 1
    assert list(temporary.iterdir()) == []
