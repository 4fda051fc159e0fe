"""Which experiment the files of a workspace belong to, by dvc.yaml, dvc.lock and md5 alone; DVC is not imported.

The pipeline fingerprint is one function over every stage's command, declared parameters, and the md5 of every
dependency that no stage makes. The files and dvc.lock give the same one.
"""

import functools
import hashlib
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn.errors import ChurnError
from churn.params import PARAMS_FILE, read_yaml

PIPELINE_FILE = "dvc.yaml"
LOCK_FILE = "dvc.lock"
TEMPLATE = re.compile(r"\$\{([^}]+)\}")
RESULT_KEYS = ("outs", "metrics", "plots")
STAGE_KEYS = {"cmd", "deps", "params", *RESULT_KEYS, "frozen", "always_changed", "desc", "meta"}
"""What a stage of dvc.yaml may say here; DVC knows more (wdir, vars, foreach, matrix)."""


class UnidentifiedError(ChurnError):
    """The files do not say which experiment this is."""


@dataclass(frozen=True)
class StageInputs:
    """What decides a stage's results."""

    command: str
    dependencies: Mapping[str, str | None]
    """md5 by path; None for a file that is not there."""
    parameters: Mapping[str, Mapping[str, Any]]
    """Value by dotted key, by file."""


@dataclass(frozen=True)
class Stage:
    """A stage's inputs, and the md5 of its results by path (None: not there)."""

    inputs: StageInputs
    results: Mapping[str, str | None]


Stages = Mapping[str, Stage]
Reader = Callable[[str], Mapping[str, Any]]
"""Gives what a YAML file holds, in the workspace or in a commit."""
Digest = Callable[[str], str | None]
"""Gives the md5 of a file there; None when it is not there."""


def stages_from_files(root: Path) -> Stages:
    """The stages of dvc.yaml with what stands in the files now.

    Raises:
        UnidentifiedError: dvc.yaml asks for something that is not there, or not known here.
    """
    values_in = functools.cache(lambda file: read_yaml(root / file))
    return {name: _stage_from_files(root, name, entry, values_in) for name, entry in _declared_stages(root).items()}


def inputs_from_files(root: Path, name: str) -> StageInputs:
    """What decides one stage's results, as it stands in the files now; its results are not opened.

    Raises:
        UnidentifiedError: dvc.yaml has no such stage, or asks for something that is not there, or not known here.
    """
    entry = _declared_stages(root).get(name)
    if entry is None:
        raise UnidentifiedError(f"{PIPELINE_FILE}: no stage {name}")
    values_in = functools.cache(lambda file: read_yaml(root / file))
    return _inputs_of_stage(name, entry, values_in, functools.partial(_md5_in, root))


def inputs_declared(pipeline: Mapping[str, Any], values_in: Reader, digest: Digest) -> dict[str, StageInputs]:
    """What decides each stage's results by a dvc.yaml, wherever it and the files it names are.

    Raises:
        UnidentifiedError: it asks for something that is not there, or not known here.
    """
    stages = pipeline.get("stages") or {}
    return {name: _inputs_of_stage(name, entry, values_in, digest) for name, entry in stages.items()}


def results_are_vouched_for(root: Path, name: str, paths: Iterable[str]) -> bool:
    """Whether some results of a stage are those that dvc.lock recorded for its inputs now; no other one is opened."""
    locked = stages_from_lock(read_lock(root)).get(name)
    if locked is None or locked.inputs != inputs_from_files(root, name):
        return False
    return all(locked.results.get(path) == md5_of(root / path) is not None for path in paths)


def stages_from_lock(lock: Mapping[str, Any]) -> Stages:
    """The stages as dvc.lock recorded them."""
    return {name: _stage_from_lock(entry) for name, entry in lock.get("stages", {}).items()}


def read_lock(root: Path) -> dict[str, Any]:
    """What dvc.lock holds; nothing before the first run."""
    path = root / LOCK_FILE
    return read_yaml(path) if path.exists() else {}


def edited_parameters(root: Path) -> list[str]:
    """Dotted keys whose value is no longer the one that the results in dvc.lock were computed with."""
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
    """Dotted key of each value that is not the same in both, and the two; None where one of them lacks it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            yield from changed_values(f"{key}.{name}", old.get(name), new.get(name))
    elif old != new:
        yield key, old, new


def results_called(kind: str, pipeline: Mapping[str, Any]) -> set[str]:
    """What a dvc.yaml calls metrics, or plots, by path."""
    entries = [pipeline, *(pipeline.get("stages") or {}).values()]
    return {posixpath.normpath(_path_of(result)) for entry in entries for result in entry.get(kind) or []}


def fingerprint(stages: Stages) -> str:
    """Identity of the experiment: 16 hex digits.

    Raises:
        UnidentifiedError: a dependency that no stage makes is not there.
    """
    made = {path for stage in stages.values() for path in stage.results}
    described = {}
    for name, stage in stages.items():
        given = {path: md5 for path, md5 in stage.inputs.dependencies.items() if path not in made}
        for path, md5 in given.items():
            if md5 is None:
                raise UnidentifiedError(f"{path}: not there, so this run belongs to no experiment")
        described[name] = {"cmd": stage.inputs.command, "deps": given, "params": _comparable(stage.inputs.parameters)}
    text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def vouched_for(files: Stages, locked: Stages) -> set[str]:
    """Stages whose inputs and results are those that dvc.lock recorded."""
    return {name for name, stage in files.items() if stage == locked.get(name)}


def of_this_state(files: Stages, trusted: Set[str]) -> set[str]:
    """The trusted stages that read only what such stages made, so that their results belong to the inputs now."""
    maker = {path: name for name, stage in files.items() for path in stage.results}

    def holds(name: str) -> bool:
        makers = {maker[path] for path in files[name].inputs.dependencies if path in maker}
        return name in trusted and all(holds(other) for other in makers)

    return {name for name in files if holds(name)}


def md5_of(path: Path) -> str | None:
    """As DVC computes it for a file; None when it is not there."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_bytes(content: bytes) -> str:
    """As DVC computes it for a file that holds them."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def last_stages(stages: Stages) -> set[str]:
    """Stages that make nothing for another one."""
    needed = {path for stage in stages.values() for path in stage.inputs.dependencies}
    return {name for name, stage in stages.items() if not needed.intersection(stage.results)}


def _declared_stages(root: Path) -> Mapping[str, Any]:
    return read_yaml(root / PIPELINE_FILE).get("stages") or {}


def _stage_from_files(root: Path, name: str, entry: Mapping[str, Any], values_in: Reader) -> Stage:
    results = [_path_of(result) for key in RESULT_KEYS for result in entry.get(key) or []]
    digest = functools.partial(_md5_in, root)
    return Stage(_inputs_of_stage(name, entry, values_in, digest), _md5_by_path(results, values_in, digest))


def _inputs_of_stage(name: str, entry: Mapping[str, Any], values_in: Reader, digest: Digest) -> StageInputs:
    for key in entry:
        if key not in STAGE_KEYS:
            raise UnidentifiedError(f"{PIPELINE_FILE}: stages.{name}.{key}: not known to tracking; do without it")

    return StageInputs(
        command=_filled(_command(entry), values_in),
        dependencies=_md5_by_path(entry.get("deps") or [], values_in, digest),
        parameters=_parameters(entry.get("params") or [], values_in),
    )


def _md5_by_path(paths: list[str], values_in: Reader, digest: Digest) -> dict[str, str | None]:
    return {posixpath.normpath(path): digest(path) for path in (_filled(path, values_in) for path in paths)}


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
    return {posixpath.normpath(file["path"]): file.get("md5") for file in files}


def _command(entry: Mapping[str, Any]) -> str:
    return entry["cmd"] if isinstance(entry["cmd"], str) else "\n".join(entry["cmd"])


def _path_of(result: str | Mapping[str, Any]) -> str:
    return result if isinstance(result, str) else next(iter(result))


def _md5_in(root: Path, path: str) -> str | None:
    if (root / path).is_dir():
        raise UnidentifiedError(f"{PIPELINE_FILE}: {path}: a folder, not known to tracking; name its files one by one")
    return md5_of(root / path)


def _filled(text: str, values_in: Reader) -> str:
    """A text of dvc.yaml with the ${templates} filled in, written as DVC writes them."""

    def filling(match: re.Match[str]) -> str:
        value = _value_at(values_in, PARAMS_FILE, match[1].strip())
        if isinstance(value, Mapping | list):
            raise UnidentifiedError(f"{PIPELINE_FILE}: {match[0]}: more than one value, not known to tracking")
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
    value: Any = values_in(file)
    for key in dotted.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise UnidentifiedError(f"{file}: {dotted}: not there, though {PIPELINE_FILE} names it")
        value = value[key]
    return value


def _comparable(value: Any) -> Any:
    """Values that DVC holds equal become one (1, 1.0 and true), so that they are one experiment."""
    if isinstance(value, Mapping):
        return {str(key): _comparable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value
