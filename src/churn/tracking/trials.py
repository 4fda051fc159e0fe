"""Trials of a study as plain values; they are published to MLflow after each search."""

import importlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from churn.runtime import environment
from churn.tracking.destination import PATIENCE, PATIENT_SETTINGS, StoreError, find_destination, refusal


@dataclass(frozen=True)
class Selection:
    """A search that tried the challenger on the same customers that now evaluate it.

    Attributes:
        flattery: selection bias of the best trial in profit per 1,000 customers (see `metrics/selection_bias`); for
            another trial it is an overestimate, never an underestimate.
    """

    trials: int
    flattery: float


VIEW = "churn.tracking.store.trials"
CHOSEN_BY = "tuning.training_rows"
"""Tag of a study: sketch of the rows used for selection."""
FLATTERY = "flattery_per_1000"
FORMER_FLATTERY = "flattery_per_1000_eur"
"""Metric of a study, present and former name: selection bias of its best trial in profit per 1,000 customers."""


@dataclass(frozen=True)
class TrialRow:
    """One trial as an MLflow run."""

    number: int
    candidate: str
    """Digest of the estimator and its arguments."""
    state: str
    failed: bool
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    folds: Mapping[int, float]
    """Objective value of each evaluated fold."""
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
    """Import MLflow in parallel to the search, unless its server is unavailable; the import takes seconds."""
    if not refusal(find_destination(root)):
        threading.Thread(target=_import_view, daemon=True).start()


def show(root: Path, row: object, view: str = VIEW) -> str | None:
    """Publish what MLflow lacks of a study, or of what another view publishes; return why that failed, or None."""
    destination = find_destination(root)
    refused = refusal(destination, PATIENCE)
    if refused:
        return f"{destination.address}: {refused}"
    try:
        with environment(PATIENT_SETTINGS, unless_given=True):
            importlib.import_module(view).publish(destination, row)
    except (StoreError, OSError) as error:
        return f"{destination.address}: {error}"
    return None


def _import_view() -> None:
    with environment(PATIENT_SETTINGS, unless_given=True):  # MLflow reads some of them on import
        importlib.import_module(VIEW)
