"""The `churn` command, as it is typed."""

from pathlib import Path

import pytest

from tests.helpers.command_line import churn
from tests.helpers.projects import REPOSITORY, shell


def test_summary_says_what_the_results_are_worth_and_where_they_are() -> None:
    said = shell(REPOSITORY)("churn summary", check=False).stdout  # 1 in a clone whose pipeline has not run
    for part in (
        "ROC-AUC",
        "PR-AUC",
        "EUR per 1,000 customers",
        "contacting no one",
        "contacting everyone",
        "make ui",
        "make report",
    ):
        assert part in said


def test_outside_of_a_project_every_command_says_so_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of_a_project = ("summary", "report", "compare", "promote", "rollback", "changes", "status", "sync", "reproduce")
    for command in (*of_a_project, "lineage HEAD"):
        refused = churn(*command.split())
        assert refused.code == 1
        assert refused.err == f"churn: dvc.yaml: not found in {tmp_path}; run this in the project's folder\n"
    assert list(tmp_path.iterdir()) == []


def test_summary_without_results_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    refused = shell(tmp_path)("churn summary", check=False)
    assert refused.returncode == 1
    assert refused.stderr == "churn: metrics/data.json: no results yet; run `dvc repro`\n"


def test_help_lists_the_commands() -> None:
    said = shell(REPOSITORY)("churn --help").stdout
    assert "summary" in said
    assert "reproduce" in said
    assert "changes" in said
