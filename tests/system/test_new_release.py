"""A project with its own table and parameters takes over the next release, by the steps of the manual."""

import re
from pathlib import Path

import pytest

from tests.helpers.manual import Command, commands_of
from tests.helpers.projects import NO_SERVER, REPOSITORY, make_customers, shell
from tests.helpers.runs import rerun
from tests.helpers.states import edit

pytestmark = pytest.mark.slow

QUIET = {"MLFLOW_TRACKING_URI": NO_SERVER}
STEPS = [*commands_of(REPOSITORY / "docs/team.md", "sh")]
SET_UP = "make .venv/bin/setup-done"


@pytest.fixture
def releases(finished: Path) -> Path:
    """Two releases with their results. The second one has another value, other code and one more parameter."""
    folder, run = finished, shell(finished)
    run("git tag v1")
    edit(
        folder / "params.yaml",
        "promote: {max_calibration_error: 0.1}",
        "promote: {max_calibration_error: 0.1, look: 1}",
    )
    edit(folder / "params.yaml", "  acceptance_alpha: 6.0\n", "  acceptance_alpha: 5.0\n")
    edit(
        folder / "src/churn/config/params.py", "    max_calibration_error:", "    look: int\n    max_calibration_error:"
    )
    with (folder / "src/churn/report/templates/report.css").open("a") as file:
        file.write("\n")
    run("dvc repro && git commit --quiet --all --message 'Second release' && git tag v2", **QUIET)
    return folder


@pytest.fixture
def own_project(releases: Path, tmp_path: Path) -> Path:
    """A clone of the first release with another table and other costs, run and committed."""
    folder = tmp_path / "own"
    run = shell(tmp_path)
    run(f"git clone --quiet --branch v1 --origin upstream {releases} {folder}")
    run = shell(folder)
    run("git switch --quiet --create main && git config user.name Tester && git config user.email t@example.invalid")
    make_customers(count=500, seed=3).to_csv(folder / "data/raw/customers.csv", index=False)
    edit(folder / "params.yaml", "customer_value: 200.0", "customer_value: 150.0")
    edit(folder / "params.yaml", "  acceptance_alpha: 6.0\n", "  acceptance_alpha: 7.0\n")
    rerun(folder, "preprocess", "train", "evaluate")
    run("git add --all && git commit --quiet --message 'Our customers'")
    return folder


def keep_own_values(params: Path) -> None:
    """Edit params.yaml as the manual says: of each conflict the own side."""
    text = params.read_text()
    kept = re.sub(r"<<<<<<<[^\n]*\n(.*?)=======\n.*?>>>>>>>[^\n]*\n", r"\1", text, flags=re.DOTALL)
    assert kept != text
    params.write_text(kept)


def test_the_steps_of_the_manual_lead_to_a_state_that_has_run(own_project: Path) -> None:
    run = shell(own_project)
    printed: list[str] = []

    def take(step: Command) -> None:
        done = run(step.text, check=False, **QUIET, PYTHONPATH="src")
        assert done.returncode == step.exit_code, (step.text, done.stdout, done.stderr)
        printed.append(done.stdout)

    before_edit = [step.text for step in STEPS].index("git status --short") + 1
    for step in STEPS[:before_edit]:
        take(step)
    conflicts = re.findall(r"^UU (\S+)$", printed[-1], re.MULTILINE)
    assert {"dvc.lock", "params.yaml"} <= set(conflicts)
    assert {path.split("/")[0] for path in conflicts} == {"dvc.lock", "params.yaml", "metrics"}
    told = run("churn summary", check=False, PYTHONPATH="src").stderr
    assert re.match(r"churn: params\.yaml: line \d+: a conflict that git has stopped at", told)
    keep_own_values(own_project / "params.yaml")
    told = run("churn summary", check=False, PYTHONPATH="src").stderr
    assert told.startswith("churn: git has stopped at a merge")
    for step in STEPS[before_edit:]:
        if step.text != SET_UP:  # the environment is that of the tests
            take(step)
    assert "customer_value: 150.0" in (own_project / "params.yaml").read_text()
    assert "look: 1" in (own_project / "params.yaml").read_text()
    assert run("dvc status").stdout == "Data and pipelines are up to date.\n"
    assert run("git status --porcelain").stdout == ""
    assert run("churn summary", PYTHONPATH="src").returncode == 0
