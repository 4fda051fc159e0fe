"""Batch scoring: a table of any length, read by its contract and judged by the decision, in bounded memory."""

import hashlib
import io
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from sklearn.model_selection import FixedThresholdClassifier

from churn import artifacts, business, cleaning, decision, features, schema
from churn.batches import Batch, read_batches
from churn.business import Economics
from churn.contract import TableContract
from churn.errors import ChurnError, DataError
from churn.tracking import state

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """Customers by what became of them."""

    scored: int
    to_contact: int
    rejected: int


def load_decision(root: Path, other: Path | None) -> FixedThresholdClassifier:
    """The pipeline's decision, unpickled only when its bytes are those of dvc.lock; or another one, with a warning.

    Raises:
        ChurnError: there is no such file, its bytes are others, or it holds no decision.
    """
    path = root / artifacts.MODEL if other is None else other
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ChurnError(
            f"{path}: {error.strerror}; run `dvc repro` or `dvc checkout`, or name one by --model"
        ) from None
    if other is None:
        _require_locked(root, content)
    else:
        log.warning("%s: not checked against dvc.lock; a pickle runs code: only load files that you trust", other)
    model = joblib.load(io.BytesIO(content))
    if not isinstance(model, FixedThresholdClassifier):
        raise ChurnError(f"{path}: holds a {type(model).__name__}, not the decision that this pipeline writes")
    return model


def _require_locked(root: Path, content: bytes) -> None:
    results = [stage.results for stage in state.stages_from_lock(state.read_lock(root)).values()]
    expected = {md5 for by_path in results for path, md5 in by_path.items() if path == str(artifacts.MODEL)}
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found not in expected:
        wanted = " or ".join(map(str, expected)) or "none"
        raise ChurnError(
            f"{artifacts.MODEL}: md5 {found}, but dvc.lock says {wanted}, so it is not unpickled; "
            "run `dvc repro` or `dvc checkout`, or name it by --model if you trust it"
        )


def score_table(
    model: FixedThresholdClassifier,
    table: Path,
    output: Path,
    rejects: Path,
    contract: TableContract,
    economics: Economics,
    *,
    stop_at_fault: bool,
    on_progress: Callable[[float], None],
) -> Counts:
    """Write one row a customer to `output` (CSV or Parquet), in the order of the table; what is refused to `rejects`.

    Both files take their places only when the whole table is done.

    Raises:
        DataError: the table cannot be read, lacks a column, or has a row to be rejected and `stop_at_fault` is set.
    """
    _require_paths(table, output, rejects)
    _require_columns(model, contract)
    scored = contacted = rejected = 0
    with ExitStack() as stack:
        predictions = stack.enter_context(_TableWriter(output))
        refused = stack.enter_context(_TableWriter(rejects))
        for batch in read_batches(table, contract):
            rows, reasons = schema.parse_customers(batch.texts, contract)
            broken = reasons != ""
            if stop_at_fault and (broken.any() or batch.ragged):
                raise DataError(f"{table}: {_first_fault(batch, reasons)}; mend it, or --on-error reject sets it aside")
            refused.write(_rejected(batch, reasons[broken]))
            result = _judged(model, rows[~broken], batch.numbers[~broken.to_numpy()], contract, economics)
            predictions.write(result)
            scored += len(result)
            contacted += int(result["contact"].sum())
            rejected += int(broken.sum()) + len(batch.ragged)
            on_progress(batch.done)
    return Counts(scored, contacted, rejected)


def _require_paths(table: Path, output: Path, rejects: Path) -> None:
    if len({path.resolve() for path in (table, output, rejects)}) < 3:
        raise ChurnError(f"{output}: table, output and rejects must be three files; name another output")
    for path in (output, rejects):
        if path.suffix not in WRITERS:
            raise ChurnError(f"{path}: cannot be written; end its name in {' or '.join(WRITERS)}")


def _require_columns(model: FixedThresholdClassifier, contract: TableContract) -> None:
    types = features.column_types(decision.pipeline_of(model).named_steps["encoders"])
    other = [
        name for name, kind in types.items() if name not in contract.columns or contract.columns[name].type != kind
    ]
    if other:
        raise ChurnError(
            f"params.yaml: data.columns: the model was fitted with {other[0]!r} as {types[other[0]]}; "
            "restore the contract it was fitted with, or run `dvc repro`"
        )


def _judged(
    model: FixedThresholdClassifier, rows: pd.DataFrame, numbers: Any, contract: TableContract, economics: Economics
) -> pd.DataFrame:
    identifiers = {} if contract.id is None else {contract.id: rows[contract.id].tolist()}
    probability = decision.churn_probability(model, rows) if len(rows) else pd.Series(dtype="float64").to_numpy()
    return pd.DataFrame(
        {
            "data_row": numbers,
            **identifiers,
            "row_key": cleaning.row_keys(rows, contract),
            "probability": probability,
            # What `predict` of the decision says, without scoring a second time.
            "contact": (probability >= model.threshold).astype("int64"),
            "expected_profit_of_contact_eur": business.expected_gain(probability, economics),
        }
    ).astype({"data_row": "int64", "row_key": "str"})


def _rejected(batch: Batch, reasons: pd.Series) -> pd.DataFrame:
    numbers = [*batch.ragged, *(int(batch.numbers[position]) for position in reasons.index)]
    told = [*batch.ragged.values(), *reasons]
    return pd.DataFrame({"data_row": numbers, "reason": told}).astype({"data_row": "int64", "reason": "str"})


def _first_fault(batch: Batch, reasons: pd.Series) -> str:
    faults = _rejected(batch, reasons[reasons != ""]).sort_values("data_row", kind="stable")
    return f"data row {faults['data_row'].iloc[0]:,}: {faults['reason'].iloc[0]}"


PLAIN = pyarrow.csv.WriteOptions(quoting_style="needed")

WRITERS: dict[str, Callable[[Path, pa.Schema], Any]] = {
    ".csv": lambda path, schema: pyarrow.csv.CSVWriter(path, schema, write_options=PLAIN),
    ".parquet": lambda path, schema: pyarrow.parquet.ParquetWriter(path, schema),
}
"""Maker of the writer for each ending of a file's name."""


class _TableWriter(ExitStack):
    """A table written batch by batch, beside its place until it is whole."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._draft = self.enter_context(artifacts.replacing(path))
        self._suffix = path.suffix
        self._writer: Any = None

    def write(self, rows: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(rows, preserve_index=False)
        if self._writer is None:
            self._writer = self.enter_context(WRITERS[self._suffix](self._draft, table.schema))
        self._writer.write_table(table)
