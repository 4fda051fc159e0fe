"""Results of a promotion or a rollback: lines of text, and the same facts as JSON."""

from dataclasses import asdict, dataclass

from churn import files
from churn.commands.promote.challenger import NamedVersion
from churn.commands.promote.gates import Gate

ALREADY_CHAMPION = "already champion"
"""Outcome that has no entry in the ledger, unlike the others."""


@dataclass(frozen=True)
class PromotionOutcome:
    """Result of a promotion. The JSON has the attributes as keys, except `lines`.

    Attributes:
        promoted: whether the challenger is the champion now.
        lines: text for the terminal.
        outcome: promoted, forced, refused, or already champion.
        version: number of the challenger in the registry.
        fingerprint: of its state.
        challenger: its model, version and commit.
        champion: the same of the champion that it was compared with; None if there was none.
        gates: name, passed, explanation and figures of each, in the order of evaluation.
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
        """JSON of all attributes except `lines`."""
        content = asdict(self)
        del content["lines"]
        return files.json_text(content)


@dataclass(frozen=True)
class RollbackOutcome:
    """Result of a rollback. The JSON has the attributes as keys, except `lines`.

    Attributes:
        lines: text for the terminal.
        outcome: rolled back.
        version: number of the champion in the registry.
        fingerprint: of its state.
        champion: model, version and commit of the restored champion.
        replaced: the same of the champion that was rolled back.
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
        """JSON of all attributes except `lines`."""
        content = asdict(self)
        del content["lines"]
        return files.json_text(content)
