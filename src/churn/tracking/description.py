"""An experiment and an execution as plain values: what MLflow will show, without MLflow."""

import json
import math
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn import artifacts
from churn.params import PARAMS_FILE, read_yaml
from churn.tracking import state
from churn.tracking.handover import Execution
from churn.tracking.state import Stages, UnidentifiedError

RUNNING, FINISHED, FAILED = "RUNNING", "FINISHED", "FAILED"

PARAMETER_DEPTH = 3
"""Keys deep that a parameter's name goes, as train.params.learning_rate; what is below is shown as JSON."""

LONGEST_VALUE = 6000
"""MLflow cuts a longer parameter without a word."""

UNFIT_FOR_A_NAME = re.compile(r"[^\w\-. ]")

FINGERPRINT, COMPLETE, MODEL_MD5 = "pipeline.fingerprint", "pipeline.complete", "model.md5"
"""Tags that rows and models are found by; complete has the results of every stage."""


@dataclass(frozen=True)
class Dataset:
    """The table that was learned from."""

    name: str
    source: str
    md5: str
    rows: int | None
    """None until a stage has counted them."""


@dataclass(frozen=True)
class Experiment:
    """One state of the pipeline, with the results of those stages that belong to it."""

    fingerprint: str
    name: str
    status: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    workspace: Path
    files: tuple[Path, ...]
    """Shown as they are; paths within the workspace."""
    dataset: Dataset | None
    model_md5: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Commit:
    """Where git stands."""

    sha: str
    edited: bool
    """Whether anything that decides the results differs from it; results themselves do not count."""


def describe_experiment(root: Path, execution: Execution) -> Experiment:
    """What the files of a workspace say, as the stage that just ended leaves them.

    Results count only of that stage and of those that dvc.lock vouches for, so none is of another state.

    Raises:
        UnidentifiedError: the files belong to no experiment.
    """
    files = state.stages_from_files(root)
    fingerprint = state.fingerprint(files)
    counted = _stages_that_count(files, state.stages_from_lock(state.read_lock(root)), execution)
    results = {path: md5 for name in counted for path, md5 in files[name].results.items()}
    parameters = dict(_named_parameters(files))
    metrics = dict(_metrics(root, results))
    shown = state.results_called("metrics", root) | state.results_called("plots", root)
    dataset = _dataset(root, parameters, metrics)
    model_md5 = results.get(str(artifacts.MODEL))
    commit = _commit(root, files)
    complete = counted == set(files)
    return Experiment(
        fingerprint=fingerprint,
        name=os.environ.get("DVC_EXP_NAME") or _name(commit, fingerprint),
        status=FAILED if execution.fault else FINISHED if complete else RUNNING,
        parameters=parameters,
        metrics=metrics,
        workspace=root,
        files=(Path(PARAMS_FILE), *(Path(path) for path in sorted(shown.intersection(results)))),
        dataset=dataset,
        model_md5=model_md5,
        tags=_without_gaps(
            {
                FINGERPRINT: fingerprint,
                COMPLETE: str(complete).lower(),
                "git.commit": commit.sha if commit else None,
                "git.edited": str(commit.edited).lower() if commit else None,
                "dvc.experiment": os.environ.get("DVC_EXP_NAME"),
                "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV"),
                "data.md5": dataset.md5 if dataset else None,
                MODEL_MD5: model_md5,
            }
        ),
    )


def _stages_that_count(files: Stages, locked: Stages, execution: Execution) -> set[str]:
    ended = execution.stage
    if ended not in files:
        raise UnidentifiedError(f"{state.PIPELINE_FILE}: no stage {ended}, so this run belongs to no experiment")
    vouched = state.vouched_for(files, locked)
    counted = state.of_this_state(files, vouched | {ended})
    if ended not in counted:
        raise UnidentifiedError(f"{ended} read results of another state; run `dvc repro` to have all of one state")
    return state.of_this_state(files, vouched - {ended}) if execution.fault else counted


def _metrics(root: Path, results: Iterable[str]) -> Iterator[tuple[str, float]]:
    for path in sorted(state.results_called("metrics", root).intersection(results)):
        is_json = path.endswith(".json")
        yield from _numbers("", artifacts.read_json(root / path) if is_json else read_yaml(root / path))


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Finite numbers by dotted name; texts and lists are no metrics, for DVC neither."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, int | float) and math.isfinite(value):
        yield _fit(name), float(value)


def _named_parameters(files: Stages) -> Iterator[tuple[str, str]]:
    for stage in files.values():
        for file, values in stage.inputs.parameters.items():
            for key, value in values.items():
                for name, shown in _leaves(key, value):
                    yield _fit(name if file == PARAMS_FILE else f"{file}:{name}"), shown


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value and name.count(".") + 1 < PARAMETER_DEPTH:
        for key, inner in value.items():
            yield from _leaves(f"{name}.{key}", inner)
    else:
        yield name, _shown(value)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    rest = f"… ({len(text):,} characters in all)"
    return text[: LONGEST_VALUE - len(rest)] + rest


def _fit(name: str) -> str:
    return UNFIT_FOR_A_NAME.sub("_", name)


def _dataset(root: Path, parameters: Mapping[str, str], metrics: Mapping[str, float]) -> Dataset | None:
    source = parameters.get("data.source", "")
    md5 = state.md5_of(root / source)
    if md5 is None:
        return None
    rows = metrics.get("rows_in")
    return Dataset(Path(source).stem, source, md5, None if rows is None else int(rows))


def _name(commit: Commit | None, fingerprint: str) -> str:
    if commit and not commit.edited:
        return commit.sha[:7]
    return f"{f'{commit.sha[:7]}-edited' if commit else 'no-commit'}-{fingerprint[:6]}"


def _commit(root: Path, files: Stages) -> Commit | None:
    sha = _git(root, "rev-parse", "HEAD")
    made = {path for stage in files.values() for path in stage.results}
    given = {path for stage in files.values() for path in [*stage.inputs.dependencies, *stage.inputs.parameters]} - made
    by_dvc = {f"{path}.dvc" for path in given}
    changes = _git(root, "status", "--porcelain", "--", state.PIPELINE_FILE, *sorted(given | by_dvc))
    return None if sha is None or changes is None else Commit(sha, edited=bool(changes))


def _git(root: Path, *arguments: str) -> str | None:
    """What git answers; None outside a repository, before the first commit, or without git."""
    try:
        answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def _without_gaps(tags: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if value}
