"""The model that a look or an outcome is about, with everything that its state recorded for monitoring."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from churn import files
from churn.config.contract import TableContract
from churn.config.economics import Economics
from churn.config.shapes import Slices, Threshold, parse_json
from churn.errors import DataError
from churn.history.predictions.of_states import (
    WORKSPACE,
    answering_state,
    content_of,
    economics_of,
    recorded_contract,
    section_of,
    state_named,
)
from churn.history.snapshot import Snapshot
from churn.model.reference import CHURNED, PROBABILITY, Reference


@dataclass(frozen=True)
class MonitoredModel:
    """A state as monitoring sees it.

    Attributes:
        threshold: probability from which it contacts a customer.
        committed: when the state was committed, in seconds since 1970; None if it is not.
        rows: kept training rows, with their out-of-fold probabilities and outcomes.
    """

    fingerprint: str
    commit: str
    committed: float | None
    contract: TableContract
    economics: Economics
    threshold: float
    slices: tuple[str, ...]
    reference: Reference
    rows: pd.DataFrame

    @property
    def types(self) -> dict[str, str]:
        """Type of each column of a customer."""
        return {name: column.type for name, column in self.contract.columns.items()}


def model_of_workspace(root: Path) -> MonitoredModel:
    """The model of this folder.

    Raises:
        ChurnError: its results are missing or belong to other inputs.
    """
    return _monitored(state_named(root, WORKSPACE), WORKSPACE)


def model_of_fingerprint(root: Path, fingerprint: str) -> MonitoredModel:
    """The model that gave an answer, of this folder or of a commit.

    Raises:
        ChurnError: no state here has the fingerprint, or its files are missing.
    """
    return _monitored(answering_state(root, fingerprint), fingerprint)


def threshold_in(metrics: bytes) -> float:
    """Threshold of a model by the content of its metrics/train.json."""
    return float(parse_json(metrics, files.TRAIN_METRICS, Threshold, files.RESTORE)["threshold"])


def _monitored(state: Snapshot, name: str) -> MonitoredModel:
    contract = recorded_contract(state.stages, name)
    try:
        reference = Reference.model_validate_json(content_of(state, name, files.REFERENCE))
    except ValidationError as error:
        raise DataError(f"{name}: {files.REFERENCE}: not in today's format ({error.error_count()} faults)") from None
    types = {name: column.type for name, column in contract.columns.items()}
    numbers = {PROBABILITY: "numeric", CHURNED: "numeric"}
    return MonitoredModel(
        fingerprint=state.fingerprint,
        commit=state.commit or "",
        committed=state.change.when if state.change else None,
        contract=contract,
        economics=economics_of(state, name),
        threshold=threshold_in(content_of(state, name, files.TRAIN_METRICS)),
        slices=_slices(state, name, contract),
        reference=reference,
        rows=files.rows_in(
            content_of(state, name, files.REFERENCE_ROWS), f"{name}: {files.REFERENCE_ROWS}", types | numbers
        ),
    )


def _slices(state: Snapshot, name: str, contract: TableContract) -> tuple[str, ...]:
    slices: list[str] = section_of(state, name, "evaluate", Slices)["slices"]
    for one in slices:
        if one not in contract.columns:
            raise DataError(f"{name}: evaluate.slices: no column {one!r} in data.columns, so it cannot be evaluated")
    return tuple(slices)
