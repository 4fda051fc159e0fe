"""Identify the experiment that the files of a workspace belong to, from dvc.yaml, dvc.lock and md5, without DVC.

The fingerprint is a hash of every stage's command, declared parameters, the md5 of dependencies that no stage produces,
and packages that no lock file describes. The files and dvc.lock give the same fingerprint.
"""

import functools
import hashlib
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from churn.config.nested_estimators import import_paths
from churn.config.params import PARAMS_FILE, read_yaml
from churn.config.shapes import Pipeline, PipelineLock, as_dvc_compares, fault_of, require_shape
from churn.errors import ChurnError
from churn.files import LARGEST_RESULT, read_bytes
from churn.files import md5 as md5_of_file
from churn.history import packages, provenance

PIPELINE_FILE = "dvc.yaml"
LOCK_FILE = "dvc.lock"
POINTER = ".dvc"
"""Ending of the files by which DVC tracks data."""
TRAIN, ESTIMATOR = "train", "train.estimator"
MISSING = object()
"""Stands for a parameter that is not there, since null is a value."""
FINGERPRINT_FORM = re.compile(r"[0-9a-f]{16}")
MD5_FORM = re.compile(r"[0-9a-f]{32}(\.dir)?")
TEMPLATE = re.compile(r"\$\{([^}]+)\}")
RESULT_KEYS = ("outs", "metrics", "plots")
STAGE_KEYS = {"cmd", "deps", "params", *RESULT_KEYS, "frozen", "always_changed", "desc", "meta"}
"""Supported keys of a stage in dvc.yaml; DVC has more (wdir, vars, foreach, matrix)."""


class UnidentifiedError(ChurnError):
    """The files identify no experiment."""


@dataclass(frozen=True)
class StageInputs:
    """Inputs that determine a stage's results."""

    command: str
    dependencies: Mapping[str, str | None]
    """md5 by path; None for a missing file."""
    parameters: Mapping[str, Mapping[str, Any]]
    """Value by dotted key, by file."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Version by name of packages that the lock files do not describe; recorded in the provenance, not in dvc.lock."""


@dataclass(frozen=True)
class Stage:
    """A stage's inputs, and the md5 of its results by path (None: missing)."""

    inputs: StageInputs
    results: Mapping[str, str | None]


Stages = Mapping[str, Stage]
Content = Callable[[str], bytes | None]
"""Returns the content of a file, in the workspace or in a commit; None if it is not available."""
Reader = Callable[[str], Mapping[str, Any]]
"""Returns the content of a YAML file, in the workspace or in a commit."""
Digest = Callable[[str], str | None]
"""Returns the md5 of a file, in the workspace or in a commit; None if it is missing."""


def stages_from_files(root: Path) -> Stages:
    """The stages of dvc.yaml with the present content of the files.

    Raises:
        UnidentifiedError: dvc.yaml refers to something that is missing or not supported.
    """
    values_in = functools.cache(lambda file: read_yaml(root / file))
    digest = functools.cache(functools.partial(_md5_in, root))  # one stage's result is another one's dependency
    declared = declared_stages(root)
    fitting = _stages_with_the_estimator(declared)
    return {
        name: _stage_from_files(root, name, entry, values_in, digest, with_estimator=name in fitting)
        for name, entry in declared.items()
    }


def inputs_from_files(root: Path, name: str) -> StageInputs:
    """Present inputs of one stage; its results are not opened.

    Raises:
        UnidentifiedError: dvc.yaml has no such stage, or refers to something that is missing or not supported.
    """
    declared = declared_stages(root)
    if name not in declared:
        raise UnidentifiedError(f"{PIPELINE_FILE}: no stage {name}")
    values_in = functools.cache(lambda file: read_yaml(root / file))
    with_estimator = name in _stages_with_the_estimator(declared)
    digest = functools.partial(_md5_in, root)
    return _inputs_in_files(root, name, declared[name], values_in, digest, with_estimator=with_estimator)


def declared_results(root: Path, name: str) -> list[str]:
    """Paths of the results of a stage in dvc.yaml."""
    return results_of(declared_stages(root)[name])


def declared_inputs(pipeline: Mapping[str, Any], values_in: Reader, digest: Digest) -> dict[str, StageInputs]:
    """Inputs of each stage of a dvc.yaml, in the workspace or in a commit.

    Raises:
        UnidentifiedError: it refers to something that is missing or not supported.
    """
    stages = stages_in(pipeline)
    return {name: _inputs_of_stage(name, entry, values_in, digest) for name, entry in stages.items()}


def stages_from_lock(lock: Mapping[str, Any]) -> Stages:
    """The stages as recorded in dvc.lock; provenance is not checked.

    Raises:
        UnidentifiedError: it is not what DVC writes.
    """
    if fault := fault_of(lock, PipelineLock):
        whole = f"`git checkout {LOCK_FILE}` or `dvc repro` makes it whole"
        raise UnidentifiedError(f"{LOCK_FILE}: damaged; {whole} ({fault})")
    return {name: _stage_from_lock(entry) for name, entry in lock.get("stages", {}).items()}


def read_lock(root: Path) -> dict[str, Any]:
    """Content of dvc.lock; empty before the first run."""
    path = root / LOCK_FILE
    return read_yaml(path) if path.exists() else {}


def edited_parameters(root: Path) -> list[str]:
    """Dotted keys of parameters that have changed since the results in dvc.lock were computed."""
    values_in = functools.cache(lambda file: read_yaml(root / file))
    edited: dict[str, None] = {}
    for stage in stages_from_lock(read_lock(root)).values():
        for file, values in stage.inputs.parameters.items():
            for key, value in values.items():
                edited |= dict.fromkeys(
                    name for name, *_ in changed_values(key, value, _value_at(values_in, file, key))
                )
    return list(edited)


def changed_values(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, old value and new value of each difference; None for a missing value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            yield from changed_values(f"{key}.{name}", old.get(name), new.get(name))
    elif old != new:
        yield key, old, new


def value_at(values: Any, dotted: str, default: Any = None) -> Any:
    """What stands at a dotted key, or the default."""
    for key in dotted.split("."):
        if not isinstance(values, Mapping) or key not in values:
            return default
        values = values[key]
    return values


def results_of_kind(kind: str, pipeline: Mapping[str, Any]) -> set[str]:
    """Paths that a dvc.yaml declares as `kind` (metrics or plots); paths outside the project are left out."""
    entries = [pipeline, *stages_in(pipeline).values()]
    paths = {posixpath.normpath(_path_of(result)) for entry in entries for result in entry.get(kind) or []}
    return {path for path in paths if not path.startswith(("/", "../"))}


def fingerprint(stages: Stages) -> str:
    """Identity of the experiment: 16 hex digits.

    Raises:
        UnidentifiedError: a dependency that no stage produces is missing.
    """
    made = {path for stage in stages.values() for path in stage.results}
    described = {}
    for name, stage in stages.items():
        given = {path: md5 for path, md5 in stage.inputs.dependencies.items() if path not in made}
        for path, md5 in given.items():
            if md5 is None:
                raise UnidentifiedError(
                    f"{path}: missing, so the state of this folder is unknown; `dvc checkout` or `dvc pull` brings "
                    "what DVC tracks"
                )
        described[name] = {
            "cmd": stage.inputs.command,
            "deps": given,
            "params": as_dvc_compares(stage.inputs.parameters),
        }
        if stage.inputs.packages:  # only if there are any, so that fingerprints of locked environments stay the same
            described[name]["packages"] = stage.inputs.packages
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def vouched_stages(files: Stages, locked: Stages) -> set[str]:
    """Stages whose inputs and results equal those in dvc.lock."""
    return {name for name, stage in files.items() if stage == locked.get(name)}


def stages_of_this_state(files: Stages, trusted: Set[str]) -> set[str]:
    """Trusted stages that read only results of trusted stages, so their results belong to the present inputs."""
    maker = {path: name for name, stage in files.items() for path in stage.results}

    def holds(name: str) -> bool:
        makers = {maker[path] for path in files[name].inputs.dependencies if path in maker}
        return name in trusted and all(holds(other) for other in makers)

    return {name for name in files if holds(name)}


def content_of(path: Path) -> bytes | None:
    """Content of a file; None if it does not exist."""
    try:
        return read_bytes(path, LARGEST_RESULT)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def md5_of(path: Path) -> str | None:
    """md5 of a file, as DVC computes it; None if it does not exist."""
    return md5_of_file(path) if path.exists() else None


def last_stages(stages: Stages) -> set[str]:
    """Stages whose results no other stage reads."""
    needed = {path for stage in stages.values() for path in stage.inputs.dependencies}
    return {name for name, stage in stages.items() if not needed.intersection(stage.results)}


def declared_stages(root: Path) -> Mapping[str, Any]:
    """The stages section of dvc.yaml."""
    return stages_in(read_yaml(root / PIPELINE_FILE))


def stages_in(pipeline: Mapping[str, Any]) -> Mapping[str, Any]:
    """The stages section of a dvc.yaml, in the shape that is read here; otherwise an UnidentifiedError."""
    require_shape(pipeline, Pipeline, PIPELINE_FILE, "correct it, or restore it with git", UnidentifiedError)
    return pipeline.get("stages") or {}


def _stages_with_the_estimator(declared: Mapping[str, Any]) -> set[str]:
    """Stages that fit the estimator, or read results computed with it."""
    found = {name for name, entry in declared.items() if _asks_for_the_estimator(entry)}
    while True:
        made = {path for name in found for path in results_of(declared[name])}
        more = {name for name, entry in declared.items() if made.intersection(entry.get("deps") or [])}
        if more <= found:
            return found
        found |= more


def _asks_for_the_estimator(entry: Mapping[str, Any]) -> bool:
    names = [name for name in entry.get("params") or [] if isinstance(name, str)]
    return any(name == ESTIMATOR or ESTIMATOR.startswith(f"{name}.") for name in names)


def results_of(entry: Mapping[str, Any]) -> list[str]:
    """Paths of the results in a stage's entry of dvc.yaml."""
    return [_path_of(result) for key in RESULT_KEYS for result in entry.get(key) or []]


def _stage_from_files(
    root: Path, name: str, entry: Mapping[str, Any], values_in: Reader, digest: Digest, *, with_estimator: bool
) -> Stage:
    inputs = _inputs_in_files(root, name, entry, values_in, digest, with_estimator=with_estimator)
    return Stage(inputs, _md5_by_path(results_of(entry), values_in, digest))


def _inputs_in_files(
    root: Path, name: str, entry: Mapping[str, Any], values_in: Reader, digest: Digest, *, with_estimator: bool
) -> StageInputs:
    inputs = _inputs_of_stage(name, entry, values_in, digest)
    locks = [root / path for path in inputs.dependencies if packages.LOCK_FORM.fullmatch(posixpath.basename(path))]
    texts = [read_bytes(path).decode(errors="replace") for path in locks if path.is_file()]
    try:
        beside = packages.packages_beside_locks(texts, _estimators(values_in) if with_estimator else ())
    except packages.EstimatorAbsentError:  # a machine that only reads results; the provenance has the versions
        beside = provenance.packages_in(content_of(root / provenance.path_of(name)))
    return replace(inputs, packages=beside)


def _estimators(values_in: Reader) -> list[str]:
    try:
        return list(import_paths(_value_at(values_in, PARAMS_FILE, TRAIN)))
    except UnidentifiedError:
        return []


def makers_of(stages: Stages, name: str) -> list[str]:
    """Stages whose results a stage reads, directly or indirectly."""
    maker = {path: other for other, stage in stages.items() for path in stage.results}
    found: list[str] = []
    waiting = [name]
    while waiting:
        read = stages[waiting.pop()].inputs.dependencies
        new = {maker[path] for path in read if path in maker}.difference(found, [name])
        found += sorted(new)
        waiting += sorted(new)
    return found


def _inputs_of_stage(name: str, entry: Mapping[str, Any], values_in: Reader, digest: Digest) -> StageInputs:
    for key in entry:
        if key not in STAGE_KEYS:
            raise UnidentifiedError(f"{PIPELINE_FILE}: stages.{name}.{key}: not supported by tracking; remove it")

    return StageInputs(
        command=_fill_templates(_command(entry), values_in),
        dependencies=_md5_by_path(entry.get("deps") or [], values_in, digest),
        parameters=_parameters(entry.get("params") or [], values_in),
    )


def _md5_by_path(paths: list[str], values_in: Reader, digest: Digest) -> dict[str, str | None]:
    return {posixpath.normpath(path): digest(path) for path in (_fill_templates(path, values_in) for path in paths)}


def _stage_from_lock(entry: Mapping[str, Any]) -> Stage:
    return Stage(
        StageInputs(
            command=_command(entry),
            dependencies=_recorded_md5s(entry.get("deps", [])),
            parameters=entry.get("params", {}),
        ),
        results=_recorded_md5s(entry.get("outs", [])),
    )


def _recorded_md5s(files: list[Mapping[str, Any]]) -> dict[str, str | None]:
    return {posixpath.normpath(file["path"]): md5_in(file) for file in files}


def md5_in(file: Mapping[str, Any]) -> str | None:
    """md5 in an entry of DVC; None if it is malformed, because it becomes a path in the cache."""
    md5 = file.get("md5")
    return md5 if isinstance(md5, str) and MD5_FORM.fullmatch(md5) else None


def _command(entry: Mapping[str, Any]) -> str:
    command = entry.get("cmd", "")
    return command if isinstance(command, str) else "\n".join(command)


def _path_of(result: str | Mapping[str, Any]) -> str:
    return result if isinstance(result, str) else next(iter(result))


def _md5_in(root: Path, path: str) -> str | None:
    if (root / path).is_dir():
        raise UnidentifiedError(f"{PIPELINE_FILE}: {path}: folders are not supported; list the files one by one")
    return md5_of(root / path) or _md5_of_pointer(root / f"{path}{POINTER}")


def _md5_of_pointer(pointer: Path) -> str | None:
    """md5 of a file that is tracked by a .dvc file, and was not pulled yet."""
    outs = read_yaml(pointer).get("outs") if pointer.is_file() else None
    return md5_in(outs[0]) if isinstance(outs, list) and len(outs) == 1 and isinstance(outs[0], Mapping) else None


def _fill_templates(text: str, values_in: Reader) -> str:
    """A text of dvc.yaml with its ${templates} filled in, formatted as DVC does."""

    def filling(match: re.Match[str]) -> str:
        value = _value_at(values_in, PARAMS_FILE, match[1].strip())
        if isinstance(value, Mapping | list):
            raise UnidentifiedError(f"{PIPELINE_FILE}: {match[0]}: tracking supports only single values in templates")
        return str(value).lower() if isinstance(value, bool) else str(value)

    return TEMPLATE.sub(filling, text)


def _parameters(declared: list[str | dict[str, list[str] | None]], values_in: Reader) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for entry in declared:
        by_file = {PARAMS_FILE: [entry]} if isinstance(entry, str) else entry
        for file, keys in by_file.items():
            for key in keys or values_in(file):
                found[file][key] = _value_at(values_in, file, key)
    return dict(found)


def _value_at(values_in: Reader, file: str, dotted: str) -> Any:
    value = value_at(values_in(file), dotted, MISSING)
    if value is MISSING:
        raise UnidentifiedError(f"{file}: {dotted}: missing, but {PIPELINE_FILE} refers to it")
    return value
