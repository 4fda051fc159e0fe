"""Files: written whole or not at all, equal bytes for equal values, read as they were written."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from churn import artifacts
from churn.errors import ChurnError
from tests.strategies import repeatable

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@repeatable
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_encoded_rows_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("written") / "X.csv"
    table = pd.DataFrame(numbers, columns=["fee", "a, b"])
    artifacts.write_table(path, table)
    back = artifacts.read_features(path)
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    assert np.array_equal(np.signbit(back.fillna(0)), np.signbit(table.fillna(0)))


@repeatable
@given(st.lists(st.tuples(TEXTS | st.just(np.nan), NUMBERS), min_size=1))
def test_customer_rows_come_back_with_keys_labels_and_gaps(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[object, float]]
) -> None:
    path = tmp_path_factory.mktemp("written") / "rows.csv"
    keys = pd.Index([f"0{number}" for number in range(len(cells))], name="row_key", dtype="str")
    rows = pd.DataFrame(cells, columns=["plan", "fee"], index=keys).astype({"plan": "str"})
    artifacts.write_rows(path, rows)
    back = artifacts.read_rows(path, {"plan": "categorical", "fee": "numeric"})
    pd.testing.assert_frame_equal(back, rows, check_exact=True)


def test_a_table_of_one_column_keeps_its_gaps(tmp_path: Path) -> None:
    table = pd.DataFrame({"fee": [np.nan, 1.0, np.nan]})
    artifacts.write_table(tmp_path / "X.csv", table)
    pd.testing.assert_frame_equal(artifacts.read_features(tmp_path / "X.csv"), table)


def test_customer_rows_are_read_in_the_columns_and_order_asked_for(tmp_path: Path) -> None:
    rows = pd.DataFrame({"name": ["Ann"], "fee": [1.5], "plan": ["NA"]}, index=pd.Index(["1e5"], name="row_key"))
    artifacts.write_rows(tmp_path / "rows.csv", rows)
    back = artifacts.read_rows(tmp_path / "rows.csv", {"plan": "categorical", "fee": "numeric"})
    assert list(back.itertuples(name=None)) == [("1e5", "NA", 1.5)]


def test_labels_come_back_as_whole_numbers(tmp_path: Path) -> None:
    artifacts.write_table(tmp_path / "y.csv", pd.DataFrame({"gone": [1, 0]}))
    labels = artifacts.read_labels(tmp_path / "y.csv")
    assert labels.tolist() == [1, 0]
    assert labels.dtype == np.int64


def test_a_table_for_people_has_six_places(tmp_path: Path) -> None:
    artifacts.write_rounded_table(tmp_path / "t.csv", pd.DataFrame({"feature": ["fee"], "drop": [2 / 3]}))
    assert (tmp_path / "t.csv").read_text() == "feature,drop\nfee,0.666667\n"


def test_json_is_sorted_rounded_and_ends_in_a_newline(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "m.json", {"b": 2 / 3, "a": {"é": 1, "c": True}})
    assert (tmp_path / "m.json").read_text(encoding="utf-8") == (
        '{\n  "a": {\n    "c": true,\n    "é": 1\n  },\n  "b": 0.666667\n}\n'
    )


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (float("nan"), None),
        (np.float64("nan"), None),
        ([1.0, float("nan")], [1.0, None]),
        ({"deep": [{"er": float("nan")}]}, {"deep": [{"er": None}]}),
        (np.float64(2 / 3), 0.666667),
        (np.float32(0.1), 0.1),
        (np.int64(3), 3),
        (np.bool_(True), True),
        ((1.0, np.nan), [1.0, None]),
        ({1: "one"}, {"1": "one"}),
        ("text", "text"),
    ],
)
def test_json_takes_numpy_numbers_and_writes_nan_as_null(tmp_path: Path, value: object, read: object) -> None:
    artifacts.write_json(tmp_path / "m.json", {"value": value})
    assert artifacts.read_json(tmp_path / "m.json") == {"value": read}
    assert type(artifacts.read_json(tmp_path / "m.json")["value"]) is type(read)


def test_json_knows_no_negative_zero(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "m.json", {"value": -1e-9})
    assert (tmp_path / "m.json").read_text() == '{\n  "value": 0.0\n}\n'


def drawn() -> Figure:
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def learned() -> LogisticRegression:
    return LogisticRegression().fit(np.array([[0.0], [1.0], [2.0]]), np.array([0, 0, 1]))


ROWS = pd.DataFrame({"fee": [1 / 3, np.nan]}, index=pd.Index(["a", "b"], name="row_key"))
Write = Callable[[Path], None]
WRITERS: dict[str, Write] = {
    "rows": lambda path: artifacts.write_rows(path, ROWS),
    "table": lambda path: artifacts.write_table(path, ROWS),
    "rounded table": lambda path: artifacts.write_rounded_table(path, ROWS),
    "json": lambda path: artifacts.write_json(path, {"b": 1 / 3, "a": np.nan}),
    "pickle": lambda path: artifacts.write_pickle(path, learned()),
    "figure": lambda path: artifacts.write_figure(path, drawn()),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_equal_values_give_equal_bytes_wherever_they_are_written(tmp_path: Path, kind: str) -> None:
    for name in ("one", "other"):
        WRITERS[kind](tmp_path / name / "file")
    assert (tmp_path / "one/file").read_bytes() == (tmp_path / "other/file").read_bytes()


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_linked_to_a_cache_is_replaced_and_the_cache_left_as_it_was(tmp_path: Path, kind: str) -> None:
    cached, path = tmp_path / "cached", tmp_path / "file"
    cached.write_text("old")
    os.link(cached, path)
    WRITERS[kind](path)
    assert path.read_bytes() != b"old"
    assert cached.read_text() == "old"


def test_a_picture_names_no_program(tmp_path: Path) -> None:
    artifacts.write_figure(tmp_path / "f.png", drawn())
    assert b"Software" not in (tmp_path / "f.png").read_bytes()


def test_written_files_can_be_read_by_everyone(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "m.json", {})
    assert (tmp_path / "m.json").stat().st_mode & 0o777 == 0o644


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("half-way")


def undrawable() -> Figure:
    figure = drawn()
    figure.text(0, 0, r"$\unknown$")
    return figure


HALF_WAY: dict[str, Write] = {
    "rows": lambda path: artifacts.write_rows(path, pd.DataFrame({"fee": [1, Unprintable()]})),
    "table": lambda path: artifacts.write_table(path, pd.DataFrame({"fee": [1, Unprintable()]})),
    "json": lambda path: artifacts.write_json(path, {"profit": float("inf")}),
    "pickle": lambda path: artifacts.write_pickle(path, [learned(), lambda: None]),
    "figure": lambda path: artifacts.write_figure(path, undrawable()),
}


@pytest.mark.parametrize("kind", HALF_WAY)
def test_a_failing_write_leaves_the_old_file_and_no_draft(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(Exception):  # noqa: B017, PT011 - each writer fails in its own way
        HALF_WAY[kind](path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", HALF_WAY)
def test_a_failing_first_write_leaves_nothing(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - each writer fails in its own way
        HALF_WAY[kind](tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_brings_the_fitted_object_back(tmp_path: Path) -> None:
    artifacts.write_pickle(tmp_path / "m.pkl", learned())
    path = tmp_path / "m.pkl"
    back = artifacts.read_pickle(path, {artifacts.md5(path)})
    assert np.array_equal(back.coef_, learned().coef_)


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


def test_a_pickle_that_nobody_vouches_for_is_not_unpickled(tmp_path: Path) -> None:
    path, mark = tmp_path / "m.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ChurnError, match=r"m\.pkl: md5 [0-9a-f]{32}, which neither dvc\.lock nor the stage"):
        artifacts.read_pickle(path, {"0" * 32})
    assert not mark.exists()
    artifacts.read_pickle(path, {artifacts.md5(path)})
    assert mark.exists(), "it would have run"


def test_size_is_told_in_millions_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 250_000)
    assert artifacts.megabytes(tmp_path / "file") == 0.25
