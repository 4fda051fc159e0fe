"""No error of a command shows a traceback, a secret or a broken line, and each ends with an exit code that is not 0."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from churn.cli import main
from churn.errors import ChurnError
from churn.runtime import Terminated
from tests.helpers.command_line import churn


def raising(error: BaseException) -> Callable[..., None]:
    def app(**_: object) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ChurnError("x.csv: empty"), "churn: x.csv: empty"),
        (ChurnError("refused by http://ann:hunter22@mlflow"), "churn: refused by http://mlflow"),
        (OSError(30, "Read-only file system", "models/x"), "churn: models/x: Read-only file system"),
        (ValueError("no\nsuch thing"), "churn: unexpected ValueError: no such thing; please report it"),
        (RecursionError("too deep"), "churn: unexpected RecursionError: too deep; please report it"),
        (MemoryError(), "churn: not enough memory; end other programs, or use a machine with more"),
    ],
)
def test_an_error_is_one_line(error: BaseException, line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "app", raising(error))
    answer = churn("status")
    assert answer.code == 1
    assert answer.err.startswith(line)
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("moment", ["completion_init", "require_posix", "app"])
@pytest.mark.parametrize(
    ("ended", "line", "code"), [(KeyboardInterrupt(), "interrupted", 130), (Terminated(), "terminated", 143)]
)
def test_an_interruption_at_any_moment_is_one_word(
    ended: KeyboardInterrupt, line: str, code: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(**_: object) -> None:
        raise ended

    monkeypatch.setattr(main, moment, end)
    answer = churn("status")
    assert (answer.code, answer.err) == (code, f"churn: {line}\n")


def test_the_details_of_an_unforeseen_error_are_in_the_file_that_its_line_names(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    monkeypatch.setattr(main, "app", raising(ValueError("no such thing")))
    told = churn("status").err
    assert told.endswith(f"with the details in {finished / '.churn/errors.log'}\n")
    assert "Traceback (most recent call last)" in (finished / ".churn/errors.log").read_text()


def command(*arguments: str, folder: Path, out: str = os.devnull, **settings: str) -> tuple[int, str]:
    """Exit code of a command in its own process, and what it prints to standard error; its output goes to a file."""
    with Path(out).open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-P", "-c", "from churn.cli.main import main; main()", *arguments],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    return done.returncode, done.stderr


def test_a_full_disk_under_the_output_is_an_error(tmp_path: Path) -> None:
    code, told = command("--help", folder=tmp_path, out="/dev/full")
    assert code == 1
    assert told.startswith("churn: ")
    assert "no space left on the disk; free some" in told
    assert told.endswith("--all-experiments` drops results that nothing uses)\n")
    assert len(told.splitlines()) == 1


def test_a_terminal_of_ascii_gets_every_message(tmp_path: Path) -> None:
    code, told = command("predict", "kündigung€.csv", "-o", "x.csv", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert code == 1
    assert "Traceback" not in told
    assert told.isascii()


def test_a_reader_that_left_is_no_fault_to_tell(tmp_path: Path) -> None:
    start = f"{sys.executable} -P -c 'from churn.cli.main import main; main()' --help"
    done = subprocess.run(
        ["bash", "-c", f"{start} | true; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "1"}


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "EOFError"), (b"{}", "UnpicklingError|KeyError"), (b"\x80\x05cnowhere\nModel\n.", "")]
)
def test_a_file_that_is_no_model_is_refused_by_name(
    content: bytes, reason: str, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    Path("other.pkl").write_bytes(content)
    answer = churn("predict", "data/raw/customers.csv", "-o", "x.csv", "--model", "other.pkl")
    assert answer.code == 1
    assert re.match(rf"churn: other\.pkl: cannot be unpickled \(({reason})", answer.err.splitlines()[-1])
    assert not Path("x.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", [["promote"], ["reproduce"], ["changes"], ["compare", "HEAD", "workspace"]])
def test_in_a_download_without_git_a_command_that_needs_commits_says_what_makes_some(
    command: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    shutil.rmtree(".git")
    answer = churn(*command)
    assert answer.code == 1
    assert f"{finished}: no git repository; `git init`" in answer.err


def test_an_output_without_a_name_is_refused(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    assert "names no file" in churn("predict", "data/raw/customers.csv", "-o", "").err
