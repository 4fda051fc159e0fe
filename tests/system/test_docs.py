"""README and manual say what is so: their commands run in order and print what is shown, and nothing is left out."""

import os
import re
import shutil
import subprocess
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import churn.cli.main  # noqa: F401 - registers the commands
from churn.cli.app import app
from churn.config.contract import BooleanColumn, CategoricalColumn, NumericColumn, Strict, UnusedColumn
from churn.config.params import Params
from churn.config.search_space import Listed
from churn.files import BUSINESS_METRICS, METRICS, TEST_METRICS, TRAIN_METRICS, read_json
from churn.service.settings import PREFIX, ServeSettings
from tests.helpers.manual import MANUAL, README, blocks_of, commands_of, without_names_of_the_moment
from tests.helpers.projects import REPOSITORY, every_night, made_once, shell
from tests.helpers.sample import clone_with_sample, figures_of_sample
from tests.helpers.services import running_service

PAGES = [README, *MANUAL]
WITH_COMMANDS = [page for page in PAGES if list(commands_of(page))]
OF_MANY_RUNS = [page for page in WITH_COMMANDS if page.stem in ("experiments", "team", "tune-and-promote", "tutorial")]
"""Pages whose commands run the pipeline again and again, for minutes."""
OF_FEW_RUNS = [page for page in WITH_COMMANDS if page not in OF_MANY_RUNS]
TARGETS = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, after `make run`. It makes no second environment: a stamp says that the present one is set up."""

    def make(folder: Path) -> None:
        clone = folder / "clone"
        run = clone_with_sample(clone)
        (clone / ".venv").symlink_to(REPOSITORY / ".venv")
        for stamp in ("setup-done", "tune-done", "serve-done", "dev-done", "docs-done"):
            (REPOSITORY / ".venv/bin" / stamp).touch()
        run("git config user.name Tester && git config user.email tester@example.invalid")
        run("make run", MLFLOW_TRACKING_URI="")

    return made_once(tmp_path_factory, "docs", make) / "clone"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [*OF_FEW_RUNS, *every_night(*OF_MANY_RUNS)],
    ids=lambda page: page.name,
)
def test_every_command_of_a_page_runs_in_order_after_make_run_and_prints_what_is_shown(
    page: Path, ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # the clone has a store of its own
    clone = shutil.copytree(ready, tmp_path / "clone", symlinks=True)
    run = shell(clone)
    printed: list[str] = []
    for command in commands_of(page):
        if command.text.startswith("source "):
            assert (clone / command.text.split()[1]).exists()
            continue
        text = "make --dry-run test" if command.text == "make test" else command.text  # this is it
        done = run(text, check=False, COLUMNS="500")
        assert done.returncode == command.exit_code, (command.text, done.stdout, done.stderr)
        printed += [without_names_of_the_moment(line) for line in (done.stdout + done.stderr).splitlines()]
        for line in filter(lambda line: line.strip(" …"), command.shown):
            assert without_names_of_the_moment(line) in printed, (command.text, done.stdout, done.stderr)
        if command.ends_block:
            printed.clear()


@pytest.mark.slow
def test_the_python_of_the_manual_runs(ready: Path, tmp_path: Path) -> None:
    with running_service(ready) as service:
        for page in PAGES:
            for block in blocks_of(page):
                if block.language == "python":
                    (tmp_path / "example.py").write_text("\n".join(block.lines))
                    shell(ready)(f"python {tmp_path / 'example.py'}", CHURN_URL=service.url)


def test_the_manual_is_built_without_a_warning_and_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    settings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, env=settings, check=True)
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|iframe)[^>]*src=\"?(https?:[^\">]+)", page.read_text())
        fetched += re.findall(r"<link[^>]*rel=\"?stylesheet[^>]*href=\"?(https?:[^\">]+)", page.read_text())
        assert fetched == [], page.name


def test_the_readme_is_a_door_of_at_most_150_lines() -> None:
    assert len(README.read_text().splitlines()) <= 150


@figures_of_sample
def test_the_table_of_how_good_the_model_is_holds_the_committed_figures() -> None:
    told = (REPOSITORY / "docs/results.md").read_text()
    figures: dict[str, float] = {}
    for path in (TRAIN_METRICS, TEST_METRICS, BUSINESS_METRICS):
        figures |= read_json(REPOSITORY / path)
    for name in ("cv_roc_auc", "cv_pr_auc"):
        assert f"{figures[name]:.3f} ± {figures[f'{name}_sd']:.3f}" in told
    for name in ("test_roc_auc", "test_pr_auc", "test_f1", "test_f1_at_half"):
        assert f"{figures[name]:.3f} [{figures[f'{name}_low']:.3f}, {figures[f'{name}_high']:.3f}]" in told
    assert f"| {figures['empc']:.2f} |" in told


OF_EACH_ENTRY: dict[str, tuple[type[Strict], ...]] = {
    "columns": (NumericColumn, CategoricalColumn, BooleanColumn),
    "unused": (UnusedColumn,),
    "portfolio": (Listed,),
}


def keys_of(model: Any, prefix: str = "") -> Iterator[str]:
    """Dotted name of every key that a section of params.yaml may hold; * stands for a name of the user's."""
    for name, field in model.model_fields.items():
        inner = [part for part in typing.get_args(field.annotation) or [field.annotation] if is_section(part)]
        if name in OF_EACH_ENTRY:
            for entry in OF_EACH_ENTRY[name]:
                yield from keys_of(entry, f"{prefix}{name}.*.")
        elif inner:
            yield from keys_of(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def is_section(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, Strict)


def first_cells(page: str) -> list[str]:
    """What stands in code in the first column of a page's tables."""
    lines = (REPOSITORY / "docs" / page).read_text().splitlines()
    return [name for line in lines if line.startswith("| `") for name in re.findall(r"`(.+?)`", line.split("|")[1])]


def test_every_parameter_is_documented_and_no_other() -> None:
    assert sorted(first_cells("parameters.md")) == sorted(set(keys_of(Params)))


def test_every_setting_of_the_service_is_documented_with_its_default_and_no_other() -> None:
    cells = [line.split(" | ") for line in (REPOSITORY / "docs/service.md").read_text().splitlines()]
    told = {row[0].strip("|` "): row[1:] for row in cells if row[0].startswith(f"| `{PREFIX}")}
    assert list(told) == [f"{PREFIX}{name}".upper() for name in ServeSettings.model_fields]
    for (default, meaning), field in zip(told.values(), ServeSettings.model_fields.values(), strict=True):
        shown = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}".removesuffix(".0")
        assert default.strip("`–") == ("" if field.default is None else shown)
        assert meaning.removesuffix(" |") == field.description


def test_every_make_target_is_documented_and_no_other() -> None:
    told = [name.removeprefix("make ") for name in first_cells("commands.md") if name.startswith("make ")]
    assert sorted(told) == sorted(TARGETS)


def test_every_command_and_option_is_documented_and_no_other() -> None:
    page = (REPOSITORY / "docs/commands.md").read_text()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    sections = dict(re.findall(r"^### `churn (\w+)[^\n]*`\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL))
    assert sorted(sections) == sorted(commands)
    for name, command in commands.items():
        options = {
            option for one in command.params for option in (*one.opts, *one.secondary_opts) if option.startswith("--")
        }
        told = set(re.findall(r"(--[a-z-]+)", "".join(re.findall(r"^\| `[^|]+", sections[name], re.MULTILINE))))
        assert told == options - {"--help"}, name


@every_page
def test_every_make_target_that_is_mentioned_exists(page: Path) -> None:
    mentioned = re.findall(r"`make ([a-z -]+)`", page.read_text())
    assert {target for targets in mentioned for target in targets.split()} <= set(TARGETS)


def test_every_file_that_is_linked_or_listed_exists() -> None:
    for page in (README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "data/README.md"):
        for link, image in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text()):
            assert (page.parent / (link or image)).exists(), link or image
    metrics = (REPOSITORY / "docs/files.md").read_text().split("## `metrics/`")[1]
    for name in re.findall(r"`(\w+\.(?:json|csv|png|html|md))`", metrics):
        assert (REPOSITORY / METRICS / name).exists(), name


def test_every_test_that_a_guarantee_names_exists() -> None:
    for name in re.findall(r"`(tests/[\w/]+\.py)`", (REPOSITORY / "docs/guarantees.md").read_text()):
        assert (REPOSITORY / name).exists(), name
