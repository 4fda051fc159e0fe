"""Whether results belong to the inputs that a dvc.lock names, by the provenance that each stage left beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from churn.errors import ChurnError
from churn.files import md5_of_bytes, write_text
from churn.history import provenance
from churn.history.provenance import Provenance
from churn.history.state import (
    LOCK_FILE,
    PIPELINE_FILE,
    Content,
    Stage,
    StageInputs,
    Stages,
    as_dvc_compares,
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

MOST_DIFFERENCES = 3
"""That a message lists."""


class ForeignResultsError(ChurnError):
    """Results belong to other inputs than they are said to."""


BACK = "`dvc checkout`, `dvc pull` or `dvc repro` brings it back"
FORCED = "`dvc repro --force` makes them anew"


@dataclass(frozen=True)
class Objection:
    """Why results are not those of their inputs, and what helps in the workspace."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        """Both, in a line."""
        return f"{self.reason}; {self.remedy}"


@dataclass(frozen=True)
class RecordedStages:
    """What a dvc.lock records, and where what the stages left says otherwise."""

    stages: Stages
    foreign: Mapping[str, tuple[str, ...]]
    """Differences by name of each stage whose results were made from other inputs than dvc.lock says."""

    def objection(self, name: str) -> Objection | None:
        """Why results of a stage, or of one that it reads from, are not those of their inputs; None where they are."""
        made = {path: (maker, md5) for maker, stage in self.stages.items() for path, md5 in stage.results.items()}
        for stage in (name, *makers_of(self.stages, name)):
            if stage in self.foreign:
                more = "; and more" if len(self.foreign[stage]) > MOST_DIFFERENCES else ""
                listed = "; ".join(self.foreign[stage][:MOST_DIFFERENCES]) + more
                return Objection(f"{stage}: its results are not those of what {LOCK_FILE} names ({listed})", FORCED)
            for path, md5 in self.stages[stage].inputs.dependencies.items():
                maker, latest = made.get(path, ("", md5))
                if latest != md5:
                    return Objection(f"{maker} ran after {stage}, which read another {path}", "run `dvc repro`")
        return None


def recorded_stages(lock: Mapping[str, Any], read: Content, declared: Mapping[str, Any]) -> RecordedStages:
    """The stages of a dvc.yaml (`declared`) as a dvc.lock recorded them, held against the provenance that each left.

    A stage that is given no provenance, as before there was any, is taken at the lock's word.
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
            foreign[name] = (f"{path} is of another run",)
        elif found := provenance.differences(content, provenance_of(name, stages[name])):
            foreign[name] = tuple(found)
    return RecordedStages(stages, foreign)


def recorded_stages_of_workspace(root: Path) -> RecordedStages:
    """What the dvc.lock of a folder records, and what the stages left there.

    A stage that left nothing has not ended since DVC removed its results; none of them counts, but none is foreign.
    """
    known = recorded_stages(read_lock(root), lambda path: content_of(root / path), declared_stages(root))
    gone = {name for name in known.foreign if not (root / provenance.path_of(name)).exists()}
    return replace(known, foreign={name: found for name, found in known.foreign.items() if name not in gone})


def objection_to_packages(files: Stages, known: RecordedStages) -> Objection | None:
    """Why results are of another environment than the one here, where nothing else has changed."""
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
            remedy = "install what it was made with (`make clean run` gives the locked ones), or `dvc repro --force`"
            return Objection(f"{name}: made with {', '.join(parts)}", remedy)
    return None


def provenance_of(name: str, stage: Stage) -> Provenance:
    """What the stage leaves when it has run with these inputs and made these results."""
    inputs = stage.inputs
    return Provenance(
        command=inputs.command,
        dependencies=inputs.dependencies,
        parameters=as_dvc_compares(inputs.parameters),
        packages=inputs.packages,
        results={path: md5 for path, md5 in stage.results.items() if path != provenance.path_of(name)},
    )


def leave_provenance(root: Path, name: str, inputs: StageInputs) -> None:
    """Write down what a stage that has just ended was given, beside what it made, if its dvc.yaml declares that."""
    path = provenance.path_of(name)
    paths = declared_results(root, name)
    if path in paths:
        made = {result: md5_of(root / result) for result in paths if result != path}
        write_text(root / path, provenance_of(name, Stage(inputs, made)).as_text())


def known_md5s(root: Path) -> frozenset[str]:
    """md5 of every result in a folder that dvc.lock records, or that a stage there has just written.

    A stage reads what an earlier one wrote before DVC, or without it, has it in dvc.lock.
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
    """Whether some results of a stage are those that dvc.lock recorded for its inputs now; no other one is opened."""
    known = recorded_stages_of_workspace(root)
    locked = known.stages.get(name)
    if locked is None or known.objection(name) or locked.inputs != inputs_from_files(root, name):
        return False
    return all(locked.results.get(path) == md5_of(root / path) is not None for path in paths)


def require_own_results(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """See that results in the workspace are those that dvc.lock names, and were made from what it names; their md5.

    Raises:
        ForeignResultsError: they belong to other inputs.
        ChurnError: they, or what says where they belong, are not here.
    """
    known = recorded_stages_of_workspace(root)
    maker = {path: name for name, stage in known.stages.items() for path in stage.results}
    found: dict[str, str] = {}
    for path in paths:
        if path not in maker:
            raise ForeignResultsError(f"{path}: {LOCK_FILE} does not name it; run `dvc repro`")
        name = maker[path]
        locked = known.stages[name].results
        for needed in (path, *(provenance.path_of(one) for one in (name, *makers_of(known.stages, name)))):
            if needed in maker and not (root / needed).is_file():
                raise ChurnError(f"{needed}: not here; {'`git checkout metrics`, ' if needed != path else ''}{BACK}")
        if objection := known.objection(name):
            raise ForeignResultsError(f"{path}: {objection}")
        found[path] = str(md5_of(root / path))
        if found[path] != locked[path]:
            raise ForeignResultsError(
                f"{path}: not the file that {LOCK_FILE} names (md5 {found[path]}, but dvc.lock says {locked[path]}), "
                "so it is not used; `dvc checkout` or `dvc repro` brings that one"
            )
    return found
