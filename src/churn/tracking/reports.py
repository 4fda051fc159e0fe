"""What `churn status` and `churn sync` found and did: lines for people, and the same facts for programs."""

from dataclasses import asdict, dataclass
from enum import StrEnum

from churn import files
from churn.tracking.destination import without_password


class ShownAs(StrEnum):
    """How MLflow shows a state."""

    SHOWN = "shown"
    OTHER_RUN = "other_run"
    """With the figures of another run of it."""
    LACKS_FILES = "lacks_files"
    DELETED = "deleted"
    ABSENT = "absent"


class SyncOutcome(StrEnum):
    """What a sync did for a state."""

    PUBLISHED = "published"
    FOREIGN = "foreign"
    """Its results are not those of its inputs."""
    INCOMPLETE = "incomplete"
    """Not all of its results are here."""
    DELETED = "deleted"
    """Its row was deleted, and not asked for again."""


@dataclass(frozen=True)
class SyncedState:
    """What a sync did for one state, or why it did nothing; one that is shown already has no entry.

    The JSON has the attributes as keys.

    Attributes:
        name: commit or DVC experiment.
        note: for people.
    """

    name: str
    fingerprint: str
    outcome: SyncOutcome
    note: str


@dataclass(frozen=True)
class Unpublished:
    """What of the outbox no store shows. The JSON has the attributes as keys.

    Attributes:
        records: how many wait.
        set_aside: paths of records that could not be read.
    """

    records: int
    set_aside: tuple[str, ...]


@dataclass(frozen=True)
class SyncReport:
    """What was published, and what was not. The JSON has the attributes as keys, but for `lines`.

    Attributes:
        address: of MLflow.
        published: records from the outbox; None when the store is away.
        states: what was done beside the outbox.
        lines: for people.
        faults: what is not as it should be, for people.
    """

    address: str
    published: int | None
    states: tuple[SyncedState, ...]
    unpublished: Unpublished
    lines: tuple[str, ...]
    faults: tuple[str, ...]

    def as_json(self) -> str:
        """For programs."""
        return _json_without_lines(self)


@dataclass(frozen=True)
class StatusReport:
    """Where tracking goes, and what of this folder it shows. The JSON has the attributes as keys, but for `lines`.

    Attributes:
        address: of MLflow.
        fingerprint: of the state of the workspace; None when its files belong to no experiment.
        complete: whether every stage of it has run; None without a fingerprint.
        waiting: records that this store does not show yet; None when it is away.
        shown_as: None when the store is away.
        unpublished: what no store shows.
        lines: for people.
        faults: what is not as it should be, for people.
    """

    address: str
    experiment: str
    fingerprint: str | None
    complete: bool | None
    waiting: int | None
    shown_as: ShownAs | None
    unpublished: Unpublished
    lines: tuple[str, ...]
    faults: tuple[str, ...]

    def as_json(self) -> str:
        """For programs."""
        return _json_without_lines(self)


def _json_without_lines(report: SyncReport | StatusReport) -> str:
    content = asdict(report) | {"faults": [without_password(fault) for fault in report.faults]}
    del content["lines"]
    return files.json_text(content)
