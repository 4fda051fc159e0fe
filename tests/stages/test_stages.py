"""Each stage in its folder: what it writes, what it refuses, and what it must not learn."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from churn import files
from churn.config.params import Params, check_params, load_params
from churn.metrics.intervals import Interval
from churn.metrics.profit import gains
from churn.model import decision
from churn.stages import evaluate, preprocess, train
from churn.stages.runner import Measurements, run_stage
from churn.tracking.recorder import Recorder
from tests.helpers.processors import PROCESSORS
from tests.helpers.projects import PARAMS, REPOSITORY, made_once, make_customers, make_folder, unpickled
from tests.helpers.states import edit

TABLE = Path("data/raw/customers.csv")
LEARNED = [files.ENCODERS, files.SCALER, files.MODEL, files.IMPORTANCE, files.OUT_OF_FOLD]


@pytest.fixture(scope="session")
def _stages_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as they are after the first stage and after the last one."""

    def make(folder: Path) -> None:
        processed, evaluated = folder / "processed", folder / "evaluated"
        make_folder(processed)
        params = load_params(processed)
        preprocess.run(processed, params)
        shutil.copytree(processed, evaluated)
        train.run(evaluated, params)
        evaluate.run(evaluated, params)

    return made_once(tmp_path_factory, "stages", make)


@pytest.fixture
def processed(_stages_once: Path, folder: Path) -> Params:
    """The parameters of the current folder, in which `preprocess` has run."""
    shutil.copytree(_stages_once / "processed", folder, dirs_exist_ok=True)
    return load_params(folder)


@pytest.fixture
def evaluated(_stages_once: Path, folder: Path) -> Params:
    """The parameters of the current folder, in which all stages have run."""
    shutil.copytree(_stages_once / "evaluated", folder, dirs_exist_ok=True)
    return load_params(folder)


@pytest.mark.usefixtures("processed")
def test_preprocess_divides_the_customers_and_encodes_both_sides() -> None:
    train_rows, test_rows = pd.read_csv(files.TRAIN_ROWS), pd.read_csv(files.TEST_ROWS)
    assert len(train_rows) + len(test_rows) == 400
    assert not set(train_rows["row_key"]) & set(test_rows["row_key"])
    assert list(pd.read_csv(files.Y_TRAIN)) == ["gone"]
    assert len(pd.read_csv(files.X_TEST)) == len(test_rows) == len(pd.read_csv(files.Y_TEST))
    assert pd.read_csv(files.X_TRAIN).notna().all(axis=None)


@pytest.mark.usefixtures("processed")
def test_preprocess_reports_what_it_did_with_the_table(customers: pd.DataFrame) -> None:
    report = files.read_json(files.DATA_METRICS)
    assert report["rows_in"] == report["rows_kept"] == report["rows_train"] + report["rows_test"] == 400
    assert report["missing"] == {"plan": 0, "months": 0, "fee": int((customers["fee"] == "NA").sum()), "senior": 0}
    assert report["unknown_labels_test"] == {"plan": 0}


@pytest.mark.slow
def test_a_label_that_only_test_rows_have_is_counted_and_scored(folder: Path) -> None:
    named = with_ids(folder)
    edit(folder / "params.yaml", "values: [basic, plus, pro]", "values: null")
    params = load_params(folder)
    preprocess.run(Path(), params)
    in_test = named["name"].isin(pd.read_csv(files.TEST_ROWS)["name"].head(3))
    named.assign(plan=named["plan"].mask(in_test, "gold")).to_csv(TABLE, index=False)
    for stage in (preprocess, train, evaluate):
        stage.run(Path(), params)
    assert files.read_json(files.DATA_METRICS)["unknown_labels_test"] == {"plan": 3}
    assert pd.read_csv(files.TEST_PREDICTIONS)["probability"].between(0, 1).all()


def test_train_writes_the_decision_and_what_it_was_judged_by(processed: Params) -> None:
    measured = train.run(Path(), processed)
    metrics = files.read_json(files.TRAIN_METRICS)
    model = unpickled(files.MODEL)
    assert {"train_accuracy", "train_precision", "train_recall", "train_f1", "model_size_mb"} <= set(metrics)
    assert {f"cv_{score}{end}" for score in ("roc_auc", "pr_auc", "log_loss", "brier") for end in ("", "_sd")} <= set(
        metrics
    )
    profit = "train_profit_per_1000"
    assert metrics[f"{profit}_low"] < metrics[profit] < metrics[f"{profit}_high"]
    assert model.threshold == metrics["threshold"]
    assert set(measured) == {"training_time"}
    importance = pd.read_csv(files.IMPORTANCE)
    assert set(importance["feature"]) == {"plan", "months", "fee", "senior"}
    assert list(pd.read_csv(files.OUT_OF_FOLD)["row_key"]) == list(pd.read_csv(files.TRAIN_ROWS)["row_key"])


@pytest.mark.slow
@pytest.mark.usefixtures("processed")
def test_a_given_threshold_is_the_one_decided_by(folder: Path) -> None:
    edit(folder / "params.yaml", "threshold: profit", "threshold: 0.4")
    params = load_params(folder)
    train.run(Path(), params)
    evaluate.run(Path(), params)
    predictions = pd.read_csv(files.TEST_PREDICTIONS)
    assert files.read_json(files.TRAIN_METRICS)["threshold"] == 0.4
    assert (predictions["contact"] == (predictions["probability"] >= 0.4)).all()


@pytest.mark.usefixtures("evaluated")
def test_evaluate_gives_every_headline_figure_its_interval() -> None:
    for path in (files.TEST_METRICS, files.BUSINESS_METRICS):
        metrics = files.read_json(path)
        for name in [name.removesuffix("_low") for name in metrics if name.endswith("_low")]:
            assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"], name
    test = files.read_json(files.TEST_METRICS)
    assert {
        f"test_{name}" for name in ("accuracy", "precision", "recall", "f1", "f1_at_half", "roc_auc", "ece")
    } <= set(test)


@pytest.mark.usefixtures("evaluated")
def test_the_overview_repeats_what_the_other_files_say() -> None:
    training, test, money = map(files.read_json, (files.TRAIN_METRICS, files.TEST_METRICS, files.BUSINESS_METRICS))
    told = files.read_json(files.OVERVIEW)
    assert list(told) == ["choose", "confirm"]
    assert told["choose"].items() <= training.items()
    assert told["confirm"].items() <= (test | money).items()


def test_out_of_fold_the_interval_of_the_profit_is_that_of_a_bootstrap_over_customers(processed: Params) -> None:
    data = train.load_processed_data(Path())
    contacted = np.arange(len(data.y)) % 3 == 0
    found = train.profit_interval(data, contacted, processed)
    gain = 1000 * np.where(contacted, gains(data.y, processed.business), 0.0)
    random = np.random.default_rng(1)
    drawn = [random.choice(gain, len(gain)).mean() for _ in range(4000)]
    assert found.value == pytest.approx(gain.mean())
    assert [found.low, found.high] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.1 * np.std(drawn))
    assert train.profit_interval(data, np.zeros_like(contacted), processed) == Interval(0.0, 0.0, 0.0)


@pytest.mark.usefixtures("evaluated")
def test_the_slices_together_are_all_test_customers() -> None:
    slices = pd.read_csv(files.SLICES)
    customers = files.read_json(files.DATA_METRICS)["rows_test"]
    assert slices.groupby("column")["customers"].sum().to_dict() == {"plan": customers, "senior": customers}


@pytest.mark.usefixtures("evaluated")
def test_the_report_and_the_card_tell_what_the_other_files_say() -> None:
    page, card = files.REPORT.read_text(encoding="utf-8"), files.MODEL_CARD.read_text(encoding="utf-8")
    money, test = files.read_json(files.BUSINESS_METRICS), files.read_json(files.TEST_METRICS)
    for document in (page, card):
        assert f"{money['profit_per_1000']:,.0f} EUR per 1,000 customers".replace("-", "−") in document
        assert f"{test['test_roc_auc_low']:.3f} to {test['test_roc_auc_high']:.3f}" in document
        assert files.md5(files.MODEL) in document


@pytest.mark.slow
def test_another_evaluation_gives_the_same_report_card_and_slices(evaluated: Params) -> None:
    before = fingerprints([files.REPORT, files.MODEL_CARD, files.SLICES])
    evaluate.run(Path(), evaluated)
    assert fingerprints([files.REPORT, files.MODEL_CARD, files.SLICES]) == before


@pytest.mark.slow
@pytest.mark.parametrize("outcome", [0, 1])
@pytest.mark.filterwarnings("ignore")  # numpy and scikit-learn tell what is not defined, in many ways
def test_test_customers_who_all_did_the_same_can_be_evaluated(outcome: int, evaluated: Params) -> None:
    outcomes = pd.read_csv(files.Y_TEST)
    outcomes.assign(gone=outcome).to_csv(files.Y_TEST, index=False)
    evaluate.run(Path(), evaluated)
    assert files.read_json(files.TEST_METRICS)["test_roc_auc"] is None
    assert "nan" not in files.MODEL_CARD.read_text(encoding="utf-8")


@pytest.mark.slow
def test_raw_rows_and_processed_rows_are_scored_alike_to_the_last_bit(folder: Path) -> None:
    with_ids(folder)
    params = load_params(folder)
    for stage in (preprocess, train, evaluate):
        stage.run(Path(), params)
    model = unpickled(files.MODEL)
    raw = pd.read_csv(TABLE).set_index("name").loc[pd.read_csv(files.TEST_ROWS)["name"]]
    by_classifier = (
        decision.pipeline_of(model).named_steps["classifier"].predict_proba(files.read_features(files.X_TEST))
    )
    predictions = pd.read_csv(files.TEST_PREDICTIONS)
    assert np.array_equal(model.predict_proba(raw), by_classifier)
    assert np.array_equal(predictions["probability"], by_classifier[:, 1])
    assert np.array_equal(predictions["contact"], model.predict(raw))


def with_ids(folder: Path) -> pd.DataFrame:
    """The customers with a name each, which alone decides their side."""
    edit(folder / "params.yaml", "id: null", "id: name")
    named = make_customers().assign(name=[f"customer {number}" for number in range(400)])
    named.to_csv(TABLE, index=False)
    return named


@pytest.mark.slow
def test_test_rows_change_nothing_that_is_learned(folder: Path) -> None:
    named = with_ids(folder)
    params = load_params(folder)
    preprocess.run(Path(), params)
    train.run(Path(), params)
    before = fingerprints([*LEARNED, files.X_TRAIN, files.TRAIN_METRICS])
    in_test = named["name"].isin(pd.read_csv(files.TEST_ROWS)["name"])

    altered = named.copy()
    altered.loc[in_test, ["plan", "months", "fee", "senior"]] = ["pro", "99", "9999", "1"]
    altered.loc[in_test, "gone"] = altered.loc[in_test, "gone"].map({"yes": "no", "no": "yes"})
    altered.to_csv(TABLE, index=False)
    preprocess.run(Path(), params)
    train.run(Path(), params)
    assert (pd.read_csv(files.TEST_ROWS)["fee"] == 9999).any()
    assert fingerprints([*LEARNED, files.X_TRAIN, files.TRAIN_METRICS]) == before


def test_training_does_not_open_the_test_side(processed: Params) -> None:
    for path in (files.X_TEST, files.Y_TEST, files.TEST_ROWS, TABLE):
        path.unlink()
    train.run(Path(), processed)
    assert files.MODEL.exists()


def test_the_order_of_the_file_changes_no_byte(processed: Params, customers: pd.DataFrame) -> None:
    before = fingerprints([files.TRAIN_ROWS, files.X_TEST, files.ENCODERS, files.SCALER])
    customers.sample(frac=1, random_state=5).to_csv(TABLE, index=False)
    preprocess.run(Path(), processed)
    assert fingerprints([files.TRAIN_ROWS, files.X_TEST, files.ENCODERS, files.SCALER]) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "arguments"),
    [
        ("sklearn.ensemble.HistGradientBoostingClassifier", "{max_iter: 20, early_stopping: false}"),
        ("sklearn.linear_model.LogisticRegression", "{}"),
        pytest.param("sklearn.ensemble.RandomForestClassifier", "{n_estimators: 20}", marks=pytest.mark.long),
    ],
)
def test_more_threads_and_kernels_of_another_processor_give_the_same_bytes(
    folder: Path, estimator: str, arguments: str
) -> None:
    edit(folder / "params.yaml", "sklearn.linear_model.LogisticRegression", estimator)
    edit(folder / "params.yaml", "params: {C: 1.0}", f"params: {arguments}")
    shutil.copy(REPOSITORY / "dvc.yaml", folder)  # which has a stage say what it wrote, so that the next one reads it
    run_in_process("churn.stages preprocess")
    written = []
    for threads, processor in (("1", PROCESSORS["this one"]), ("2", PROCESSORS["an old one"])):
        settings = processor | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        run_in_process("churn.stages train", PYTHONHASHSEED=threads, **settings)
        written.append(fingerprints([files.MODEL, files.OUT_OF_FOLD, files.TRAIN_METRICS]))
    assert written[0] == written[1]


def replaced(old: str, new: str, *, count: int = 1) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = (folder / TABLE).read_text()
        assert old in content
        (folder / TABLE).write_text(content.replace(old, new, count))

    return edit


def parameter(old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "params.yaml", old, new)


def written(content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / TABLE).write_bytes(content)

    return write


def all_of(column: str, value: str) -> Callable[[Path], None]:
    return lambda folder: make_customers().assign(**{column: value}).to_csv(folder / TABLE, index=False)


def missing(folder: Path) -> None:
    (folder / TABLE).unlink()


def test_columns_without_a_name_are_not_needed(folder: Path) -> None:
    params = load_params(folder)
    preprocess.run(folder, params)
    before = files.md5(folder / files.X_TRAIN)
    lines = (folder / TABLE).read_text().splitlines()
    (folder / TABLE).write_text("".join(f"{line},,\n" for line in lines))
    preprocess.run(folder, params)
    assert files.md5(folder / files.X_TRAIN) == before


BAD_INPUT = {
    "no such file": (missing, ["customers.csv: no such file", "data.source"]),
    "empty file": (written(b""), ["customers.csv: is empty", "data.source"]),
    "header alone": (written(b"gone,plan,months,fee,senior\n"), ["customers.csv: holds no rows", "data.source"]),
    "not UTF-8": (written(b"gone,plan\nyes,caf\xe9\n"), ["customers.csv: byte 17 (line 2) is not valid UTF-8", "save"]),
    "wrong target": (
        parameter("column: gone", "column: left"),
        ["no column 'left'", "data.target.column", "gone, plan"],
    ),
    "missing column": (parameter("    months:", "    age:"), ["no column 'age'", "data.columns"]),
    "repeated header": (replaced("months", "fee"), ["column 'fee' appears 2 times in the header", "rename"]),
    "third target value": (replaced("\nno,", "\nmaybe,"), ["column 'gone'", "'maybe'", "in line", "data.target"]),
    "one class": (all_of("gone", "no"), ["column 'gone'", "the only value of the target", "data.target"]),
    "text for a number": (all_of("months", "many"), ["column 'months'", "not a number", "'many'", "line 2"]),
    "infinite": (all_of("fee", "inf"), ["column 'fee'", "infinite", "line 2", "the column's missing_values"]),
    "nothing known": (all_of("fee", "NA"), ["column 'fee'", "entirely missing", "data.columns"]),
    "unknown label": (all_of("plan", "gold"), ["column 'plan'", "not in values", "'gold'", "line 2"]),
    "below its range": (all_of("months", "-1"), ["column 'months'", "below min", "line 2"]),
    "misspelled parameter": (
        parameter("test_share", "test_shares"),
        ["preprocess.test_shares", "did you mean test_share?"],
    ),
}


@pytest.mark.parametrize("fault", BAD_INPUT)
def test_bad_input_is_told_in_one_line_and_nothing_is_written(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    damage, expected = BAD_INPUT[fault]
    damage(folder)
    lines = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert len(lines) == 1
    for part in expected:
        assert part in lines[0]
    assert not files.PROCESSED.exists()
    assert not files.METRICS.exists()


BAD_ESTIMATOR = {
    "not there": ("LogisticRegression", "LogisticRegresion", ["train.estimator", "LogisticRegresion", "import path"]),
    "no classifier": (
        "LogisticRegression\n  params: {C: 1.0}",
        "Ridge\n  params: {}",
        ["train.estimator", "sklearn.linear_model.Ridge", "not a classifier"],
    ),
    "unknown argument": ("C: 1.0", "depth: 3", ["train.params.depth", "no such argument", "max_iter"]),
    "refused argument": ("C: 1.0", "C: -1.0", ["train.params", "LogisticRegression", "'C'", "-1.0"]),
}


@pytest.mark.usefixtures("processed")
@pytest.mark.parametrize("fault", BAD_ESTIMATOR)
def test_an_estimator_that_cannot_be_used_is_told_in_one_line_and_nothing_is_written(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, new, expected = BAD_ESTIMATOR[fault]
    edit(folder / "params.yaml", old, new)
    lines = told_by_failing("train", train.run, monkeypatch, caplog)
    assert len(lines) == 1
    for part in expected:
        assert part in lines[0]
    assert not files.MODELS.exists()


def test_a_slice_that_is_no_column_is_told_by_the_first_stage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    edit(folder / "params.yaml", "slices: [plan, senior]", "slices: [plan, region]")
    (line,) = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert line == (
        "params.yaml: evaluate.slices: no column 'region' in data.columns; remove it from evaluate.slices, "
        "or choose from plan, months, fee, senior"
    )
    assert not files.TRAIN_ROWS.exists()


def test_every_fault_of_a_table_is_told_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_customers().assign(months="many", plan="gold").to_csv(TABLE, index=False)
    lines = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert [line.split("'")[1] for line in lines] == ["months", "plan"]


def test_every_case_of_every_fault_stands_in_a_file_until_the_table_is_mended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    customers = make_customers()
    damaged = customers.assign(months=customers["months"].mask(customers.index.isin([3, 7, 9, 11]), "many"))
    damaged.loc[7, "plan"] = "gold"
    damaged.to_csv(TABLE, index=False)
    lines = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert "first 'many' in line 5, then 9, 11; " in lines[0]
    cases = pd.read_csv(files.FAULTS)
    assert cases["line"].tolist() == [5, 9, 11, 13, 9]
    assert cases["column"].tolist() == ["months"] * 4 + ["plan"]
    assert cases["value"].tolist() == ["many"] * 4 + ["gold"]
    customers.to_csv(TABLE, index=False)
    preprocess.run(Path(), load_params(folder))
    assert not files.FAULTS.exists()


@pytest.mark.parametrize("content", ["my,own,list\n1,2,3\n", "line,column,check\n", "", "\n"])
def test_a_file_of_the_users_is_not_taken_for_a_list_of_faults(
    folder: Path, content: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files.FAULTS.write_text(content)
    preprocess.run(Path(), load_params(folder))
    assert files.FAULTS.read_text() == content
    make_customers().assign(months="many").to_csv(TABLE, index=False)
    told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert files.FAULTS.read_text() == content


AWKWARD_NAMES = [
    ("self", "data_row", "probability", "churned"),
    ("reason", "contact", "feature", "column"),
    ("index", "Row_Key", "value", "customers"),
    ("level_0", "drop", "T", "nan"),
    ("a,b", 'q"uote', "Unnamed: 0", "gone_yes"),
]


@pytest.mark.slow
@pytest.mark.parametrize("names", AWKWARD_NAMES, ids="-".join)
@pytest.mark.parametrize("target", ["gone", "probability_of"])
def test_names_of_columns_change_no_figure(
    folder: Path, plain_figures: list[object], names: tuple[str, ...], target: str
) -> None:
    customers = dict(zip(YAML(typ="safe").load(PARAMS)["data"]["columns"], names, strict=True))
    assert figures_with(folder, {**customers, "gone": target}) == plain_figures


@pytest.fixture(scope="session")
def plain_figures(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("plain")
    make_folder(folder)
    return figures_with(folder, {})


def figures_with(folder: Path, renamed: dict[str, str]) -> list[object]:
    """Figures and predictions of a run on the customers with other names of columns."""
    table = make_customers().rename(columns=renamed)
    table.assign(key=[f"C{number}" for number in range(len(table))]).to_csv(folder / TABLE, index=False)
    content = YAML(typ="safe").load(PARAMS)
    content["data"]["id"] = "key"  # else the names decide who is tested
    content["data"]["target"]["column"] = renamed.get("gone", "gone")
    content["data"]["columns"] = {renamed.get(name, name): one for name, one in content["data"]["columns"].items()}
    content["evaluate"]["slices"] = [renamed.get(name, name) for name in content["evaluate"]["slices"]]
    params = check_params(content)
    for stage in (preprocess, train, evaluate):
        stage.run(folder, params)
    scores = [files.read_json(folder / path) for path in (files.TEST_METRICS, files.BUSINESS_METRICS)]
    return [*scores, *((folder / path).read_text() for path in (files.TEST_PREDICTIONS, files.OUT_OF_FOLD))]


def test_what_on_error_settles_is_counted(folder: Path) -> None:
    customers = make_customers()
    customers.loc[[3, 7], "fee"] = "many"
    customers.loc[[7, 9, 11], "plan"] = "gold"
    customers.to_csv(TABLE, index=False)
    edit(folder / "params.yaml", "fee: {type: numeric, min: 0, max: null, missing: allow, on_error: fail}",
                "fee: {type: numeric, min: 0, max: null, missing: allow, on_error: missing}")  # fmt: skip
    edit(
        folder / "params.yaml",
        "values: [basic, plus, pro], missing: fail, on_error: fail",
        "values: [basic, plus, pro], missing: fail, on_error: drop",
    )
    preprocess.run(Path(), load_params(folder))
    report = files.read_json(files.DATA_METRICS)
    assert report["taken_for_gaps"] == {"fee": 2}
    assert report["rows_dropped_on_error"] == {"plan": 3}
    assert (report["rows_in"], report["rows_kept"]) == (400, 397)


def with_dates(folder: Path) -> pd.DataFrame:
    """The table with the day on which each customer was looked at, in random order."""
    days = np.random.default_rng(3).permutation(400)
    dated = make_customers().assign(
        seen=(pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d")
    )
    dated.to_csv(TABLE, index=False)
    return dated


def test_time_can_divide_the_customers(folder: Path) -> None:
    dated = with_dates(folder)
    edit(folder / "params.yaml", "split: {by: key, column: null", "split: {by: time, column: seen")
    preprocess.run(Path(), load_params(folder))
    assert len(pd.read_csv(files.Y_TEST)) == 120
    newest = dated.sort_values("seen").tail(120)
    assert sorted(pd.read_csv(files.TEST_ROWS)["months"]) == sorted(newest["months"].astype(float))
    written = {path: fingerprints([path]) for path in (files.TRAIN_ROWS, files.TEST_ROWS)}
    dated.sample(frac=1, random_state=1).to_csv(TABLE, index=False)
    preprocess.run(Path(), load_params(folder))
    assert {path: fingerprints([path]) for path in written} == written, "the order of the file changes nothing"


def test_names_with_control_characters_are_names_as_any_other(folder: Path) -> None:
    edit(folder / "params.yaml", "split: {by: key, column: null", "split: {by: time, column: seen")
    edit(folder / "params.yaml", "id: null", "id: name")  # else the names decide about the keys
    named = with_dates(folder).assign(name=[f"customer {number}" for number in range(400)])

    def sides(months: str, fee: str) -> list[Any]:
        named.rename(columns={"months": months, "fee": fee}).to_csv(TABLE, index=False)
        content = YAML(typ="safe").load((folder / "params.yaml").read_text())
        columns = content["data"]["columns"]
        columns |= {months: columns.pop("months"), fee: columns.pop("fee")}
        preprocess.run(Path(), check_params(content))
        return [pd.read_csv(path).to_numpy().tolist() for path in (files.X_TRAIN, files.X_TEST, files.Y_TEST)]

    assert sides("\x1fplace", "\x1ftime seen") == sides("months", "fee")


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ("{by: time, column: when, format: null}", "no column 'when' (preprocess.split.column)"),
        (
            "{by: time, column: plan, format: null}",
            "column 'plan' (preprocess.split.column): 400 values are not ISO 8601 dates or numbers, first in",
        ),
        ("{by: time, column: null, format: null}", "by: time requires a column"),
    ],
)
def test_a_split_by_time_that_cannot_be_made_is_told_in_one_line(
    folder: Path, split: str, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_dates(folder)
    edit(folder / "params.yaml", "{by: key, column: null, format: null}", split)
    (line,) = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert told in line


@pytest.mark.parametrize(
    ("form", "read"), [("%d.%m.%Y", True), ("%m/%d/%Y", False)], ids=["its own format", "another format"]
)
def test_a_column_of_dates_that_is_not_used_is_read_by_its_format(folder: Path, form: str, read: bool) -> None:
    with_dates(folder)
    table = pd.read_csv(TABLE, dtype=str, keep_default_na=False)
    table.assign(seen=pd.to_datetime(table["seen"]).dt.strftime("%d.%m.%Y")).to_csv(TABLE, index=False)
    edit(folder / "params.yaml", "unused: {}", f'unused: {{seen: {{kind: date, format: "{form}", reason: a day}}}}')
    preprocess.run(Path(), load_params(folder))
    names = {finding["name"] for finding in files.read_json(files.AUDIT)["findings"]}
    assert ("time_without_time_split:seen" in names) is read


@pytest.mark.parametrize("form", ["%Q", "%d%d", "%"])
@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("unused: {}", "unused: {{seen: {{kind: date, format: '{}', reason: a day}}}}", "data.unused.seen.format"),
        (
            "{by: key, column: null, format: null}",
            "{{by: time, column: seen, format: '{}'}}",
            "preprocess.split.format",
        ),
    ],
)
def test_a_format_that_is_none_is_told_in_one_line(
    folder: Path,
    form: str,
    old: str,
    new: str,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_dates(folder)
    edit(folder / "params.yaml", old, new.format(form))
    lines = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    assert lines == [
        f'params.yaml: {key}: {form!r} is not a date format; write it like "%d.%m.%Y", or null for ISO 8601 or numbers'
    ]


def with_a_leak(folder: Path) -> None:
    customers = make_customers()
    customers.assign(senior=(customers["gone"] == "yes").astype(int)).to_csv(TABLE, index=False)


def test_a_column_that_gives_the_outcome_away_stops_the_run_before_anything_is_fitted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_a_leak(folder)
    lines = told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    (line,) = [line for line in lines if "'senior'" in line]
    assert not files.PROCESSED.exists()
    report = files.read_json(files.AUDIT)
    names = [finding["name"] for finding in report["findings"] if finding["severity"] == "fail"]
    assert "predicts_alone:senior" in names
    assert report["failing"] == len(names) > 1
    told = " and ".join(f"'{name}'" for name in names if name.endswith(":senior"))
    assert line.endswith(
        f"remove the column from data.columns, or accept the finding: list {told} under data.audit.accept"
    )


def test_a_finding_that_is_accepted_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_a_leak(folder)
    told_by_failing("preprocess", preprocess.run, monkeypatch, caplog)
    names = [finding["name"] for finding in files.read_json(files.AUDIT)["findings"]]
    edit(folder / "params.yaml", "accept: []", f"accept: {[*names, 'id_like:plan']}")
    caplog.clear()
    preprocess.run(Path(), load_params(folder))
    report = files.read_json(files.AUDIT)
    assert (report["failing"], report["warnings"], report["accepted"]) == (0, 0, len(names))
    assert "params.yaml: data.audit.accept: no finding has the name 'id_like:plan'; remove it" in caplog.messages


def test_the_audit_looks_at_no_outcome_of_a_test_row(folder: Path) -> None:
    """Outcomes of test rows turned around: the audit says the same."""
    named = with_ids(folder)
    preprocess.run(Path(), load_params(folder))
    before = files.AUDIT.read_bytes()
    in_test = named["name"].isin(pd.read_csv(files.TEST_ROWS)["name"])
    turned = named["gone"].map({"yes": "no", "no": "yes"})
    named.assign(gone=named["gone"].mask(in_test, turned)).to_csv(TABLE, index=False)
    preprocess.run(Path(), load_params(folder))
    assert files.AUDIT.read_bytes() == before


def test_a_full_disk_is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_space(root: Path, params: Params) -> dict[str, float]:
        raise OSError(28, "No space left on device", "data/processed/X_train.csv")

    lines = told_by_failing("preprocess", no_space, monkeypatch, caplog)
    assert len(lines) == 1
    assert "data/processed/X_train.csv: no space left" in lines[0]


def told_by_failing(
    stage: str,
    work: Callable[[Path, Params], Measurements],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> list[str]:
    """What a stage says when it leaves with exit code 1."""
    with pytest.raises(SystemExit) as left:
        run_stage(Recorder(Path(), stage), work)
    assert left.value.code == 1
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("command", ["churn.stages preprocess", "churn.stages.preprocess"])
def test_a_stage_tells_its_story_with_counts(folder: Path, command: str) -> None:
    story = run_in_process(command).stderr.splitlines()
    assert "preprocess: data/raw/customers.csv: 400 rows, 5 columns" in story
    assert all(line.startswith("preprocess: ") for line in story)


def run_in_process(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), **environment},
        text=True,
        capture_output=True,
        check=True,
    )


def fingerprints(paths: list[Path]) -> dict[str, str]:
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in paths}
