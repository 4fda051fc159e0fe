"""Who was champion when: a list of judgements that anybody may add to at any time, read in one way only.

There is no lock that all machines share, and no clock. So a judgement that makes a champion names the one that it
followed, and of two that follow the same one that counts which was first written down there, once and for all; the
other has to be judged again, against the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from churn.table.keys import mostly_the_same

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases of registered versions."""
REFUSED, PROMOTED, FORCED, ROLLED_BACK = "refused", "promoted", "forced", "rolled back"
BY_HAND = "by hand"
"""The alias was moved in MLflow itself."""
CAME_SECOND = "came second"
"""Another promotion that followed the same champion came first."""
MAKES_CHAMPION = {PROMOTED, FORCED, ROLLED_BACK, BY_HAND}


@dataclass(frozen=True)
class Judges:
    """Sketches of the rows that judged; empty when none did, and of training rows also in old entries."""

    training: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def overlap(self, other: "Judges") -> bool:
        """Whether training rows, test rows, or all of them together, as after another split, are mostly the same."""
        pairs = [(self.training, other.training), (self.test, other.test)]
        if self.training and other.training:
            pairs.append((self.training + self.test, other.training + other.test))
        return any(mostly_the_same(*pair) for pair in pairs if all(pair))


@dataclass(frozen=True)
class Judgement:
    """What was decided of a registered version.

    Attributes:
        follows: id of the entry that made the champion before; none before the first.
        fingerprint: of the version's state.
        rival: fingerprint of the champion's state at that time.
        judges: the rows that judged.
        reason: why it was forced, or rolled back.
    """

    outcome: str
    version: str
    follows: str
    fingerprint: str
    rival: str = ""
    judges: Judges = Judges()
    reason: str = ""


@dataclass(frozen=True)
class Entry:
    """A judgement in the ledger.

    Attributes:
        made: milliseconds since 1970.
        settled: when the champion's alias was first moved accordingly; None before that.
        followed_by: id of the entry that is written down here as the next champion's; empty before there is one.
    """

    id: str
    made: int
    settled: int | None
    judgement: Judgement
    followed_by: str = ""


def reigns(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that made champions, first to last."""
    by_predecessor: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.judgement.outcome in MAKES_CHAMPION:
            by_predecessor.setdefault(entry.judgement.follows, []).append(entry)
    chain: list[Entry] = []
    while claims := by_predecessor.pop(chain[-1].id if chain else "", None):
        chain.append(_first(claims, chain[-1].followed_by if chain else ""))
    return chain


def _first(claims: Sequence[Entry], written_down: str) -> Entry:
    """The claim that is written down; where none can be, the one that was settled first, then the one made first."""
    named = [entry for entry in claims if entry.id == written_down]
    return min(named or claims, key=lambda entry: (entry.settled is None, entry.settled or 0, entry.made, entry.id))


def before(chain: Sequence[Entry]) -> Entry | None:
    """The reign that a rollback goes back to: the last one that is not rolled back itself."""
    standing: list[Entry] = []
    for entry in chain:
        if entry.judgement.outcome == ROLLED_BACK:
            standing.pop()
        else:
            standing.append(entry)
    return standing[-2] if len(standing) > 1 else None


def attempt_of(entries: Iterable[Entry], fingerprint: str, rival: str, judges: Judges) -> int:
    """How many promotions these rows have judged, with this one; the same one again has its number again.

    The training rows decide and the test rows may contradict, so either of them makes it an attempt at the same rows.
    """
    judged = [
        (entry.judgement.fingerprint, entry.judgement.rival)
        for entry in sorted(entries, key=lambda entry: (entry.made, entry.id))
        if entry.judgement.judges.overlap(judges)
    ]
    return list(dict.fromkeys([*judged, (fingerprint, rival)])).index((fingerprint, rival)) + 1
