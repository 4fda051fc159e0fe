"""What `churn --version` says, and that nothing in a folder makes it fail."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from churn.history import state
from tests.helpers.command_line import churn
from tests.helpers.projects import shell
from tests.helpers.states import edit

RELEASE = f"churn {version('churn-pipeline')}"
HEAVY = ("mlflow", "optuna", "pandas", "scipy", "sklearn")


def told() -> str:
    answer = churn("--version")
    assert (answer.code, answer.err) == (0, "")
    return answer.out.removesuffix("\n")


@pytest.fixture
def commit(project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the project in the current folder, as it is told."""
    monkeypatch.chdir(project)
    return shell(project)("git rev-parse HEAD").stdout[:7]


def fingerprint() -> str:
    return state.fingerprint(state.stages_from_files(Path()))[:12]


def test_outside_of_a_project_it_is_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told() == RELEASE


def test_in_a_project_it_names_commit_and_state(commit: str) -> None:
    assert told() == f"{RELEASE} (commit {commit}, state {fingerprint()})"


def test_edited_parameters_are_another_state(commit: str) -> None:
    before = fingerprint()
    edit(Path("params.yaml"), "C: 1.0", "C: 2.0")
    assert told() == f"{RELEASE} (commit {commit}, edited, state {fingerprint()})"
    assert fingerprint() != before


@pytest.mark.parametrize("path", ["src/churn/texts.py", "src/churn/new.py", "data/raw/customers.csv"])
def test_edited_code_or_data_is_told(commit: str, path: str) -> None:
    with Path(path).open("a") as file:
        file.write("\n")
    assert told() == f"{RELEASE} (commit {commit}, edited, state {fingerprint()})"


def test_notes_beside_the_project_are_no_edit(commit: str) -> None:
    Path("notes.md").write_text("to do")
    assert "edited" not in told()


def test_without_git_the_state_is_told(commit: str) -> None:
    shutil.rmtree(".git")
    assert told() == f"{RELEASE} (state {fingerprint()})"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("params.yaml", "a: [" * 200),
        ("params.yaml", "train: 1\n"),
        ("dvc.yaml", "- 1\n"),
        ("dvc.yaml", "stages: {train: 3}\n"),
        ("dvc.yaml", "\x00"),
    ],
)
def test_files_that_cannot_be_read_leave_the_commit(commit: str, path: str, content: str) -> None:
    Path(path).write_text(content)
    assert told() == f"{RELEASE} (commit {commit}, edited)"


def test_a_table_that_is_not_here_leaves_no_state(commit: str) -> None:
    Path("data/raw/customers.csv").unlink()
    assert told().startswith(f"{RELEASE} (commit {commit}")
    assert "state" not in told()


def test_before_the_first_commit_the_state_is_told(commit: str) -> None:
    shutil.rmtree(".git")
    shell(Path())("git init --quiet")
    assert told() == f"{RELEASE} (state {fingerprint()})"


@pytest.mark.usefixtures("commit")
def test_it_imports_nothing_that_takes_long() -> None:
    program = (
        "import sys; from churn.cli.main import main; sys.argv = ['churn', '--version']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)
    assert "state" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
