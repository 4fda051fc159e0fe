"""Whether the champion of the ledger is the one that users load from MLflow."""

from collections.abc import Iterator

from churn.tracking.ledger import CHAMPION, Entry, absence, reigns
from churn.tracking.record import LOGGED
from churn.tracking.store.model_file import MODEL_FILES
from churn.tracking.store.registry import Registry
from churn.tracking.store.rows import Store


def faults_of_champion(store: Store) -> Iterator[str]:
    """Why users cannot load the champion, each with what mends it; nothing before there is one.

    Raises:
        StoreError: the store refuses, or is unavailable.
    """
    ledger = store.experiment(store.destination.promotions)
    if ledger is None:
        return
    registry = Registry(store, str(ledger.experiment_id))
    chain = reigns(registry.entries())
    stands = registry.at(CHAMPION)
    if stands is None and chain:
        yield f"no version is @champion: {_reason(registry, chain[-1])}"
    version = registry.version(stands) if stands else None
    # A model of another origin lies where its maker put it.
    if version and LOGGED.fullmatch(str(version.source)) and not store.files_of_version(version) >= MODEL_FILES:
        yield (
            f"files of {registry.name} version {stands}, the champion, are missing in MLflow; `churn sync --all` "
            "restores files of states that this project has"
        )


def _reason(registry: Registry, champion: Entry) -> str:
    if registry.number_of(champion) is None:
        return absence(registry.name, champion.judgement)
    return f"the alias was removed in MLflow; `churn promote {champion.judgement.fingerprint}` sets it again"
