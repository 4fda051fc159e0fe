"""All names of a state of the pipeline, and the commands that restore it."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.history import snapshot
from churn.report.origin import Origin

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Lineage:
    """A state of the pipeline, with all its names."""

    fingerprint: str
    commits: tuple[str, ...]
    """Commits whose dvc.lock first recorded it."""
    experiments: tuple[str, ...]
    """Names of DVC experiments."""
    in_workspace: bool
    model_md5: str | None
    data_md5: str | None
    runs: tuple[str, ...]
    """Ids of MLflow runs."""
    versions: tuple[str, ...]
    """Registered models, as name/version."""
    verdicts: tuple[str, ...]
    """The last decision about each of them."""
    unknown: tuple[str, ...]
    """What could not be looked up, and why."""

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands that restore the state; none if no commit or experiment contains it."""
        return commands_to_restore(self.commits, self.experiments)

    def as_json(self) -> dict[str, Any]:
        """All attributes and the commands."""
        return asdict(self) | {"commands": self.commands}

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
            yield "No commit or DVC experiment contains it; its parameters are in params.yaml of the MLflow run."


def commands_to_restore(commits: Sequence[str], experiments: Sequence[str]) -> tuple[str, ...]:
    """Commands that restore a state; none if no commit or experiment contains it."""
    if commits:
        return (f"git checkout {commits[0]}", "dvc checkout")
    return (f"dvc exp apply {shlex.quote(experiments[0])}",) if experiments else ()


def origin_of(root: Path, fingerprint: str) -> Origin:
    """Commit of a state and the commands that restore it, from git alone; MLflow is not queried."""
    of_state = [one for one in snapshot.states_in_git(root) if one.fingerprint == fingerprint]
    commits = without_repeats(one.commit for one in of_state if one.experiment is None)
    experiments = without_repeats(one.experiment for one in of_state)
    return Origin(fingerprint, commits[0] if commits else None, commands_to_restore(commits, experiments))


def without_repeats(values: Iterable[str | None]) -> tuple[str, ...]:
    """Distinct values in order, without empty ones."""
    return tuple(dict.fromkeys(value for value in values if value))
