"""`churn promote` and `churn rollback` in a project with a registry: who becomes champion, and what is kept of it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from churn.commands.promote import challenger, gates, promotion, rivals, succession
from churn.commands.promote.outcomes import PromotionOutcome
from churn.errors import ChurnError, ParameterError
from churn.history.git import GitRefusalError
from churn.history.predictions.of_states import answers_on_test_rows, answers_out_of_fold, state_named
from churn.history.reproduce import Reproduction
from churn.history.state import inputs_from_files
from churn.history.verify import leave_provenance
from churn.tracking import ledger
from churn.tracking.destination import StoreError, find_destination
from churn.tracking.ledger import CHALLENGER, CHAMPION, OUTCOME, REASON, Entry, Judgement, Judges
from churn.tracking.lineage import lineage_of
from churn.tracking.store.registry import SETTLED, Registry, open_registry
from churn.tracking.store.rows import open_store
from churn.tracking.sync import SyncRequest, status, sync
from tests.helpers.command_line import churn
from tests.helpers.projects import NO_SERVER, made_once, make_customers, make_project, shell
from tests.helpers.runs import rerun
from tests.helpers.servers import mlflow_server
from tests.helpers.states import edit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_usual_cache")]

WEAK, STRONG, ALIKE = "C: 0.00001", "C: 1.0", "C: 0.9"
LOW_VALUE = "customer_value: 60.0"
"""With it, to contact everybody is no good idea, and a few hundred customers show it."""

FAULTS_OF_THE_MOMENT: dict[str, tuple[object, str, Exception]] = {
    "a full disk in the rerun": (challenger, "reproduce", ChurnError("`dvc repro` ended with exit code 1: no space")),
    "a store that is gone": (Registry, "model_md5_of", StoreError("no answer", refused=False)),
    "a git that refuses": (rivals, "judge_state", GitRefusalError("git: detected dubious ownership")),
    "no memory": (rivals, "answers_of", MemoryError()),
    "a missing package": (rivals, "answers_of", ModuleNotFoundError("No module named 'lightgbm'")),
}
"""What fails, and how; it says nothing about the model."""

LOST = [pytest.param(what, marks=pytest.mark.long) for what in ("version", "renamed", "run", "run and model")]


def ended(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def make_history(folder: Path, run_stages: Callable[..., object]) -> None:
    make_project(folder)
    make_customers(1500).to_csv(folder / "data/raw/customers.csv", index=False)
    edit(folder / "params.yaml", "customer_value: 200.0", LOW_VALUE)
    stages, before = ["preprocess", "train", "evaluate"], STRONG
    for name, value in (("weak", WEAK), ("strong", STRONG), ("alike", ALIKE)):
        edit(folder / "params.yaml", before, value)
        run_stages(folder, *stages)
        stages, before = ["train", "evaluate"], value
        shell(folder)(f"git add --all && git commit --quiet --message {name} && git tag {name}")
    shutil.rmtree(folder / ".churn", ignore_errors=True)


@pytest.fixture(scope="session")
def _history_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "history", lambda folder: make_history(folder, rerun))


@pytest.fixture(scope="session")
def _history_by_dvc_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def repro(folder: Path, *_: str) -> None:
        shell(folder)("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)

    return made_once(tmp_path_factory, "history-by-dvc", lambda folder: make_history(folder, repro))


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a store and three commits, tagged by what their models are: weak, strong, and alike the second.

    A pickle of one process has not the bytes of one of several, so what is to be reproduced is made by DVC.
    """
    by_dvc = "_taken_as_reproduced" not in request.fixturenames
    history: Path = request.getfixturevalue("_history_by_dvc_once" if by_dvc else "_history_once")
    copied = shutil.copytree(history, tmp_path / "project", symlinks=True)
    shutil.copy(migrated, copied / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(copied)
    return copied


@pytest.fixture
def _taken_as_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """To run all stages again for every promotion takes long; one test does. So do intervals of many resamples."""
    monkeypatch.setattr(challenger, "reproduce", lambda *_: Reproduction(29, "here", "here", None))
    monkeypatch.setattr(gates, "RESAMPLES", 5_000)


def promote(root: Path, revision: str = "strong", reason: str = "") -> PromotionOutcome:
    return promotion.promote(root, revision, forced=bool(reason), reason=reason)


def registry_of(root: Path) -> Registry:
    return open_registry(open_store(find_destination(root)))


def champion(root: Path) -> str | None:
    return registry_of(root).at(CHAMPION)


def about_champion(root: Path) -> str:
    """What `churn status` says of the champion."""
    return "".join(fault for fault in status(root).faults if "champion" in fault)


def written_down(root: Path) -> tuple[list[str], str | None]:
    """What was decided so far, and who is challenger."""
    registry = registry_of(root)
    return [one.judgement.outcome for one in registry.entries()], registry.at(CHALLENGER)


def line(outcome: PromotionOutcome, gate: str) -> str:
    return next(one for one in outcome.lines if gate in one)


@pytest.mark.usefixtures("_taken_as_reproduced")
class TestOneMachine:
    def test_the_first_champion_beats_contacting_everybody_and_nobody(self, root: Path) -> None:
        outcome = promote(root)
        assert outcome.promoted, outcome.lines
        assert "champion    none yet" in outcome.lines
        assert line(outcome, "contacting everyone").lstrip().startswith("passed")
        assert line(outcome, "contacting no one").lstrip().startswith("passed")
        assert not any("logistic regression" in one for one in outcome.lines)  # it is one itself
        registry = registry_of(root)
        assert (registry.at(CHAMPION), registry.at(CHALLENGER)) == ("1", None)
        version = registry.version("1")
        assert version
        assert version.tags["git.commit"] == shell(root)("git rev-parse strong").stdout.strip()
        assert {"sha256.model.pkl", "sha256.params.yaml", "sha256.background.csv"} <= version.tags.keys()
        assert lineage_of(root, "strong").verdicts == ("churn/1 promoted",)

    @pytest.mark.long
    def test_another_model_has_to_beat_logistic_regression_first(self, root: Path) -> None:
        edit(root / "params.yaml", "sklearn.linear_model.LogisticRegression", "sklearn.naive_bayes.GaussianNB")
        edit(root / "params.yaml", f"params: {{{ALIKE}}}", "params: {}")
        run = shell(root)
        run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
        run("git commit --quiet --all --message bayes")
        outcome = promote(root, "HEAD")
        assert not outcome.promoted
        assert line(outcome, "earns more than logistic regression").lstrip().startswith("CLOSED")
        assert champion(root) is None
        assert registry_of(root).at(CHALLENGER) == "1"

    def test_a_better_model_takes_over_and_a_weaker_one_or_one_alike_does_not(self, root: Path) -> None:
        forced = promote(root, "weak", reason="to have one")
        assert forced.lines[-1].endswith("is @champion, by force: to have one")
        version = registry_of(root).version("1")
        assert version
        assert (version.tags[OUTCOME], version.tags[REASON]) == (ledger.FORCED, "to have one")
        assert version.description.startswith("**forced**: to have one\n\n```text\nchallenger ")
        assert "  CLOSED  " in version.description
        taken_over = promote(root, "strong")
        assert taken_over.promoted, taken_over.lines
        assert not promote(root, "weak").promoted
        assert not promote(root, "alike").promoted
        assert champion(root) == "2"
        assert [one.judgement.outcome for one in registry_of(root).entries()] == [
            ledger.FORCED,
            ledger.PROMOTED,
            ledger.REFUSED,
            ledger.REFUSED,
        ]

    def test_the_commit_of_a_champion_outlives_its_branch(self, root: Path) -> None:
        run = shell(root)
        run("git checkout --quiet -b side && git commit --quiet --allow-empty --message side")
        commit = run("git rev-parse HEAD").stdout.strip()
        tag = f"churn/champion/{commit[:12]}"
        promote(root, "weak")
        assert tag not in run("git tag").stdout
        assert promote(root, "side", reason="to have one").promoted
        assert run(f"git rev-parse {tag}").stdout.strip() == commit
        run("git checkout --quiet main && git branch --quiet -D side")
        run("git reflog expire --expire=now --all && git gc --quiet --prune=now")
        assert state_named(root, tag).commit == commit
        assert lineage_of(root, commit).commands == (f"git checkout {commit}", "dvc checkout")

    def test_nothing_is_promoted_while_nothing_keeps_its_commit(self, root: Path) -> None:
        (root / ".git/refs/tags/churn").write_text("in the way of the tag")
        with pytest.raises(ChurnError, match=r"git: .*; without the tag churn/champion/.* nothing was promoted"):
            promote(root)
        assert champion(root) is None

    def test_the_same_again_changes_nothing(self, root: Path) -> None:
        promote(root, "strong")
        assert promote(root, "strong").lines[-1].endswith("is @champion already")
        first, second = promote(root, "weak"), promote(root, "weak")
        assert first == second
        assert len(registry_of(root).entries()) == 2

    def test_every_judgement_by_the_same_test_rows_widens_the_next_interval(self, root: Path) -> None:
        promote(root, "strong")
        assert "(98.33% interval" in line(promote(root, "weak"), "earns more")
        assert "(99.17% interval" in line(promote(root, "alike"), "earns more")

    def test_a_rollback_goes_to_the_champion_before_and_is_written_down(self, root: Path) -> None:
        promote(root, "weak", reason="to have one")
        promote(root, "strong")
        outcome = promotion.roll_back(root, "complaints")
        assert outcome.lines[0].startswith("rolled back: churn version 1")
        assert champion(root) == "1"
        with pytest.raises(ChurnError, match="was the first champion; there is none to go back to"):
            promotion.roll_back(root, "")
        assert registry_of(root).entries()[-1].judgement.reason == "complaints"
        assert promote(root, "strong").promoted
        assert champion(root) == "2"

    def test_status_tells_what_is_wrong_with_the_champion_and_what_mends_it(self, root: Path) -> None:
        assert not about_champion(root)
        promote(root, "strong")
        assert not about_champion(root)
        client = registry_of(root).store.client
        for folder in root.glob("mlruns/churn/models/*"):
            shutil.rmtree(folder)
        assert "files of churn version 1, the champion, are missing" in about_champion(root)
        sync(root, SyncRequest(everything=True, again=False))
        assert not about_champion(root)
        client.delete_registered_model_alias("churn", CHAMPION)
        assert "the alias was removed" in about_champion(root)
        client.delete_registered_model("churn")
        assert "churn version 1, state" in about_champion(root)
        promote(root, "strong")
        assert not about_champion(root)

    def test_a_number_that_mlflow_gave_again_is_not_taken_for_the_model_that_had_it(self, root: Path) -> None:
        promote(root, "weak", reason="to have one")
        client = registry_of(root).store.client
        client.delete_registered_model("churn")
        assert promote(root, "strong").promoted
        with pytest.raises(ChurnError, match=r"not rolled back: churn version 1, state .* was deleted or renamed"):
            promotion.roll_back(root, "")
        version = registry_of(root).version("1")
        assert version
        assert version.tags["git.commit"] == shell(root)("git rev-parse strong").stdout.strip()
        assert written_down(root)[0] == [ledger.FORCED, ledger.PROMOTED]
        assert promote(root, "weak", reason="as the message says").promoted
        assert promotion.roll_back(root, "").lines[0].startswith("rolled back: churn version 1")
        assert champion(root) == "1"

    @pytest.mark.parametrize("lost", ["registered model", *LOST])
    def test_a_champion_that_was_deleted_in_mlflow_is_registered_again_by_promoting_it(
        self, lost: str, root: Path
    ) -> None:
        promote(root, "strong")
        registry = registry_of(root)
        client, version = registry.store.client, registry.version("1")
        assert version
        match lost:
            case "registered model":
                client.delete_registered_model("churn")
            case "version":
                client.delete_model_version("churn", "1")
            case "renamed":
                client.rename_registered_model("churn", "former")
            case _:
                client.delete_run(version.run_id)
                gone = str(version.source).removeprefix("models:/") if lost == "run and model" else ""
                if gone:
                    client.delete_logged_model(gone)
                shell(root)(
                    f"mlflow gc --backend-store-uri sqlite:///mlflow.db --run-ids {version.run_id}"
                    f"{f' --logged-model-ids {gone}' if gone else ''}",
                    MLFLOW_TRACKING_URI="sqlite:///mlflow.db",
                )
        assert promote(root, "strong").lines[-1].endswith("is @champion already")
        number = champion(root)
        assert number
        with registry.download(number) as folder:
            assert (folder / "model.pkl").is_file()
        assert written_down(root)[0] == [ledger.PROMOTED]

    def test_without_a_champion_there_is_nothing_to_roll_back(self, root: Path) -> None:
        with pytest.raises(ChurnError, match="no model was promoted yet"):
            promotion.roll_back(root, "")

    def test_a_deleted_version_is_not_gone_back_to(self, root: Path) -> None:
        promote(root, "weak", reason="to have one")
        promote(root, "strong")
        registry_of(root).store.client.delete_model_version("churn", "1")
        with pytest.raises(
            ChurnError, match=r"not rolled back: churn version 1, .*; `churn promote [0-9a-f]{16} --force"
        ):
            promotion.roll_back(root, "")
        assert champion(root) == "2"

    @pytest.mark.long
    def test_an_alias_that_was_moved_in_mlflow_counts_and_is_written_down(self, root: Path) -> None:
        promote(root, "weak", reason="to have one")
        promote(root, "strong")
        client = registry_of(root).store.client
        client.set_registered_model_alias("churn", CHAMPION, "1")
        assert "champion    churn version 1" in "\n".join(promote(root, "strong").lines)
        outcomes = [one.judgement.outcome for one in registry_of(root).entries()]
        assert ledger.BY_HAND in outcomes

    def test_an_alias_that_was_removed_is_set_again_by_promoting(self, root: Path) -> None:
        promote(root)
        registry_of(root).store.client.delete_registered_model_alias("churn", CHAMPION)
        assert promote(root).promoted
        assert champion(root) == "1"

    def test_a_deleted_row_of_the_ledger_still_counts(self, root: Path) -> None:
        promote(root, "strong")
        registry = registry_of(root)
        registry.store.client.delete_run(registry.entries()[0].id)
        assert promote(root, "strong").lines[-1].endswith("is @champion already")

    @pytest.mark.long
    def test_only_a_whole_commit_can_be_promoted(self, root: Path) -> None:
        run = shell(root)
        run("dvc exp run --quiet --name one --set-param train.params.C=0.5", MLFLOW_TRACKING_URI=NO_SERVER)
        sha = run("git for-each-ref --format='%(objectname)' 'refs/exps/*/*/one'").stdout.strip()
        assert sha
        for state in ("workspace", "one", sha):
            for reason in ("", "anyhow"):
                with pytest.raises(ChurnError, match="only a commit of a branch or tag can be promoted"):
                    promote(root, state, reason=reason)
        run("git checkout --quiet -- . && dvc checkout")
        edit(root / "dvc.lock", "md5: ", "md5: 0")
        run("git commit --quiet --all --message broken")
        with pytest.raises(ChurnError, match="HEAD: "):
            promote(root, "HEAD")
        assert champion(root) is None

    @pytest.mark.long
    def test_an_experiment_that_got_a_branch_can_be_promoted(self, root: Path) -> None:
        run = shell(root)
        run("dvc exp run --quiet --name one --set-param train.params.C=0.5", MLFLOW_TRACKING_URI=NO_SERVER)
        run("git checkout --quiet -- . && dvc checkout && dvc exp branch one kept")
        assert promote(root, "kept").lines[-1].startswith(("promoted: ", "not promoted: "))

    def test_a_commit_whose_lock_tells_of_another_one_is_promoted_by_no_force(self, root: Path) -> None:
        run = shell(root)
        edit(root / "params.yaml", ALIKE, "C: 0.7")
        run("git commit --quiet --all --message unrun")
        fingerprint = state_named(root, "alike").fingerprint
        told = r"HEAD: params\.yaml \(train\.params\.C\): differs from the inputs in dvc\.lock"
        for reason in ("", "anyhow"):
            with pytest.raises(ChurnError, match=told):
                promote(root, "HEAD", reason=reason)
        assert registry_of(root).entries() == []
        assert "passed  committed" in line(promote(root, fingerprint), "committed")

    def test_a_commit_without_its_table_does_not_hold_the_whole_state(self, root: Path) -> None:
        run = shell(root)
        run("git rm --quiet --cached data/raw/customers.csv && git commit --quiet --message lost")
        told = line(promote(root, "HEAD"), "committed")
        assert told.lstrip().startswith("CLOSED")
        assert "data/raw/customers.csv: neither in git nor in DVC" in told

    @pytest.mark.long
    def test_a_champion_that_cannot_be_compared_is_replaced_by_force_only(self, root: Path) -> None:
        promote(root)
        make_customers(1500, seed=1).to_csv(root / "data/raw/customers.csv", index=False)
        run = shell(root)
        run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
        run("git commit --quiet --all --message others")
        refused = promote(root, "HEAD")
        assert "customers are training rows of both states" in line(refused, "can be judged")
        assert promote(root, "HEAD", reason="other customers").promoted
        assert registry_of(root).entries()[-1].judgement.judges == Judges()

    @pytest.mark.long
    def test_a_champion_that_cannot_read_a_column_any_more_is_replaced_by_force_only(self, root: Path) -> None:
        promote(root)
        others = make_customers(1500)
        others["senior"] = others["senior"].map({"0": "young", "1": "old"})
        others.to_csv(root / "data/raw/customers.csv", index=False)
        before = "senior: {type: boolean,"
        edit(root / "params.yaml", before, "senior: {type: categorical, values: null,")
        run = shell(root)
        run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
        run("git commit --quiet --all --message texts")
        told = line(promote(root, "HEAD"), "can be judged")
        assert "the champion's model cannot score these rows: DataError: " in told
        assert promote(root, "HEAD", reason="another table").promoted

    @pytest.mark.long
    def test_test_rows_that_the_champion_has_learned_from_do_not_judge_it(self, root: Path) -> None:
        promote(root)
        edit(root / "params.yaml", "split_salt: small", "split_salt: other")
        run = shell(root)
        run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
        run("git commit --quiet --all --message salt")
        states = [state_named(root, name) for name in ("strong", "HEAD")]
        learned_from = answers_out_of_fold(states[0], "strong").churned.index
        tested = answers_on_test_rows(states[1], "HEAD").churned.index
        unseen = len(tested.difference(learned_from))
        assert 0 < unseen < len(tested)
        outcome = promote(root, "HEAD")
        assert f"{unseen:,} test customers" in line(outcome, "test rows against the champion")
        # Another split is no way around the count: the customers that decide are the same ones.
        assert "(98.33% interval" in line(outcome, "earns more")

    def test_a_champion_from_elsewhere_judges_nobody(self, root: Path) -> None:
        promote(root)
        client = registry_of(root).store.client
        foreign = client.create_model_version("churn", source=str(root / "models")).version
        client.set_registered_model_alias("churn", CHAMPION, foreign)
        refused = promote(root, "alike")
        assert "was not made by this pipeline" in line(refused, "can be judged")

    @pytest.mark.long
    def test_a_champion_of_another_branch_is_not_run_and_one_whose_commit_is_not_here_is_told_with_what_brings_it(
        self, root: Path
    ) -> None:
        edit(root / "params.yaml", ALIKE, "C: 0.8")
        run = shell(root)
        run("dvc repro", MLFLOW_TRACKING_URI=NO_SERVER)
        run("git commit --quiet --all --message elsewhere")
        promote(root, "HEAD", reason="to have one")
        run("git reset --quiet --hard HEAD~1")
        with pytest.raises(ChurnError, match=r"is not in the history of this branch.*merge it or pass --trust"):
            promote(root)
        run("git tag --delete $(git tag --list 'churn/champion/*')")
        assert "`git fetch --tags` may get it" in line(promote(root), "can be judged")

    @pytest.mark.long
    def test_a_champion_whose_predictions_are_gone_is_told_with_what_brings_them(self, root: Path) -> None:
        promote(root)
        shell(root)("dvc gc --workspace --force")
        with pytest.raises(ChurnError, match="is not in the cache; `dvc fetch"):
            promote(root, "alike")
        assert written_down(root) == ([ledger.PROMOTED], None)
        forced = promote(root, "alike", reason="they are gone for good")
        assert "is not in the cache" in line(forced, "can be judged")
        assert forced.promoted

    def test_an_unfinished_edit_of_params_yaml_is_no_refusal(self, root: Path) -> None:
        edit(root / "params.yaml", "max_calibration_error: 0.1", "max_calibration_error: ")
        for reason in ("", "anyhow"):
            with pytest.raises(ParameterError, match="max_calibration_error"):
                promote(root, reason=reason)
        assert written_down(root) == ([], None)

    def test_a_store_that_fails_while_it_is_judged_is_no_refusal(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(*_: object) -> None:
            raise StoreError("no answer", refused=False)

        monkeypatch.setattr(Registry, "selection", failing)
        with pytest.raises(StoreError, match="no answer"):
            promote(root)
        assert written_down(root) == ([], None)

    @pytest.mark.parametrize("fault", FAULTS_OF_THE_MOMENT)
    def test_a_fault_of_the_moment_is_no_refusal_and_the_next_promotion_judges_anew(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        promote(root, "weak", reason="to have one")
        before = written_down(root)[0]
        place, name, error = FAULTS_OF_THE_MOMENT[fault]

        def failing(*_: object, **__: object) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(place, name, failing)
            with pytest.raises(ChurnError):
                promote(root)
        assert written_down(root)[0] == before
        assert promote(root).promoted

    def test_a_judgement_that_a_kill_interrupts_is_no_entry_and_the_next_one_completes_its_run(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(mlflow.MlflowClient, "log_text", ended)
            with pytest.raises(KeyboardInterrupt):
                promote(root)
        assert written_down(root) == ([], "1")
        assert promote(root).promoted
        registry = registry_of(root)
        (run,) = registry.store.client.search_runs([registry.ledger_id])
        assert run.info.status == "FINISHED"
        assert [one.path for one in registry.store.client.list_artifacts(run.info.run_id)] == ["gates.txt"]

    def test_a_store_that_is_away_is_told_in_a_line(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER)
        with pytest.raises(ChurnError, match="refused"):
            promote(root)


@pytest.mark.usefixtures("_taken_as_reproduced")
class TestAnswersForPrograms:
    def test_a_promotion_tells_who_was_judged_by_what(self, root: Path) -> None:
        sha = shell(root)("git rev-parse strong").stdout.strip()
        first = churn("promote", "strong", "--json")
        found = json.loads(first.out)
        assert (first.code, found["outcome"], found["promoted"]) == (0, "promoted", True)
        assert found["challenger"] == {"model": "churn", "version": "1", "commit": sha}
        assert (found["version"], found["champion"]) == ("1", None)
        assert found["fingerprint"] == state_named(root, "strong").fingerprint
        again = json.loads(churn("promote", "strong", "--json").out)
        assert (again["outcome"], again["promoted"], again["version"]) == ("already champion", True, "1")

    def test_a_refusal_is_json_with_the_gates_of_the_text_and_exit_code_1(self, root: Path) -> None:
        promote(root, "strong")
        refused, text = churn("promote", "weak", "--json"), churn("promote", "weak")
        found = json.loads(refused.out)
        assert (refused.code, text.code, found["outcome"], found["promoted"]) == (1, 1, "refused", False)
        assert (found["challenger"]["version"], found["champion"]["version"]) == ("2", "1")
        assert not all(gate["passed"] for gate in found["gates"])
        for gate in found["gates"]:
            told = next(line for line in text.out.splitlines() if f"  {gate['name']}  " in line)
            assert told.lstrip().startswith("passed" if gate["passed"] else "CLOSED")
            assert told.endswith(gate["explanation"].splitlines()[0])
        earns = next(gate for gate in found["gates"] if gate["name"] == "earns more than the champion")
        assert f"interval {earns['figures']['low']:+,.0f} to {earns['figures']['high']:+,.0f}" in earns["explanation"]

    def test_force_and_rollback_keep_their_reasons(self, root: Path) -> None:
        promote(root, "strong")
        forced = json.loads(churn("promote", "weak", "--force", "--reason", "to have one", "--json").out)
        assert (forced["outcome"], forced["promoted"], forced["reason"]) == ("forced", True, "to have one")
        back = churn("rollback", "--reason", "complaints", "--json")
        found = json.loads(back.out)
        assert (back.code, found["outcome"], found["version"], found["reason"]) == (0, "rolled back", "1", "complaints")
        assert (found["champion"]["version"], found["replaced"]) == ("1", forced["challenger"])
        assert champion(root) == "1"

    def test_a_fault_leaves_stdout_empty(self, root: Path) -> None:
        for arguments in (("rollback",), ("promote", "nothing"), ("promote", "--force")):
            answer = churn(*arguments, "--json")
            assert (answer.code, answer.out) == (1, "")
            assert answer.err.startswith("churn: ")


@pytest.mark.usefixtures("_taken_as_reproduced")
def test_of_two_promotions_on_two_machines_the_first_counts_whatever_their_clocks_say(root: Path) -> None:
    promote(root, "alike")
    here, there = registry_of(root), registry_of(root)
    older, told = claims_after_the_champion(here, 2)
    succession.take_over(there, told)
    for late in range(2):
        with pytest.raises(ChurnError, match="another promotion came first"):
            succession.take_over(here, older)
        assert ledger.reigns(here.entries())[-1].id == told.id
        # As one that read the ledger before, and has a slow clock, leaves it behind.
        here.store.client.set_tag(older.id, OUTCOME, ledger.PROMOTED)
        here.store.client.set_tag(older.id, SETTLED, str(late + 1))
        assert ledger.reigns(here.entries())[-1].id == told.id


@pytest.mark.usefixtures("_taken_as_reproduced")
def test_who_settles_while_another_takes_over_leaves_the_alias_where_it_belongs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(root, "alike")
    promote(root, "strong", reason="to have two versions")
    registry = registry_of(root)
    (entry,) = claims_after_the_champion(registry, 1)
    settle = Registry.settle
    came: list[Entry] = []

    def overtaken(self: Registry, one: Entry) -> None:
        if not came:
            came.append(self.add(Judgement(ledger.PROMOTED, "2", entry.id, self.fingerprint_of("2")), {}, ""))
            settle(self, came[0])
        settle(self, one)

    monkeypatch.setattr(Registry, "settle", overtaken)
    assert succession.take_over(registry, entry).id == came[0].id
    assert champion(root) == "2"


def claims_after_the_champion(registry: Registry, count: int) -> list[Entry]:
    """Promotions of version 1, which were judged by the present champion and have not taken over yet."""
    present = ledger.reigns(registry.entries())[-1]
    judgement = Judgement(ledger.PROMOTED, "1", present.id, registry.fingerprint_of("1"))
    return [registry.add(judgement, {}, "") for _ in range(count)]


@pytest.mark.long
@pytest.mark.usefixtures("_taken_as_reproduced")
def test_a_promotion_that_was_killed_before_the_alias_moved_is_brought_to_its_end(root: Path) -> None:
    dying = (
        "import os, signal; from pathlib import Path\n"
        "from churn.commands.promote import challenger, promotion; from churn.tracking.store import registry\n"
        "from churn.history.reproduce import Reproduction\n"
        "challenger.reproduce = lambda *_: Reproduction(29, 'here', 'here', None)\n"
        "registry.Registry.settle = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "promotion.promote(Path.cwd(), 'strong', forced=False, reason='')"
    )
    killed = subprocess.run([sys.executable, "-c", dying], cwd=root, env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert champion(root) is None
    assert promote(root).lines[-1].endswith("is @champion already")
    assert champion(root) == "1"
    assert len(registry_of(root).entries()) == 1


@pytest.mark.long
def test_two_promotions_at_once_on_one_machine_give_one_champion(root: Path) -> None:
    command = [sys.executable, "-c", "from churn.cli.main import main; main()", "promote"]
    both = [
        subprocess.Popen([*command, one], cwd=root, stdout=subprocess.PIPE, text=True) for one in ("strong", "alike")
    ]
    said = [process.communicate()[0] for process in both]
    entries = registry_of(root).entries()
    chain = ledger.reigns(entries)
    assert champion(root) == chain[-1].judgement.version
    assert all(one.settled for one in chain)
    assert len(entries) == 2, said
    assert sum("champion    none yet" in one for one in said) == 1, said


@pytest.mark.long
def test_of_two_first_promotions_from_two_machines_in_the_same_moment_one_is_refused_in_a_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = shutil.copytree(root, tmp_path / "elsewhere", symlinks=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    both_judged_by_nobody = (
        "import sys, time; from pathlib import Path\n"
        "from churn.cli.main import main\n"
        "from churn.commands.promote import challenger; from churn.tracking.store.registry import Registry\n"
        "from churn.history.reproduce import Reproduction\n"
        "challenger.reproduce = lambda *_: Reproduction(29, 'here', 'here', None)\n"
        "claim = Registry.claim\n"
        "def claim_once_both_are_written_down(registry, entry):\n"
        "    while len(registry.entries()) < 2: time.sleep(0.05)\n"
        "    claim(registry, entry)\n"
        "Registry.claim = claim_once_both_are_written_down\n"
        "main()"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", both_judged_by_nobody, "promote", one],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for folder, one in ((root, "strong"), (elsewhere, "alike"))
    ]
    ended = {one.communicate(): one.returncode for one in both}
    assert sorted(ended.values()) == [0, 1], ended
    (present,) = ledger.reigns(registry_of(root).entries())
    last_word = next(told[1] for told, code in ended.items() if code).splitlines()[-1]
    assert last_word.startswith(
        f"churn: another promotion came first: churn version {present.judgement.version} (commit "
    )
    assert last_word.endswith(" is @champion now; run this again to be evaluated against it")
    assert champion(root) == present.judgement.version


@pytest.mark.long
def test_the_commands_promote_refuse_and_roll_back_on_a_server(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    run = shell(root)
    with mlflow_server(folder) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        first = run("churn promote strong", PYTHONPATH="src")
        assert "passed  reproduced" in first.stdout
        assert "results, the same bytes" in first.stdout
        refused = run("churn promote", check=False, PYTHONPATH="src")
        assert refused.returncode == 1
        assert "not promoted: churn version 2" in refused.stdout
        without_reason = run("churn promote --force", check=False, PYTHONPATH="src")
        assert without_reason.stderr == "churn: --force needs --reason: it is recorded with the promotion\n"
        run("churn promote --force --reason trial", PYTHONPATH="src")
        assert run("churn rollback", PYTHONPATH="src").stdout.startswith("rolled back: churn version 1")
        assert "churn/1" in run("churn lineage churn@champion", PYTHONPATH="src").stdout
        registry = registry_of(root)
        text = registry.store.client.download_artifacts(registry.entries()[0].id, "gates.txt")
        assert "earns more than contacting no one" in Path(text).read_text()
        metrics = registry.store.client.get_run(registry.entries()[0].id).data.metrics
        assert metrics["earns_more_than_contacting_no_one.low"] > 0


@pytest.mark.long
def test_a_commit_that_does_not_come_out_again_is_kept_out(root: Path) -> None:
    """Its results were made by hand: an importance that no run gives."""
    run = shell(root)
    table = root / "models/feature_importance.csv"
    table.write_text(re.sub(r"^plan,", "plan,1", table.read_text(), flags=re.MULTILINE))
    run("dvc commit --force train && dvc repro evaluate", MLFLOW_TRACKING_URI=NO_SERVER)
    run("git commit --quiet --all --message by-hand")
    for reason in ("", "anyhow"):
        with pytest.raises(ChurnError, match=r"models/feature_importance\.csv is not the file that the stage wrote"):
            promote(root, "HEAD", reason=reason)
    leave_provenance(root, "train", inputs_from_files(root, "train"))  # forged as well
    run("dvc commit --force train && dvc repro evaluate", MLFLOW_TRACKING_URI=NO_SERVER)
    run("git commit --quiet --all --message forged")
    outcome = promote(root, "HEAD")
    assert not outcome.promoted
    assert line(outcome, "reproduced").lstrip().startswith("CLOSED")
    assert champion(root) is None
