"""Which model is the champion: the ledger says so, and the alias is brought to agree with it."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from churn.commands.promote.challenger import NamedVersion, named_version
from churn.errors import ChurnError
from churn.tracking import ledger
from churn.tracking.ledger import CHAMPION, Entry, Judgement

if TYPE_CHECKING:
    from churn.tracking.store.registry import Registry

log = logging.getLogger(__name__)


def present_champion(registry: "Registry", entries: Sequence[Entry]) -> Entry | None:
    """Ledger entry of the present champion; completes an interrupted promotion, and records an alias moved by hand."""
    chain = ledger.reigns(entries)
    head = chain[-1] if chain else None
    if head is not None and head.settled is None and registry.number_of(head) is not None:
        return _settle_last(registry)[-1]
    stands = registry.at(CHAMPION)
    if stands is None or (head is not None and registry.is_of(head, stands)):
        return head
    log.warning("@champion was moved to version %s directly in MLflow", stands)
    by_hand = Judgement(
        outcome=ledger.BY_HAND,
        version=stands,
        follows="" if head is None else head.id,
        fingerprint=registry.fingerprint_of(stands),
        model=registry.identity_of(stands),
    )
    return take_over(registry, registry.add(by_hand, {}, "moved directly in MLflow"))


def take_over(registry: "Registry", entry: Entry) -> Entry:
    """Move the alias, unless another entry came first.

    Raises:
        ChurnError: another entry came first.
    """
    registry.claim(entry)
    chain = _settle_last(registry)
    if entry.id not in {one.id for one in chain}:
        registry.give_way(entry)
        first = version_of(registry, chain[-1])
        raise ChurnError(
            f"another promotion came first: {first} is @champion now; run this again to be evaluated against it"
        )
    return chain[-1]


def _settle_last(registry: "Registry") -> list[Entry]:
    """Move the alias to the last champion; repeat if another one was added meanwhile. Return all champions."""
    last = ledger.reigns(registry.entries())[-1]
    while True:
        registry.settle(last)
        chain = ledger.reigns(registry.entries())
        if chain[-1].id == last.id:
            return chain
        last = chain[-1]


def version_of(registry: "Registry", entry: Entry) -> NamedVersion:
    """The version that an entry is about; without its commit if MLflow does not have it any more."""
    number = registry.number_of(entry)
    return named_version(registry, number) if number else NamedVersion(registry.name, entry.judgement.version, "")
