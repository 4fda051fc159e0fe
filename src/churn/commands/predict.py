"""`churn predict`: score a table of any length in bounded memory."""

import itertools
import logging
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from sklearn.model_selection import FixedThresholdClassifier

from churn import files
from churn.config.contract import TableContract
from churn.config.economics import Economics
from churn.config.params import Params
from churn.drafts import replacing_outputs
from churn.errors import ChurnError, DataError, excerpt
from churn.history import state
from churn.history.snapshot import require_no_conflict
from churn.history.verify import recorded_stages_of_workspace, require_own_results
from churn.model import decision, encoding
from churn.model.plain.proof import prove
from churn.model.plain.reasons import NoReasonsError, in_words, make_explainer, strongest
from churn.model.scoring import (
    REJECTS,
    Campaign,
    Customers,
    Reasons,
    first_fault,
    name_of_id,
    read_customers,
    require_columns_of_model,
    score_customers,
    to_call_first,
    with_campaign,
)
from churn.runtime import named_file
from churn.service.sources import ProjectFiles, customers_of
from churn.table.reader import read_batches

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredTable:
    """Numbers of scored and rejected customers, and the files with them. The JSON has the attributes as keys.

    Attributes:
        output, rejects: paths of the scores and of the rows set aside.
        to_contact: number of scored customers to be contacted.
    """

    output: Path
    rejects: Path
    scored: int
    to_contact: int
    rejected: int

    def as_json(self) -> str:
        """JSON of all attributes."""
        return files.json_text(asdict(self) | {"output": str(self.output), "rejects": str(self.rejects)})


def load_decision(root: Path, other: Path | None) -> FixedThresholdClassifier:
    """Load the model in dvc.lock, which is unpickled only if its md5 matches, or `other` with a warning.

    Raises:
        ChurnError: the file is missing, has another md5, or contains no model of this pipeline.
    """
    path = root / files.MODEL if other is None else other
    try:
        vouched = _md5s_vouched_for(root) if other is None else _md5_of_trusted_file(other)
        model = files.read_pickle(path, vouched)
    except OSError as error:
        raise ChurnError(
            f"{path}: {error.strerror}; run `dvc repro` or `dvc checkout`, or pass another model with --model"
        ) from None
    if not isinstance(model, FixedThresholdClassifier):
        raise ChurnError(f"{path}: contains a {type(model).__name__}, not a model of this pipeline")
    return model


def make_campaign(
    root: Path, params: Params, scored_on: str | None, holdout: float, other: Path | None, top: int | None = None
) -> Campaign | None:
    """What joins these scores with their outcomes; None if they have no date and no customer is held out.

    Raises:
        ChurnError: the date is none, customers cannot be held out, `other` names a model without a state, or only the
            `top` customers are wanted.
    """
    if top is not None:
        if scored_on is not None or holdout:
            raise ChurnError(
                "--top: without the customers that it leaves out, outcomes tell nothing of the model; leave out "
                "--scored-on and --holdout, or --top"
            )
        return None
    if other is not None:
        if scored_on is not None or holdout:
            raise ChurnError(
                f"--model: {other}: its state is unknown, so its scores could not be joined with outcomes; leave out "
                "--scored-on and --holdout, or score with the model of dvc.lock"
            )
        return None
    if scored_on is not None and pd.isna(pd.to_datetime(scored_on, format="%Y-%m-%d", errors="coerce")):
        raise ChurnError(f"--scored-on: {excerpt(scored_on)} is no date; write it like 2026-05-01")
    column = None if scored_on is not None else params.monitor.date_column
    if holdout and params.data.id is None:
        raise ChurnError(
            "--holdout: params.yaml: data.id: empty; a key made of a customer's columns changes when they do, so the "
            "same customers could not be held out again; name the column that identifies a customer"
        )
    if holdout and scored_on is None and column is None:
        raise ChurnError("--holdout: the scores have no date; give it with --scored-on, or set monitor.date_column")
    if scored_on is None and column is None:
        return None
    # Of the model, which dvc.lock records: params.yaml can have been edited since.
    fingerprint = state.fingerprint(recorded_stages_of_workspace(root).stages)
    return Campaign(fingerprint, scored_on, column, holdout, params.preprocess.split_salt)


def make_reasons(root: Path, model: FixedThresholdClassifier, count: int) -> Reasons:
    """A function that gives the strongest reasons of each row in words.

    Raises:
        ChurnError: this model gives none, or the rows that they compare with are not on this machine.
    """
    proved = prove(model)
    types = encoding.column_types(decision.pipeline_of(model).named_steps["encoders"])
    background = ProjectFiles(root).background(model)
    if not background:
        raise ChurnError(f"--reasons: {files.TRAIN_ROWS}: not here; `dvc pull` or `dvc repro` brings it")
    try:
        if proved.encoder is None:
            raise NoReasonsError(proved.reason)
        explainer = make_explainer(proved.encoder, proved.plain, background)
    except NoReasonsError as error:
        raise ChurnError(f"--reasons: no exact reasons for this model: {error}") from None

    def reasons(rows: pd.DataFrame) -> list[list[str]]:
        told: list[list[str]] = []
        for customer in customers_of(rows[list(types)]):
            found = [in_words(one, types) for one in strongest(explainer.contributions(customer), customer, count)]
            told.append(found + [""] * (count - len(found)))
        return told

    return reasons


def _md5s_vouched_for(root: Path) -> frozenset[str]:
    require_no_conflict(root)
    own = require_own_results(root, [str(files.MODEL)])
    if edited := state.edited_parameters(root):
        log.warning(
            "params.yaml has changed since the model was trained (%s): decisions use the model's threshold, profit "
            "uses the current params.yaml; `dvc repro` updates the model",
            ", ".join(edited),
        )
    return frozenset(own.values())


def _md5_of_trusted_file(other: Path) -> frozenset[str]:
    log.warning("%s: not checked against dvc.lock; a pickle runs code: only load files that you trust", other)
    return frozenset({files.md5(other)})


def score_table(
    model: FixedThresholdClassifier,
    table: Path,
    output: Path,
    rejects: Path,
    contract: TableContract,
    economics: Economics,
    *,
    reasons: Reasons | None = None,
    campaign: Campaign | None = None,
    top: int | None = None,
    stop_at_fault: bool,
    on_progress: Callable[[float], None],
) -> ScoredTable:
    """Write one row for each customer to `output` (CSV or Parquet) in table order, and refused rows to `rejects`.

    Both files replace earlier ones only when the whole table is done. With `top`, only so many of the customers to be
    contacted are written, those with the highest probability first.

    Raises:
        DataError: the table cannot be read, lacks a column, or has a row to be rejected and `stop_at_fault` is set.
    """
    _require_paths(table, output, rejects)
    require_columns_of_model(model, contract)
    if contract.id is not None and name_of_id(contract.id) != contract.id:
        log.warning("%s: the id column %r is named %r there", output, contract.id, name_of_id(contract.id))
    scored = contacted = rejected = 0
    first: pd.DataFrame | None = None
    with _explain_write_faults(output), replacing_outputs(output, rejects) as drafts, ExitStack() as stack:
        predictions = stack.enter_context(_TableWriter(output, drafts[0]))
        refused = stack.enter_context(_TableWriter(rejects, drafts[1]))
        dates = None if campaign is None else campaign.date_column
        for customers in stack.enter_context(closing(_read_one_ahead(_customers_of(table, contract, dates)))):
            if stop_at_fault and len(customers.refused):
                fault = first_fault(customers.refused)
                raise DataError(f"{table}: {fault}; fix it, or use --on-error reject")
            refused.write(customers.refused)
            result = score_customers(model, customers, contract, economics, reasons)
            if campaign is not None:
                result = with_campaign(result, customers, campaign)
            if top is None:
                predictions.write(result)
            else:
                first = to_call_first(result if first is None else pd.concat([first, result]), top)
            scored += len(result)
            contacted += int(result["contact"].sum())
            rejected += len(customers.refused)
            on_progress(customers.done)
        if first is not None:
            predictions.write(first)
    return ScoredTable(output, rejects, scored, contacted, rejected)


def _customers_of(table: Path, contract: TableContract, date_column: str | None) -> Generator[Customers]:
    with closing(read_batches(table, contract)) as batches:
        for batch in batches:
            if date_column is not None and date_column not in batch.texts:
                raise DataError(
                    f"{table}: no column {date_column!r} (monitor.date_column); give the day with --scored-on"
                )
            yield read_customers(batch, contract, date_column)


def _read_one_ahead(read: Generator[Customers]) -> Generator[Customers]:
    """Yield the same batches; a thread reads the next one while the present one is scored, mostly outside Python."""
    with closing(read), ThreadPoolExecutor(max_workers=1) as reader:
        following = reader.submit(next, read, None)
        while (customers := following.result()) is not None:
            following = reader.submit(next, read, None)
            yield customers


def rejects_beside(output: Path) -> Path:
    """Default path of the rejects.

    Raises:
        ChurnError: a file exists there that is not a rejects file.
    """
    if not output.name:
        raise ChurnError(f"{str(output)!r}: names no file; name one such as scores.csv")
    path = output.with_name(f"{output.stem}.rejects.csv")
    if path.is_file() and not files.has_header(path, REJECTS):
        raise ChurnError(
            f"{path}: exists, and is not a rejects file of `churn predict`; pass another one with --rejects"
        )
    return path


def _require_paths(table: Path, output: Path, rejects: Path) -> None:
    for one, other in itertools.combinations((table, output, rejects), 2):
        if _are_one_file(one, other):
            raise ChurnError(f"{output}: table, output and rejects must be three files; name another output")
    for path in (output, rejects):
        if path.suffix not in WRITERS:
            raise ChurnError(f"{path}: cannot be written; end its name in {' or '.join(WRITERS)}")


def _are_one_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file: also through a link, or a name that differs only in case on some file systems."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one).casefold() == os.path.realpath(other).casefold()


def require_not_of_pipeline(root: Path, paths: Iterable[Path]) -> None:
    """Check that no output overwrites a file in dvc.lock: the training table or a result.

    Raises:
        ChurnError: one would.
    """
    stages = state.stages_from_lock(state.read_lock(root)).values()
    of_pipeline = {os.path.realpath(root / name) for one in stages for name in (*one.inputs.dependencies, *one.results)}
    for path in paths:
        if os.path.realpath(path) in of_pipeline:
            raise ChurnError(f"{path}: belongs to the pipeline (dvc.lock); name another output")


PLAIN = pyarrow.csv.WriteOptions(quoting_style="needed")

WRITERS: dict[str, Callable[[Path, pa.Schema], Any]] = {
    ".csv": lambda path, columns: pyarrow.csv.CSVWriter(path, columns, write_options=PLAIN),
    ".parquet": lambda path, columns: pyarrow.parquet.ParquetWriter(path, columns),
}
"""Creates the writer, by file extension."""


class _TableWriter(ExitStack):
    """Writes a table batch by batch."""

    def __init__(self, path: Path, draft: Path) -> None:
        super().__init__()
        self._path, self._draft = path, draft
        self._writer: Any = None

    def write(self, rows: pd.DataFrame) -> None:
        if self._path.suffix == ".csv":
            rows = files.with_inert_cells(rows)
        table = pa.Table.from_pandas(rows, preserve_index=False)
        with _explain_write_faults(self._path):
            if self._writer is None:
                self._writer = self.enter_context(WRITERS[self._path.suffix](self._draft, table.schema))
            self._writer.write_table(table)

    def __exit__(self, *raised: Any) -> bool | None:
        with _explain_write_faults(self._path):  # buffered rows may not fit on the disk
            return super().__exit__(*raised)


@contextmanager
def _explain_write_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ChurnError(
            f"{named_file(error) or path}: cannot be written: {reason}; earlier files are unchanged"
        ) from None
