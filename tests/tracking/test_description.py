"""What a row of MLflow will say, told from files: of the state that the files are in, and of no other."""

import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from churn.history.snapshot import state_of_workspace
from churn.history.state import UnidentifiedError, md5_of
from churn.tracking.description import describe
from churn.tracking.record import (
    FAILED,
    FINISHED,
    RUNNING,
    Execution,
    Experiment,
    metric_name,
    named_apart,
    parameter_name,
)
from tests.helpers.projects import commit_all
from tests.helpers.states import GIVEN, MADE, commit, edit, write


def ended(stage: str, fault: str | None = None) -> Execution:
    return Execution(stage, started=100.0, ended=101.5, fault=fault, measurements={})


def describe_experiment(root: Path, execution: Execution) -> Experiment:
    snapshot = state_of_workspace(root, execution.stage, failed=execution.fault is not None)
    record, _ = describe(snapshot, execution)
    return record.experiment


def run_pipeline(root: Path, stages: Iterable[str] = tuple(MADE)) -> Experiment:
    """Let stages end one after the other as under `dvc repro`; what the last one says of the experiment."""
    for stage in stages:
        write(root, MADE[stage])
        described = describe_experiment(root, ended(stage))
        commit(root, stage)
    return described


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write(tmp_path, GIVEN)
    return tmp_path


def test_a_row_grows_with_each_stage_and_is_complete_after_the_last(workspace: Path) -> None:
    first, second, third = [run_pipeline(workspace, [stage]) for stage in MADE]
    assert [one.fingerprint for one in (second, third)] == [first.fingerprint] * 2
    assert [one.status for one in (first, second, third)] == [RUNNING, RUNNING, FINISHED]
    assert [one.tags["pipeline.complete"] for one in (first, second, third)] == ["false", "false", "true"]
    assert first.metrics == {"rows_in": 1}
    assert second.metrics == {"rows_in": 1, "train_f1": 0.5}
    assert third.metrics == {"rows_in": 1, "train_f1": 0.5, "test_f1": 0.4}
    assert first.model_md5 is None
    assert third.model_md5 == md5_of(workspace / "models/churn_model.pkl")


def test_metrics_and_plots_are_shown_with_the_parameters_file_and_customer_rows_are_not(workspace: Path) -> None:
    made = ["metrics/curve.csv", "metrics/data.json", "metrics/test.json", "metrics/train.json"]
    assert sorted(run_pipeline(workspace).files) == [*made, "params.yaml"]


def test_no_metric_of_the_old_state_is_in_the_row_of_a_state_edited_upstream(workspace: Path) -> None:
    old = run_pipeline(workspace)
    edit(workspace / "params.yaml", "share: 0.2", "share: 0.3")
    write(workspace, {"rows.csv": "other rows\n"})
    new = describe_experiment(workspace, ended("preprocess"))
    assert new.fingerprint != old.fingerprint
    assert (new.status, new.metrics, new.model_md5) == (RUNNING, {"rows_in": 1}, None)


def test_a_state_edited_downstream_shows_the_training_that_still_holds(workspace: Path) -> None:
    old = run_pipeline(workspace)
    edit(workspace / "params.yaml", "bins: 10", "bins: 20")
    write(workspace, {"metrics/test.json": '{"test_f1": 0.3}'})
    new = describe_experiment(workspace, ended("evaluate"))
    assert new.fingerprint != old.fingerprint
    assert (new.status, new.model_md5) == (FINISHED, old.model_md5)
    assert new.metrics == {"rows_in": 1, "train_f1": 0.5, "test_f1": 0.3}


def test_a_state_is_complete_when_an_edit_upstream_made_the_same_bytes(workspace: Path) -> None:
    run_pipeline(workspace)
    edit(workspace / "params.yaml", "share: 0.2", "share: 0.3")
    assert run_pipeline(workspace, ["preprocess"]).status == FINISHED


def test_a_stage_run_on_what_another_state_left_is_refused(workspace: Path) -> None:
    run_pipeline(workspace)
    edit(workspace / "params.yaml", "share: 0.2", "share: 0.3")
    with pytest.raises(UnidentifiedError, match=r"train read results of another state; run `dvc repro`"):
        describe_experiment(workspace, ended("train"))


def test_a_failed_stage_leaves_a_failed_row_with_the_results_before_it(workspace: Path) -> None:
    run_pipeline(workspace)
    failed = describe_experiment(workspace, ended("train", fault="no classifier"))
    assert (failed.status, failed.tags["pipeline.complete"], failed.model_md5) == (FAILED, "false", None)
    assert failed.metrics == {"rows_in": 1}


def test_a_stage_that_dvc_yaml_does_not_name_is_refused(workspace: Path) -> None:
    edit(workspace / "dvc.yaml", "  evaluate:", "  judge:")
    with pytest.raises(UnidentifiedError, match=r"dvc\.yaml: no stage evaluate"):
        describe_experiment(workspace, ended("evaluate"))


def test_metrics_are_numbers_by_dotted_name_with_characters_that_mlflow_takes(workspace: Path) -> None:
    figures = '{"rows_in": 3, "by": {"Fiber optic": 0.5, "a/b: (c) é%": 1}, "flag": true, "text": "x", "list": [1]'
    write(workspace, {"rows.csv": "", "metrics/data.json": f'{figures}, "none": null, "nan": NaN, "inf": -Infinity}}'})
    metrics = dict(describe_experiment(workspace, ended("preprocess")).metrics)
    undefined = {metrics.pop("none"), metrics.pop("nan")}
    assert all(math.isnan(value) for value in undefined)
    assert metrics == {"rows_in": 3, "by.Fiber_optic": 0.5, "by.a_b___c__é_": 1, "flag": 1}


def test_figures_that_dvc_calls_plots_are_metrics_and_the_overview_of_them_is_told_once(workspace: Path) -> None:
    edit(workspace / "dvc.yaml", "metrics: [metrics/test.json]", "metrics: [metrics/overview.json]")
    edit(workspace / "dvc.yaml", "plots: [", "plots: [metrics/test.json, ")
    run_pipeline(workspace, ["preprocess", "train"])
    write(workspace, MADE["evaluate"] | {"metrics/overview.json": '{"confirm": {"test_f1": 0.4}}'})
    described = describe_experiment(workspace, ended("evaluate"))
    assert described.metrics == {"rows_in": 1, "train_f1": 0.5, "test_f1": 0.4}
    assert "metrics/overview.json" in described.files


def test_metrics_may_be_yaml_and_listed_at_the_top_of_dvc_yaml(workspace: Path) -> None:
    edit(workspace / "dvc.yaml", "    outs: [rows.csv]", "    outs: [rows.csv, more.yaml]")
    edit(workspace / "dvc.yaml", "stages:\n", "metrics: [more.yaml]\nstages:\n")
    write(workspace, MADE["preprocess"] | {"more.yaml": "depth: 2.5"})
    assert describe_experiment(workspace, ended("preprocess")).metrics == {"rows_in": 1, "depth": 2.5}


def test_parameters_are_those_that_stages_declare_three_keys_deep_and_below_as_json(workspace: Path) -> None:
    deep = "{C: 1.0, parts: {inner: [a, {b: null}]}, empty: {}, on: true}\n  none_at_all: {}"
    edit(workspace / "params.yaml", "{C: 1.0, weights: {0: 1, 1: 5}}", deep)
    edit(workspace / "dvc.yaml", "params: [train]", "params: [train, more.yaml: [x]]")
    write(workspace, {"more.yaml": "x: {y: 3, z: 4}"})
    assert run_pipeline(workspace).parameters == {
        "data.source": "raw.csv",
        "data.id": "null",
        "preprocess.share": "0.2",
        "train.params.C": "1.0",
        "train.params.parts": '{"inner": ["a", {"b": null}]}',
        "train.params.empty": "{}",
        "train.params.on": "true",
        "train.none_at_all": "{}",
        "train.estimator": "Tree",
        "more.yaml_x.y": "3",
        "more.yaml_x.z": "4",
        "evaluate.bins": "10",
    }


def test_a_parameter_too_long_for_mlflow_says_that_it_was_cut(workspace: Path) -> None:
    edit(workspace / "params.yaml", "estimator: Tree", f"estimator: {json.dumps(['label'] * 1000)}")
    described = run_pipeline(workspace)
    value = described.parameters["train.estimator"]
    assert len(value) == 6000
    assert value.endswith("… (9,000 characters in all)")
    assert "params.yaml" in described.files, "which has it whole"


def test_the_table_is_named_with_its_md5_and_with_its_rows_once_they_are_counted(workspace: Path) -> None:
    failed = describe_experiment(workspace, ended("preprocess", fault="no column"))
    counted = run_pipeline(workspace, ["preprocess"])
    assert failed.dataset is not None
    assert counted.dataset is not None
    assert (failed.dataset.rows, counted.dataset.rows) == (None, 1)
    assert (counted.dataset.name, counted.dataset.source) == ("raw", "raw.csv")
    assert counted.dataset.md5 == counted.tags["data.md5"] == md5_of(workspace / "raw.csv")


def test_figures_whose_key_says_too_little_get_a_name_that_explains_itself_and_zeros_by_column_are_left_out(
    workspace: Path,
) -> None:
    data = {"rows_in": 3, "missing": {"age": 0, "monthly fee": 2, "monthly-fee": 1}, "unknown_labels_test": {"plan": 0}}
    report = {"accuracy": 0.7, "macro avg": {"f1-score": 0.5}}
    edit(workspace / "dvc.yaml", "metrics: [metrics/data.json]", "metrics: [metrics/data.json, metrics/audit.json]")
    edit(workspace / "dvc.yaml", "plots: [", "plots: [metrics/classification_report.json, ")
    run_pipeline(workspace, ["preprocess"])
    files = {"data.json": data, "audit.json": {"accepted": 1, "findings": []}, "classification_report.json": report}
    made = {f"metrics/{name}": json.dumps(content) for name, content in files.items()}
    write(workspace, {path: made[path] for path in ("metrics/data.json", "metrics/audit.json")})
    commit(workspace, "preprocess")
    run_pipeline(workspace, ["train"])
    write(workspace, MADE["evaluate"] | {path: made[path] for path in ("metrics/classification_report.json",)})
    assert describe_experiment(workspace, ended("evaluate")).metrics == {
        "audit_findings_accepted": 1,
        "rows_in": 3,
        "missing_values.monthly_fee": 2,
        "missing_values.monthly_fee_2": 1,
        "train_f1": 0.5,
        "test_f1": 0.4,
        "test_rows.accuracy": 0.7,
        "test_rows.macro_avg.f1_score": 0.5,
    }


LONG = "x" * 300


@pytest.mark.parametrize("name_of", [metric_name, parameter_name])
@pytest.mark.parametrize(
    "texts",
    [
        ["fee", "Fee"],
        ["a/b", "a:b", "a'b", 'a"b', "a\nb"],
        [LONG, f"{LONG}y", f"{LONG}/", f"{LONG}:"],
        ["a", "a", "a"],
        ["a_2", "a", "a"],
        ["größe", "\udcff", "名前", ""],
    ],
)
def test_texts_of_any_form_get_names_of_their_own_that_mlflow_takes(
    texts: list[str], name_of: Callable[[str], str]
) -> None:
    named = named_apart(((text, number) for number, text in enumerate(texts)), lambda text: name_of(f"column.{text}"))
    assert list(named.values()) == list(range(len(texts)))
    for name in named:
        assert re.fullmatch(r"[\w. -]{1,250}", name), "MLflow's rule"


def test_a_row_says_which_commit_it_is_of_and_whether_more_than_results_differ_from_it(workspace: Path) -> None:
    outside = run_pipeline(workspace, ["preprocess"])
    assert not {"git.commit", "git.edited"} & set(outside.tags)
    run = commit_all(workspace, "All of it")
    sha = run("git rev-parse HEAD").stdout.strip()

    write(workspace, {"rows.csv": "2\n", "README.md": "new"})
    clean = describe_experiment(workspace, ended("preprocess"))
    assert (clean.tags["git.commit"], clean.tags["git.edited"]) == (sha, "false")
    assert clean.tags["mlflow.source.git.commit"] == sha

    for path in ("params.yaml", "dvc.yaml", "train.py", "raw.csv"):
        write(workspace, {path: GIVEN[path] + "# edited\n"})
        edited = describe_experiment(workspace, ended("preprocess"))
        assert (edited.name, edited.tags["git.edited"]) == (f"edited {path}", "true")
        assert "mlflow.source.git.commit" not in edited.tags
        run(f"git checkout --quiet -- {path}")


def test_a_row_is_named_after_the_commit_that_changed_an_input_and_shows_its_author(workspace: Path) -> None:
    outside = run_pipeline(workspace, ["preprocess"])
    assert outside.name == f"no commit, state {outside.fingerprint[:6]}"
    run = commit_all(workspace, "Smaller test share")
    write(workspace, {"README.md": "new"})
    run("git add --all && git commit --quiet --message 'About nothing'")
    clean = describe_experiment(workspace, ended("preprocess"))
    assert (clean.name, clean.tags["mlflow.user"]) == ("Smaller test share", "Tester")
    assert clean.committed == float(run("git log -1 --format=%ct HEAD~1").stdout)


def test_a_row_of_an_edit_is_named_after_it_and_tells_both_values(workspace: Path) -> None:
    commit_all(workspace, "First")
    edit(workspace / "params.yaml", "C: 1.0", "C: 0.5")
    edit(workspace / "params.yaml", "share: 0.2", "share: 0.3")
    write(workspace, {"train.py": "# another\n"})
    described = run_pipeline(workspace)
    assert described.name == "share 0.2 → 0.3, C 1.0 → 0.5, edited train.py"
    assert described.committed is None
    text = described.tags["mlflow.note.content"]
    assert "`preprocess.share`: `0.2` → `0.3`; `train.params.C`: `1.0` → `0.5`; `train.py`" in text


def test_an_edit_or_a_subject_forges_no_line_of_a_row(workspace: Path) -> None:
    run = commit_all(workspace, "First")
    run("git commit --quiet --allow-empty --message 'x' && printf '# new\n' >> train.py")
    run(r"""git add --all && git commit --quiet --message "$(printf 'Red \033[31m and \u202e back')" """)
    assert "\x1b" not in run_pipeline(workspace, ["preprocess"]).name
    edit(workspace / "params.yaml", "estimator: Tree", 'estimator: "Tree\\n\\n**promoted** `x`"')
    described = run_pipeline(workspace, ["preprocess", "train"])
    assert described.name == "estimator Tree → Tree **promoted** `x`"
    (line,) = [one for one in described.tags["mlflow.note.content"].splitlines() if "promoted" in one]
    assert line.endswith("`train.estimator`: `Tree` → `Tree **promoted** 'x'`")


def test_the_description_of_a_row_starts_with_the_verdict(workspace: Path) -> None:
    edit(workspace / "params.yaml", "evaluate: {bins: 10", "business: {currency: EUR}\nevaluate: {bins: 10")
    edit(workspace / "dvc.yaml", "params: [evaluate.bins]", "params: [evaluate.bins, business]")
    money = {"profit_per_1000": 11043.4, "profit_per_1000_low": 9595.7, "profit_per_1000_high": 12535.4}
    test = json.dumps({**money, "profit_contact_everybody_per_1000": 7975.5, "test_roc_auc": 0.8354})
    run_pipeline(workspace, ["preprocess", "train"])
    assert describe_experiment(workspace, ended("train")).tags["mlflow.note.content"].startswith("Not all stages")
    write(workspace, MADE["evaluate"] | {"metrics/test.json": test})
    verdict, ranks, *_ = describe_experiment(workspace, ended("evaluate")).tags["mlflow.note.content"].split("\n\n")
    assert verdict == (
        "**Profit on test rows: 11,043 (95% interval 9,596 to 12,535) EUR per 1,000 customers**"
        "; contacting everyone: 7,976 EUR"
    )
    assert ranks == "ROC-AUC: test 0.835"
    failed = describe_experiment(workspace, ended("evaluate", fault="no `model`\nat all")).tags["mlflow.note.content"]
    assert failed.startswith("**evaluate failed:** `no 'model' at all`")


def test_a_row_of_a_dvc_experiment_has_its_name_and_baseline(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "gamy-sark")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "1234")
    described = run_pipeline(workspace)
    assert (described.name, described.tags["dvc.experiment"], described.tags["dvc.baseline"]) == (
        "gamy-sark",
        "gamy-sark",
        "1234",
    )
