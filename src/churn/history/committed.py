"""Whether a commit holds what its dvc.lock was computed with, and the results that it recorded.

A dvc.lock tells of the run that wrote it. Who edits parameters, code or data and commits without `dvc repro` has one
that is right in itself, and tells of another commit.
"""

import functools
import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn.config.params import parse_yaml
from churn.files import md5_of_bytes
from churn.history import state
from churn.history.dvc import cache_folder
from churn.history.git import blobs_of_commit, git_bytes, git_files
from churn.history.state import PIPELINE_FILE, StageInputs, Stages, content_of

POINTER = ".dvc"
FOLDER = ".dir"
"""How the md5 of a folder ends."""


@dataclass(frozen=True)
class Strays:
    """Where a commit and its dvc.lock part.

    Attributes:
        inputs: what the commit holds otherwise than dvc.lock was computed with: files, with keys where they have some.
        absent: inputs of which the commit holds nothing, in git or by a .dvc file.
        results: files in git with other bytes than dvc.lock recorded.
    """

    inputs: tuple[str, ...]
    absent: tuple[str, ...]
    results: tuple[str, ...]


def find_strays(root: Path, commit: str, stages: Stages, results: Mapping[str, str | None]) -> Strays:
    """Hold the state that a commit's dvc.lock records, and its results, against the files of the commit.

    Raises:
        UnidentifiedError: dvc.yaml asks for something that is not there, or not known here.
    """
    held = _Commit(root, commit)
    values_in, md5_of = functools.cache(held.values_in), functools.cache(held.md5_of)
    declared = state.declared_inputs(values_in(PIPELINE_FILE), values_in, md5_of)
    given = _inputs_no_stage_makes(stages)
    return Strays(
        inputs=(
            *_other_declarations(stages, declared),
            *(path for path, md5 in given.items() if md5_of(path) not in (None, md5)),
        ),
        absent=tuple(path for path in given if md5_of(path) is None),
        results=tuple(path for path, md5 in results.items() if path in held.files and md5_of(path) != md5),
    )


def find_edits(root: Path, stages: Stages) -> tuple[str, ...]:
    """What the stages read in the workspace that HEAD does not hold like that, by the bytes of each file.

    What git says of its status is not asked: it passes over what is ignored, what is assumed to be unchanged, and what
    stands behind a link.
    """
    held = _Commit(root, "HEAD")
    given = _inputs_no_stage_makes(stages)
    md5s = {path: given[path] if path in given else state.md5_of(root / path) for path in inputs_in_git(stages)}
    as_kept = git_files(root, "HEAD", [path for path in md5s if path in held.files])
    same = {path for path, content in as_kept.items() if md5_of_bytes(content) == md5s[path]}
    return tuple(
        f"{path}{held.absence(path)}"
        for path, md5 in sorted(md5s.items())
        # As git keeps it, or with the line ends of a checkout.
        if path not in same and held.md5_of(path) != md5
    )


def inputs_in_git(stages: Stages) -> list[str]:
    """Files that decide the results: what no stage makes, dvc.yaml and the files of parameters."""
    files = {PIPELINE_FILE, *(file for stage in stages.values() for file in stage.inputs.parameters)}
    return sorted(files | set(_inputs_no_stage_makes(stages)))


def edited_values(root: Path, stages: Stages) -> tuple[tuple[str, Any, Any], ...]:
    """Dotted key of each parameter that differs from HEAD, its value there, and its value now."""
    values_in = functools.cache(_Commit(root, "HEAD").values_in)
    found = {
        name: (old, new)
        for stage in stages.values()
        for file, values in stage.inputs.parameters.items()
        for key, value in values.items()
        for name, old, new in state.changed_values(key, state.value_at(values_in(file), key), value)
    }
    return tuple((name, old, new) for name, (old, new) in found.items())


def _inputs_no_stage_makes(stages: Stages) -> dict[str, str | None]:
    """md5 by path of what no stage makes."""
    made = {path for stage in stages.values() for path in stage.results}
    return {
        path: md5 for stage in stages.values() for path, md5 in stage.inputs.dependencies.items() if path not in made
    }


def _other_declarations(stages: Stages, declared: Mapping[str, StageInputs]) -> Iterator[str]:
    keys: dict[str, dict[str, None]] = {}
    for name, stage in stages.items():
        now = declared[name]
        if stage.inputs.command != now.command:
            keys.setdefault(PIPELINE_FILE, {})[f"stages.{name}.cmd"] = None
        if set(stage.inputs.dependencies) != set(now.dependencies):
            keys.setdefault(PIPELINE_FILE, {})[f"stages.{name}.deps"] = None
        for file, key in _other_parameters(stage.inputs.parameters, now.parameters):
            keys.setdefault(file, {})[key] = None
    for file, found in keys.items():
        yield f"{file} ({', '.join(found)})"


def _other_parameters(
    locked: Mapping[str, Mapping[str, Any]], declared: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    for file in {**locked, **declared}:
        old, new = locked.get(file, {}), declared.get(file, {})
        for key in {**old, **new}:
            yield from ((file, name) for name, *_ in state.changed_values(key, old.get(key), new.get(key)))


@dataclass(frozen=True)
class _Commit:
    """Files of a commit, and what its .dvc files stand for."""

    root: Path
    commit: str

    @functools.cached_property
    def files(self) -> Mapping[str, str]:
        """Name of the blob of each regular file in git, by path."""
        return blobs_of_commit(self.root, self.commit)

    @functools.cached_property
    def in_dvc(self) -> Mapping[str, str]:
        """md5 of each file or folder that a .dvc file stands for, by path."""
        pointers = {path: self.values_in(path) for path in self.files if path.endswith(POINTER)}
        return {
            posixpath.normpath(posixpath.join(posixpath.dirname(pointer), content.get("wdir", "."), out["path"])): md5
            for pointer, content in pointers.items()
            for out in content.get("outs", [])
            if (md5 := state.md5_in(out))
        }

    def values_in(self, file: str) -> Mapping[str, Any]:
        """What a YAML file holds; nothing when it is not there."""
        content = git_bytes(self.root, self.commit, file)
        return {} if content is None else parse_yaml(content.decode(errors="replace"), file)

    def md5_of(self, path: str) -> str | None:
        """As DVC computes it for the file that a checkout brings; None when the commit holds nothing of it."""
        return self._in_git(path) if path in self.files else self.by_pointer(path)

    def absence(self, path: str) -> str:
        """What to add to the name of a file of which the commit holds no bytes, nor their md5; nothing otherwise."""
        if path in self.files or path in self.in_dvc:
            return ""
        folder = next((one for one in self.in_dvc if path.startswith(f"{one}/")), None)
        if folder is None:
            return " (in neither git nor DVC)"
        return "" if self.by_pointer(path) else f" (not in what DVC's cache lists of {folder})"

    def _in_git(self, path: str) -> str | None:
        # Filtered: with the line ends, or from the large-file store, as DVC saw it.
        content = git_bytes(self.root, self.commit, path, as_checked_out=True)
        return None if content is None else md5_of_bytes(content)

    def by_pointer(self, path: str) -> str | None:
        """md5 of a file that a .dvc file stands for; None when none does."""
        if path in self.in_dvc:
            return self.in_dvc[path]
        for folder, md5 in self.in_dvc.items():
            if md5.endswith(FOLDER) and path.startswith(f"{folder}/"):
                return self._listed_in(md5).get(path.removeprefix(f"{folder}/"))
        return None

    @functools.cached_property
    def _cache(self) -> Path:
        return cache_folder(self.root)

    def _listed_in(self, md5: str) -> Mapping[str, str]:
        """md5 by path of what DVC lists of a folder; nothing when the list is not in the cache."""
        content = content_of(self._cache / "files" / "md5" / md5[:2] / md5[2:])
        return {entry["relpath"]: entry["md5"] for entry in json.loads(content or b"[]")}
