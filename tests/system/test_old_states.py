"""States that earlier versions of this code made: they are shown, compared, run again and promoted by the present one.

Each version in `EARLIER` is the last commit before a change of how states are kept, or of where the code stands.
"""

import json
import shutil
from pathlib import Path

import pytest

from churn import files
from churn.config.economics import present_name
from churn.history import snapshot
from churn.tracking.destination import find_destination
from churn.tracking.ledger import CHAMPION
from churn.tracking.store.registry import open_registry
from churn.tracking.store.rows import open_store
from tests.helpers.mlflow_rows import rows
from tests.helpers.projects import NO_SERVER, REPOSITORY, made_once, make_customers, make_folder, shell
from tests.helpers.states import edit

pytestmark = pytest.mark.long

EARLIER = {"before the packages": "db42b73ed9ed2fddc9fb8aa92aeb63124c6eb950"}
OF_PROJECT = "src dvc.yaml requirements.lock .gitattributes .gitignore .dvcignore .dvc"
AS_IT_WAS = 'PYTHONPATH=src python -c "from churn.cli import main; main()"'
"""`churn`, by the code of the project itself."""


RENAMED = {
    "customer_value_eur: 60.0": "currency: EUR\n  customer_value: 60.0",
    "offer_cost_eur: 10.0": "offer_cost: 10.0",
    "contact_cost_eur: 1.0": "contact_cost: 1.0",
}
"""Keys of params.yaml, old and new."""


@pytest.fixture(scope="module", params=list(EARLIER.values()), ids=list(EARLIER))
def upgraded_once(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """Two states and a champion made by an earlier version, then a third one by the present code; each is a tag."""
    return made_once(
        tmp_path_factory, f"upgraded-{request.param}", lambda root: make_upgraded(root, request.param, migrated)
    )


def make_upgraded(root: Path, commit: str, migrated: Path) -> None:
    make_folder(root)
    make_customers(1500).to_csv(root / "data/raw/customers.csv", index=False)
    edit(root / "params.yaml", "customer_value: 200.0", "customer_value: 60.0")
    for old, new in RENAMED.items():
        edit(root / "params.yaml", new, old)
    edit(root / "params.yaml", "C: 1.0", "C: 0.00001")
    edit(root / "params.yaml", "unused: {}", 'unused: {noted: "date (dd.mm.yyyy): a model needs a duration"}')
    run = shell(root)
    if shell(REPOSITORY)(f"git cat-file -e {commit}^{{commit}}", check=False).returncode:
        pytest.fail(f"{commit} is not in this clone; `git fetch --unshallow` brings all of its history")
    run(f"git -C {REPOSITORY} archive {commit} {OF_PROJECT} | tar --extract")
    run("git init --quiet --initial-branch=main")
    run("git config user.name Tester && git config user.email tester@example.invalid")
    run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
    run("git add --all && git commit --quiet --message weak && git tag weak")
    shutil.copy(migrated, root / "mlflow.db")
    run(f"{AS_IT_WAS} promote --force --reason 'the first one'", MLFLOW_TRACKING_URI="")
    edit(root / "params.yaml", "C: 0.00001", "C: 0.9")
    run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
    run("git add --all && git commit --quiet --message old && git tag old")
    shutil.rmtree(root / "src")
    shutil.copytree(REPOSITORY / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(REPOSITORY / "dvc.yaml", root / "dvc.yaml")
    edit(root / "params.yaml", "C: 0.9", "C: 1.0")
    for old, new in RENAMED.items():
        edit(root / "params.yaml", old, new)
    edit(
        root / "params.yaml",
        '"date (dd.mm.yyyy): a model needs a duration"',
        '{kind: date, format: "%d.%m.%Y", reason: a model needs a duration}',
    )
    run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
    run("git add --all && git commit --quiet --message new && git tag new")


@pytest.fixture
def root(upgraded_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    copied = shutil.copytree(upgraded_once, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(copied)
    return copied


def fingerprint(root: Path, tag: str) -> str:
    state = snapshot.state_of_revision(root, tag)
    assert state is not None
    assert state.complete
    assert state.objection is None
    return state.fingerprint


def test_what_differs_from_an_old_state_is_shown(root: Path) -> None:
    told = shell(root)("churn changes weak new").stdout
    assert "`train.params.C` | `1e-05` | `1.0` |" in told
    assert "business." not in told, "the same money under other names"
    assert "`data.unused.noted.kind` | not set | `date` |" in told
    assert "profit per 1,000 customers" in told
    figures = [line for line in told.splitlines() if line.startswith(("| profit", "| ROC-AUC", "| PR-AUC"))]
    assert len(figures) == 6
    assert "| none |" not in told, "both states have every figure"
    assert "not compared" not in told


def test_an_old_state_is_compared_and_run_again_by_its_own_code(root: Path) -> None:
    run = shell(root)
    before = json.loads(run("churn compare weak new --json").stdout)
    state = snapshot.state_of_revision(root, "weak")
    assert state is not None
    md5 = str(state.results[str(files.OUT_OF_FOLD)])
    (root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    shutil.rmtree(root / ".dvc/cache/runs")
    assert "is not in the cache" in run("churn compare weak new", check=False).stderr
    assert json.loads(run("churn compare weak new --json --compute").stdout) == before


def test_a_model_is_promoted_against_an_old_champion_which_can_come_back(root: Path) -> None:
    run = shell(root)
    told = run("churn promote new").stdout
    assert f"champion    churn version 1 (commit {run('git rev-parse --short=7 weak').stdout.strip()})" in told
    assert "passed  earns more than the champion" in told
    assert "churn version 2" in told.splitlines()[-1]
    assert run("churn rollback").stdout.startswith("rolled back: churn version 1 ")
    assert open_registry(open_store(find_destination(root))).at(CHAMPION) == "1"


def test_a_row_that_an_earlier_version_wrote_is_brought_up_to_date(root: Path) -> None:
    (before,) = rows(find_destination(root))
    assert before.info.run_name.startswith("no-commit-"), "as it was recorded before it was committed"
    assert "failing" in before.data.metrics
    shell(root)("churn sync --all --strict")
    weak, old, new = sorted(rows(find_destination(root)), key=lambda row: list("won").index(row.info.run_name[0]))
    assert [row.info.run_name for row in (weak, old, new)] == ["weak", "old", "new"]
    assert weak.info.run_id == before.info.run_id
    assert weak.data.tags["mlflow.note.content"].startswith("**Profit on test rows: ")
    assert weak.data.tags["mlflow.user"] == "Tester"
    assert "audit_findings_failing" in weak.data.metrics
    assert old.info.start_time <= new.info.start_time, "the newest is on top"
    assert all(row.info.end_time > row.info.start_time for row in (weak, old, new)), "when their stages ran"


def test_every_old_state_gets_its_row_and_is_known_by_all_its_names(root: Path, migrated: Path) -> None:
    run = shell(root)
    lineage = {name: json.loads(run(f"churn lineage {name} --json").stdout) for name in ("weak", "churn/1")}
    assert lineage["weak"] == lineage["churn/1"]
    assert lineage["weak"]["fingerprint"] == fingerprint(root, "weak")
    assert lineage["weak"]["versions"] == ["churn/1"]
    shutil.copy(migrated, root / "mlflow.db")
    shutil.rmtree(root / ".churn")  # with records that the earlier version left, under its names of metrics
    run("churn sync --all --strict")
    shown = {row.data.tags["pipeline.fingerprint"]: row.data.tags["model"] for row in rows(find_destination(root))}
    assert shown == {fingerprint(root, tag): "shown" for tag in ("weak", "old", "new")}
    names = {row.data.tags["pipeline.fingerprint"]: set(row.data.metrics) for row in rows(find_destination(root))}
    before, now = names[fingerprint(root, "old")], names[fingerprint(root, "new")]
    known = {"audit_findings_failing", "cv_roc_auc", "test_roc_auc_low", "empc_eur", "test_rows.churned.recall"}
    assert known <= before
    assert now - {present_name(name) for name in before} == {"train_profit_per_1000_low", "train_profit_per_1000_high"}
    assert not {present_name(name) for name in before} - now
    assert run("churn status --strict").returncode == 0
