"""Which experiment the files belong to, read from the files and from dvc.lock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from churn.config.params import read_yaml
from churn.history import state
from churn.history.state import UnidentifiedError, edited_parameters, stages_from_lock
from churn.history.verify import results_are_vouched_for
from tests.helpers.projects import shell
from tests.helpers.states import GIVEN, MADE, commit, edit, fingerprint, write


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Three small stages before their first run."""
    write(tmp_path, GIVEN)
    return tmp_path


def test_the_real_pipeline_has_one_fingerprint_in_its_files_and_in_its_lock(finished: Path) -> None:
    files, locked = state.stages_from_files(finished), state.stages_from_lock(state.read_lock(finished))
    assert state.fingerprint(files) == state.fingerprint(locked)
    assert state.vouched_stages(files, locked) == {"preprocess", "train", "evaluate"}
    assert "data/raw/customers.csv" in files["preprocess"].inputs.dependencies
    shell(finished)("git clean -dfqX && rm -r metrics dvc.lock")
    assert fingerprint(finished) == state.fingerprint(locked)


@pytest.mark.slow
def test_whatever_dvc_accepts_is_read_as_dvc_wrote_it_to_the_lock(tmp_path: Path) -> None:
    pipeline = """\
    stages:
      one:
        cmd: ["echo ${rate} ${on} > one.txt", echo two >> one.txt]
        desc: commands in a list, parameters of other files, one of them whole
        deps: [./in.txt]
        params: [rate, on, nothing, deep.down, weights, more.yaml: [x.y], whole.json: null]
        outs: [one.txt: {persist: true}]
      two:
        cmd: |
          cp one.txt two.csv
          echo '{"score": 1}' > score.json
        deps: [one.txt]
        metrics: [score.json: {cache: false}]
        plots: [two.csv: {x: a, y: b}]
      three:
        cmd: "true"
    """
    params = "{rate: 1e-05, on: true, nothing: null, deep: {down: Yes}, weights: {0: 1, 1: 2.5}}"
    write(tmp_path, {"dvc.yaml": pipeline, "params.yaml": params, "more.yaml": "x: {y: [1, a]}"})
    write(tmp_path, {"whole.json": '{"q": [1e-7, null]}', "in.txt": "in"})
    shell(tmp_path)("dvc init --quiet --no-scm && dvc repro --quiet")
    files, locked = state.stages_from_files(tmp_path), state.stages_from_lock(state.read_lock(tmp_path))
    assert files == locked
    assert state.fingerprint(files) == state.fingerprint(locked)
    assert state.results_of_kind("metrics", read_yaml(tmp_path / state.PIPELINE_FILE)) == {"score.json"}
    assert state.results_of_kind("plots", read_yaml(tmp_path / state.PIPELINE_FILE)) == {"two.csv"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: null", "id: key"),
        ("share: 0.2", "share: 0.3"),
        ("C: 1.0", "C: 1.5"),
        ("1: 5", "1: 6"),
        ("estimator: Tree", "estimator: Forest"),
        ("bins: 10", "bins: 20"),
    ],
)
def test_another_value_of_a_declared_parameter_is_another_experiment(workspace: Path, old: str, new: str) -> None:
    before = fingerprint(workspace)
    edit(workspace / "params.yaml", old, new)
    assert fingerprint(workspace) != before


@pytest.mark.parametrize("path", ["raw.csv", "preprocess.py", "train.py", "evaluate.py"])
def test_other_bytes_of_data_or_code_are_another_experiment(workspace: Path, path: str) -> None:
    before = fingerprint(workspace)
    (workspace / path).write_text("other")
    assert fingerprint(workspace) != before


def test_another_command_is_another_experiment(workspace: Path) -> None:
    before = fingerprint(workspace)
    edit(workspace / "dvc.yaml", "python evaluate.py", "python evaluate.py --verbose")
    assert fingerprint(workspace) != before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("params.yaml", "estimator: Tree", "estimator: Tree  # for now"),
        ("params.yaml", "{source: raw.csv, id: null}", "{id: null, source: raw.csv}"),
        ("params.yaml", "note: not declared", "note: changed"),
        ("params.yaml", "C: 1.0", "C: 1"),  # DVC holds them equal and runs nothing
        ("dvc.yaml", "params: [train]", "params: [train]\n    desc: fits"),
        ("dvc.yaml", "deps: [rows.csv, train.py]", "deps: [./train.py, rows.csv]"),
    ],
    ids=["comment", "order of keys", "undeclared", "number as integer", "description", "order of files"],
)
def test_what_changes_no_result_is_the_same_experiment(workspace: Path, path: str, old: str, new: str) -> None:
    before = fingerprint(workspace)
    edit(workspace / path, old, new)
    assert fingerprint(workspace) == before


def test_what_stages_make_is_no_part_of_the_experiment(workspace: Path) -> None:
    before = fingerprint(workspace)
    for results in MADE.values():
        write(workspace, results)
        assert fingerprint(workspace) == before


def test_lock_vouches_only_for_a_stage_whose_inputs_and_results_are_all_as_recorded(workspace: Path) -> None:
    def vouched() -> set[str]:
        return state.vouched_stages(
            state.stages_from_files(workspace), state.stages_from_lock(state.read_lock(workspace))
        )

    assert vouched() == set()
    for results in MADE.values():
        write(workspace, results)
    commit(workspace, *MADE)
    assert vouched() == set(MADE)
    (workspace / "models/churn_model.pkl").write_text("fitted by hand")
    assert vouched() == {"preprocess"}
    (workspace / "models/churn_model.pkl").unlink()
    assert vouched() == {"preprocess"}


def test_results_made_of_what_another_state_left_are_not_of_this_state(workspace: Path) -> None:
    files = state.stages_from_files(workspace)
    assert state.stages_of_this_state(files, {"preprocess", "train"}) == {"preprocess", "train"}
    assert state.stages_of_this_state(files, {"train", "evaluate"}) == set()
    assert state.stages_of_this_state(files, {"preprocess", "evaluate"}) == {"preprocess"}


def _without_table(root: Path) -> None:
    (root / "raw.csv").unlink()


def _with_folder(root: Path) -> None:
    (root / "evaluate.py").unlink()
    (root / "evaluate.py").mkdir()


def test_a_table_that_was_not_pulled_is_known_by_its_pointer(workspace: Path) -> None:
    known = fingerprint(workspace)
    (workspace / "raw.csv.dvc").write_text(f"outs:\n- md5: {state.md5_of(workspace / 'raw.csv')}\n  path: raw.csv\n")
    (workspace / "raw.csv").unlink()
    assert fingerprint(workspace) == known


@pytest.mark.parametrize("pointer", ["{}", "outs:", "outs: [text]", "outs: [{path: raw.csv}]", "outs: [{md5: ../x}]"])
def test_a_pointer_without_an_md5_identifies_nothing(workspace: Path, pointer: str) -> None:
    (workspace / "raw.csv.dvc").write_text(pointer)
    (workspace / "raw.csv").unlink()
    with pytest.raises(UnidentifiedError, match=r"raw\.csv: missing"):
        fingerprint(workspace)


def _replacing(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: edit(root / "dvc.yaml", old, new)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_table, "raw.csv: missing, so the state of this folder is unknown"),
        (_with_folder, "dvc.yaml: evaluate.py: folders are not supported; list the files one by one"),
        (_replacing("params: [train]", "params: [tran]"), "params.yaml: tran: missing, but dvc.yaml refers to it"),
        (_replacing("${data.source}", "${raw}"), "params.yaml: raw: missing, but dvc.yaml refers to it"),
        (_replacing("python train.py", "python ${train}"), "dvc.yaml: ${train}: tracking supports only single values"),
        (
            _replacing("cmd: python train.py", "cmd: python train.py\n    wdir: sub"),
            "dvc.yaml: stages.train.wdir: not supported by tracking; remove it",
        ),
        (
            _replacing("cmd: python train.py", "cmd: python train.py\n    matrix: {seed: [1, 2]}"),
            "dvc.yaml: stages.train.matrix: not supported by tracking; remove it",
        ),
    ],
    ids=["no table", "folder", "unknown parameter", "unknown template", "template of many", "wdir", "matrix"],
)
def test_what_cannot_be_identified_is_told_in_one_line(
    workspace: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(workspace)
    with pytest.raises(UnidentifiedError) as told:
        fingerprint(workspace)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_parameters_edited_since_the_results_were_computed_are_named(finished: Path) -> None:
    assert edited_parameters(finished) == []
    path = finished / "params.yaml"
    edited = path.read_text().replace("customer_value: 200.0", "customer_value: 900.0")
    path.write_text(edited.replace("params: {C: 1.0}", "params: {C: 1.0, max_iter: 200}"))
    assert edited_parameters(finished) == ["business.customer_value", "train.params.max_iter"]


def test_some_results_are_vouched_for_without_a_look_at_the_others(workspace: Path) -> None:
    write(workspace, MADE["preprocess"])
    commit(workspace, "preprocess")
    (workspace / "metrics/data.json").unlink()
    assert results_are_vouched_for(workspace, "preprocess", ["rows.csv"])
    assert not results_are_vouched_for(workspace, "preprocess", ["rows.csv", "metrics/data.json"])
    assert not results_are_vouched_for(workspace, "preprocess", ["other.csv"])
    assert not results_are_vouched_for(workspace, "train", ["models/churn_model.pkl"]), "it has not run"


@pytest.mark.parametrize(
    ("path", "old", "new"), [("params.yaml", "0.2", "0.3"), ("raw.csv", "1", "2"), ("rows.csv", "1", "2")]
)
def test_results_of_other_inputs_are_not_vouched_for(workspace: Path, path: str, old: str, new: str) -> None:
    write(workspace, MADE["preprocess"])
    commit(workspace, "preprocess")
    edit(workspace / path, old, new)
    assert not results_are_vouched_for(workspace, "preprocess", ["rows.csv"])


def test_the_inputs_of_one_stage_are_those_that_it_has_among_all(workspace: Path) -> None:
    write(workspace, MADE["preprocess"])
    assert state.inputs_from_files(workspace, "train") == state.stages_from_files(workspace)["train"].inputs
    with pytest.raises(UnidentifiedError, match=r"dvc\.yaml: no stage tune"):
        state.inputs_from_files(workspace, "tune")


@pytest.mark.parametrize(
    "lock",
    [
        {"stages": None},
        {"stages": ["train"]},
        {"stages": {"train": None}},
        {"stages": {"train": {"deps": []}}},
        {"stages": {"train": {"cmd": "x", "outs": [{"md5": "0" * 32}]}}},
        {"stages": {"train": {"cmd": "x", "deps": 7}}},
    ],
)
def test_a_lock_that_dvc_did_not_write_is_told_in_a_line(lock: dict[str, object]) -> None:
    with pytest.raises(UnidentifiedError, match=r"dvc\.lock: damaged; `git checkout dvc\.lock`"):
        stages_from_lock(lock)
