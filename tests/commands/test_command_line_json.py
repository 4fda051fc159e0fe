"""`--json` of every command: the figures of the text, alone on stdout, with the exit code of the text."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from churn.history import state
from churn.tracking import outbox
from tests.helpers.command_line import Answer, churn
from tests.helpers.projects import NO_SERVER, REPOSITORY, make_customers, shell
from tests.helpers.states import edit


def parsed(answer: Answer) -> dict[str, Any]:
    content = json.loads(answer.out)
    assert isinstance(content, dict)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in content)
    return content


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project that has run."""
    monkeypatch.chdir(finished)
    return finished


class TestSummary:
    @pytest.mark.slow
    def test_it_holds_the_figures_of_the_text(self, here: Path) -> None:
        found, text = parsed(churn("summary", "--json")), churn("summary").out
        for name, form in (("roc_auc", ".3f"), ("pr_auc", ".3f"), ("profit_per_1000", ",.0f")):
            value, low, high = (f"{found[name][key]:{form}}" for key in ("value", "low", "high"))
            assert f"{value}  [{low} to {high}]" in text
        assert f"{found['rows_test']:,} customers that the model has not seen" in text
        assert f"{found['contacted_share']:.0%} of them contacted" in text
        assert f"{found['profit_contact_everybody_per_1000']:,.0f} {found['currency']} contacting everyone" in text
        assert (found["edited"], found["model_is_here"]) == ([], True)
        assert f"Report: {found['report']}" in text

    def test_edits_and_an_absent_model_are_told(self, here: Path) -> None:
        edit(here / "params.yaml", "C: 1.0", "C: 2.0")
        (here / "models/churn_model.pkl").unlink()
        found = parsed(churn("summary", "--json"))
        assert (found["edited"], found["model_is_here"]) == (["train.params.C"], False)

    def test_without_results_stdout_is_empty(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "dvc.yaml").write_text("stages: {}\n")
        answer = churn("summary", "--json")
        assert (answer.code, answer.out) == (1, "")
        assert answer.err == "churn: metrics/data.json: no results yet; run `dvc repro`\n"


class TestPredict:
    @pytest.fixture(autouse=True)
    def _table(self, here: Path) -> None:
        table = make_customers(50, seed=5)
        table.loc[3, "months"] = "-1"
        table.to_csv("new.csv", index=False)

    def test_it_holds_counts_and_paths(self) -> None:
        answer = churn("predict", "new.csv", "-o", "scores.csv", "--json")
        found = parsed(answer)
        assert (found["output"], found["rejects"]) == ("scores.csv", "scores.rejects.csv")
        scores, rejects = pd.read_csv(found["output"]), pd.read_csv(found["rejects"])
        assert found["scored"] == len(scores) > 0
        assert found["to_contact"] == scores["contact"].sum()
        assert found["rejected"] == rejects["data_row"].nunique() == 1
        assert f"{found['scored']} customers scored, {found['to_contact']} to be contacted" in answer.err
        assert "1 rows set aside" in answer.err

    def test_a_fault_leaves_stdout_empty(self) -> None:
        answer = churn("predict", "new.csv", "-o", "scores.csv", "--on-error", "fail", "--json")
        assert (answer.code, answer.out) == (1, "")
        assert answer.err.startswith("churn: new.csv: ")
        assert "months" in answer.err


class TestTracking:
    def test_status_and_sync_tell_what_they_find_and_do(self, embedded: Path) -> None:
        before = churn("status", "--json")
        found = parsed(before)
        workspace = state.fingerprint(state.stages_from_files(embedded))
        assert (found["fingerprint"], found["complete"], found["shown_as"]) == (workspace, True, "absent")
        assert (found["address"], found["experiment"]) == (f"sqlite:///{embedded}/mlflow.db", "churn")
        assert [f"{fault}\n" for fault in found["faults"]] == [before.err]
        assert churn("status", "--json", "--strict").code == 1

        done = parsed(churn("sync", "--json"))
        (published,) = done["states"]
        assert (published["fingerprint"], published["outcome"]) == (workspace, "published")
        assert (done["published"], done["faults"]) == (0, [])
        assert done["unpublished"] == {"records": 0, "set_aside": []}

        after = churn("status", "--json", "--strict")
        assert (after.code, after.err) == (0, "")
        assert (parsed(after)["shown_as"], parsed(after)["waiting"]) == ("shown", 0)
        assert parsed(churn("sync", "--json"))["states"] == []

    def test_sync_tells_why_a_state_is_not_published(self, embedded: Path) -> None:
        edit(embedded / "params.yaml", "C: 1.0", "C: 2.0")
        answer, text = churn("sync", "--json"), churn("sync").out
        (one,) = parsed(answer)["states"]
        assert one["outcome"] == "incomplete"
        assert one["note"] in text
        assert parsed(churn("status", "--json"))["complete"] is False

    def test_a_store_that_is_away_is_told_without_its_password(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", NO_SERVER.replace("://", "://me:secret@"))
        for command in ("status", "sync"):
            answer = churn(command, "--json")
            found = parsed(answer)
            assert answer.code == 0
            assert found["address"] == NO_SERVER
            assert len(found["faults"]) == 1
            assert found.get("shown_as", found.get("published")) is None
            assert "secret" not in answer.out + answer.err
            assert churn(command, "--json", "--strict").code == 1

    def test_a_record_that_cannot_be_read_is_told(self, here: Path) -> None:
        broken = outbox.outbox_of(here).folder / "set-aside/1.json"
        broken.parent.mkdir(parents=True)
        broken.touch()
        found = parsed(churn("status", "--json"))
        assert [Path(path).name for path in found["unpublished"]["set_aside"]] == ["1.json"]

    def test_lineage_is_json_alone(self, here: Path) -> None:
        answer = churn("lineage", "HEAD", "--json")
        commit = shell(here)("git rev-parse HEAD").stdout.strip()
        assert parsed(answer)["commits"] == [commit]


class TestCompare:
    def test_it_holds_the_figures_of_the_text(self, here: Path) -> None:
        found, text = parsed(churn("compare", "HEAD", "HEAD", "--json")), churn("compare", "HEAD", "HEAD").out
        assert found["verdict"] in text
        assert f"on {found['customers']:,} shared training rows" in text
        assert {one["name"] for one in found["differences"]} >= {"profit_per_1000", "roc_auc"}

    def test_two_formats_at_once_are_a_usage_error_in_a_line(self, here: Path) -> None:
        answer = churn("compare", "--json", "--md")
        assert answer == Answer(2, "", "churn: --json and --md cannot be combined; give one of them\n")


def test_the_command_prints_json_alone_in_its_own_process() -> None:
    done = shell(REPOSITORY)("churn summary --json", check=False)  # 1 in a clone whose pipeline has not run
    assert json.loads(done.stdout)["rows_test"] > 0
    assert done.stderr == ""
