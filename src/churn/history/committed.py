"""Check whether a commit contains the inputs and results that its dvc.lock records.

A dvc.lock describes the run that wrote it. If you edit parameters, code or data and commit without `dvc repro`, it is
consistent in itself but describes another commit.
"""

import functools
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn.config.params import parse_yaml
from churn.config.shapes import ListedFile, Pointer, fault_of, parse_json
from churn.files import md5_of_bytes
from churn.history import state
from churn.history.dvc import cache_folder, path_in_cache
from churn.history.git import blobs_of_commit, git_bytes, git_files
from churn.history.state import PIPELINE_FILE, POINTER, StageInputs, Stages, content_of

FOLDER = ".dir"
"""Suffix of the md5 of a folder."""
FETCH = "remove it, then `dvc pull`"


@dataclass(frozen=True)
class Strays:
    """Differences between a commit and its dvc.lock.

    Attributes:
        inputs: files of the commit that differ from the recorded inputs, with keys if they have some.
        absent: inputs that the commit contains neither in git nor through a .dvc file.
        results: files in git whose bytes differ from those that dvc.lock records.
    """

    inputs: tuple[str, ...]
    absent: tuple[str, ...]
    results: tuple[str, ...]


def find_strays(root: Path, commit: str, stages: Stages, results: Mapping[str, str | None]) -> Strays:
    """Compare the inputs and results that a commit's dvc.lock records with the files of the commit.

    Raises:
        UnidentifiedError: dvc.yaml refers to something that is missing or not supported.
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
    """Inputs of the stages that differ between the workspace and HEAD, by the bytes of each file.

    `git status` is not used: it skips files that are ignored, assumed unchanged, or behind a symbolic link.
    """
    held = _Commit(root, "HEAD")
    given = _inputs_no_stage_makes(stages)
    md5s = {path: given[path] if path in given else state.md5_of(root / path) for path in inputs_in_git(stages)}
    as_kept = git_files(root, "HEAD", [path for path in md5s if path in held.files])
    same = {path for path, content in as_kept.items() if md5_of_bytes(content) == md5s[path]}
    return tuple(
        f"{path}{held.absence(path)}"
        for path, md5 in sorted(md5s.items())
        # Equal to the blob in git, or to the blob with the line ends of a checkout.
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
    """md5 by path of inputs that no stage produces."""
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
    """Files of a commit, in git or tracked by its .dvc files."""

    root: Path
    commit: str

    @functools.cached_property
    def files(self) -> Mapping[str, str]:
        """Blob id of each regular file in git, by path."""
        return blobs_of_commit(self.root, self.commit)

    @functools.cached_property
    def in_dvc(self) -> Mapping[str, str]:
        """md5 of each file or folder that a .dvc file tracks, by path."""
        read = {path: self.values_in(path) for path in self.files if path.endswith(POINTER)}
        pointers = {path: content for path, content in read.items() if not fault_of(content, Pointer)}
        return {
            posixpath.normpath(posixpath.join(posixpath.dirname(pointer), content.get("wdir", "."), out["path"])): md5
            for pointer, content in pointers.items()
            for out in content.get("outs", [])
            if (md5 := state.md5_in(out))
        }

    def values_in(self, file: str) -> Mapping[str, Any]:
        """Content of a YAML file; empty if the file does not exist."""
        content = git_bytes(self.root, self.commit, file)
        return {} if content is None else parse_yaml(content.decode(errors="replace"), file)

    def md5_of(self, path: str) -> str | None:
        """md5 of the checked-out file, as DVC computes it; None if the commit does not contain the file."""
        return self._in_git(path) if path in self.files else self.by_pointer(path)

    def absence(self, path: str) -> str:
        """Suffix for the name of a file of which the commit has neither the bytes nor the md5; otherwise ''."""
        if path in self.files or path in self.in_dvc:
            return ""
        folder = next((one for one in self.in_dvc if path.startswith(f"{one}/")), None)
        if folder is None:
            return " (in neither git nor DVC)"
        return "" if self.by_pointer(path) else f" (not listed for {folder} in DVC's cache)"

    def _in_git(self, path: str) -> str | None:
        # With git's filters (line ends, large-file storage), as DVC sees the file.
        content = git_bytes(self.root, self.commit, path, as_checked_out=True)
        return None if content is None else md5_of_bytes(content)

    def by_pointer(self, path: str) -> str | None:
        """md5 of a file that a .dvc file tracks; None if none does."""
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
        """md5 by path of the files in a tracked folder; empty if the cache lacks the list."""
        content = content_of(path_in_cache(self._cache, md5))
        listed = parse_json(content or b"[]", f"the list of a folder in DVC's cache ({md5})", list[ListedFile], FETCH)
        return {entry["relpath"]: entry["md5"] for entry in listed}
