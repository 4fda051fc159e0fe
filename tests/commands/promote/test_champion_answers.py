"""What is told when a champion's model is asked about rows that it cannot judge."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest

from churn.commands.promote import rivals
from churn.commands.promote.challenger import JudgedState
from churn.errors import DataError
from churn.files import MODEL, TEST_ROWS, md5_of_bytes
from churn.history.snapshot import Snapshot
from churn.history.state import Stage, StageInputs
from churn.metrics.paired import ModelAnswers

KEYS = pd.Index(["a", "b", "c"], name="row_key")


class Spiteful:
    """A model whose class is gone, as its pickle tells it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise RuntimeError('gone\\nfor good ' + 300 * '.')",))


def pickled(model: object) -> bytes:
    content = io.BytesIO()
    joblib.dump(model, content)
    return content.getvalue()


def candidate(files: Mapping[Path, bytes], trained_on: pd.Index) -> JudgedState:
    """A state with some files, whose test rows are KEYS."""
    made = {str(path): md5_of_bytes(content) for path, content in files.items()}
    contents = {str(path): content for path, content in files.items()}
    stage = Stage(StageInputs("", {}, {}), made)
    state = Snapshot({"train": stage}, frozenset({"train"}), contents.get, "commit", edits=())
    return JudgedState("one", state, judged(trained_on), judged(KEYS))


def judged(keys: pd.Index) -> ModelAnswers:
    same = pd.Series(1, index=keys)
    return ModelAnswers(same, same / 2, same == 1)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (b"no pickle", "champion's model cannot score these rows: "),
        (pickled(Spiteful()), "champion's model cannot score these rows: RuntimeError: gone for good"),
        (pickled({"not": "a model"}), "champion's model cannot score these rows: "),
    ],
)
def test_a_model_that_cannot_be_loaded_or_asked_judges_nobody_and_that_is_one_line(model: bytes, told: str) -> None:
    champion = candidate({MODEL: model}, pd.Index(["x"]))
    challenger = candidate({TEST_ROWS: b"row_key,fee\na,1\nb,2\nc,3\n"}, pd.Index(["x"]))
    with pytest.raises(DataError, match=told) as error:
        rivals._champion_on_test_rows(champion, challenger)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


def test_a_champion_that_has_learned_from_every_test_row_is_not_asked() -> None:
    champion = candidate({MODEL: b"no pickle"}, KEYS)
    with pytest.raises(DataError, match="was trained on every test row"):
        rivals._champion_on_test_rows(champion, candidate({}, pd.Index(["x"])))
