"""Every file of the pipeline: where it is, how it is written (whole or not at all) and read.

What is written holds no clock, host or path, so equal values give equal bytes.
"""

import hashlib
import io
import json
import math
import os
import pickle
import tempfile
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd

from churn.contract import ROW_KEY
from churn.errors import ChurnError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FAULTS = Path("data/faults.csv")
"""Every value that breaks the contract, after a table was refused; no result, so DVC does not know it."""

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

METRICS = Path("metrics")
DATA_METRICS = METRICS / "data.json"
AUDIT = METRICS / "audit.json"
TRAIN_METRICS = METRICS / "train.json"
TEST_METRICS = METRICS / "test.json"
BUSINESS_METRICS = METRICS / "business_metrics.json"
CLASSIFICATION_REPORT = METRICS / "classification_report.json"
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

DECIMALS = 6
PICKLE_PROTOCOL = 5

_written_here: set[str] = set()
"""md5 of the pickles that this process has written; it need not be told to trust them."""


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write customer rows with their keys."""
    _write_csv(path, rows, index=True)


def read_rows(path: Path, types: Mapping[str, str]) -> pd.DataFrame:
    """Read customer rows, indexed by key, each column in its type: labels as text, the others float64."""
    dtypes = {ROW_KEY: "str"} | {name: "str" if kind == "categorical" else "float64" for name, kind in types.items()}
    return _read_csv(path, dtypes).set_index(ROW_KEY)[list(types)]


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index."""
    _write_csv(path, table, index=False)


def read_features(path: Path) -> pd.DataFrame:
    """Read encoded rows, float64, the very numbers that were written."""
    return _read_csv(path, "float64")


def read_labels(path: Path) -> pd.Series:
    """Read the target: 1 has churned, 0 has stayed."""
    return _read_csv(path, "int64").iloc[:, 0]


def write_rounded_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table for people: figures to six places."""
    _write_csv(path, table.round(DECIMALS), index=False)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table for people."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def rounded(value: Any) -> Any:
    """Figures as they stand in a file: six places, and None for what is not defined (NaN)."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0
    return value


def json_text(values: Mapping[str, Any]) -> str:
    """Figures to six places, keys sorted; what is not defined (NaN) as null."""
    return json.dumps(rounded(values), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write figures as `json_text` has them."""
    with replacing(path) as draft:
        draft.write_text(f"{json_text(values)}\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_text(path: Path, text: str) -> None:
    """Write a text, its lines ending as they do."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def md5(path: Path) -> str:
    """As `dvc.lock` names a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def write_pickle(path: Path, fitted: object) -> None:
    """Write a fitted scikit-learn object as a plain pickle, which MLflow and joblib load as it is."""
    content = pickle.dumps(fitted, protocol=PICKLE_PROTOCOL)
    with replacing(path) as draft:
        draft.write_bytes(content)
    _written_here.add(_md5_of(content))


def read_pickle(path: Path, vouched: Container[str]) -> Any:
    """Read a fitted object of this pipeline, the very bytes whose md5 somebody vouches for: a pickle runs code.

    Raises:
        ChurnError: nobody vouches for the file.
    """
    content = path.read_bytes()
    found = _md5_of(content)
    if found not in vouched and found not in _written_here:
        raise ChurnError(
            f"{path}: md5 {found}, which neither dvc.lock nor the stage that writes it knows, so it is not "
            "unpickled (a pickle runs code); `dvc checkout` or `dvc repro` brings the right one"
        )
    return joblib.load(io.BytesIO(content))


def _md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a PNG at 150 dpi, without the name and version of the program that drew it."""
    import matplotlib as mpl  # here: only evaluation draws

    with replacing(path) as draft, mpl.rc_context(mpl.rcParamsDefault):
        figure.savefig(draft, format="png", dpi=150, metadata={"Software": None})


def megabytes(path: Path) -> float:
    """Size of a file in units of 1,000,000 bytes."""
    return path.stat().st_size / 1e6


def _read_csv(path: Path, dtypes: Any) -> pd.DataFrame:
    # Lines end as they were written: a carriage return inside a label is part of it.
    return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""], lineterminator="\n")


def _write_csv(path: Path, table: pd.DataFrame, *, index: bool) -> None:
    with replacing(path) as draft:
        table.to_csv(draft, index=index, lineterminator="\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside the file that takes its place only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".draft")
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
