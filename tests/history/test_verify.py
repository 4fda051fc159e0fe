"""Results that belong to other inputs than dvc.lock says are refused by every command, whatever made the lock so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from churn.commands import report
from churn.commands.compare import compare_states
from churn.commands.predict import load_decision
from churn.commands.summary import summarize, summary_text
from churn.errors import ChurnError
from churn.history import snapshot, state
from churn.history.predictions.of_states import state_named
from churn.history.provenance import path_of
from churn.history.state import LOCK_FILE, fingerprint, md5_of
from churn.history.verify import ForeignResultsError, recorded_stages_of_workspace, require_own_results
from churn.tracking.description import describe
from churn.tracking.lineage import lineage_of
from churn.tracking.sync import SyncRequest, status, sync
from tests.helpers.projects import shell

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

MADE_WITH = r"made with business\.offer_cost 10, not 15"


@pytest.fixture
def root(embedded: Path) -> Path:
    """The current folder."""
    return embedded


@pytest.fixture
def mixed(root: Path) -> Path:
    """As a merge leaves it that took the parameters of one branch and the results of another."""
    for name in ("params.yaml", LOCK_FILE):
        path = root / name
        content = path.read_text()
        assert "offer_cost: 10.0" in content
        path.write_text(content.replace("offer_cost: 10.0", "offer_cost: 15.0"))
    shell(root)("git commit --quiet --all --message merge")
    assert "up to date" in shell(root)("dvc status").stdout
    return root


COMMANDS: dict[str, Callable[[Path], object]] = {
    "summary": summarize,
    "report": report.write_copy,
    "predict": lambda root: load_decision(root, None),
    "compare": lambda root: compare_states(root, "HEAD", "workspace"),
    "compare a commit": lambda root: state_named(root, "HEAD"),
    "lineage of the commit": lambda root: lineage_of(root, "HEAD"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_them_and_says_what_they_were_made_with(mixed: Path, command: str) -> None:
    with pytest.raises(ChurnError, match=MADE_WITH) as error:
        COMMANDS[command](mixed)
    of_a_commit = command in ("compare", "compare a commit", "lineage of the commit")
    assert ("`dvc repro --force`" in str(error.value)) != of_a_commit, "it helps the folder, and no commit"
    assert len(str(error.value).splitlines()) == 1


def test_their_model_is_of_the_state_that_it_was_made_in(mixed: Path) -> None:
    found = lineage_of(mixed, "models/churn_model.pkl")
    assert found.commits == (shell(mixed)("git rev-parse HEAD^").stdout.strip(),)
    assert not found.in_workspace


def test_they_are_not_published_and_status_says_why(mixed: Path) -> None:
    told = sync(mixed, SyncRequest(everything=True, again=True))
    assert any("offer_cost 10, not 15" in one for one in told.faults)
    looked = status(mixed)
    assert any("incomplete" in one for one in looked.lines)
    assert any("offer_cost 10, not 15" in one for one in looked.faults)
    assert not any("not in MLflow" in one for one in looked.faults)


@pytest.mark.long
def test_a_forced_run_makes_them_right(mixed: Path) -> None:
    shell(mixed)("dvc repro --force", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "EUR per 1,000 customers" in summary_text(summarize(mixed))
    assert snapshot.state_of_workspace(mixed).complete


def edit_lock(root: Path, edit: Callable[[dict[str, dict[str, object]]], None]) -> None:
    yaml = YAML()
    lock = yaml.load(root / LOCK_FILE)
    edit(lock["stages"])
    yaml.dump(lock, root / LOCK_FILE)


def without_provenance(stages: dict[str, dict[str, object]]) -> None:
    for stage in stages.values():
        outs: list[dict[str, str]] = stage["outs"]  # type: ignore[assignment]
        stage["outs"] = [out for out in outs if "provenance" not in out["path"]]


def entry(stage: dict[str, object], kind: str, path: str) -> dict[str, str]:
    found: dict[str, str] = next(one for one in stage[kind] if one["path"] == path)  # type: ignore[attr-defined]
    return found


LIES: dict[str, tuple[Callable[[dict[str, dict[str, object]]], None], str]] = {
    "another table": (
        lambda stages: entry(stages["preprocess"], "deps", "data/raw/customers.csv").update(md5="0" * 32),
        "made with another data/raw/customers.csv",
    ),
    "other code": (
        lambda stages: entry(stages["train"], "deps", "src/churn/model/estimators.py").update(md5="0" * 32),
        r"made with another src/churn/model/estimators\.py",
    ),
    "another command": (lambda stages: stages["train"].update(cmd="true"), "another command"),
    "a result of another run": (
        lambda stages: entry(stages["train"], "outs", "models/out_of_fold.csv").update(md5="0" * 32),
        r"models/out_of_fold\.csv is not the file that the stage wrote",
    ),
    "what another run left": (
        lambda stages: entry(stages["train"], "outs", path_of("train")).update(md5="0" * 32),
        r"metrics/provenance/train\.json belongs to another run",
    ),
    "an upstream stage of another run": (
        lambda stages: entry(stages["train"], "deps", "data/processed/X_train.csv").update(md5="0" * 32),
        r"X_train\.csv",
    ),
}
"""Each edits the lock as a merge of two branches, `dvc commit --force` or somebody's editor could."""


@pytest.mark.parametrize("lie", LIES)
def test_whatever_a_lock_says_otherwise_than_the_stage_is_found(root: Path, lie: str) -> None:
    edit, told = LIES[lie]
    edit_lock(root, edit)
    with pytest.raises(ForeignResultsError, match=told):
        require_own_results(root, ["metrics/business_metrics.json"])


def test_results_of_a_commit_are_held_against_what_stands_in_it(root: Path) -> None:
    edit_lock(root, LIES["another command"][0])
    shell(root)("git commit --quiet --all --message lie")
    one = snapshot.state_of_revision(root, "HEAD")
    assert one
    assert not one.complete
    assert one.objection
    assert "train: its results" in one.objection.reason


def test_provenance_that_is_gone_or_damaged_vouches_for_nothing(root: Path) -> None:
    for content in ("", "{}", "[]", "no json", '{"command": 1}'):
        (root / path_of("train")).write_text(content)
        with pytest.raises(ForeignResultsError, match=r"train\.json belongs to another run"):
            require_own_results(root, ["models/churn_model.pkl"])
    (root / path_of("train")).unlink()
    with pytest.raises(ChurnError, match=r"^metrics/provenance/train\.json: missing, .*`git checkout metrics`"):
        require_own_results(root, ["models/churn_model.pkl"])


@pytest.mark.parametrize("command", ["summary", "report", "predict"])
def test_after_a_stage_that_failed_nothing_is_called_foreign(root: Path, command: str) -> None:
    """DVC removes a stage's results before it runs."""
    for path in state.stages_from_files(root)["train"].results:
        (root / path).unlink()
    assert recorded_stages_of_workspace(root).foreign == {}
    with pytest.raises(ChurnError, match=r"recorded in dvc\.lock, but not here|missing, as after a stage"):
        COMMANDS[command](root)
    told = status(root)
    assert not any("do not belong to" in one for one in (*told.faults, *told.lines))


def test_a_stage_that_ran_alone_is_told_as_that(root: Path) -> None:
    made, other = "data/processed/X_train.csv", "0" * 32
    left = root / path_of("preprocess")
    content = json.loads(left.read_text())
    content["results"] = [[path, other if path == made else md5] for path, md5 in content["results"]]
    left.write_text(json.dumps(content))

    def ran_again(stages: dict[str, dict[str, object]]) -> None:
        entry(stages["preprocess"], "outs", made).update(md5=other)
        entry(stages["preprocess"], "outs", path_of("preprocess")).update(md5=str(md5_of(left)))

    edit_lock(root, ran_again)
    with pytest.raises(ForeignResultsError, match=r"preprocess ran after train, which read .*; run `dvc repro`"):
        require_own_results(root, ["models/churn_model.pkl"])


def test_values_that_dvc_holds_equal_are_the_same_inputs(root: Path) -> None:
    """`dvc repro` runs nothing for them, so that they must not make results foreign."""
    for name in ("params.yaml", LOCK_FILE):
        path = root / name
        path.write_text(path.read_text().replace("offer_cost: 10.0", "offer_cost: 10"))
    require_own_results(root, ["metrics/business_metrics.json", "models/churn_model.pkl"])
    assert snapshot.state_of_workspace(root).complete


def test_a_pipeline_from_before_there_was_provenance_is_taken_at_its_locks_word(root: Path) -> None:
    pipeline = (root / "dvc.yaml").read_text().splitlines()
    (root / "dvc.yaml").write_text("\n".join(line for line in pipeline if "metrics/provenance" not in line))
    edit_lock(root, without_provenance)
    assert recorded_stages_of_workspace(root).foreign == {}
    assert snapshot.state_of_workspace(root).complete


def test_what_a_stage_leaves_names_every_input_and_every_other_result(root: Path) -> None:
    left = json.loads((root / path_of("train")).read_text())
    stage = state.stages_from_files(root)["train"]
    assert dict(left["dependencies"]) == dict(stage.inputs.dependencies)
    assert dict(left["results"]) == {path: md5 for path, md5 in stage.results.items() if path != path_of("train")}
    assert ["params.yaml", "train.folds", 3] in left["parameters"]
    assert left["packages"] == []


def test_what_a_stage_leaves_is_no_figure_for_dvc(root: Path) -> None:
    shown = json.loads(shell(root)("dvc metrics show --json").stdout)
    files = next(iter(shown.values()))["data"]
    assert files[path_of("train")]["data"] == {}


def test_a_model_file_is_told_by_its_own_md5_and_no_other(root: Path) -> None:
    """One fingerprint can have two models, such as on two kinds of processors."""
    record = describe(snapshot.state_of_workspace(root))[0]
    assert sync(root, SyncRequest(everything=False, again=False)).faults == ()
    found = lineage_of(root, "models/churn_model.pkl")
    assert found.model_md5 == md5_of(root / "models/churn_model.pkl") == record.experiment.model_md5
    assert found.fingerprint == fingerprint(state.stages_from_files(root))
    other = root / "other.pkl"
    other.write_bytes(b"N.")
    with pytest.raises(ChurnError, match="unknown: it matches no commit"):
        lineage_of(root, str(other))


@pytest.mark.long
def test_git_keeps_one_side_of_a_lock_whole_and_dvc_repro_works_inside_the_conflict(root: Path) -> None:
    run = shell(root)
    quiet = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    for branch, old, new in (("ann", "C: 1.0", "C: 0.1"), ("bob", "offer_cost: 10.0", "offer_cost: 15.0")):
        run(f"git checkout --quiet -b {branch} main && dvc checkout --quiet")
        path = root / "params.yaml"
        path.write_text(path.read_text().replace(old, new))
        run("dvc repro", **quiet)
        run(f"git commit --quiet --all --message {branch}")
    merge = run("git merge ann", check=False)
    assert merge.returncode != 0
    assert "CONFLICT" in merge.stdout
    assert "<<<<<<<" not in (root / LOCK_FILE).read_text() + (root / "metrics/test.json").read_text()
    run("dvc repro", **quiet)
    run("git commit --quiet --all --no-edit")
    params = (root / "params.yaml").read_text()
    assert "C: 0.1" in params
    assert "offer_cost: 15.0" in params
    merged = (root / LOCK_FILE).read_bytes()
    assert snapshot.state_of_workspace(root).complete
    run("dvc repro --force --no-run-cache", **quiet)
    assert (root / LOCK_FILE).read_bytes() == merged
