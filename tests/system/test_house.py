"""Everything stands where CONTRIBUTING says, and is found by one name."""

import ast
import importlib
import importlib.util
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.projects import REPOSITORY

HOUSE = REPOSITORY / "src/churn"
TESTS = REPOSITORY / "tests"
NOT_MIRRORED = {"helpers", "system"}
LONGEST_MODULE = 400
SECTION = re.search(
    r"^src/churn/\n(.*?)^```", (REPOSITORY / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE | re.DOTALL
)
MAP = dict(re.findall(r"^  (\w+/) +(.+)$", SECTION[1], flags=re.MULTILINE)) if SECTION else {}
"""What the map says of each package."""


def names_in(folder: Path) -> set[str]:
    """Modules, packages and other folders, as people write them."""
    paths = [path for path in folder.iterdir() if not path.name.startswith("__")]
    return {f"{path.name}/" if path.is_dir() else path.name.removesuffix(".py") for path in paths}


def test_the_map_has_every_package_and_no_other() -> None:
    assert set(MAP) == {name for name in names_in(HOUSE) if name.endswith("/")}


@pytest.mark.parametrize("package", MAP)
def test_the_map_names_every_module_of_a_package(package: str) -> None:
    words = set(re.findall(r"\w+/?", MAP[package]))
    assert names_in(HOUSE / package) <= words


def test_the_map_has_the_order_in_which_imports_go_down() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert [f"{layer}/" for layer in layers if f"{layer}/" in MAP] == list(MAP)
    assert {name for layer in layers for name in layer.split(" | ")} == {name.strip("/") for name in names_in(HOUSE)}


@pytest.mark.parametrize("folder", [HOUSE, *sorted(path for path in HOUSE.rglob("*/") if path.name != "__pycache__")])
def test_no_floor_has_more_rooms_than_one_takes_in_at_a_glance(folder: Path) -> None:
    assert len(names_in(folder)) <= (19 if folder == HOUSE else 12)


def test_no_module_is_too_long_to_be_read() -> None:
    lines = {path.relative_to(HOUSE): path.read_text().count("\n") for path in HOUSE.rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > LONGEST_MODULE} == {}


def test_a_name_of_a_class_stands_once() -> None:
    classes = Counter(
        node.name
        for path in HOUSE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_tests_stand_in_the_packages_of_what_they_test() -> None:
    packages = {path.relative_to(HOUSE) for path in HOUSE.rglob("*/") if (path / "__init__.py").exists()}
    mirrored = {path.relative_to(TESTS).parent for path in TESTS.rglob("test_*.py")}
    assert {path for path in mirrored if path.parts[:1] and path.parts[0] not in NOT_MIRRORED} <= packages


def test_no_test_imports_another() -> None:
    for path in TESTS.rglob("*.py"):
        imported = re.findall(
            r"^\s*(?:from|import) (tests[\w.]*)(?: import (.+))?", path.read_text(), flags=re.MULTILINE
        )
        names = [name for module, members in imported for name in [*module.split("."), *re.split(r"\W+", members)]]
        assert not [name for name in names if name.startswith("test_")], path


PROGRAMS = [
    *(path for folder in (TESTS, REPOSITORY / "bench") for path in folder.rglob("*.py")),
    REPOSITORY / "notebooks/explore.ipynb",
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_programs_within_texts_import_is_there(path: Path) -> None:
    """A type checker sees neither the programs that tests run in processes of their own nor the notebook."""
    for module, names in re.findall(r"from (churn(?:\.\w+)*) import (\w+(?:, \w+)*)", path.read_text()):
        found = importlib.import_module(module)
        for name in names.split(", "):
            assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), f"{module}.{name}"
