"""dvc.yaml, the map, against the code, the territory."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from churn import files
from churn.config.params import Params, load_params, read_yaml
from churn.history.provenance import path_of
from churn.history.state import PIPELINE_FILE, RESULT_KEYS
from churn.stages import evaluate, preprocess, train
from tests.helpers.sample import SAMPLE_PARAMS
from tests.helpers.stage_code import (
    REPOSITORY,
    SOURCE,
    TEMPLATES,
    code_of,
    modules_from,
    templates_of,
    with_code_of_stages,
)

STAGES: dict[str, Any] = read_yaml(REPOSITORY / PIPELINE_FILE)["stages"]
RESULTS = {
    stage: [
        result if isinstance(result, dict) else {result: {}} for kind in RESULT_KEYS for result in entry.get(kind, [])
    ]
    for stage, entry in STAGES.items()
}
"""Path of each result, with its options."""
WORK = {"preprocess": preprocess.run, "train": train.run, "evaluate": evaluate.run}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(stage: str) -> None:
    assert {path for path in STAGES[stage]["deps"] if path.startswith("src/")} == code_of(stage)


def test_make_format_changes_nothing_of_dvc_yaml_but_lists_of_code_that_are_out_of_date() -> None:
    pipeline = (REPOSITORY / PIPELINE_FILE).read_text()
    assert with_code_of_stages(pipeline) == pipeline
    out_of_date = re.sub(r"      - src/churn/errors.py\n", "      - src/churn/gone.py\n", pipeline)
    assert out_of_date != pipeline
    assert with_code_of_stages(out_of_date) == pipeline


def test_every_template_is_used_and_installed_with_the_code() -> None:
    assert templates_of(set(SOURCE.rglob("*.py"))) == set(TEMPLATES.iterdir())
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    with_templates = {folder.parent.name for folder in SOURCE.rglob(TEMPLATES.name)}
    assert settings["package-data"] == {f"churn.{package}": [f"{TEMPLATES.name}/*"] for package in with_templates}


def test_packages_hold_no_code_of_their_own() -> None:
    for package in SOURCE.rglob("__init__.py"):
        statements = ast.parse(package.read_text()).body
        assert all(isinstance(statement, ast.Expr) for statement in statements), package


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_exactly_the_sections_of_params_that_it_reads(
    stage: str, folder: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    for earlier in list(WORK)[: list(WORK).index(stage)]:
        WORK[earlier](folder, params)
    read = {"compute"}  # the threads, by which every stage is limited
    section_of = Params.__getattribute__

    def noting(self: Params, name: str) -> object:
        if name in Params.model_fields:
            read.add(name)
        return section_of(self, name)

    monkeypatch.setattr(Params, "__getattribute__", noting)
    WORK[stage](folder, params)
    assert read == {key.partition(".")[0] for key in STAGES[stage]["params"]}


def test_every_file_that_the_pipeline_writes_is_a_result_of_one_stage() -> None:
    results = [path for stage in RESULTS.values() for result in stage for path in result]
    folders = (files.PROCESSED, files.MODELS, files.METRICS, files.CURVES)
    refusal = {files.FAULTS}
    paths = {path for path in vars(files).values() if isinstance(path, Path)}
    named = {str(path) for path in paths.difference(folders, refusal)} | {path_of(stage) for stage in STAGES}
    assert len(results) == len(set(results))
    assert {result for result in results if not result.startswith(str(files.CURVES))} == named


@pytest.mark.parametrize("stage", STAGES)
def test_small_results_are_kept_in_git_and_large_ones_in_the_cache(stage: str) -> None:
    for result in RESULTS[stage]:
        for path, options in result.items():
            assert options.get("cache", True) != path.startswith("metrics/"), path


def test_dvc_shows_the_overview_and_the_counts_of_the_audit_and_no_other_figures() -> None:
    """What else dvc.yaml calls metrics has figures in lists alone, which DVC passes over."""
    metrics = {path for entry in STAGES.values() for result in entry["metrics"] for path in result}
    provenance = {path_of(stage) for stage in STAGES}
    assert metrics == {str(files.OVERVIEW), str(files.AUDIT)} | provenance
    for path in provenance:
        assert all(isinstance(value, list) for value in files.read_json(REPOSITORY / path).values()), path
    for detailed in files.DETAILED_METRICS:
        assert "[" not in (REPOSITORY / detailed).read_text(), f"{detailed}: `dvc plots` would try to draw a list"


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_switches_off_the_run_cache(stage: str) -> None:
    """DVC saves no run of a stage that has a plain out with `cache: false`; metrics and plots may be such."""
    assert all(isinstance(result, str) for result in STAGES[stage]["outs"])


@pytest.mark.parametrize("stage", STAGES)
def test_results_do_not_depend_on_the_environment_variables_of_the_user(stage: str) -> None:
    """No stage's closure reads the environment; only the edges may."""
    closure = modules_from(SOURCE / f"churn/stages/{stage}.py")
    readers = [path.name for path in closure if re.search(r"\b(environ|getenv)\b", path.read_text())]
    assert set(readers) <= {"runtime.py"}


def test_no_column_of_the_sample_is_named_in_the_code() -> None:
    names = set(load_params(SAMPLE_PARAMS).data.columns)
    for path in SOURCE.rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        assert not names & {text for text in texts if isinstance(text, str)}, path
