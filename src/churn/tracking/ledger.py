"""The ledger: an append-only list of judgements, from which every machine derives the same sequence of champions.

The machines share neither a lock nor a clock. So a judgement that makes a champion names the entry that it follows. If
two follow the same entry, the one that was recorded there first counts; recording cannot be undone. The other one must
be re-evaluated against the new champion.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from churn.table.keys import mostly_the_same

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases of registered versions."""
OUTCOME, REASON = "promotion.outcome", "promotion.reason"
"""Tags of a ledger entry, and of the version that it is about."""
REFUSED, PROMOTED, FORCED, ROLLED_BACK = "refused", "promoted", "forced", "rolled back"
BY_HAND = "by hand"
"""The alias was moved directly in MLflow."""
CAME_SECOND = "came second"
"""Another promotion against the same champion came first."""
MAKES_CHAMPION = {PROMOTED, FORCED, ROLLED_BACK, BY_HAND}


@dataclass(frozen=True)
class Judges:
    """Sketches of the rows used in an evaluation; empty without one. Old entries have no training rows."""

    training: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def overlap(self, other: "Judges") -> bool:
        """Whether training rows, test rows, or both together (after another split) are mostly the same."""
        pairs = [(self.training, other.training), (self.test, other.test)]
        if self.training and other.training:
            pairs.append((self.training + self.test, other.training + other.test))
        return any(mostly_the_same(*pair) for pair in pairs if all(pair))


@dataclass(frozen=True)
class Judgement:
    """A decision about a registered version.

    Attributes:
        follows: id of the entry that made the previous champion; empty for the first.
        fingerprint: of the version's state.
        model: md5 of its model, or the source of one of another origin. With the fingerprint it says which model is
            meant: MLflow counts versions anew after a registered model was deleted. Empty in old entries.
        rival: fingerprint of the champion's state at that time.
        judges: rows used in the evaluation.
        reason: why the promotion was forced, or rolled back.
    """

    outcome: str
    version: str
    follows: str
    fingerprint: str
    model: str = ""
    rival: str = ""
    judges: Judges = Judges()
    reason: str = ""


@dataclass(frozen=True)
class Entry:
    """A judgement in the ledger.

    Attributes:
        made: milliseconds since 1970.
        settled: when the champion alias was first moved accordingly, in milliseconds since 1970; None before.
        followed_by: id of the entry recorded here as that of the next champion; empty before there is one.
    """

    id: str
    made: int
    settled: int | None
    judgement: Judgement
    followed_by: str = ""


def reigns(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that made champions, in order; after one that `mlflow gc` removed, the next ones still count."""
    known = {entry.id: entry for entry in entries}
    by_predecessor: dict[str, list[Entry]] = {}
    for entry in known.values():
        if entry.judgement.outcome in MAKES_CHAMPION:
            by_predecessor.setdefault(entry.judgement.follows, []).append(entry)
    chain: list[Entry] = []
    for beginning in ("", *_removed(known, by_predecessor)):
        claims = by_predecessor.get(beginning)
        while claims:
            chain.append(_first(claims, chain[-1].followed_by if chain else ""))
            claims = by_predecessor.get(chain[-1].id)
    return chain


def _removed(known: Mapping[str, Entry], by_predecessor: Mapping[str, Sequence[Entry]]) -> list[str]:
    """Ids of removed entries that were followed by a champion, oldest first."""
    gone = by_predecessor.keys() - known.keys() - {""}
    began = {one: [entry.made for entry in by_predecessor[one] if entry.settled is not None] for one in gone}
    return sorted((one for one in gone if began[one]), key=lambda one: min(began[one]))


def _first(claims: Sequence[Entry], written_down: str) -> Entry:
    """The recorded entry; if none is recorded, the one that was settled first, then the one that was made first."""
    named = [entry for entry in claims if entry.id == written_down]
    return min(named or claims, key=lambda entry: (entry.settled is None, entry.settled or 0, entry.made, entry.id))


def before(chain: Sequence[Entry]) -> Entry | None:
    """The entry that a rollback restores: the last champion before the present one that was not rolled back."""
    standing: list[Entry] = []
    for entry in chain:
        back = entry.judgement.outcome == ROLLED_BACK
        if back and standing:
            standing.pop()
        if not back or not standing:  # what it goes back to was removed
            standing.append(entry)
    return standing[-2] if len(standing) > 1 else None


def attempt_of(entries: Iterable[Entry], fingerprint: str, rival: str, judges: Judges) -> int:
    """Number of promotions evaluated on these rows, including this one; repeating one does not increase it.

    Training rows decide and test rows can veto, so reusing either of them counts as an attempt.
    """
    judged = [
        (entry.judgement.fingerprint, entry.judgement.rival)
        for entry in sorted(entries, key=lambda entry: (entry.made, entry.id))
        if entry.judgement.judges.overlap(judges)
    ]
    return list(dict.fromkeys([*judged, (fingerprint, rival)])).index((fingerprint, rival)) + 1


def absence(name: str, judged: Judgement) -> str:
    """Says that MLflow does not have a version any more, and what registers its model again."""
    promoted = f"churn promote {judged.fingerprint} --force --reason TEXT"
    again = f"; `{promoted}` registers and promotes it again" if judged.fingerprint else ""
    return (
        f"{name} version {judged.version}, state {judged.fingerprint or 'unknown'}, was deleted or renamed in MLflow"
        f"{again}"
    )
