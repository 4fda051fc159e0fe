"""What runs code, and whose: states that were merely fetched are text, whatever they, a table or a server say."""

import json
import pickle
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from churn import files
from churn.commands.changes.differences import Forge
from churn.commands.changes.differences import compare as compare_revisions
from churn.commands.compare import compare_states
from churn.commands.predict import load_decision
from churn.commands.promote.promotion import promote
from churn.errors import ChurnError, escape_controls
from churn.files import md5_of_bytes
from churn.history import snapshot, state
from churn.history.predictions import of_states
from churn.history.verify import known_md5s, leave_provenance
from churn.history.vouching import is_vouched, require_vouched, vouched_commits
from churn.model.pickles import is_plain_pickle, modules_named
from churn.stages.runner import run_stage
from churn.stages.train import run as train
from churn.tracking.description import describe
from churn.tracking.destination import find_destination
from churn.tracking.lineage import lineage_of
from churn.tracking.outbox import outbox_of
from churn.tracking.record import FINGERPRINT, MODEL_NOTE, ModelNote
from churn.tracking.recorder import Recorder
from churn.tracking.store.model_file import foreign_loader
from churn.tracking.store.registry import open_registry
from churn.tracking.store.rows import open_store
from churn.tracking.sync import SyncRequest, sync
from tests.helpers.bombs import Bomb
from tests.helpers.projects import shell, unpickled
from tests.helpers.states import commit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

ALL = SyncRequest(everything=True, again=False)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """There once somebody's code has run."""
    return tmp_path / "ran"


@pytest.fixture
def victim(embedded: Path) -> Path:
    """The current folder: the project of somebody who fetches, runs and loads."""
    return embedded


@pytest.fixture
def fetched(victim: Path, tmp_path: Path, mark: Path) -> str:
    """A stranger's branch, fetched: one state, right in itself to the last byte, whose model is a bomb in git."""
    stranger = shutil.copytree(victim, tmp_path / "stranger", symlinks=True)
    run = shell(stranger)
    path = stranger / "params.yaml"
    path.write_text(path.read_text().replace("seed: 7", "seed: 8"))
    for name in ("preprocess", "train", "evaluate"):
        if name == "train":
            (stranger / files.MODEL).write_bytes(pickle.dumps(Bomb(mark)))
        leave_provenance(stranger, name, state.inputs_from_files(stranger, name))
        commit(stranger, name)
    (stranger / "models/.gitignore").unlink(missing_ok=True)
    (stranger / ".dvc/cache/files/md5").mkdir(parents=True, exist_ok=True)
    run("git add --all && git add --force models/churn_model.pkl && git commit --quiet --message feature")
    shell(victim)(f"git fetch --quiet {stranger} HEAD:pr-7")
    one = snapshot.state_of_revision(victim, "pr-7")
    assert one
    assert one.complete
    assert one.read(str(files.MODEL)), "the bomb is at hand"
    return one.fingerprint


def row_of(root: Path, fingerprint: str) -> mlflow.entities.Run:
    (row,) = open_store(find_destination(root)).rows_tagged(FINGERPRINT, fingerprint)
    return row


def test_sync_shows_a_fetched_branch_as_text_and_its_model_as_a_file(victim: Path, fetched: str, mark: Path) -> None:
    assert sync(victim, ALL).faults == ()
    assert not mark.exists()
    row = row_of(victim, fetched)
    assert row.data.params["compute.seed"] == "8"
    assert "test_roc_auc" in row.data.metrics
    assert row.data.tags[MODEL_NOTE] == ModelNote.NOT_VOUCHED
    client = mlflow.MlflowClient(find_destination(victim).uri)
    assert [file.path for file in client.list_artifacts(row.info.run_id, "models")] == [
        "models/churn_model.pkl",
        "models/feature_importance.csv",
    ]
    its_own = f"source_run_id = '{row.info.run_id}'"
    assert list(client.search_logged_models([row.info.experiment_id], filter_string=its_own)) == []


def test_a_branch_that_is_named_is_offered_for_loading_and_still_nothing_of_it_is_loaded(
    victim: Path, fetched: str, mark: Path
) -> None:
    sync(victim, ALL)
    assert sync(victim, SyncRequest(everything=True, again=False, trusted=("pr-7",))).faults == ()
    assert row_of(victim, fetched).data.tags[MODEL_NOTE] == ModelNote.SHOWN
    sync(victim, ALL)
    assert row_of(victim, fetched).data.tags[MODEL_NOTE] == ModelNote.SHOWN, "it is not taken back"
    assert not mark.exists()


def test_a_fetched_state_named_by_its_fingerprint_is_neither_run_nor_promoted(
    victim: Path, fetched: str, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fingerprint stands on a page of MLflow, where a stranger can put it."""
    ran: list[str] = []
    monkeypatch.setattr(of_states, "recompute", lambda _, commit: ran.append(commit))
    monkeypatch.setattr(of_states, "_missing", lambda _: ["models/out_of_fold.csv"])
    with pytest.raises(ChurnError, match="not in the history of this branch"):
        compare_states(victim, fetched, "HEAD", compute=True)
    with pytest.raises(ChurnError, match="not in the history of this branch"):
        promote(victim, fetched, forced=True, reason="r")
    assert ran == []
    assert not mark.exists()


def test_one_vouches_for_this_branch_and_for_what_one_names(victim: Path, fetched: str) -> None:
    own, foreign = (snapshot.state_of_revision(victim, name) for name in ("HEAD", "pr-7"))
    assert own
    assert foreign
    assert is_vouched(own, vouched_commits(victim))
    assert not is_vouched(foreign, vouched_commits(victim))
    assert is_vouched(foreign, vouched_commits(victim, ["pr-7"]))
    assert not is_vouched(foreign, vouched_commits(victim, ["--all", "no such branch"]))
    require_vouched(victim, foreign, ["pr-7"])
    with pytest.raises(ChurnError, match=r"^the champion, commit .*--trust BRANCH"):
        require_vouched(victim, foreign, [], "the champion")
    shell(victim)("git merge --quiet --no-edit --strategy=ours pr-7")
    assert is_vouched(foreign, vouched_commits(victim)), "who merges it vouches for it"


@pytest.mark.parametrize("command", ["compare", "changes", "promote", "trust"])
@pytest.mark.parametrize("kind", ["branch", "short commit", "fingerprint"])
def test_a_tag_that_came_with_a_branch_hides_nothing_of_that_name(
    victim: Path, fetched: str, kind: str, command: str
) -> None:
    """git takes a tag before a branch, a remote's branch and the start of a commit."""
    one = snapshot.state_of_revision(victim, "HEAD")
    assert one
    name = {"branch": "main", "short commit": str(one.commit)[:7], "fingerprint": one.fingerprint}[kind]
    shell(victim)(f"git tag {name} pr-7")
    commands: dict[str, Callable[[], object]] = {
        "compare": lambda: of_states.state_named(victim, name),
        "changes": lambda: compare_revisions(victim, name, None, Forge("https://x", None, None)),
        "promote": lambda: promote(victim, name, forced=True, reason="r"),
        "trust": lambda: vouched_commits(victim, [name]),
    }
    if kind == "fingerprint" and command in ("compare", "changes"):
        assert of_states.state_named(victim, name).commit == one.commit
        changes = compare_revisions(victim, name, None, Forge("https://x", None, None))
        assert changes.old.label == f"{name} ({str(one.commit)[:7]})"
        return
    with pytest.raises(ChurnError, match=r"more than one branch, tag or commit|only a commit of a branch"):
        commands[command]()


def test_a_tag_called_head_hides_nothing(victim: Path, fetched: str) -> None:
    own = shell(victim)("git rev-parse HEAD").stdout.strip()
    shell(victim)("git tag HEAD pr-7")
    for name in ("HEAD", "HEAD~0", own):
        found = snapshot.state_of_revision(victim, name)
        assert found
        assert found.commit == own


@pytest.mark.parametrize(
    "refs", ["refs/exps/aa/{id}/{fingerprint}", "refs/tags/{fingerprint}", "refs/heads/{fingerprint}"]
)
def test_a_ref_called_like_a_fingerprint_vouches_for_nothing(victim: Path, fetched: str, refs: str) -> None:
    ref = refs.format(id="1" * 38, fingerprint=fetched)
    shell(victim)(f"git update-ref {ref} pr-7")
    state = of_states.state_named(victim, fetched)
    with pytest.raises(ChurnError, match=r"not in the history|more than one branch, tag or commit"):
        require_vouched(victim, state, [fetched])


def test_a_replacement_that_was_fetched_does_not_change_the_history(victim: Path, fetched: str) -> None:
    foreign = snapshot.state_of_revision(victim, "pr-7")
    assert foreign
    shell(victim)("git commit --quiet --allow-empty --message own && git replace HEAD~1 pr-7")
    assert str(foreign.commit) not in vouched_commits(victim)
    own = snapshot.state_of_revision(victim, "HEAD~1")
    assert own
    assert own.fingerprint != fetched


def test_an_experiment_called_like_a_revision_is_not_vouched_for(victim: Path, fetched: str) -> None:
    """`dvc exp pull` brings names that somebody else chose."""
    foreign = snapshot.state_of_revision(victim, "pr-7")
    assert foreign
    for name in ("HEAD", "twice"):
        shell(victim)(f"git update-ref refs/exps/aa/{'1' * 38}/{name} pr-7")
    shell(victim)(f"git update-ref refs/exps/bb/{'2' * 38}/twice pr-7~1")
    shell(victim)(f"git update-ref refs/exps/cc/{'3' * 38}/other pr-7~1")
    assert not is_vouched(foreign, vouched_commits(victim, ["HEAD"]))
    for ask in (of_states.state_named, lambda root, name: vouched_commits(root, [name])):
        with pytest.raises(ChurnError, match="2 DVC experiments have that name"):
            ask(victim, "twice")


def poisoned(victim: Path, tmp_path: Path, name: str, spoil: Callable[[Path], None]) -> None:
    """Fetch a branch with one state, spoiled."""
    stranger = shutil.copytree(victim, tmp_path / f"stranger-{name.replace(' ', '-')}", symlinks=True)
    spoil(stranger)
    shell(stranger)("git add --all && git commit --quiet --message poison")
    shell(victim)(f"git fetch --quiet {stranger} HEAD:{name.replace(' ', '-')}")


def written(file: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        content = (root / file).read_text()
        assert old in content
        (root / file).write_text(content.replace(old, new))

    return spoil


def lock_of_a_deep_nest(root: Path) -> None:
    (root / "dvc.lock").write_text("stages: " + "[" * 100_000)


def provenance_of_a_deep_nest(root: Path) -> None:
    (root / "metrics/provenance/train.json").write_text("[" * 200_000)


def lock_that_names_a_device(root: Path) -> None:
    lock = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(re.sub(r"md5: [0-9a-f]{32}", "md5: aa/dev/zero", lock))


def with_a_metric_called(name: str) -> Callable[[Path], None]:
    """One that git keeps under another path, since no file system takes it; DVC's cache has its bytes."""

    def spoil(root: Path) -> None:
        for file in ("dvc.yaml", "dvc.lock"):
            path = root / file
            path.write_text(path.read_text().replace("metrics/slices.csv", f"metrics/{name}"))

    return spoil


def lock_that_is_a_link(root: Path) -> None:
    (root / "dvc.lock").unlink()
    (root / "dvc.lock").symlink_to("/etc/passwd")


POISON: dict[str, Callable[[Path], None]] = {
    "deep": lock_of_a_deep_nest,
    "device": lock_that_names_a_device,
    "tag": written("dvc.lock", "schema:", 'zz: !!int ""\nschema:'),
    "deep provenance": provenance_of_a_deep_nest,
    "list": written("dvc.yaml", "stages:", "metrics: [5]\nstages:"),
    "empty": written("dvc.yaml", "stages:", "plots: [{}]\nstages:"),
    "escape": written("metrics/provenance/train.json", "PYTHONPATH", "\\u001b[2K\\nabc: published PYTHONPATH"),
    "link": lock_that_is_a_link,
    "long name": with_a_metric_called("m" * 300),
    "file and folder": with_a_metric_called("audit.json/more.json"),
    "huge number": written("metrics/test.json", '"test_roc_auc": ', f'"huge": {"9" * 400}, "test_roc_auc": '),
}


@pytest.mark.parametrize("name", POISON)
def test_a_spoiled_branch_stops_no_other_state_and_forges_no_line(victim: Path, tmp_path: Path, name: str) -> None:
    poisoned(victim, tmp_path, name, POISON[name])
    told = sync(victim, ALL)
    own = snapshot.state_of_revision(victim, "HEAD")
    assert own
    assert row_of(victim, own.fingerprint).data.tags[MODEL_NOTE] == ModelNote.SHOWN
    assert all("\x1b" not in line and "\n" not in line for line in told.lines)
    assert lineage_of(victim, "HEAD").fingerprint == own.fingerprint


def test_a_store_does_not_have_files_written_into_the_project(victim: Path) -> None:
    """It chooses where they go, and what is fetched chooses their names."""
    sync(victim, SyncRequest(everything=False, again=False))
    own = snapshot.state_of_revision(victim, "HEAD")
    assert own
    row = row_of(victim, own.fingerprint)
    shutil.rmtree(victim / "mlruns/churn" / row.info.run_id)
    with closing(sqlite3.connect(victim / "mlflow.db")) as database, database:
        database.execute("update runs set artifact_uri = ?", [(victim / "src").as_uri()])
    told = sync(victim, SyncRequest(everything=False, again=False))
    assert any("asks to write files to" in one for one in told.faults)
    assert shell(victim)("git status --porcelain").stdout == ""


def test_a_record_that_names_a_file_of_the_machine_is_set_aside(victim: Path) -> None:
    box = outbox_of(victim)
    record, content_of = describe(snapshot.state_of_workspace(victim))
    box.add(record, content_of)
    (path,) = (victim / ".churn/outbox/records").glob("*.json")
    path.write_text(
        path.read_text().replace(next(iter(record.experiment.files.values())), "../../../../../etc/hostname")
    )
    assert box.record(path.stem) is None
    assert len(box.records_set_aside()) == 1


def test_tidying_the_outbox_removes_only_what_it_wrote(victim: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("years")
    (victim / ".churn/outbox").mkdir(parents=True)
    (victim / ".churn/outbox/contents").symlink_to(elsewhere)
    outbox_of(victim).prune()
    assert (elsewhere / "thesis.txt").read_text() == "years"


def test_a_provenance_file_vouches_for_the_results_of_its_stage_alone(victim: Path, mark: Path) -> None:
    bomb = pickle.dumps(Bomb(mark))
    md5 = md5_of_bytes(bomb)
    left: dict[str, list[object]] = {"command": ["x"], "dependencies": [], "packages": [], "parameters": []}
    left["results"] = [["any", md5]]
    for name in ("zzz", "train"):
        (victim / f"metrics/provenance/{name}.json").write_text(json.dumps(left))
    assert md5 not in known_md5s(victim)


@pytest.mark.parametrize("command", ["churn init data/raw/customers.csv --target gone --yes", "churn tune --trials 2"])
def test_no_module_of_the_current_folder_is_imported(victim: Path, mark: Path, command: str) -> None:
    for name in ("dvc", "selectors", "optuna", "sklearn", "numpy"):
        (victim / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    shell(victim)(command, check=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert not mark.exists()


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert escape_controls("a\x1b[2Kb\x07\u202ec\td\n") == r"a\x1b[2Kb\x07\u202ec" + "\td\n"


def test_of_two_states_with_one_fingerprint_that_of_this_branch_is_meant(victim: Path, tmp_path: Path) -> None:
    """A fingerprint is of inputs, so anybody can commit other results under it."""
    stranger = shutil.copytree(victim, tmp_path / "stranger", symlinks=True)
    (stranger / files.MODEL).write_bytes(b"N.")
    for name in ("train", "evaluate"):
        leave_provenance(stranger, name, state.inputs_from_files(stranger, name))
        commit(stranger, name)
    shell(stranger)("GIT_COMMITTER_DATE='2001-01-01T00:00' git commit --quiet --all --message backdated")
    shell(victim)(f"git fetch --quiet {stranger} HEAD:pr-8")
    own, other = (snapshot.state_of_revision(victim, name) for name in ("HEAD", "pr-8"))
    assert own
    assert other
    assert own.fingerprint == other.fingerprint
    found = snapshot.state_in_git(victim, own.fingerprint)
    assert found
    assert found.commit == own.commit


@pytest.mark.parametrize("path", ["data/processed/encoders.pkl", "data/processed/scaler.pkl"])
def test_a_stage_unpickles_only_what_the_stage_before_it_wrote(
    victim: Path, path: str, mark: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a remote could serve other bytes under a name in dvc.lock."""
    (victim / path).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(SystemExit):
        run_stage(Recorder(victim, "train"), train)
    assert f"{path}: md5" in caplog.text
    assert "is not unpickled" in caplog.text.replace("so it is not \nunpickled", "so it is not unpickled")
    assert not mark.exists()


def test_predict_unpickles_only_the_model_of_dvc_lock(victim: Path, mark: Path) -> None:
    (victim / files.MODEL).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ChurnError, match=r"not the file that dvc\.lock records"):
        load_decision(victim, None)
    assert not mark.exists()


def test_a_result_that_would_lie_outside_the_project_is_not_shown(victim: Path, tmp_path: Path) -> None:
    """A dvc.yaml of a fetched branch can name any path."""
    outside = tmp_path / "outside.json"
    paths = [f"../{outside.name}", str(outside), "metrics/../../outside.json"]
    pipeline = {"stages": {"x": {"metrics": [*paths, "metrics/inside.json"]}}}
    assert state.results_of_kind("metrics", pipeline) == {"metrics/inside.json"}


class TestWhatMlflowGivesBack:
    """The registry is another machine's: what it hands out is compared with what was judged, then loaded."""

    @pytest.fixture
    def version(self, victim: Path) -> str:
        """A registered model, by number; its files lie in the project's own folder."""
        store = open_store(find_destination(victim))
        sync(victim, SyncRequest(everything=False, again=False))
        one = snapshot.state_of_revision(victim, "HEAD")
        assert one
        row = store.complete_row(one.fingerprint)
        assert row
        return open_registry(store).challenge(row, str(one.results[str(files.MODEL)]), str(one.commit))

    def problem(self, root: Path, version: str) -> str | None:
        registry = open_registry(open_store(find_destination(root)))
        one = snapshot.state_of_revision(root, "HEAD")
        assert one
        with registry.download(version) as folder:
            return registry.loading_problem(folder, str(one.results[str(files.MODEL)]))

    def model_folder(self, root: Path) -> Path:
        (folder,) = root.glob("mlruns/churn/models/*/artifacts")
        return folder

    def test_the_file_is_the_pipelines_own_byte_for_byte(self, victim: Path, version: str) -> None:
        assert self.problem(victim, version) is None
        given = (self.model_folder(victim) / "model.pkl").read_bytes()
        assert given == (victim / files.MODEL).read_bytes()

    def test_another_model_is_refused_unloaded(self, victim: Path, version: str, mark: Path) -> None:
        (self.model_folder(victim) / "model.pkl").write_bytes(pickle.dumps(Bomb(mark)))
        assert "returns a model with md5" in str(self.problem(victim, version))
        assert not mark.exists()

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("loader_module: mlflow.sklearn", "loader_module: evil"),
            ("pickled_model: model.pkl", "pickled_model: other.pkl"),
            ("serialization_format: pickle", "serialization_format: cloudpickle"),
            ("code: null", "code: code"),
            ("flavors:", "flavours:"),
            ("flavors:", "flavors: {"),
            ("flavors:", "x: !!python/object/apply:os.system ['true']\nflavors:"),
        ],
    )
    def test_a_model_that_is_to_be_loaded_otherwise_is_refused_unloaded(
        self, victim: Path, version: str, old: str, new: str
    ) -> None:
        path = self.model_folder(victim) / "MLmodel"
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))
        assert "MLmodel" in str(self.problem(victim, version))

    def test_of_two_models_with_one_fingerprint_each_is_a_version_of_its_own(self, victim: Path, version: str) -> None:
        """As another kind of processor gives, or a result that was corrected since."""
        other = unpickled(victim / files.MODEL)
        other.threshold = 0.9
        files.write_pickle(victim / files.MODEL, other)
        for name in ("train", "evaluate"):
            leave_provenance(victim, name, state.inputs_from_files(victim, name))
            commit(victim, name)
        assert sync(victim, SyncRequest(everything=False, again=False)).faults == ()
        one = snapshot.state_of_workspace(victim)
        registry = open_registry(open_store(find_destination(victim)))
        row = registry.store.complete_row(one.fingerprint)
        assert row
        md5 = str(one.results[str(files.MODEL)])
        second = registry.challenge(row, md5, str(one.commit))
        assert (version, second, registry.model_md5_of(second)) == ("1", "2", md5)
        with registry.download(second) as folder:
            assert registry.loading_problem(folder, md5) is None
            assert registry.load(folder).threshold == 0.9
        assert self.problem(victim, version) is None, "the first one is what it was"
        assert registry.challenge(row, md5, str(one.commit)) == second

    def test_gone_files_are_told_and_sync_brings_them_back(self, victim: Path, version: str) -> None:
        for path in self.model_folder(victim).iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)
        told = sync(victim, SyncRequest(everything=False, again=False))
        assert told.faults == ()
        assert self.problem(victim, version) is None
        assert foreign_loader(self.model_folder(victim)) is None


def test_modules_of_a_pickle_are_read_without_running_it(mark: Path) -> None:
    content = pickle.dumps([Bomb(mark), pickle.PickleError, Path("x")])
    assert {"pathlib", "_pickle"} <= modules_named(content)
    assert is_plain_pickle(content)
    assert not is_plain_pickle(b"no pickle")
    assert not mark.exists()
