"""Files: written whole or not at all, equal bytes for equal values, read as they were written."""

import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from churn import files, runtime
from churn.drafts import replacing_outputs
from churn.errors import ChurnError
from tests.helpers.bombs import Bomb
from tests.helpers.strategies import repeatable

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@repeatable
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_encoded_rows_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[float, float]]
) -> None:
    path = tmp_path_factory.mktemp("written") / "X.csv"
    table = pd.DataFrame(numbers, columns=["fee", "a, b"])
    files.write_table(path, table)
    back = files.read_features(path)
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
    files.write_rows(path, rows)
    back = files.read_rows(path, {"plan": "categorical", "fee": "numeric"})
    pd.testing.assert_frame_equal(back, rows, check_exact=True)


def test_a_table_of_one_column_keeps_its_gaps(tmp_path: Path) -> None:
    table = pd.DataFrame({"fee": [np.nan, 1.0, np.nan]})
    files.write_table(tmp_path / "X.csv", table)
    pd.testing.assert_frame_equal(files.read_features(tmp_path / "X.csv"), table)


def test_customer_rows_are_read_in_the_columns_and_order_asked_for(tmp_path: Path) -> None:
    rows = pd.DataFrame({"name": ["Ann"], "fee": [1.5], "plan": ["NA"]}, index=pd.Index(["1e5"], name="row_key"))
    files.write_rows(tmp_path / "rows.csv", rows)
    back = files.read_rows(tmp_path / "rows.csv", {"plan": "categorical", "fee": "numeric"})
    assert list(back.itertuples(name=None)) == [("1e5", "NA", 1.5)]


def test_labels_come_back_as_whole_numbers(tmp_path: Path) -> None:
    files.write_table(tmp_path / "y.csv", pd.DataFrame({"gone": [1, 0]}))
    labels = files.read_labels(tmp_path / "y.csv")
    assert labels.tolist() == [1, 0]
    assert labels.dtype == np.int64


def test_a_table_for_people_has_six_places(tmp_path: Path) -> None:
    files.write_rounded_table(tmp_path / "t.csv", pd.DataFrame({"feature": ["fee"], "drop": [2 / 3]}))
    assert (tmp_path / "t.csv").read_text() == "feature,drop\nfee,0.666667\n"


def test_json_is_sorted_rounded_and_ends_in_a_newline(tmp_path: Path) -> None:
    files.write_json(tmp_path / "m.json", {"b": 2 / 3, "a": {"é": 1, "c": True}})
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
    files.write_json(tmp_path / "m.json", {"value": value})
    assert files.read_json(tmp_path / "m.json") == {"value": read}
    assert type(files.read_json(tmp_path / "m.json")["value"]) is type(read)


def test_json_knows_no_negative_zero(tmp_path: Path) -> None:
    files.write_json(tmp_path / "m.json", {"value": -1e-9})
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
    "rows": lambda path: files.write_rows(path, ROWS),
    "table": lambda path: files.write_table(path, ROWS),
    "rounded table": lambda path: files.write_rounded_table(path, ROWS),
    "json": lambda path: files.write_json(path, {"b": 1 / 3, "a": np.nan}),
    "pickle": lambda path: files.write_pickle(path, learned()),
    "figure": lambda path: files.write_figure(path, drawn()),
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
    files.write_figure(tmp_path / "f.png", drawn())
    assert b"Software" not in (tmp_path / "f.png").read_bytes()


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Sets it for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_new_file_has_the_mode_that_the_umask_leaves(
    tmp_path: Path, kind: str, mask: int, expected: int, umask: Callable[[int], int]
) -> None:
    umask(mask)
    WRITERS[kind](tmp_path / "file")
    assert mode(tmp_path / "file") == expected


@pytest.mark.parametrize("earlier", [0o600, 0o640, 0o664, 0o755])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_is_replaced_keeps_its_mode(
    tmp_path: Path, kind: str, earlier: int, umask: Callable[[int], int]
) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(earlier)
    WRITERS[kind](path)
    assert path.stat().st_size
    assert mode(path) == earlier


@pytest.mark.parametrize("kind", WRITERS)
def test_a_result_is_never_written_through_a_link_into_a_cache(
    tmp_path: Path, kind: str, umask: Callable[[int], int]
) -> None:
    cached, path = tmp_path / "cached", tmp_path / "file"
    cached.write_text("old")
    cached.chmod(0o444)
    path.symlink_to(cached)
    WRITERS[kind](path)
    assert (cached.read_text(), mode(cached)) == ("old", 0o444)
    assert not path.is_symlink()
    assert mode(path) == 0o644, "that of the cache is not that of a new result"


def write_outputs(*paths: Path) -> None:
    with replacing_outputs(*paths) as drafts:
        for draft in drafts:
            draft.write_text("new")


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Mode and text of every file, where a link leads for a link."""
    return {
        path.name: (mode(path), str(path.readlink()) if path.is_symlink() else path.read_text())
        for path in folder.iterdir()
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("chain", [["latest"], ["latest", "older"]])
@pytest.mark.parametrize("is_there", [True, False])
def test_an_output_is_written_through_links_which_stay(
    tmp_path: Path, *, chain: list[str], is_there: bool, umask: Callable[[int], int]
) -> None:
    place = tmp_path / "dated"
    place.mkdir()
    if is_there:
        (place / "file").write_text("old")
        (place / "file").chmod(0o640)
    for name, leads_to in zip(chain, [*chain[1:], "dated/file"], strict=True):
        (tmp_path / name).symlink_to(leads_to)
    write_outputs(tmp_path / "latest")
    assert all((tmp_path / name).is_symlink() for name in chain)
    assert content(place) == {"file": (0o640 if is_there else 0o644, "new")}


def make_obstacle(kind: str, path: Path) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    elif kind == "read-only":
        path.write_text("old")
        path.chmod(0o444)
    elif kind == "read-only behind a link":
        make_obstacle("read-only", path.with_name("cached"))
        path.symlink_to("cached")
    elif kind == "nowhere":
        path.symlink_to("absent/file")
    else:
        path.symlink_to(path.name)


OBSTACLES = {
    "folder": "is a folder and cannot be replaced; name another file",
    "pipe": "is a device, pipe or socket and cannot be replaced; name another file",
    "device": "is a device, pipe or socket and cannot be replaced; name another file",
    "socket": "is a device, pipe or socket and cannot be replaced; name another file",
    "read-only": "is read-only; name another file, or make it writable",
    "read-only behind a link": "is read-only; name another file, or make it writable",
    "nowhere": "the link is broken; fix it, or name another file",
    "loop": "the link is broken; fix it, or name another file",
}


@pytest.mark.parametrize("kind", OBSTACLES)
def test_what_is_no_file_of_the_users_to_replace_is_refused_in_one_line(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    path, other = Path("file"), Path("other")
    other.write_text("other")
    make_obstacle(kind, path)
    before, kept = path.lstat(), content(tmp_path)
    for paths in ([path], [path, other], [other, path]):
        with pytest.raises(ChurnError, match=r"^file\b") as refusal:
            write_outputs(*paths)
        assert OBSTACLES[kind] in str(refusal.value)
        assert len(str(refusal.value).splitlines()) == 1
    assert path.lstat() == before
    assert content(tmp_path) == kept


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
@pytest.mark.parametrize("result", WRITERS)
def test_a_result_replaces_files_and_links_only(
    kind: str, result: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    make_obstacle(kind, Path("file"))
    before = Path("file").lstat()
    with pytest.raises(ChurnError, match=r"^file: is a .*, but a file must be written there; move it away$"):
        WRITERS[result](Path("file"))
    assert Path("file").lstat() == before
    assert list(Path().iterdir()) == [Path("file")]


@pytest.mark.parametrize("there", [[], ["one"], ["two"], ["one", "two"]])
@pytest.mark.parametrize("failing", ["one", "two"])
@pytest.mark.parametrize("error", [OSError(16, "Device or resource busy"), KeyboardInterrupt()])
@pytest.mark.parametrize("links", [True, False])
def test_outputs_take_their_places_together_or_not_at_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    there: list[str],
    failing: str,
    error: BaseException,
    links: bool,
) -> None:
    for name in there:
        (tmp_path / name).write_text(f"old {name}")
    before = content(tmp_path)
    replace = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if target.name == failing and self.read_text() == "new":
            raise error
        return replace(self, target)

    def without_links(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refused)
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    with pytest.raises(type(error)):
        write_outputs(tmp_path / "one", tmp_path / "two")
    assert content(tmp_path) == before
    monkeypatch.setattr(Path, "replace", replace)
    write_outputs(tmp_path / "one", tmp_path / "two")
    assert {name: text for name, (_, text) in content(tmp_path).items()} == {"one": "new", "two": "new"}


def test_a_draft_is_never_more_open_than_the_file_it_replaces(tmp_path: Path, umask: Callable[[int], int]) -> None:
    path = tmp_path / "private"
    path.touch()
    path.chmod(0o600)
    with replacing_outputs(path) as (draft,):
        assert mode(draft) == 0o600


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    for name in ("a" * 255, "é" * 127):
        write_outputs(tmp_path / name)
        assert (tmp_path / name).read_text() == "new"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("half-way")


def undrawable() -> Figure:
    figure = drawn()
    figure.text(0, 0, r"$\unknown$")
    return figure


HALF_WAY: dict[str, Write] = {
    "rows": lambda path: files.write_rows(path, pd.DataFrame({"fee": [1, Unprintable()]})),
    "table": lambda path: files.write_table(path, pd.DataFrame({"fee": [1, Unprintable()]})),
    "json": lambda path: files.write_json(path, {"profit": float("inf")}),
    "pickle": lambda path: files.write_pickle(path, [learned(), lambda: None]),
    "figure": lambda path: files.write_figure(path, undrawable()),
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
    files.write_pickle(tmp_path / "m.pkl", learned())
    path = tmp_path / "m.pkl"
    back = files.read_pickle(path, {files.md5(path)})
    assert np.array_equal(back.coef_, learned().coef_)


def test_a_pickle_that_nobody_vouches_for_is_not_unpickled(tmp_path: Path) -> None:
    path, mark = tmp_path / "m.pkl", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(ChurnError, match=r"m\.pkl: md5 [0-9a-f]{32} is recorded neither in dvc\.lock nor by the stage"):
        files.read_pickle(path, {"0" * 32})
    assert not mark.exists()
    files.read_pickle(path, {files.md5(path)})
    assert mark.exists(), "it would have run"


READ: dict[str, Callable[[Path], object]] = {
    "rows": lambda path: files.read_rows(path, {"fee": "numeric"}),
    "features": files.read_features,
    "labels": files.read_labels,
    "table": files.read_table,
    "model": lambda path: files.read_pickle(path, ()),
}


@pytest.mark.parametrize("name", READ)
def test_a_result_may_be_larger_than_other_files_and_its_limit_can_be_raised(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result"
    path.write_text("row_key,fee\n1,1\n")
    assert files.LARGEST_RESULT > files.LARGEST_STATE
    monkeypatch.setattr(files, "LARGEST_STATE", 3)
    monkeypatch.setattr(files, "LARGEST_RESULT", 4)
    with pytest.raises(ChurnError, match=r"result: over 0 MB, the limit .* with CHURN_TABLE_LIMITS=10"):
        READ[name](path)
    monkeypatch.setenv("CHURN_TABLE_LIMITS", "10")
    if name != "model":
        READ[name](path)


def test_size_is_told_in_millions_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 250_000)
    assert files.megabytes(tmp_path / "file") == 0.25


HELD = {
    "a draft": "drafts.replacing(folder / 'table.csv')",
    "drafts of outputs": "drafts.replacing_outputs(folder / 'scores.csv', folder / 'rejects.csv')",
    "a temporary folder": "drafts.temporary_folder('test')",
}
"""What belongs to a process as long as it runs."""
PROGRAM = """
import sys, tempfile, time
from pathlib import Path
from churn import drafts, runtime
folder = Path(sys.argv[1])
tempfile.tempdir = sys.argv[1]
"""


@contextmanager
def in_another_process(what: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds something until it is killed."""
    program = f"{PROGRAM}\nwith {HELD[what]}:\n    print('held', flush=True)\n    time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("what", HELD)
def test_the_next_process_removes_what_a_killed_one_left_and_nothing_that_is_in_use(tmp_path: Path, what: str) -> None:
    with in_another_process(what, tmp_path) as first:
        of_first = set(tmp_path.iterdir())
        with in_another_process(what, tmp_path):
            of_second = set(tmp_path.iterdir()) - of_first
            assert len(of_second) == len(of_first) > 0
            first.kill()
            first.wait()
            with in_another_process(what, tmp_path):
                left = set(tmp_path.iterdir())
                assert left.isdisjoint(of_first)
                assert of_second < left


def test_what_was_kept_of_files_that_a_kill_kept_from_being_replaced_is_removed_by_the_next_write(
    tmp_path: Path,
) -> None:
    paths = (tmp_path / "scores.csv", tmp_path / "rejects.csv")
    write_outputs(*paths)
    program = f"""{PROGRAM}
import os, signal
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with {HELD["drafts of outputs"]}:
    pass
"""
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".*.draft"))) == 4
    write_outputs(*paths)
    assert set(tmp_path.iterdir()) == set(paths)


def test_files_of_others_and_other_files_stay(tmp_path: Path) -> None:
    others = [tmp_path / ".table.csv.draft", tmp_path / "table.csv.0123456789ab.draft", tmp_path / "churn.test.short"]
    for path in others:
        path.touch()
    (tmp_path / ".a.0123456789ab.draft").symlink_to(others[0])
    files.write_text(tmp_path / "table.csv", "new")
    assert set(tmp_path.iterdir()) == {*others, tmp_path / ".a.0123456789ab.draft", tmp_path / "table.csv"}


def test_without_locks_files_are_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / ".table.csv.0123456789ab.draft"
    left.touch()
    monkeypatch.setattr(runtime, "fcntl", None)
    files.write_text(tmp_path / "table.csv", "new")
    assert left.exists()


@pytest.mark.parametrize("given", [0o077, 0o027, 0o022, 0o002])
def test_a_new_file_has_the_mode_of_the_umask_and_a_secret_one_is_its_owners_from_the_first_moment(
    tmp_path: Path, umask: Callable[[int], int], given: int
) -> None:
    umask(given)
    with replacing_outputs(tmp_path / "scores.csv", tmp_path / "rejects.csv") as drafts:
        assert {mode(draft) for draft in drafts} == {0o666 & ~given}
    (tmp_path / "token").touch()
    for name in ("token", "new token"):
        with replacing_outputs(tmp_path / name, secret=True) as (draft,):
            assert mode(draft) == 0o600
        assert mode(tmp_path / name) == 0o600
    assert {mode(tmp_path / name) for name in ("scores.csv", "rejects.csv")} == {0o666 & ~given}
