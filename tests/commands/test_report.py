"""`churn report`: the committed page with where it belongs, and a word when the files have moved on."""

import webbrowser
from pathlib import Path

import pytest

from churn import files
from churn.commands import report
from churn.errors import ChurnError
from churn.history import state
from tests.helpers.projects import shell
from tests.helpers.runs import rerun
from tests.helpers.states import edit


def test_the_copy_names_commit_fingerprint_and_the_way_back(finished: Path) -> None:
    committed = (finished / files.REPORT).read_bytes()
    told = shell(finished)("churn report --no-open")
    assert told.stdout == ".churn/report.html\n"
    copy = (finished / report.COPY).read_text(encoding="utf-8")
    commit = shell(finished)("git rev-parse HEAD").stdout.strip()
    fingerprint = state.fingerprint(state.stages_from_files(finished))
    for part in (fingerprint, f"git checkout {commit}", "dvc checkout"):
        assert part in copy
    assert "an earlier state" not in copy
    assert (finished / files.REPORT).read_bytes() == committed
    assert shell(finished)("git status --porcelain").stdout == ""


def test_the_copy_says_what_was_edited_since_and_names_the_state_it_shows(finished: Path) -> None:
    before = state.fingerprint(state.stages_from_files(finished))
    edit(finished / "params.yaml", "calibration_bins: 5", "calibration_bins: 4")
    copy = report.write_copy(finished).read_text(encoding="utf-8")
    assert "Since it was made, evaluate.calibration_bins changed in params.yaml" in copy
    assert before in copy


def test_the_copy_says_when_the_code_has_changed(finished: Path) -> None:
    path = finished / "src/churn/report/templates/report.css"
    path.write_text(path.read_text() + "\n")
    assert "code, data or the environment changed" in report.write_copy(finished).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_state_that_is_not_committed_has_no_commit(finished: Path) -> None:
    edit(finished / "params.yaml", "calibration_bins: 5", "calibration_bins: 4")
    rerun(finished, "evaluate")
    copy = report.write_copy(finished).read_text(encoding="utf-8")
    assert "No commit contained this state" in copy
    assert state.fingerprint(state.stages_from_files(finished)) in copy


def _none(root: Path) -> None:
    (root / files.REPORT).unlink()


def _another(root: Path) -> None:
    (root / files.REPORT).write_text("another page")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_none, "missing, as after a stage that failed; run `dvc repro`"),
        (_another, "not the file that dvc.lock records"),
    ],
)
def test_a_report_that_is_not_there_is_told_in_one_line(finished: Path, damage: object, told: str) -> None:
    damage(finished)  # type: ignore[operator]
    with pytest.raises(ChurnError, match=told):
        report.write_copy(finished)
    assert not (finished / report.COPY).exists()


def test_a_machine_without_a_browser_is_only_told_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(using: str | None = None) -> webbrowser.BaseBrowser:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert not report.open_in_browser(tmp_path)
    monkeypatch.setattr(webbrowser, "get", lambda: webbrowser.GenericBrowser("w3m"))
    assert not report.open_in_browser(tmp_path), "a browser for terminals would take over this one"
