"""A study's trials as plain values, and their way to MLflow, which is brought up to date after each search."""

import importlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from churn.runtime import environment
from churn.tracking.destination import PATIENCE, PATIENT_SETTINGS, StoreError, find_destination, refusal


@dataclass(frozen=True)
class Selection:
    """That the challenger was tried in a search by the very customers who judge it now.

    Attributes:
        flattery: how much more the best of the trials seems to earn for that reason, per 1,000 customers (see
            `metrics/selection_bias`): for another one of them it is too much, not too little.
    """

    trials: int
    flattery: float


VIEW = "churn.tracking.store.trials"
CHOSEN_BY = "tuning.training_rows"
"""Tag of a study: sketch of the rows that it chose by."""
FLATTERY = "flattery_per_1000"
FORMER_FLATTERY = "flattery_per_1000_eur"
"""Metric of a study: how much more its best seems to earn than it does, as it was chosen by the same customers."""


@dataclass(frozen=True)
class TrialRow:
    """One trial as MLflow shows it."""

    number: int
    candidate: str
    """Digest of what was tried."""
    state: str
    failed: bool
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    folds: Mapping[int, float]
    """What each judged fold was worth."""
    reason: str | None
    started: float
    ended: float


@dataclass(frozen=True)
class StudyRow:
    """A study and its trials."""

    key: str
    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    trials: tuple[TrialRow, ...]


def warm_up(root: Path) -> None:
    """Load MLflow beside the search, which takes seconds, unless its server is away."""
    if not refusal(find_destination(root)):
        threading.Thread(target=_import_view, daemon=True).start()


def show(root: Path, study: StudyRow) -> str | None:
    """Add to MLflow what it does not show of a study yet; why that was not possible, or None."""
    destination = find_destination(root)
    refused = refusal(destination, PATIENCE)
    if refused:
        return f"{destination.address}: {refused}"
    try:
        with environment(PATIENT_SETTINGS, unless_given=True):
            importlib.import_module(VIEW).publish(destination, study)
    except (StoreError, OSError) as error:
        return f"{destination.address}: {error}"
    return None


def _import_view() -> None:
    with environment(PATIENT_SETTINGS, unless_given=True):  # some of which MLflow reads when it is imported
        importlib.import_module(VIEW)
