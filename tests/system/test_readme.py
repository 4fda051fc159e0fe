"""The README says what is so: its commands run, in order, and its figures are those that they print."""

import os
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from churn.commands.summary import summary_text
from churn.config.contract import BooleanColumn, CategoricalColumn, NumericColumn, Strict, UnusedColumn
from churn.config.params import Params
from churn.files import BUSINESS_METRICS, METRICS, TEST_METRICS, TRAIN_METRICS, read_json
from tests.helpers.projects import REPOSITORY, shell

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if language == "bash" for line in block.splitlines()]
REFUSED = ("churn promote HEAD~1", "churn promote")
"""These are to end with exit code 1, as the README says."""
TARGETS = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


def test_the_figures_shown_are_those_of_the_committed_results() -> None:
    shown = next(block for language, block in BLOCKS if not language and block.startswith("Test rows"))
    assert shown.strip() in summary_text(REPOSITORY)


def test_the_table_of_how_good_the_model_is_holds_the_committed_figures() -> None:
    told = section("How good is the model")
    figures: dict[str, float] = {}
    for path in (TRAIN_METRICS, TEST_METRICS, BUSINESS_METRICS):
        figures |= read_json(REPOSITORY / path)
    for name in ("cv_roc_auc", "cv_pr_auc"):
        assert f"{figures[name]:.3f} ± {figures[f'{name}_sd']:.3f}" in told
    for name in ("test_roc_auc", "test_pr_auc", "test_f1", "test_f1_at_half"):
        assert f"{figures[name]:.3f} [{figures[f'{name}_low']:.3f}, {figures[f'{name}_high']:.3f}]" in told
    assert f"| {figures['empc']:.2f} |" in told


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


OF_EACH_COLUMN: dict[str, tuple[type[Strict], ...]] = {
    "columns": (NumericColumn, CategoricalColumn, BooleanColumn),
    "unused": (UnusedColumn,),
}


def keys_of(model: Any, prefix: str = "") -> Iterator[str]:
    """Dotted name of every key that a section of params.yaml may hold; * stands for a name of the user's."""
    for name, field in model.model_fields.items():
        inner = [part for part in typing.get_args(field.annotation) or [field.annotation] if is_section(part)]
        if name in OF_EACH_COLUMN:
            for column in OF_EACH_COLUMN[name]:
                yield from keys_of(column, f"{prefix}{name}.*.")
        elif inner:
            yield from keys_of(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def is_section(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, Strict)


def test_every_parameter_is_told_and_no_other() -> None:
    first_cells = [line.split("|")[1] for line in section("Parameters").splitlines() if line.startswith("| `")]
    told = [key for cell in first_cells for key in re.findall(r"`(.+?)`", cell)]
    assert sorted(told) == sorted(set(keys_of(Params)))


def test_every_make_target_is_told_and_no_other() -> None:
    first_cells = [line.split("|")[1] for line in section("Make targets").splitlines() if line.startswith("| `")]
    told = [target for cell in first_cells for target in re.findall(r"`make (.+?)`", cell)]
    assert sorted(told) == sorted(TARGETS)


def test_every_make_target_that_is_mentioned_exists() -> None:
    mentioned = re.findall(r"`make ([a-z -]+)`", README + (REPOSITORY / "CONTRIBUTING.md").read_text())
    assert {target for targets in mentioned for target in targets.split()} <= set(TARGETS)


def test_every_file_that_is_mentioned_exists() -> None:
    documents = README + (REPOSITORY / "CONTRIBUTING.md").read_text() + (REPOSITORY / "data/README.md").read_text()
    linked = re.findall(r"\]\((?!http)([^)]+)\)|src=\"([^\"]+)\"", documents)
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    for path in {first or second for first, second in linked}:
        assert path.removeprefix("#") in headings if path.startswith("#") else (REPOSITORY / path).exists(), path
    for name in re.findall(r"`(?:metrics/)?(\w+\.(?:json|csv|png))`", README.split("| `metrics/` | holds |")[1]):
        assert (REPOSITORY / METRICS / name).exists(), name


def story_of_the_gates() -> list[str]:
    """What `churn promote` is shown to print, without the lines that name a commit."""
    block = next(block for language, block in BLOCKS if not language and block.startswith("challenger"))
    return [line for line in block.splitlines() if "commit" not in line]


def search_of_the_sample() -> str:
    return re.sub(r"\s", " ", section("A day with it")).split("sample the search above says")[1].split("is left")[0]


def signed_numbers(text: str) -> set[int]:
    return {round(float(number.replace(",", ""))) for number in re.findall(r"[+-][\d,]*\d(?:\.\d+)?", text)}


@pytest.mark.slow
def test_every_command_runs_in_order_in_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make` makes no second environment here: a stand-in for its stamp says that the present one is set up."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # the clone has a store of its own
    shell(tmp_path)(f"git clone --quiet {REPOSITORY} clone")
    clone = tmp_path / "clone"
    run = shell(clone)
    run("git config user.name Tester && git config user.email tester@example.invalid")
    (clone / ".venv").symlink_to(REPOSITORY / ".venv")
    os.utime(REPOSITORY / ".venv/bin/setup-done")
    story: dict[str, str] = {}
    repros = []
    for command in COMMANDS:
        if command == "make test":
            story[command] = run("make --dry-run test").stdout  # this is it
        elif command.startswith("source "):
            assert (clone / command.split()[1]).exists()
        else:
            done = run(command, check=False, COLUMNS="500")
            assert done.returncode == (command in REFUSED), (command, done.stdout, done.stderr)
            story[command] = done.stdout
            repros += [done.stdout] if command == "dvc repro" else []
    assert "ROC-AUC" in story["make run"]
    assert "trials     20: " in story["churn tune --trials 20 --apply"]
    assert "train.params.learning_rate" in story["dvc params diff"]
    assert "cv_roc_auc" in story["dvc metrics diff"]
    assert "1 parameter, " in story["churn changes"]
    assert "Running stage" not in repros[1], "the run after the revert finds its results in the cache"
    shown = next(output for command, output in story.items() if command.startswith("dvc exp show"))
    assert all(name in shown for name in ("larger-steps", "leaves-1", "leaves-2"))
    assert "larger-steps" in story["dvc exp list"]
    for line in story_of_the_gates():
        assert line in story["churn promote HEAD~1"]
    assert "are taken off what it earns" in story["churn promote"]
    assert signed_numbers(search_of_the_sample()) <= signed_numbers(story["churn tune --trials 20 --apply"])
    assert story['churn rollback --reason "Seen"'].startswith("rolled back: churn version 1")
    assert run("git diff --name-only HEAD four-leaves -- params.yaml").stdout.strip() == "params.yaml"
    assert run("git status --porcelain").stdout == ""
    (tmp_path / "example.py").write_text(next(block for language, block in BLOCKS if language == "python"))
    assert run(f"python {tmp_path / 'example.py'}").stdout.startswith("[0.")
