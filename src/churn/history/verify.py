"""Check that results belong to the inputs in dvc.lock, by the provenance that each stage wrote."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from churn.config.shapes import as_dvc_compares
from churn.errors import ChurnError
from churn.files import METRICS, md5_of_bytes, write_text
from churn.history import provenance
from churn.history.dvc import remedy_for_absent
from churn.history.provenance import Provenance
from churn.history.state import (
    LOCK_FILE,
    PIPELINE_FILE,
    Content,
    Stage,
    StageInputs,
    Stages,
    content_of,
    declared_results,
    declared_stages,
    inputs_from_files,
    makers_of,
    md5_of,
    read_lock,
    results_of,
    stages_from_lock,
)
from churn.runtime import platform_name

MOST_DIFFERENCES = 3
"""Differences listed in a message."""


class ForeignResultsError(ChurnError):
    """Results belong to other inputs than dvc.lock records."""


FROM_GIT = f"missing, as after a stage that failed; run `dvc repro`, or `git checkout {METRICS}` restores it"
"""What to do about a missing file that git keeps."""
FORCED = "`dvc repro --force` recomputes them"


@dataclass(frozen=True)
class Objection:
    """Why results do not belong to their inputs, and how to fix that in the workspace."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        """Reason and remedy in one line."""
        return f"{self.reason}; {self.remedy}"


@dataclass(frozen=True)
class RecordedStages:
    """Stages recorded in a dvc.lock, and where their provenance contradicts it."""

    stages: Stages
    foreign: Mapping[str, tuple[str, ...]]
    """Differences by name of each stage whose results were computed from other inputs than dvc.lock records."""

    def objection(self, name: str) -> Objection | None:
        """Why results of a stage, or of one that it reads from, do not belong to their inputs; None if they do."""
        made = {path: (maker, md5) for maker, stage in self.stages.items() for path, md5 in stage.results.items()}
        for stage in (name, *makers_of(self.stages, name)):
            if stage in self.foreign:
                more = "; and more" if len(self.foreign[stage]) > MOST_DIFFERENCES else ""
                listed = "; ".join(self.foreign[stage][:MOST_DIFFERENCES]) + more
                return Objection(f"{stage}: its results do not belong to the inputs in {LOCK_FILE} ({listed})", FORCED)
            for path, md5 in self.stages[stage].inputs.dependencies.items():
                maker, latest = made.get(path, ("", md5))
                if latest != md5:
                    return Objection(
                        f"{maker} ran after {stage}, which read another version of {path}", "run `dvc repro`"
                    )
        return None


def recorded_stages(lock: Mapping[str, Any], read: Content, declared: Mapping[str, Any]) -> RecordedStages:
    """The stages of a dvc.yaml (`declared`) as recorded in a dvc.lock, checked against their provenance.

    A stage without provenance, as in old states, is accepted as recorded.
    """
    stages: dict[str, Stage] = {}
    foreign: dict[str, tuple[str, ...]] = {}
    for name, stage in stages_from_lock(lock).items():
        path = provenance.path_of(name)
        if name not in declared:  # renamed or removed; DVC keeps its entry
            continue
        if path not in stage.results and path not in results_of(declared[name]):
            stages[name] = stage
            continue
        content = read(path)
        inputs = replace(stage.inputs, packages=provenance.packages_in(content))
        stages[name] = Stage(inputs, stage.results)
        if content is not None and md5_of_bytes(content) != stage.results.get(path):
            foreign[name] = (f"{path} belongs to another run",)
        elif found := provenance.differences(content, provenance_of(name, stages[name])):
            foreign[name] = tuple(found)
    return RecordedStages(stages, foreign)


def recorded_stages_of_workspace(root: Path) -> RecordedStages:
    """The stages recorded in the dvc.lock of a folder, checked against the provenance there.

    If a provenance file is missing, the stage has not ended since DVC removed its results: they do not count, but they
    are not foreign either.
    """
    known = recorded_stages(read_lock(root), lambda path: content_of(root / path), declared_stages(root))
    gone = {name for name in known.foreign if not (root / provenance.path_of(name)).exists()}
    return replace(known, foreign={name: found for name, found in known.foreign.items() if name not in gone})


def objection_to_packages(files: Stages, known: RecordedStages) -> Objection | None:
    """Why results belong to another environment, if nothing else has changed."""
    for name, stage in files.items():
        locked = known.stages.get(name)
        if locked is None or stage.inputs == locked.inputs:
            continue
        if replace(stage.inputs, packages={}) == replace(locked.inputs, packages={}):
            before, now = locked.inputs.packages, stage.inputs.packages
            parts = [
                f"{package} {before.get(package, 'as locked')}, here {now.get(package, 'as locked')}"
                for package in sorted({**before, **now})
                if before.get(package) != now.get(package)
            ]
            remedy = "install those versions (`make clean run` installs the locked ones), or run `dvc repro --force`"
            return Objection(f"{name}: made with {', '.join(parts)}", remedy)
    return None


def provenance_of(name: str, stage: Stage) -> Provenance:
    """The provenance of a stage that ran with these inputs and wrote these results."""
    inputs = stage.inputs
    return Provenance(
        command=inputs.command,
        dependencies=inputs.dependencies,
        parameters=as_dvc_compares(inputs.parameters),
        packages=inputs.packages,
        results={path: md5 for path, md5 in stage.results.items() if path != provenance.path_of(name)},
    )


def leave_provenance(root: Path, name: str, inputs: StageInputs) -> None:
    """Write the provenance of a stage that has just ended, if dvc.yaml declares that file."""
    path = provenance.path_of(name)
    paths = declared_results(root, name)
    if path in paths:
        made = {result: md5_of(root / result) for result in paths if result != path}
        left = replace(provenance_of(name, Stage(inputs, made)), platform=platform_name())
        write_text(root / path, left.as_text())


def known_md5s(root: Path) -> frozenset[str]:
    """md5 of every result in a folder that dvc.lock or a provenance file records.

    dvc.lock alone is not enough: a stage reads results of an earlier one before DVC has recorded them.
    """
    if not (root / PIPELINE_FILE).exists():
        return frozenset()
    known = recorded_stages_of_workspace(root)
    own = [stage for name, stage in known.stages.items() if name not in known.foreign]
    locked = {md5 for stage in own for md5 in stage.results.values() if md5}
    for name, entry in declared_stages(root).items():
        left = provenance.results_in(content_of(root / provenance.path_of(name)))
        locked.update(md5 for path, md5 in left.items() if path in results_of(entry))
    return frozenset(locked)


def results_are_vouched_for(root: Path, name: str, paths: Iterable[str]) -> bool:
    """Whether results of a stage are those that dvc.lock records for its present inputs; no other file is opened."""
    known = recorded_stages_of_workspace(root)
    locked = known.stages.get(name)
    if locked is None or known.objection(name) or locked.inputs != inputs_from_files(root, name):
        return False
    return all(locked.results.get(path) == md5_of(root / path) is not None for path in paths)


def require_own_results(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Check that results in the workspace belong to the inputs in dvc.lock; return their md5 by path.

    Raises:
        ForeignResultsError: they belong to other inputs.
        ChurnError: a result or a provenance file is missing.
    """
    known = recorded_stages_of_workspace(root)
    maker = {path: name for name, stage in known.stages.items() for path in stage.results}
    found: dict[str, str] = {}
    for path in paths:
        if path not in maker:
            raise ForeignResultsError(f"{path}: not recorded in {LOCK_FILE}; run `dvc repro`")
        name = maker[path]
        locked = known.stages[name].results
        for needed in (path, *(provenance.path_of(one) for one in (name, *makers_of(known.stages, name)))):
            if needed in maker and not (root / needed).is_file():
                raise ChurnError(f"{needed}: {_why_missing(root, needed, locked.get(needed))}")
        if objection := known.objection(name):
            raise ForeignResultsError(f"{path}: {objection}")
        found[path] = str(md5_of(root / path))
        if found[path] != locked[path]:
            raise ForeignResultsError(
                f"{path}: not the file that {LOCK_FILE} records (md5 {found[path]} instead of {locked[path]}), "
                "so it is not used; run `dvc checkout` or `dvc repro`"
            )
    return found


def is_kept_in_git(path: str) -> bool:
    """Whether git keeps a result, and DVC's cache does not."""
    return path.startswith(f"{METRICS}/")


def _why_missing(root: Path, path: str, md5: str | None) -> str:
    if is_kept_in_git(path) or md5 is None:
        return FROM_GIT
    return f"recorded in {LOCK_FILE}, but not here; {remedy_for_absent(root, [md5])}"
