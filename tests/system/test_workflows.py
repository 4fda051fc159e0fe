"""The workflows run what a developer runs, on every supported Python, with no more rights than needed."""

import ast
import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from churn.commands.changes.comment import MARKER
from churn.config.params import read_yaml
from tests.helpers.projects import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
CHANGES = REPOSITORY / ".github/workflows/changes.yml"
COMMENTING = REPOSITORY / ".github/workflows/comment.yml"
"""The only one with the right to write, to comments; so it must have nothing to do with a pull request's code."""
SCRIPT = REPOSITORY / ".github/post_comment.py"
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
runs_the_code_of_a_pull_request = pytest.mark.parametrize(
    "path", [path for path in WORKFLOWS if path != COMMENTING], ids=lambda path: path.stem
)


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
    run = jobs(REPOSITORY / ".github/workflows/ci.yml")
    alone = {run[job]["steps"][-1]["run"].removeprefix("make ") for job in ("lint", "monitoring", "stack")}
    assert alone | set(run["test"]["strategy"]["matrix"]["target"]) == needed <= TARGETS


def test_the_fast_tests_run_on_a_mac_and_on_linux_for_arm() -> None:
    elsewhere = jobs(REPOSITORY / ".github/workflows/ci.yml")["platforms"]
    assert elsewhere["strategy"]["matrix"]["runner"] == ["macos-15", "ubuntu-24.04-arm"]
    assert elsewhere["steps"][-1] == {"run": "make test"}


@runs_the_code_of_a_pull_request
def test_a_workflow_can_read_the_code_and_nothing_else(path: Path) -> None:
    workflow = read_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not {"pull_request_target", "workflow_run"} & set(workflow["on"])
    for job in workflow["jobs"].values():
        assert "permissions" not in job


PINNED = re.compile(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@every_workflow
def test_an_action_is_named_by_its_commit_and_a_comment_says_which_version_that_is(path: Path) -> None:
    uses = re.findall(r"uses:.*", path.read_text())
    assert uses
    assert not [line for line in uses if not PINNED.fullmatch(line)]


def test_one_version_of_an_action_is_used() -> None:
    named = {line for path in WORKFLOWS for line in PINNED.findall(path.read_text())}
    actions = [line.partition("@")[0] for line in named]
    assert sorted(actions) == sorted(set(actions))


def test_what_the_linter_of_workflows_is_told_to_ignore_has_its_reason_above() -> None:
    for path in WORKFLOWS:
        lines = path.read_text().splitlines()
        for before, line in itertools.pairwise(lines):
            assert "zizmor: ignore" not in line or before.strip().startswith("#"), line


@every_workflow
def test_no_checkout_leaves_the_token_behind(path: Path) -> None:
    for job in jobs(path).values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@runs_the_code_of_a_pull_request
def test_no_workflow_that_runs_the_code_of_a_pull_request_is_given_a_secret(path: Path) -> None:
    assert not re.search(r"secrets\b|github\.token|GITHUB_TOKEN|GH_TOKEN", path.read_text())


def test_one_workflow_may_comment_and_it_may_do_no_more() -> None:
    workflow = read_yaml(COMMENTING)
    assert workflow["permissions"] == {}
    assert set(workflow["on"]) == {"workflow_run"}
    [job] = workflow["jobs"].values()
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}


def test_the_commenting_workflow_runs_one_script_of_the_default_branch_and_nothing_else() -> None:
    """Without `ref` or `repository`, the checkout of a `workflow_run` is the default branch; nothing is downloaded."""
    [job] = jobs(COMMENTING).values()
    checkout, post = job["steps"]
    assert checkout["uses"].startswith("actions/checkout@")
    assert checkout["with"] == {"persist-credentials": False}
    assert post == {"run": "python3 -I .github/post_comment.py", "env": {"GH_TOKEN": "${{ github.token }}"}}
    assert set(job) == {"if", "runs-on", "timeout-minutes", "permissions", "steps"}


def test_comments_are_posted_for_pull_requests_whose_changes_were_found() -> None:
    [job] = jobs(COMMENTING).values()
    event = "github.event.workflow_run"
    assert job["if"] == f"{event}.event == 'pull_request' && {event}.conclusion == 'success'"
    assert read_yaml(COMMENTING)["on"]["workflow_run"] == {
        "workflows": [read_yaml(CHANGES)["name"]],
        "types": ["completed"],
    }


def test_the_script_that_comments_gives_no_text_to_a_shell_and_unpacks_nothing() -> None:
    tree = ast.parse(SCRIPT.read_text())
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"system", "popen", "Popen", "check_output", "extract", "extractall", "unpack_archive"}
    assert not {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)} & {"shell", "executable"}
    assert not {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & {"eval", "exec", "__import__"}


def test_what_the_one_workflow_leaves_behind_is_what_the_other_looks_for() -> None:
    [job] = jobs(CHANGES).values()
    upload = job["steps"][-1]["with"]
    constants = dict(re.findall(r'^([A-Z]+) = "(.*)"$', SCRIPT.read_text(), re.MULTILINE))
    assert (upload["name"], upload["path"]) == (constants["ARCHIVE"], constants["MEMBER"])
    assert constants["MARKER"] == MARKER
    assert any(f"--output {constants['MEMBER']}" in step.get("run", "") for step in job["steps"])


@every_workflow
def test_no_text_that_a_stranger_chose_gets_into_a_shell(path: Path) -> None:
    for job in jobs(path).values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


@every_workflow
def test_every_job_ends_by_itself(path: Path) -> None:
    assert all(job["timeout-minutes"] <= 45 for job in jobs(path).values())
