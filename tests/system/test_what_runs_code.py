"""docs/what-runs-code.md: each of its lines is held by tests that exist."""

import ast
import re

import pytest

from tests.helpers.projects import REPOSITORY

LINES = [
    line
    for line in (REPOSITORY / "docs/what-runs-code.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| What is read"))
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_held_by_tests(line: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", line.rsplit(" | ", 1)[1])
    assert named
    for file, test in named:
        tree: ast.AST = ast.parse((REPOSITORY / file).read_text())
        for name in test.split("::"):
            found = [
                one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name == name
            ]
            assert found, test
            tree = found[0]
