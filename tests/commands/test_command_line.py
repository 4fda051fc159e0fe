"""The `churn` command, as it is typed."""

from pathlib import Path

from tests.helpers.projects import REPOSITORY, shell


def test_summary_says_what_the_results_are_worth_and_where_they_are() -> None:
    said = shell(REPOSITORY)("churn summary").stdout
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


def test_summary_without_results_says_what_to_run(tmp_path: Path) -> None:
    refused = shell(tmp_path)("churn summary", check=False)
    assert refused.returncode == 1
    assert refused.stderr == "churn: metrics/data.json: no results yet; run `dvc repro`\n"


def test_help_lists_the_commands() -> None:
    said = shell(REPOSITORY)("churn --help").stdout
    assert "summary" in said
    assert "reproduce" in said
    assert "changes" in said
