"""Any bytes in a file of another commit: a result, or one line that says why not; never another exception."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn import files
from churn.commands.changes import differences
from churn.commands.changes.comment import Changes, Side, comment
from churn.commands.compare import compare_states
from churn.commands.promote import challenger
from churn.config.params import PARAMS_FILE
from churn.config.shapes import RECORDED
from churn.history.dvc import path_in_cache
from churn.history.snapshot import commit_named, states_in_git
from churn.history.state import LOCK_FILE, PIPELINE_FILE
from churn.tracking import lineage
from churn.tracking.description import describe
from tests.helpers.damage import Reading, damaged_bytes, examples_over, fall_of, other_values

pytestmark = [pytest.mark.slow, pytest.mark.hypothesis, pytest.mark.usefixtures("_usual_cache", "_no_store")]
THEIRS = "theirs"
"""A branch with one damaged file, as `git fetch` can bring it."""
PROVENANCE = "metrics/provenance/train.json"


def by_all_names(root: Path) -> list[str]:
    """The branch, and the fingerprint of its state: a state by its fingerprint need not have the commit's inputs."""
    commit = commit_named(root, THEIRS)
    return [THEIRS, *(one.fingerprint for one in states_in_git(root) if one.commit == commit)]


def compare(root: Path) -> None:
    for name in by_all_names(root):
        compare_states(root, "main", name, resamples=10).as_text()


def promote(root: Path) -> None:
    for name in by_all_names(root):
        judged = challenger.judge_state(root, name)
        judged.economics, [judged.section(section) for section in RECORDED]
        challenger.is_committed(root, judged)


def changes(root: Path) -> None:
    old, new = (differences._Revision(commit_named(root, name), name) for name in ("main", THEIRS))
    found, whole = differences._detailed_differences(root, old, new)
    sides = Side("main", None), Side(THEIRS, None)
    unreadable = [] if whole else ["metrics"]
    comment(Changes(*sides, [], found, [], lock_differs=True, unreadable=unreadable, verdict=None))


def lineage_of_branch(root: Path) -> None:
    for name in by_all_names(root):
        lineage.lineage_of(root, name)


def lineage_of_mine(root: Path) -> None:
    found = lineage.lineage_of(root, "main")
    assert found.commits  # whatever another branch has


def sync_all(root: Path) -> None:
    """Without the description of the branch's state: a fault there is a line of its own."""
    described = [one for one in states_in_git(root) if one.commit == commit_named(root, "main")]
    for one in described:
        describe(one, vouched=False)[0].as_text()
    assert described


READINGS: list[Reading] = [compare, promote, changes, lineage_of_branch, lineage_of_mine, sync_all]
IN_GIT = [
    LOCK_FILE,
    PIPELINE_FILE,
    PARAMS_FILE,
    PROVENANCE,
    *map(str, files.DETAILED_METRICS),
]
IN_CACHE = [
    str(path) for path in (files.OUT_OF_FOLD, files.Y_TRAIN, files.TEST_PREDICTIONS, files.MODEL, files.REFERENCE_ROWS)
]
WITH_VALUES = [path for path in IN_GIT if path.endswith((".json", ".yaml", LOCK_FILE))]


@pytest.fixture
def _no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "_store", lambda *_: (None, ()))


@pytest.fixture(scope="module")
def project(_finished_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("commits") / "project"
    return shutil.copytree(_finished_once / "project", root, symlinks=True)


@contextmanager
def branch_with(root: Path, path: str, content: bytes) -> Iterator[None]:
    """A branch with other bytes in a file; dvc.lock and provenance have their md5, as if a run had written them."""
    changed = {path: content}
    before = (root / path).read_bytes()
    md5s = [(_md5(before), _md5(content))]
    for record in (*sorted((root / "metrics/provenance").glob("*.json")), root / LOCK_FILE):
        name = str(record.relative_to(root))
        old = record.read_bytes()
        new = changed.get(name, old)
        for was, becomes in md5s if name != path else ():
            new = new.replace(was, becomes)
        md5s.append((_md5(old), _md5(new)))
        changed[name] = new
    in_cache = _put_into_cache(root, content) if path in IN_CACHE else None
    try:
        _commit(root, {name: text for name, text in changed.items() if name not in IN_CACHE})
        yield
    finally:
        if in_cache:
            in_cache.unlink()


def _put_into_cache(root: Path, content: bytes) -> Path | None:
    place = path_in_cache(root / ".dvc/cache", _md5(content).decode())
    if place.exists():
        return None
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    return place


def _commit(root: Path, changed: Mapping[str, bytes]) -> None:
    """Point the branch to a commit that has other files than main; the folder stays as it is."""
    environment = {**os.environ, "GIT_INDEX_FILE": str(root / ".git/of-theirs")}

    def git(*arguments: str, given: bytes = b"") -> str:
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=root, env=environment, input=given, stdout=subprocess.PIPE, check=True
        ).stdout.decode().strip()  # fmt: skip

    git("read-tree", "main")
    blobs = {path: git("hash-object", "-w", "--stdin", given=content) for path, content in changed.items()}
    git("update-index", "--index-info", given="".join(f"100644 {b}\t{p}\n" for p, b in blobs.items()).encode())
    git("update-ref", f"refs/heads/{THEIRS}", git("commit-tree", git("write-tree"), "-p", "main", given=b"theirs"))


def _md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).hexdigest().encode()


@pytest.mark.parametrize("path", IN_GIT + IN_CACHE)
def test_any_bytes_give_a_result_or_a_line(path: str, project: Path) -> None:
    content = (project / path).read_bytes()

    @examples_over(len(IN_GIT + IN_CACHE), many=2_000)
    @given(st.data())
    def check(data: Any) -> None:
        with branch_with(project, path, data.draw(damaged_bytes(content))):
            assert not fall_of(data.draw(st.sampled_from(READINGS)), project)

    check()


@pytest.mark.parametrize("path", WITH_VALUES)
def test_any_value_gives_a_result_or_a_line(path: str, project: Path) -> None:
    content = (project / path).read_bytes()

    @examples_over(len(WITH_VALUES), many=2_000)
    @given(st.data())
    def check(data: Any) -> None:
        changed = data.draw(other_values(content, yaml=path.endswith((".yaml", LOCK_FILE))))
        with branch_with(project, path, changed):
            assert not fall_of(data.draw(st.sampled_from(READINGS)), project)

    check()
