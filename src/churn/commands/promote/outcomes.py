"""What became of a promotion or a rollback: lines for people, and the same facts for programs."""

from dataclasses import asdict, dataclass

from churn import files
from churn.commands.promote.challenger import NamedVersion
from churn.commands.promote.gates import Gate

ALREADY_CHAMPION = "already champion"
"""Outcome beside those of the ledger, which keeps no entry of it."""


@dataclass(frozen=True)
class PromotionOutcome:
    """What became of a promotion. The JSON has the attributes as keys, but for `lines`.

    Attributes:
        promoted: whether the challenger is champion now.
        lines: for people.
        outcome: promoted, forced, refused, or already champion.
        version: number of the challenger in the registry.
        fingerprint: of its state.
        challenger: model, version and commit.
        champion: the same of the champion that it was judged against; None where there was none.
        gates: name, passed, explanation and figures of each, as they were judged.
        reason: given by --reason.
    """

    promoted: bool
    lines: tuple[str, ...]
    outcome: str
    version: str
    fingerprint: str
    challenger: NamedVersion
    champion: NamedVersion | None
    gates: tuple[Gate, ...]
    reason: str

    def as_json(self) -> str:
        """For programs."""
        content = asdict(self)
        del content["lines"]
        return files.json_text(content)


@dataclass(frozen=True)
class RollbackOutcome:
    """What a rollback did. The JSON has the attributes as keys, but for `lines`.

    Attributes:
        lines: for people.
        outcome: rolled back.
        version: number of the champion in the registry.
        fingerprint: of its state.
        champion: model, version and commit of who is champion again.
        replaced: the same of who was.
        reason: given by --reason.
    """

    lines: tuple[str, ...]
    outcome: str
    version: str
    fingerprint: str
    champion: NamedVersion
    replaced: NamedVersion
    reason: str

    def as_json(self) -> str:
        """For programs."""
        content = asdict(self)
        del content["lines"]
        return files.json_text(content)
