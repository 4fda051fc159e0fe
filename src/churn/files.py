"""Every file of the pipeline: where it is, how it is written (whole or not at all) and read.

What is written holds no clock, host or path, so equal values give equal bytes.
"""

import hashlib
import io
import json
import math
import os
import pickle
import secrets
import shutil
import stat
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from churn.errors import ChurnError
from churn.types import DECIMALS, ROW_KEY

if TYPE_CHECKING:
    import pandas as pd  # only what reads a table imports it: most commands need md5 and JSON alone
    from matplotlib.figure import Figure

FAULTS = Path("data/faults.csv")
"""Every value that breaks the contract, after a table was refused; no result, so DVC does not know it."""
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

METRICS = Path("metrics")
OVERVIEW = METRICS / "overview.json"
DATA_METRICS = METRICS / "data.json"
AUDIT = METRICS / "audit.json"
TRAIN_METRICS = METRICS / "train.json"
TEST_METRICS = METRICS / "test.json"
BUSINESS_METRICS = METRICS / "business_metrics.json"
CLASSIFICATION_REPORT = METRICS / "classification_report.json"
DETAILED_METRICS = (DATA_METRICS, TRAIN_METRICS, TEST_METRICS, BUSINESS_METRICS, CLASSIFICATION_REPORT)
"""Every figure. dvc.yaml calls them plots, so that `dvc metrics diff` prints none of them but those in the overview."""
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

PICKLE_PROTOCOL = 5

_written_here: set[str] = set()
"""md5 of the pickles that this process has written; it need not be told to trust them."""

WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
LONGEST_START = 50
"""Characters of a file's name in the name of its draft, so that this is never too long for the file system."""


def write_rows(path: Path, rows: "pd.DataFrame") -> None:
    """Write customer rows with their keys."""
    _write_csv(path, rows, index=True)


def read_rows(path: Path, types: Mapping[str, str]) -> "pd.DataFrame":
    """Read customer rows, indexed by key, each column in its type: labels as text, the others float64."""
    dtypes = {ROW_KEY: "str"} | {name: "str" if kind == "categorical" else "float64" for name, kind in types.items()}
    return _read_csv(path, dtypes).set_index(ROW_KEY)[list(types)]


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table without its index."""
    _write_csv(path, table, index=False)


def read_features(path: Path) -> "pd.DataFrame":
    """Read encoded rows, float64, the very numbers that were written."""
    return _read_csv(path, "float64")


def read_labels(path: Path) -> "pd.Series":
    """Read the target: 1 has churned, 0 has stayed."""
    return _read_csv(path, "int64").iloc[:, 0]


def write_rounded_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table for people: figures to six places."""
    _write_csv(path, table.round(DECIMALS), index=False)


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table for people."""
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def round_figures(value: Any) -> Any:
    """Figures as they stand in a file: six places, and None for what is not defined (NaN)."""
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
    """Figures to six places, keys sorted; what is not defined (NaN) as null."""
    return json.dumps(round_figures(values), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)


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
    """As DVC computes it for a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_bytes(content: bytes) -> str:
    """As DVC computes it for a file that holds them."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_pickle(path: Path, fitted: object) -> None:
    """Write a fitted scikit-learn object as a plain pickle, which MLflow and joblib load as it is."""
    content = pickle.dumps(fitted, protocol=PICKLE_PROTOCOL)
    with replacing(path) as draft:
        draft.write_bytes(content)
    _written_here.add(md5_of_bytes(content))


def read_pickle(path: Path, vouched: Container[str]) -> Any:
    """Read a fitted object of this pipeline, the very bytes whose md5 somebody vouches for: a pickle runs code.

    Raises:
        ChurnError: nobody vouches for the file.
    """
    content = path.read_bytes()
    found = md5_of_bytes(content)
    if found not in vouched and found not in _written_here:
        raise ChurnError(
            f"{path}: md5 {found}, which neither dvc.lock nor the stage that writes it knows, so it is not "
            "unpickled (a pickle runs code); `dvc checkout` or `dvc repro` brings the right one"
        )
    import joblib

    return joblib.load(io.BytesIO(content))


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a PNG at 150 dpi, without the name and version of the program that drew it."""
    import matplotlib as mpl  # here: only evaluation draws
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with replacing(path) as draft, mpl.rc_context(mpl.rcParamsDefault):
        figure.set_dpi(150)
        # `savefig` gives the same bytes, and draws everything twice.
        FigureCanvasAgg(figure).print_png(draft, metadata={"Software": None})  # type: ignore[no-untyped-call]


def megabytes(path: Path) -> float:
    """Size of a file in units of 1,000,000 bytes."""
    return path.stat().st_size / 1e6


def has_header(path: Path, names: Sequence[str]) -> bool:
    """Whether a CSV file begins with these columns and no other, so that it may be one that was written here."""
    wanted = ",".join(names).encode()
    with path.open("rb") as file:
        return file.readline(3 * len(wanted)).rstrip().replace(b'"', b"") == wanted


def _read_csv(path: Path, dtypes: Any) -> "pd.DataFrame":
    import pandas as pd

    # Lines end as they were written: a carriage return inside a label is part of it.
    return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""], lineterminator="\n")


def _write_csv(path: Path, table: "pd.DataFrame", *, index: bool) -> None:
    with replacing(path) as draft:
        table.to_csv(draft, index=index, lineterminator="\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside a file of the pipeline that takes its place only when it is whole.

    A link is replaced, not followed: with DVC's `cache.type symlink` it leads into the cache.
    """
    with _drafts([path]) as (draft,):
        yield draft


@contextmanager
def replacing_outputs(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Drafts of files that a user names; they take their places together, and only when all of them are whole.

    A link stays: the file that it leads to is replaced.

    Raises:
        ChurnError: one of them cannot be replaced.
    """
    with _drafts([_replaceable(path) for path in paths]) as drafts:
        yield drafts


def _replaceable(path: Path) -> Path:
    """The file that a path leads to, if it is one that a user would have replaced."""
    target, name = path, str(path)
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        name = f"{path} (a link to {target})"
        if target.is_symlink() or not target.parent.is_dir():
            raise ChurnError(f"{name}: leads nowhere; mend the link, or name another file")
    if target.is_file() and not (os.access(target, os.W_OK) and target.stat().st_mode & WRITABLE):
        raise ChurnError(
            f"{name}: is read-only; name another file, or make it writable (`dvc unprotect` if DVC keeps it)"
        )
    if os.path.lexists(target) and not target.is_file():
        raise ChurnError(f"{name}: {_kind(target)}, which is not replaced; name another file")
    return target


def _kind(path: Path) -> str:
    return "is a folder" if path.is_dir() else "is a device, pipe or socket"


@contextmanager
def _drafts(paths: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    drafts = {path: _beside(path) for path in paths}
    try:
        for path, draft in drafts.items():
            _create(draft, path)
        yield tuple(drafts.values())
        _put_in_place(drafts)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name[:LONGEST_START]}.{secrets.token_hex(6)}.draft"


def _create(draft: Path, path: Path) -> None:
    """An empty draft, private from the start if the file that it is to replace is private."""
    with _faults_with_target_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # less what the umask takes away
    if not os.path.lexists(path):
        return
    earlier = path.lstat()
    if not (stat.S_ISREG(earlier.st_mode) or stat.S_ISLNK(earlier.st_mode)):
        raise ChurnError(f"{path}: {_kind(path)}, where a file is to be written; move it away")
    # What DVC links to its cache is read-only, which is said of the cache and not of what is to come.
    if stat.S_ISREG(earlier.st_mode) and earlier.st_mode & stat.S_IWUSR:
        with suppress(OSError):  # only root may give a file away
            os.chown(draft, earlier.st_uid, earlier.st_gid)
        draft.chmod(stat.S_IMODE(earlier.st_mode))


def _put_in_place(drafts: Mapping[Path, Path]) -> None:
    """All or none: where one cannot take its place, those before it give theirs back."""
    earlier = {path: _beside(path) for path in drafts if len(drafts) > 1 and os.path.lexists(path)}
    try:
        for path, name in earlier.items():
            _keep_under(name, path)
        for path, draft in drafts.items():
            with _faults_with_target_name(path):
                draft.replace(path)
    except BaseException:
        for path in [path for path, draft in drafts.items() if not draft.exists()]:
            if path in earlier:
                earlier[path].replace(path)
            else:
                path.unlink()
        raise
    finally:
        for name in earlier.values():
            name.unlink(missing_ok=True)


@contextmanager
def _faults_with_target_name(path: Path) -> Iterator[None]:
    """What the system refuses is told of the file, not of its draft."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _keep_under(name: Path, path: Path) -> None:
    try:
        os.link(path, name)
    except OSError:  # a file system without hard links
        shutil.copy2(path, name)
