"""What is told of files that a state does not have, or that are not here."""

from pathlib import Path

import pytest

from churn import files
from churn.errors import ChurnError, DataError
from churn.history.predictions import of_states
from churn.history.predictions.of_states import MissingError, compute_missing, content_of, economics_of, section_of
from churn.history.snapshot import Snapshot
from churn.history.state import Stage, StageInputs


def state(*paths: Path, business: dict[str, float] | None = None) -> Snapshot:
    """A state that recorded some results, none of which is here."""
    inputs = StageInputs("", {}, {"params.yaml": {"business": business} if business else {}})
    stage = Stage(inputs, {str(path): "md5" for path in paths})
    return Snapshot({"train": stage}, frozenset({"train"}), lambda _: None, "0123456789", edits=())


def test_a_file_that_is_not_here_can_be_brought_or_computed() -> None:
    with pytest.raises(
        MissingError, match=r"one: models/churn_model\.pkl is not in the cache; .*`churn compare one --com"
    ):
        content_of(state(files.MODEL), "one", files.MODEL)


def test_nobody_is_told_to_compute_what_the_pipeline_of_the_commit_does_not_write() -> None:
    old = state(files.MODEL)
    with pytest.raises(DataError) as error:
        content_of(old, "old", files.TEST_PREDICTIONS)
    assert str(error.value) == "old: its pipeline did not write models/test_predictions.csv, so it cannot be evaluated"


@pytest.mark.parametrize("path", of_states.JUDGED_BY)
def test_whatever_judging_takes_is_computed_once_and_when_it_is_still_missing_that_is_told(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(of_states, "recompute", lambda _, commit: ran.append(commit))
    monkeypatch.setattr(of_states, "require_vouched", lambda *_: None)
    with pytest.raises(ChurnError, match=rf"^0123456: a rerun did not reproduce {path} as recorded in dvc\.lock"):
        compute_missing(tmp_path, state(path), "tried")
    assert ran == ["0123456789"]


def test_a_pipeline_that_does_not_write_it_is_not_run_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_states, "recompute", lambda *_: pytest.fail("ran"))
    compute_missing(tmp_path, state(files.DATA_METRICS), "tried")


def test_money_of_another_time_is_told_in_a_line() -> None:
    with pytest.raises(DataError, match=r"old: its dvc\.lock records no 'business'"):
        section_of(state(), "old", "business", dict)
    told = r"^old: params\.yaml: business \(currency, customer_value, .*, so it cannot be evaluated$"
    with pytest.raises(DataError, match=told):
        economics_of(state(business={"value": 1.0}), "old")
