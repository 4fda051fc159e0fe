"""Whether results belong to the inputs that a dvc.lock names, by the provenance that each stage left beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from churn import artifacts
from churn.errors import ChurnError
from churn.tracking import provenance
from churn.tracking.provenance import Provenance
from churn.tracking.state import (
    LOCK_FILE,
    Content,
    Stage,
    StageInputs,
    Stages,
    comparable,
    content_of,
    declared_stages,
    inputs_from_files,
    makers_of,
    md5_of,
    md5_of_bytes,
    read_lock,
    results_declared,
    results_of,
    stages_from_lock,
)

MOST_DIFFERENCES = 3
"""That a message lists."""


class ForeignResultsError(ChurnError):
    """Results belong to other inputs than they are said to."""


@dataclass(frozen=True)
class Recorded:
    """What a dvc.lock records, and where what the stages left says otherwise."""

    stages: Stages
    foreign: Mapping[str, tuple[str, ...]]
    """Differences by name of each stage whose results were made from other inputs than dvc.lock says."""

    def objection(self, name: str) -> str | None:
        """Why results of a stage, or of one that it reads from, are not those of their inputs; None where they are."""
        made = {path: md5 for stage in self.stages.values() for path, md5 in stage.results.items()}
        for one in (name, *makers_of(self.stages, name)):
            if one in self.foreign:
                told = "; ".join(self.foreign[one][:MOST_DIFFERENCES])
                more = "" if len(self.foreign[one]) <= MOST_DIFFERENCES else "; and more"
                return (
                    f"{one}: its results are not those of what {LOCK_FILE} names (made with {told}{more}); "
                    "`dvc repro --force` makes them anew"
                )
            for path, md5 in self.stages[one].inputs.dependencies.items():
                if made.get(path, md5) != md5:
                    return f"{one}: it read another {path} than stands in {LOCK_FILE} now; run `dvc repro`"
        return None


def recorded(lock: Mapping[str, Any], content_of: Content, declared: Mapping[str, Any]) -> Recorded:
    """The stages as dvc.lock recorded them, held against the provenance that each left.

    A stage that the dvc.yaml beside it (`declared`) gives no provenance, as before there was any, is taken at the
    lock's word.
    """
    stages: dict[str, Stage] = {}
    foreign: dict[str, tuple[str, ...]] = {}
    for name, stage in stages_from_lock(lock).items():
        path = provenance.path_of(name)
        if path not in stage.results and path not in results_of(declared.get(name) or {}):
            stages[name] = stage
            continue
        content = content_of(path)
        if content is not None and md5_of_bytes(content) != stage.results.get(path):
            foreign[name] = (f"another {path}",)
        inputs = replace(stage.inputs, packages=provenance.packages_in(content))
        stages[name] = Stage(inputs, stage.results)
        if found := provenance.differences(content, provenance_of(name, stages[name])):
            foreign.setdefault(name, tuple(found))
    return Recorded(stages, foreign)


def recorded_in_workspace(root: Path) -> Recorded:
    """What the dvc.lock of a folder records, and what the stages left there."""
    return recorded(read_lock(root), lambda path: content_of(root / path), declared_stages(root))


def provenance_of(name: str, stage: Stage) -> Provenance:
    """What the stage leaves when it has run with these inputs and made these results."""
    inputs = stage.inputs
    return Provenance(
        command=inputs.command,
        dependencies=inputs.dependencies,
        parameters=comparable(inputs.parameters),
        packages=inputs.packages,
        results={path: md5 for path, md5 in stage.results.items() if path != provenance.path_of(name)},
    )


def leave_provenance(root: Path, name: str, inputs: StageInputs) -> None:
    """Write down what a stage that has just ended was given, beside what it made, if its dvc.yaml declares that."""
    path = provenance.path_of(name)
    paths = results_declared(root, name)
    if path in paths:
        made = {result: md5_of(root / result) for result in paths if result != path}
        artifacts.write_text(root / path, provenance_of(name, Stage(inputs, made)).as_text())


def known_md5s(root: Path) -> frozenset[str]:
    """md5 of every result in a folder that dvc.lock records, or that a stage there has just written.

    A stage reads what an earlier one wrote before DVC, or without it, has it in dvc.lock.
    """
    locked = {md5 for stage in stages_from_lock(read_lock(root)).values() for md5 in stage.results.values() if md5}
    left = map(content_of, (root / provenance.FOLDER).glob("*.json"))
    return frozenset(locked.union(*(provenance.results_in(content).values() for content in left)))


def results_are_vouched_for(root: Path, name: str, paths: Iterable[str]) -> bool:
    """Whether some results of a stage are those that dvc.lock recorded for its inputs now; no other one is opened."""
    known = recorded_in_workspace(root)
    locked = known.stages.get(name)
    if locked is None or known.objection(name) or locked.inputs != inputs_from_files(root, name):
        return False
    return all(locked.results.get(path) == md5_of(root / path) is not None for path in paths)


def require_own_results(root: Path, paths: Iterable[str]) -> None:
    """See that results in the workspace are those that dvc.lock names, and were made from what it names.

    Raises:
        ForeignResultsError: they belong to other inputs.
    """
    known = recorded_in_workspace(root)
    maker = {path: name for name, stage in known.stages.items() for path in stage.results}
    for path in paths:
        if path not in maker:
            raise ForeignResultsError(f"{path}: {LOCK_FILE} does not name it; run `dvc repro`")
        if objection := known.objection(maker[path]):
            raise ForeignResultsError(f"{path}: {objection}")
        found, locked = md5_of(root / path), known.stages[maker[path]].results[path]
        if found is None:
            raise ChurnError(f"{path}: not here; `dvc checkout`, `dvc pull` or `dvc repro` brings it")
        if found != locked:
            raise ForeignResultsError(
                f"{path}: not the file that {LOCK_FILE} names (md5 {found}, but {LOCK_FILE} says {locked}), so it is "
                "not used; `dvc checkout` or `dvc repro` brings that one"
            )
