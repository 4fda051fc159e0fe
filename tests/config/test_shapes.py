"""Files that anyone can edit: any value at any place gives a result or a line, without a repository around them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from churn import files
from churn.commands import summary
from churn.config.params import parse_yaml
from churn.config.shapes import AuditFigures, TableFigures, parse_json
from churn.errors import ChurnError
from churn.history import state
from churn.monitoring.models import threshold_in
from churn.tracking.description import _figures_in, _numbers
from tests.helpers.damage import WHOLE, damaged_bytes, other_values
from tests.helpers.projects import REPOSITORY

often, seldom = (settings(max_examples=settings().max_examples * factor) for factor in (5, 1))
"""YAML is read slowly."""


def lock(content: bytes) -> None:
    stages = state.stages_from_lock(parse_yaml(content.decode(errors="replace"), state.LOCK_FILE))
    state.fingerprint(stages)
    state.last_stages(stages)


def pipeline(content: bytes) -> None:
    declared = parse_yaml(content.decode(errors="replace"), state.PIPELINE_FILE)
    state.results_of_kind("metrics", declared)
    state.declared_inputs(declared, lambda _: {"data": {"source": "raw.csv"}}, lambda _: "0" * 32)


def headlines(path: Path) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        found = summary._headlines(path, content, summary.SHOWN[path])
        for name in summary.SHOWN[path].model_fields:
            f"{summary._number(found, name):,.3f}"

    return read


def published(content: bytes) -> None:
    for name, value in _figures_in(content, "metrics/any.json").items():
        list(_numbers(name, value))


def shaped(shape: object) -> Callable[[bytes], object]:
    return lambda content: parse_json(content, "metrics/any.json", shape)


READERS: list[tuple[str, Callable[[bytes], object]]] = [
    ("dvc.lock", lock),
    ("dvc.yaml", pipeline),
    *((str(path), headlines(path)) for path in summary.SHOWN),
    (str(files.TRAIN_METRICS), threshold_in),
    (str(files.CLASSIFICATION_REPORT), published),
    (str(files.DATA_METRICS), shaped(TableFigures)),
    (str(files.AUDIT), shaped(AuditFigures)),
]


def require_line(read: Callable[[bytes], object], content: bytes) -> None:
    try:
        read(content)
    except ChurnError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - most contents raise nothing


@pytest.mark.parametrize(("path", "read"), READERS, ids=[path for path, _ in READERS])
def test_any_value_at_any_place_is_read_or_refused_in_a_line(path: str, read: Callable[[bytes], object]) -> None:
    content = (REPOSITORY / path).read_bytes()
    yaml = not path.endswith(".json")

    @seldom if yaml else often
    @given(other_values(content, yaml=yaml))
    def check(changed: bytes) -> None:
        require_line(read, changed)

    check()


@pytest.mark.parametrize(("path", "read"), READERS, ids=[path for path, _ in READERS])
def test_any_bytes_are_read_or_refused_in_a_line(path: str, read: Callable[[bytes], object]) -> None:
    for content in WHOLE:
        require_line(read, content)

    @often if path.endswith(".json") else seldom
    @given(damaged_bytes((REPOSITORY / path).read_bytes()))
    def check(changed: bytes) -> None:
        require_line(read, changed)

    check()


def test_a_refusal_names_file_key_and_value() -> None:
    figures: dict[str, Any] = json.loads((REPOSITORY / files.DATA_METRICS).read_bytes())
    with pytest.raises(ChurnError, match=r"^metrics/any\.json: rows_in: 'many': must be a valid integer$"):
        parse_json(json.dumps(figures | {"rows_in": "many"}).encode(), "metrics/any.json", TableFigures)
