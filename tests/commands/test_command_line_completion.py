"""Completion of commands, options and revisions by a shell."""

from pathlib import Path

import pytest

from churn.cli.options import Shell
from tests.helpers.command_line import churn
from tests.helpers.projects import make_folder, shell


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: two branches and a tag, and a branch whose name a shell would run."""
    make_folder(tmp_path)
    run = shell(tmp_path)
    run("git init --quiet --initial-branch=main && git add params.yaml")
    run("git -c user.name=T -c user.email=t@example.invalid commit --quiet --message one")
    run("git branch maintenance && git tag made-by-hand && git branch 'main;$(touch${IFS}ran)'")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(typed: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("_CHURN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    answer = churn()
    assert (answer.code, answer.err) == (0, "")
    return answer.out.split()


@pytest.mark.parametrize("name", Shell)
def test_the_script_for_a_shell_is_printed(name: Shell) -> None:
    answer = churn("--show-completion", name)
    assert (answer.code, answer.err) == (0, "")
    assert "_CHURN_COMPLETE" in answer.out
    assert "churn" in answer.out


def test_another_shell_is_a_usage_error() -> None:
    answer = churn("--show-completion", "dos")
    assert (answer.code, answer.out) == (2, "")
    assert "bash" in answer.err


def test_completion_is_set_up_in_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert churn("--install-completion", "bash").code == 0
    script = tmp_path / ".bash_completions/churn.sh"
    assert script.read_text() in churn("--show-completion", "bash").out
    assert str(script) in (tmp_path / ".bashrc").read_text()


def test_commands_and_options_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("churn pro", monkeypatch) == ["promote"]
    assert completed("churn status --", monkeypatch) == ["--strict", "--json", "--help"]


@pytest.mark.parametrize("typed", ["promote ma", "promote --trust ma", "compare ma", "compare HEAD ma", "changes ma"])
@pytest.mark.usefixtures("repository")
def test_revisions_are_completed_by_branches_and_tags(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(f"churn {typed}", monkeypatch) == ["main", "maintenance", "made-by-hand"]


def test_outside_of_a_repository_no_revision_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("churn promote ", monkeypatch) == []
