"""All names of a state of the pipeline, and the commands that restore it."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from churn.history import snapshot
from churn.history.committed import find_strays
from churn.history.dvc import experiments
from churn.history.snapshot import Snapshot
from churn.history.state import UnidentifiedError
from churn.report.origin import Origin


@dataclass(frozen=True)
class Lineage:
    """A state of the pipeline, with all its names."""

    fingerprint: str
    commits: tuple[str, ...]
    """The commit that was asked for, if any, then those whose dvc.lock first recorded it."""
    experiments: tuple[str, ...]
    """Names of DVC experiments that exist."""
    in_workspace: bool
    model_md5: str | None
    data_md5: str | None
    runs: tuple[str, ...]
    """Ids of MLflow runs."""
    versions: tuple[str, ...]
    """Registered models, as name/version."""
    verdicts: tuple[str, ...]
    """The last decision about each of them."""
    absent: tuple[str, ...]
    """Commits and experiments that MLflow names, and that are not in this clone, or not any more."""
    unknown: tuple[str, ...]
    """What could not be looked up, and why."""
    commands: tuple[str, ...]
    """Commands that restore the state; none if no commit or experiment here contains it."""

    def as_json(self) -> dict[str, Any]:
        """All attributes."""
        return asdict(self)

    def as_text(self) -> str:
        """Text for the terminal, one line for each name."""
        entries = {
            "fingerprint": [self.fingerprint],
            "commit": self.commits,
            "DVC experiment": self.experiments,
            "model md5": filter(None, [self.model_md5]),
            "data md5": filter(None, [self.data_md5]),
            "MLflow run": self.runs,
            "registered as": self.versions,
            "last verdict": self.verdicts,
            "not here": self.absent,
            "not known": self.unknown,
        }
        lines = [f"{name:15} {' '.join(value.splitlines())}" for name, values in entries.items() for value in values]
        return "\n".join([*lines, *self._way_back()])

    def _way_back(self) -> Iterator[str]:
        if self.in_workspace:
            yield "It is the state of this folder."
        if self.commands:
            yield "To restore it (add `dvc pull` or `dvc repro` if the cache lacks something):"
            yield from (f"  {command}" for command in self.commands)
        elif not self.in_workspace:
            yield "No commit or DVC experiment here contains it; its parameters are in params.yaml of the MLflow run."


def holds_its_inputs(root: Path, one: Snapshot) -> bool:
    """Whether the commit of a state holds the inputs that the results were computed from."""
    if one.commit is None or one.is_edited:
        return False
    try:
        return not find_strays(root, one.commit, one.stages, one.results).inputs
    except UnidentifiedError:
        return False


def commands_to_restore(root: Path, one: Snapshot | None) -> tuple[str, ...]:
    """Commands that restore a state of a commit or DVC experiment; none without one."""
    if one is None:
        return ()
    if one.experiment is None:
        return (f"git checkout {one.commit}", "dvc checkout")
    is_only_one = sum(one.experiment in names for names in experiments(root).values()) == 1
    return (f"dvc exp apply {shlex.quote(one.experiment) if is_only_one else one.commit}",)


def origin_of(root: Path, fingerprint: str) -> Origin:
    """Commit of a state and the commands that restore it, from git alone; MLflow is not queried."""
    here = snapshot.state_of_revision(root, "HEAD")
    every = (one for one in (here, *snapshot.states_in_git(root)) if one and one.fingerprint == fingerprint)
    one = next((one for one in every if holds_its_inputs(root, one)), None)
    commit = one.commit if one and one.experiment is None else None
    return Origin(fingerprint, commit, commands_to_restore(root, one))


def without_repeats(values: Iterable[str | None]) -> tuple[str, ...]:
    """Distinct values in order, without empty ones."""
    return tuple(dict.fromkeys(value for value in values if value))
