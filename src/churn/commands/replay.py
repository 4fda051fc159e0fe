"""`churn replay`: score a logged request again, with the model that answered it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from churn import files
from churn.errors import ChurnError, DataError
from churn.history.predictions.log import OF_CUSTOMER, read_predictions
from churn.history.predictions.of_states import answering_state, content_of, recorded_contract
from churn.history.snapshot import Snapshot
from churn.history.vouching import require_vouched
from churn.model.decision import churn_probability, pipeline_of
from churn.model.encoding import column_types


@dataclass(frozen=True)
class ReplayedCustomer:
    """A customer of a request: the logged probability, and the one that the model gives now."""

    position: int
    logged: float
    replayed: float
    is_same: bool


@dataclass(frozen=True)
class Replay:
    """A request that was scored again. The JSON has the attributes as keys."""

    request_id: str
    fingerprint: str
    commit: str | None
    customers: tuple[ReplayedCustomer, ...]

    @property
    def is_same(self) -> bool:
        """Whether all bits are the same."""
        return all(one.is_same for one in self.customers)

    def as_json(self) -> str:
        """JSON of all attributes, with every digit."""
        return json.dumps({**asdict(self), "is_same": self.is_same}, indent=2)

    def as_text(self) -> str:
        """A line for each customer."""
        lines = [f"request {self.request_id}, state {self.fingerprint}"]
        for one in self.customers:
            verdict = "the same bits" if one.is_same else f"now {one.replayed!r}"
            lines.append(f"customer {one.position}: {one.logged!r}, {verdict}")
        return "\n".join(lines)


def replay(root: Path, log: Path, request_id: str) -> Replay:
    """Score a logged request again.

    Raises:
        ChurnError: it was not logged, or without the customers' columns, or its model is not available.
    """
    logged = read_predictions(log, request_id).sort_values("position")
    if logged.empty:
        raise ChurnError(f"{request_id}: not in the log {log}; --log names another folder")
    fingerprint = str(logged["fingerprint"].iloc[0])
    state = answering_state(root, fingerprint)
    contract = recorded_contract(state.stages, fingerprint)
    columns = [f"{OF_CUSTOMER}{name}" for name in contract.columns]
    if not set(columns) <= set(logged.columns) or logged[columns].isna().all(axis=None):
        advice = "`churn serve --log-features all` logs them"
        raise ChurnError(f"{request_id}: logged without the customers' columns; {advice}")
    require_vouched(root, state, [])
    model = files.unpickle(content_of(state, fingerprint, files.MODEL), fingerprint, _md5s(state))
    types = column_types(pipeline_of(model).named_steps["encoders"])
    try:
        probability = churn_probability(model, _rows(logged, types))
    except (ValueError, TypeError) as error:  # a column that the service did not write so
        raise DataError(f"{log}: {request_id}: not scored again: {' '.join(str(error).split())}") from None
    before = logged["probability"].to_numpy(dtype=np.float64)
    same = probability.view(np.int64) == before.view(np.int64)
    values = zip(logged["position"].tolist(), before.tolist(), probability.tolist(), same.tolist(), strict=True)
    return Replay(request_id, fingerprint, state.commit, tuple(ReplayedCustomer(*one) for one in values))


def _md5s(state: Snapshot) -> frozenset[str]:
    return frozenset(filter(None, [state.results.get(str(files.MODEL))]))


def _rows(logged: pd.DataFrame, types: dict[str, str]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name, kind in types.items():
        cells = logged[f"{OF_CUSTOMER}{name}"]
        columns[name] = cells.astype("str" if kind == "categorical" else "float64")
    return pd.DataFrame(columns)
