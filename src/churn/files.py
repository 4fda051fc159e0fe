"""Paths of all files of the pipeline, and functions that read and write them.

Files contain no time, host or path, so equal values give equal bytes.
"""

import errno
import hashlib
import io
import json
import math
import os
import pickle
import stat
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from churn.drafts import replacing
from churn.errors import ChurnError, DataError, excerpt
from churn.runtime import RAISE_LIMITS, factor_of_limits
from churn.texts import as_cell, escaped_json, text_of_cell
from churn.types import DECIMALS, ROW_KEY

if TYPE_CHECKING:
    import pandas as pd  # imported only where tables are read: most commands need only md5 and JSON
    from matplotlib.figure import Figure

FAULTS = Path("data/faults.csv")
"""All contract violations of a refused table. Not a result, so DVC does not track it."""
FAULT_COLUMNS = ("line", "column", "check", "value")

PROCESSED = Path("data/processed")
TRAIN_ROWS = PROCESSED / "train_rows.csv"
TEST_ROWS = PROCESSED / "test_rows.csv"
X_TRAIN = PROCESSED / "X_train.csv"
X_TEST = PROCESSED / "X_test.csv"
Y_TRAIN = PROCESSED / "y_train.csv"
Y_TEST = PROCESSED / "y_test.csv"
ENCODERS = PROCESSED / "encoders.pkl"
SCALER = PROCESSED / "scaler.pkl"

MODELS = Path("models")
MODEL = MODELS / "churn_model.pkl"
IMPORTANCE = MODELS / "feature_importance.csv"
OUT_OF_FOLD = MODELS / "out_of_fold.csv"
TEST_PREDICTIONS = MODELS / "test_predictions.csv"
REFERENCE = MODELS / "reference.json"
REFERENCE_ROWS = MODELS / "reference_rows.csv"

METRICS = Path("metrics")
OVERVIEW = METRICS / "overview.json"
DATA_METRICS = METRICS / "data.json"
AUDIT = METRICS / "audit.json"
TRAIN_METRICS = METRICS / "train.json"
TEST_METRICS = METRICS / "test.json"
BUSINESS_METRICS = METRICS / "business_metrics.json"
CLASSIFICATION_REPORT = METRICS / "classification_report.json"
DETAILED_METRICS = (DATA_METRICS, TRAIN_METRICS, TEST_METRICS, BUSINESS_METRICS, CLASSIFICATION_REPORT)
"""All metrics. dvc.yaml declares them as plots, so that `dvc metrics diff` prints only those in the overview."""
SLICES = METRICS / "slices.csv"
CONFUSION_MATRIX = METRICS / "confusion_matrix.png"
ROC_CURVE = METRICS / "roc_curve.png"
PRECISION_RECALL_CURVE = METRICS / "precision_recall_curve.png"
CALIBRATION_CURVE = METRICS / "calibration_curve.png"
PROFIT_CURVE = METRICS / "profit_curve.png"
IMPORTANCE_CHART = METRICS / "feature_importance.png"
CURVES = METRICS / "curves"
REPORT = METRICS / "report.html"
MODEL_CARD = METRICS / "model_card.md"

LARGEST_STATE = 256_000_000
"""Bytes of a file of settings, figures or records."""
LARGEST_RESULT = 8_000_000_000
"""Bytes of a table or model that a stage wrote; it is held in memory as a whole."""
RESTORE = "`dvc checkout`, `git checkout` of this file or `dvc repro --force` restores it"
"""What to do about a damaged file of the pipeline."""
PICKLE_PROTOCOL = 5

_written_here: set[str] = set()
"""md5 of each pickle that this process wrote and therefore trusts."""


def write_rows(path: Path, rows: "pd.DataFrame") -> None:
    """Write customer rows with their keys."""
    _write_csv(path, rows, index=True)


def read_rows(path: Path, types: Mapping[str, str]) -> "pd.DataFrame":
    """Read customer rows, indexed by key: labels as text, all other columns as float64."""
    with open_within(path, LARGEST_RESULT) as file:
        return rows_in(file, path, types)


def rows_in(source: bytes | IO[bytes], named: object, types: Mapping[str, str]) -> "pd.DataFrame":
    """Customer rows of a file, open or its content; `named` says in messages what it is."""
    dtypes = {ROW_KEY: "str"} | {name: "str" if kind == "categorical" else "float64" for name, kind in types.items()}
    return table_in(source, named, dtypes).set_index(ROW_KEY)[list(types)]


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index."""
    _write_csv(path, table, index=False)


def read_features(path: Path) -> "pd.DataFrame":
    """Read encoded rows as float64, exactly as written."""
    with open_within(path, LARGEST_RESULT) as file:
        return table_in(file, path, "float64")


def read_labels(path: Path) -> "pd.Series":
    """Read the target: 1 churned, 0 stayed."""
    with open_within(path, LARGEST_RESULT) as file:
        return table_in(file, path, "int64").iloc[:, 0]


def write_rounded_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table for people, with numbers rounded to six decimals; a user's text in it is no formula."""
    _write_csv(path, with_inert_cells(table.round(DECIMALS)), index=False)


def with_inert_cells(table: "pd.DataFrame") -> "pd.DataFrame":
    """A table for a CSV file that people open: a spreadsheet finds no formula in its names and cells."""
    texts = {
        str(name): cells.map(lambda cell: as_cell(cell) if isinstance(cell, str) else cell)
        for name, cells in table.items()
        if cells.dtype.kind == "O" and name != ROW_KEY
    }
    return table.assign(**texts).rename(columns=as_cell)


def read_table(path: Path, types: Mapping[str, str] | None = None) -> "pd.DataFrame":
    """Read a table that `write_rounded_table` wrote: at least the columns of `types`; only empty cells are missing."""
    with open_within(path, LARGEST_RESULT) as file:
        table = table_in(file, path, types or {})
    texts = {
        str(name): cells.map(text_of_cell, na_action="ignore")
        for name, cells in table.items()
        if cells.dtype.kind == "O"
    }
    return table.assign(**texts)


def table_in(source: bytes | IO[bytes], named: object, dtypes: Mapping[str, str] | str) -> "pd.DataFrame":
    """A table of a stage, with at least the columns of `dtypes`; DataError if it is not one."""
    import pandas as pd

    try:
        # Only a line feed ends a line: a carriage return may be part of a label.
        how: Any = {"dtype": dtypes, "keep_default_na": False, "na_values": [""], "lineterminator": "\n"}
        found: pd.DataFrame = pd.read_csv(io.BytesIO(source) if isinstance(source, bytes) else source, **how)
    except (ValueError, OverflowError) as error:  # also what pandas raises for a broken table
        raise DataError(
            f"{named}: not the table that a stage wrote ({' '.join(str(error).split())[:120]}); {RESTORE}"
        ) from None
    absent = [name for name in (dtypes if isinstance(dtypes, Mapping) else ()) if name not in found.columns]
    if absent:
        raise DataError(f"{named}: no column {excerpt(absent[0])}; {RESTORE}")
    return found


def round_figures(value: Any) -> Any:
    """Round numbers to six decimals, recursively; NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(key): round_figures(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [round_figures(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
    return value


def json_text(values: Mapping[str, Any]) -> str:
    """JSON with sorted keys and numbers rounded to six decimals; NaN becomes null."""
    return escaped_json(
        json.dumps(round_figures(values), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    )


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, formatted by `json_text`."""
    with replacing(path) as draft:
        draft.write_text(f"{json_text(values)}\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote, without a check of its shape (see `config/shapes`)."""
    content: dict[str, Any] = json.loads(read_bytes(path))
    return content


@contextmanager
def open_regular(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading; a pipe, which would block, or a device, which never ends, is a ChurnError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise ChurnError(f"{path}: is a device, pipe or socket, not a file; remove it, and {RESTORE}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


@contextmanager
def open_within(path: Path, most: int) -> Iterator[io.BufferedReader]:
    """Open a regular file of at most `most` bytes, times the user's factor for limits; otherwise a ChurnError."""
    allowed = int(most * factor_of_limits())
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > allowed:
            raise ChurnError(f"{path}: over {allowed // 1_000_000:,} MB, the limit for such a file; {RAISE_LIMITS}")
        yield file


def read_bytes(path: Path, most: int = LARGEST_STATE) -> bytes:
    """Content of a regular file of at most `most` bytes; otherwise a ChurnError."""
    with open_within(path, most) as file:
        return file.read()


def write_text(path: Path, text: str) -> None:
    """Write a text without converting line ends."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def md5(path: Path) -> str:
    """md5 of a regular file, as DVC computes it."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """SHA-256 of a file with this content, in hex digits."""
    return hashlib.sha256(content).hexdigest()


def md5_of_bytes(content: bytes) -> str:
    """md5 of a file with this content, as DVC computes it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_pickle(path: Path, fitted: object) -> None:
    """Write a fitted scikit-learn object as a plain pickle, which MLflow and joblib can load."""
    content = pickle.dumps(fitted, protocol=PICKLE_PROTOCOL)
    with replacing(path) as draft:
        draft.write_bytes(content)
    _written_here.add(md5_of_bytes(content))


def read_pickle(path: Path, vouched: Container[str]) -> Any:
    """Unpickle a fitted object of this pipeline if its md5 is trusted: a pickle runs code.

    Raises:
        ChurnError: the md5 is neither in `vouched` nor that of a pickle that this process wrote.
    """
    return unpickle(read_bytes(path, LARGEST_RESULT), path, vouched)


def unpickle(content: bytes, named: object, vouched: Container[str]) -> Any:
    """Unpickle content as `read_pickle` does; `named` says in messages what it is.

    Raises:
        ChurnError: its md5 is not trusted, or it cannot be loaded.
    """
    found = md5_of_bytes(content)
    if found not in vouched and found not in _written_here:
        raise ChurnError(
            f"{named}: md5 {found} is recorded neither in dvc.lock nor by the stage that writes it, so it is not "
            "unpickled (a pickle runs code); run `dvc checkout` or `dvc repro`"
        )
    import joblib

    try:
        return joblib.load(io.BytesIO(content))
    except Exception as error:  # a pickle can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ChurnError(f"{named}: cannot be unpickled ({reason}); name a model that this pipeline wrote") from error


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a PNG at 150 dpi, without metadata about the software."""
    import matplotlib as mpl  # here: only evaluation draws
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with replacing(path) as draft, mpl.rc_context(mpl.rcParamsDefault):
        figure.set_dpi(150)
        # `savefig` gives the same bytes but draws everything twice.
        FigureCanvasAgg(figure).print_png(draft, metadata={"Software": None})  # type: ignore[no-untyped-call]


def megabytes(path: Path) -> float:
    """Size of a file in units of 1,000,000 bytes."""
    return path.stat().st_size / 1e6


def has_header(path: Path, names: Sequence[str]) -> bool:
    """Whether a CSV file has exactly these columns, so that this program may have written it."""
    wanted = ",".join(names).encode()
    with path.open("rb") as file:
        return file.readline(3 * len(wanted)).rstrip().replace(b'"', b"") == wanted


def _write_csv(path: Path, table: "pd.DataFrame", *, index: bool) -> None:
    with replacing(path) as draft:
        table.to_csv(draft, index=index, lineterminator="\n")
