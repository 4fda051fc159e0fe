"""From a table that nobody has seen before to a finished run: `churn init`, `dvc repro`, no edit of code."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from churn import files
from churn.commands.init.proposal import examine, propose, target_with, write
from churn.config.params import load_params
from churn.errors import ChurnError, DataError
from churn.stages import preprocess
from tests.helpers.projects import NO_SERVER, REPOSITORY, every_night, make_customers, make_folder, shell
from tests.helpers.sample import SAMPLE_PARAMS, clone_with_sample
from tests.helpers.strategies import repeatable
from tests.helpers.table_shapes import SHAPES, Shape

QUICK = ("ids, names, free text and copies",)
"""Shapes that every change is tried with; the others every night."""
ABOUT_COMMITTED_STATE = (
    "tests/config/test_yaml_edit.py tests/report/test_page.py tests/system/test_wiring.py "
    "tests/system/test_docs.py::test_the_table_of_how_good_the_model_is_holds_the_committed_figures"
)
"""Tests that read params.yaml or results of a project."""
QUIET = {"MLFLOW_TRACKING_URI": NO_SERVER, "PYTHONPATH": str(REPOSITORY / "src")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [*(SHAPES[name] for name in QUICK), *every_night(*(SHAPES[name] for name in SHAPES if name not in QUICK))],
    ids=[*QUICK, *(name for name in SHAPES if name not in QUICK)],
)
def test_a_table_of_any_shape_goes_from_file_to_a_finished_run(project: Path, shape: Shape) -> None:
    (project / "data/raw" / shape.file).write_bytes(shape.content)
    run = shell(project)
    run(f"churn init data/raw/{shape.file} {shape.options} --yes", **QUIET)
    run("dvc repro", **QUIET)
    figures = files.read_json(project / files.TEST_METRICS)
    assert 0 <= figures["test_roc_auc"] <= 1
    assert json.loads((project / files.AUDIT).read_text())["failing"] == 0
    assert (project / files.MODEL).exists()


@pytest.mark.long
def test_an_experiment_changes_one_line_of_what_init_wrote(project: Path) -> None:
    (project / "params.yaml").write_bytes((SAMPLE_PARAMS / "params.yaml").read_bytes())
    run = shell(project)
    run("churn init data/raw/customers.csv --target gone --yes", **QUIET)
    run("git commit --quiet --all --message described")
    run("dvc exp run --temp --name one --set-param train.params.max_iter=20", **QUIET)
    run("dvc exp apply one", **QUIET)
    changed = [line for line in run("git diff -- params.yaml").stdout.splitlines() if line.startswith(("- ", "+ "))]
    assert [line.split() for line in changed] == [
        ["-", "max_iter:", "150", "#", "trees"],
        ["+", "max_iter:", "20", "#", "trees"],
    ]


def leaky(rows: int = 1500) -> pd.DataFrame:
    """Customers whose table says what became of them, and numbers them."""
    random = np.random.default_rng(1)
    months = random.integers(0, 60, rows)
    left = random.random(rows) < 1 / (1 + np.exp(0.05 * (months - 20)))
    flipped = np.where(random.random(rows) < 0.05, ~left, left)
    return pd.DataFrame(
        {
            "months": months,
            "fee": random.gamma(2, 30, rows).round(2),
            "calls": random.poisson(3, rows),
            "contract_ended": np.where(flipped, "yes", "no"),
            "satisfaction": (left + random.normal(0, 0.4, rows)).round(3),
            "row": np.arange(rows) + 1000,
            "outcome": np.where(left, "left", "stayed"),
        }
    )


@pytest.mark.long
def test_what_gives_the_outcome_away_stops_the_run_until_it_is_taken_out(project: Path) -> None:
    path = project / "data/raw/leaky.csv"
    leaky().to_csv(path, index=False)
    run = shell(project)
    run("churn init data/raw/leaky.csv --target outcome --yes", **QUIET)
    refused = run("dvc repro", check=False, **QUIET)
    assert refused.returncode != 0
    for name in ("predicts_alone:contract_ended", "predicts_alone:satisfaction", "id_like:row"):
        assert f"list {name!r}" in refused.stderr
    assert not (project / files.MODEL).exists()
    honest = leaky().drop(columns=["contract_ended", "satisfaction", "row"])
    honest.to_csv(path, index=False)
    run("churn init data/raw/leaky.csv --target outcome --yes", **QUIET)
    run("dvc repro", **QUIET)


def finishes_or_is_refused(folder: Path, content: bytes) -> None:
    """preprocess, run on a table: either all of its results are there, or a line says why and none is."""
    (folder / "data/raw/customers.csv").write_bytes(content)
    params = load_params(folder)
    for path in [*folder.glob("data/processed/*"), *folder.glob("metrics/*")]:
        path.unlink()
    try:
        preprocess.run(Path(), params)
    except ChurnError:
        assert not (folder / files.PROCESSED).exists() or not list((folder / files.PROCESSED).iterdir())
    else:
        assert (folder / files.Y_TEST).exists()
    assert not list(folder.rglob("*.draft"))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzzed") / "folder"
    make_folder(folder)
    return folder


HEADER = b"gone,plan,months,fee,senior\n"
CELLS = st.sampled_from(
    ["yes", "no", "basic", "pro", "1", "0", "7", "-3", "1,5", "NA", "", '"', "inf", "\u00e9", "\x00"]
)


@repeatable
@example(b"")
@example(HEADER)
@example(HEADER + b"yes,basic,1,1,0\nno,pro,2,2,1\n")
@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: HEADER + tail))
def test_random_bytes_are_refused_in_words(fuzzed: Path, content: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(fuzzed)
        finishes_or_is_refused(fuzzed, content)


@repeatable
@given(st.lists(st.lists(CELLS, min_size=5, max_size=5), max_size=30))
def test_random_tables_finish_or_are_refused_in_words(fuzzed: Path, rows: list[list[str]]) -> None:
    content = HEADER + "".join(",".join(row) + "\n" for row in rows).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(fuzzed)
        finishes_or_is_refused(fuzzed, content)


def test_dates_that_init_finds_are_looked_at_by_the_audit(folder: Path) -> None:
    """Churn rises with time, and the split does not go by it."""
    random = np.random.default_rng(0)
    days = np.sort(random.integers(0, 1000, 2000))
    table = pd.DataFrame(
        {
            "months": random.integers(1, 60, 2000),
            "fee": random.gamma(2, 30, 2000).round(2),
            "opened": (pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")).strftime("%d.%m.%Y"),
            "churned": np.where(random.random(2000) < 0.05 + 0.5 * days / 1000, "yes", "no"),
        }
    )
    table.sample(frac=1, random_state=0).to_csv("data/raw/dated.csv", index=False)
    examined = examine(folder, Path("data/raw/dated.csv"), "churned")
    write(folder, propose(folder, examined, target_with(examined.profile.target, None)))
    preprocess.run(Path(), load_params(folder))
    found = {finding["name"] for finding in files.read_json(files.AUDIT)["findings"]}
    assert {"rate_drifts:opened", "time_without_time_split:opened"} <= found


def two_rows_a_customer() -> pd.DataFrame:
    random = np.random.default_rng(4)
    return pd.DataFrame(
        {
            "account_id": [f"A{number % 500:04}" for number in range(1000)],
            "seen": pd.date_range("2020-01-01", periods=1000).strftime("%Y-%m-%d"),
            "fee": random.gamma(2, 30, 1000).round(2),
            "months": random.integers(0, 60, 1000),
            "churned": np.where(random.random(1000) < 0.3, "yes", "no"),
        }
    )


@pytest.mark.parametrize(
    ("identifier", "split", "found"),
    [
        ("account_id", "{by: key, column: null, format: null}", False),
        ("account_id", "{by: time, column: seen, format: null}", True),
    ],
    ids=["an id keeps its rows together", "time parts them"],
)
def test_customers_that_stand_on_both_sides_are_told(folder: Path, identifier: str, split: str, found: bool) -> None:
    two_rows_a_customer().to_csv("data/raw/repeated.csv", index=False)
    examined = examine(folder, Path("data/raw/repeated.csv"), "churned", identifier)
    write(folder, propose(folder, examined, target_with(examined.profile.target, None)))
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace("{by: key, column: null, format: null}", split))
    preprocess.run(Path(), load_params(folder))
    names = {finding["name"] for finding in files.read_json(files.AUDIT)["findings"]}
    assert ("customers_on_both_sides:account_id" in names) is found


def test_customers_in_several_rows_are_kept_in_one_split_or_the_run_stops(folder: Path) -> None:
    two_rows_a_customer().to_csv("data/raw/repeated.csv", index=False)
    examined = examine(folder, Path("data/raw/repeated.csv"), "churned")
    assert examined.profile.id == "account_id"
    write(folder, propose(folder, examined, target_with(examined.profile.target, None)))
    params = folder / "params.yaml"
    by_id = params.read_text()
    params.write_text(by_id.replace("  id: account_id", "  id:"))
    with pytest.raises(DataError) as told:
        preprocess.run(Path(), load_params(folder))
    assert str(told.value).startswith("audit: 'account_id': ")
    assert "the same customers are in both splits; set data.id to it, or accept the finding" in str(told.value)
    assert not files.X_TRAIN.exists()
    params.write_text(by_id)
    preprocess.run(Path(), load_params(folder))


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [ABOUT_COMMITTED_STATE, *every_night("-n auto")], ids=["committed state", "all"])
def test_the_suite_is_green_in_a_project_of_other_customers(chosen: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run = clone_with_sample(clone)
    make_customers(1_000).to_csv(clone / "data/raw/ours.csv", index=False)
    run("churn init data/raw/ours.csv --target gone --positive yes --yes && dvc repro", **QUIET)
    run("git -c user.name=T -c user.email=t@example.invalid commit --quiet --all --message ours")
    fast = "not slow and not long and not serve and not monitoring and not stack"
    suite = f"python -m pytest -q -p no:cacheprovider -m '{fast}' {chosen}"
    told = run(suite, PYTHONPATH=f"{clone}:{clone / 'src'}").stdout
    assert " failed" not in told
    assert "results are of other customers" in told, "the manual's figures are compared with the sample's only"
