"""Any bytes in a database or a setting that commands read through other programs: a result, or lines that say why not.

The commands run in forks: MLflow keeps a database open that it has opened once.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.asked_commands import TUNE, Ask, commands
from tests.helpers.damage import damaged_bytes, examples_over
from tests.helpers.kinds_of_files import IN_STORES

pytestmark = [pytest.mark.slow, pytest.mark.hypothesis]

TABLE = "data/raw/customers.csv"
OF_MLFLOW = [("status",), ("sync", "--all"), ("lineage", "HEAD"), ("rollback",), ("monitor", TABLE), TUNE]
OF_DVC = [("status",), ("summary",), ("lineage", "HEAD"), ("compare", "HEAD", "workspace"), ("sync", "--all")]
READERS: dict[str, list[tuple[str, ...]]] = {
    "mlflow.db": OF_MLFLOW,
    ".churn/tuning/*.db": [TUNE],
    ".churn/tuning/*/*.npy": [TUNE],
    ".dvc/config": OF_DVC,
}
"""What reads each file; `*` stands for a name that the project made."""
DATABASES = [path for path in READERS if path.endswith(".db")]
VALUES = st.none() | st.sampled_from(
    ["", "x", "null", "[1]", "{}", "2026-01-01", -1, 10**15, 0.5, float("inf"), b"\xff"]
)
CHANGED = ("mlflow.db", ".churn", ".dvc/config")
"""What a damage or a command changes; it is restored after each."""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with commands(tmp_path_factory.mktemp("asked")) as ask:
        yield ask


@pytest.fixture(scope="module")
def project(_stores_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(_stores_once, tmp_path_factory.mktemp("damaged") / "project", symlinks=True)


@contextmanager
def restored(root: Path) -> Iterator[None]:
    """A project whose stores are afterwards as before."""
    kept = root.with_name("kept")
    shutil.rmtree(kept, ignore_errors=True)
    for name in CHANGED:
        _copy(root / name, kept / name)
    try:
        yield
    finally:
        for name in CHANGED:
            shutil.rmtree(root / name, ignore_errors=True)
            _copy(kept / name, root / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def place_of(root: Path, path: str) -> Path:
    return min(root.glob(path))


def test_every_kind_has_readers() -> None:
    assert set(READERS) == IN_STORES


@pytest.mark.parametrize("path", READERS)
def test_any_bytes_give_a_result_or_a_line(path: str, project: Path, ask: Ask) -> None:
    content = place_of(project, path).read_bytes()

    @examples_over(len(READERS), many=1_000)
    @given(st.data())
    def check(data: Any) -> None:
        with restored(project):
            place_of(project, path).write_bytes(data.draw(damaged_bytes(content)))
            assert not ask(project, *data.draw(st.sampled_from(READERS[path]))).fall

    check()


def columns_of(path: Path) -> list[tuple[str, str]]:
    """Table and column of all values that a database has."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = [one for one in tables if database.execute(f'SELECT 1 FROM "{one}"').fetchone()]  # noqa: S608
        return [(one, about[1]) for one in filled for about in database.execute(f'PRAGMA table_info("{one}")')]


@pytest.mark.parametrize("path", DATABASES)
def test_any_value_gives_a_result_or_a_line(path: str, project: Path, ask: Ask) -> None:
    places = columns_of(place_of(project, path))

    @examples_over(len(DATABASES), many=1_000)
    @given(st.data())
    def check(data: Any) -> None:
        table, column = data.draw(st.sampled_from(places))
        with restored(project):
            with closing(sqlite3.connect(place_of(project, path))) as database, suppress(sqlite3.IntegrityError):
                database.execute("PRAGMA ignore_check_constraints = ON")
                database.execute(f'UPDATE "{table}" SET "{column}" = ?', (data.draw(VALUES),))  # noqa: S608
                database.commit()
            assert not ask(project, *data.draw(st.sampled_from(READERS[path]))).fall

    check()
