"""A follower replaces its model as a whole, and keeps it whatever happens to the source."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from churn.errors import ChurnError
from churn.service.follower import Follower
from churn.service.served_model import ModelParts
from churn.service.sources import NoModelError, ProjectFiles

pytestmark = pytest.mark.slow


@dataclass
class Source:
    """A source whose state a test sets."""

    parts: ModelParts
    sign: Hashable = 1
    fault: Exception | None = None
    changes_while_loading: bool = False
    loads: int = field(default=0)

    def signature(self) -> Hashable:
        if isinstance(self.fault, ChurnError):
            raise self.fault
        return self.sign

    def load(self) -> ModelParts:
        self.loads += 1
        if self.fault is not None:
            raise self.fault
        if self.changes_while_loading:
            self.sign, self.changes_while_loading = (self.sign, "changed"), False
        return self.parts


@pytest.fixture(scope="module")
def parts(small_project: Path) -> ModelParts:
    return ProjectFiles(small_project).load()


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def source(parts: ModelParts) -> Source:
    return Source(parts)


@pytest.fixture
def follower(source: Source, events: list[str]) -> Follower:
    return Follower(source, 100, events.append)


def other(parts: ModelParts) -> ModelParts:
    return replace(parts, origin=replace(parts.origin, fingerprint="f" * 16))


def test_a_source_that_has_not_changed_is_loaded_once(follower: Follower, source: Source, events: list[str]) -> None:
    for _ in range(3):
        follower.look()
    assert source.loads == 1
    assert events == ["loaded"]


def test_a_changed_source_replaces_the_model(follower: Follower, source: Source) -> None:
    follower.look()
    source.parts, source.sign = other(source.parts), 2
    follower.look()
    assert follower.model
    assert follower.model.origin.fingerprint == "f" * 16


def test_files_that_were_touched_and_hold_the_same_are_no_new_model(
    follower: Follower, source: Source, events: list[str]
) -> None:
    follower.look()
    source.sign = 2
    follower.look()
    assert events == ["loaded"]


@pytest.mark.parametrize(
    ("lock", "advice"),
    [(None, "no model yet: run `make run`"), ("stages: {}", "not here: `dvc pull` or `dvc checkout`")],
)
def test_a_folder_without_a_model_says_what_brings_one(tmp_path: Path, lock: str | None, advice: str) -> None:
    if lock is not None:
        (tmp_path / "dvc.lock").write_text(lock)
    with pytest.raises(NoModelError, match=advice):
        ProjectFiles(tmp_path).signature()


@pytest.mark.parametrize(
    ("fault", "event"),
    [
        (NoModelError("no model yet"), "absent"),
        (ChurnError("not the file that dvc.lock records"), "refused"),
        (AttributeError("what unpickling raises"), "refused"),
    ],
)
def test_a_fault_keeps_the_model_is_told_once_and_forgotten_when_it_has_gone(
    follower: Follower, source: Source, events: list[str], fault: Exception, event: str
) -> None:
    follower.look()
    before = follower.model
    source.fault, source.sign = fault, 2
    for _ in range(3):
        follower.look()
    assert follower.model is before is not None
    assert follower.problem
    assert events == ["loaded", event]
    source.fault, source.sign = None, 1
    follower.look()
    assert follower.problem == ""


def test_a_source_that_changes_while_it_is_loaded_is_loaded_again(follower: Follower, source: Source) -> None:
    source.changes_while_loading = True
    follower.look()
    assert follower.model is None
    follower.look()
    assert follower.model is not None


def test_what_is_no_decision_is_refused(follower: Follower, source: Source) -> None:
    source.parts = replace(source.parts, decision="no decision")
    follower.look()
    assert follower.model is None
    assert follower.problem == "churn: contains a str, not a model of this pipeline"
