"""Results of `churn status` and `churn sync`: lines of text, and the same facts as JSON."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from churn import files
from churn.runtime import without_secrets


class ShownAs(StrEnum):
    """Whether and how MLflow has a state."""

    SHOWN = "shown"
    OTHER_RUN = "other_run"
    """With the results of another execution."""
    LACKS_FILES = "lacks_files"
    DELETED = "deleted"
    ABSENT = "absent"


class SyncOutcome(StrEnum):
    """What a sync did for one state."""

    PUBLISHED = "published"
    FOREIGN = "foreign"
    """Its results do not belong to its inputs."""
    INCOMPLETE = "incomplete"
    """Some of its results are missing on this machine."""
    DELETED = "deleted"
    """Its MLflow run was deleted, and `--again` was not given."""


@dataclass(frozen=True)
class SyncedState:
    """What a sync did for one state, or why it did nothing; states that were already published are left out.

    The JSON has the attributes as keys.

    Attributes:
        name: commit or DVC experiment.
        note: text for the terminal.
    """

    name: str
    fingerprint: str
    outcome: SyncOutcome
    note: str


@dataclass(frozen=True)
class Unpublished:
    """Records of the outbox that no store has. The JSON has the attributes as keys.

    Attributes:
        records: number of pending records.
        set_aside: paths of records that could not be read.
    """

    records: int
    set_aside: tuple[str, ...]


@dataclass(frozen=True)
class SyncReport:
    """What was published, and what was not. The JSON has the attributes as keys, except `lines`.

    Attributes:
        address: URI of MLflow.
        published: number of records published from the outbox; None if the store is unavailable.
        states: what was done in addition to the outbox.
        pages: address of the runs for a browser; empty if the store is unavailable.
        lines: text for the terminal.
        faults: problems, as text for the terminal.
        obstacle: why the results of this folder cannot be used, and what to do; empty if they can. One of the faults.
    """

    address: str
    published: int | None
    states: tuple[SyncedState, ...]
    unpublished: Unpublished
    pages: str
    lines: tuple[str, ...]
    faults: tuple[str, ...]
    obstacle: str

    def as_json(self) -> str:
        """JSON of all attributes except `lines`."""
        return _json_without_lines(self)


@dataclass(frozen=True)
class StatusReport:
    """Where tracking goes, and whether this state is there. The JSON has the attributes as keys, except `lines`.

    Attributes:
        address: URI of MLflow.
        fingerprint: of the state of the workspace; None if its files identify no experiment.
        complete: whether every stage of it has run; None without a fingerprint.
        waiting: number of records that this store does not have yet; None if it is unavailable.
        shown_as: None if the store is unavailable.
        unpublished: records that no store has.
        pages: address of the runs for a browser; empty if the store is unavailable.
        lines: text for the terminal.
        faults: problems, as text for the terminal.
        obstacle: why the results of this folder cannot be used, and what to do; empty if they can. One of the faults.
    """

    address: str
    experiment: str
    fingerprint: str | None
    complete: bool | None
    waiting: int | None
    shown_as: ShownAs | None
    unpublished: Unpublished
    pages: str
    lines: tuple[str, ...]
    faults: tuple[str, ...]
    obstacle: str

    def as_json(self) -> str:
        """JSON of all attributes except `lines`."""
        return _json_without_lines(self)


def _json_without_lines(report: SyncReport | StatusReport) -> str:
    content = asdict(report) | {"faults": [without_secrets(fault) for fault in report.faults]}
    del content["lines"]
    return files.json_text(content)
