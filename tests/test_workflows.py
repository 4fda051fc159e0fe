"""The workflows run what a developer runs, on every supported Python, with no more rights than needed."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from churn.params import read_yaml
from tests.conftest import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read_yaml(path)["jobs"]
    return found


def test_every_supported_python_is_tested_and_no_other() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()  # type: ignore[union-attr]
    matrix = jobs(REPOSITORY / ".github/workflows/ci.yml")["test"]["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minor}" for minor in range(int(low), int(high))]


def test_all_that_has_to_pass_before_a_change_lands_is_run() -> None:
    needed = set(re.findall(r"^make ([a-z-]+)$", (REPOSITORY / ".ci/run").read_text(), re.MULTILINE))
    matrix = jobs(REPOSITORY / ".github/workflows/ci.yml")["test"]["strategy"]["matrix"]
    assert {"lint", *matrix["target"]} == needed <= TARGETS


@every_workflow
def test_a_workflow_can_read_the_code_and_nothing_else(path: Path) -> None:
    workflow = read_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow["on"]
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@every_workflow
def test_no_text_that_a_stranger_chose_gets_into_a_shell(path: Path) -> None:
    for job in jobs(path).values():
        for step in job["steps"]:
            assert not re.search(r"\$\{\{(?!\s*matrix\.)", step.get("run", "")), step


@every_workflow
def test_every_job_ends_by_itself(path: Path) -> None:
    assert all(job["timeout-minutes"] <= 45 for job in jobs(path).values())
