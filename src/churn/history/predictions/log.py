"""The prediction log of the service: one Parquet file a day, and the parts of the present day.

Parts are written every few seconds and never changed, so a log can be read while it is written, and a killed service
loses only its last seconds. Parts have consecutive numbers, in their names; a merged file says which ones it holds, so
that a merge that was interrupted neither loses a row nor counts one twice.
"""

import math
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from churn.drafts import replacing
from churn.errors import ChurnError
from churn.files import open_regular

OF_CUSTOMER = "customer."
"""Start of the names of columns with a customer's values."""
MOST_PARTS = 100
"""Parts of one day that are merged into one."""
HELD = b"churn.parts"
"""Metadata of a day's file: the number of the last part that it holds."""
DAY_FILE = re.compile(r"(\d{4}-\d\d-\d\d)\.parquet")
DAY_PARTS = re.compile(r"(\d{4}-\d\d-\d\d)\.parts")
PART = re.compile(r"(\d{8})-(\d{8})\.parquet")
SECONDS_A_DAY = 86_400
READ_AGAIN = 50
"""Times that a folder is listed again because a merge moved its parts."""


@dataclass(frozen=True)
class LoggedPrediction:
    """One scored customer.

    Attributes:
        time: of the request, in seconds since 1970.
        position: of the customer in the request, from 0.
        row_key: key of the customer in the pipeline; None if the request had no id and the contract asks for one.
        customer: values of the columns; None if they are not logged.
    """

    time: float
    request_id: str
    position: int
    row_key: str | None
    fingerprint: str
    version: str | None
    probability: float
    contact: bool
    shadow_probability: float | None = None
    shadow_fingerprint: str | None = None
    customer: dict[str, str | float | None] | None = field(default=None, compare=False)


SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("request_id", pa.string()),
        ("position", pa.int32()),
        ("row_key", pa.string()),
        ("fingerprint", pa.string()),
        ("version", pa.string()),
        ("probability", pa.float64()),
        ("contact", pa.bool_()),
        ("shadow_probability", pa.float64()),
        ("shadow_fingerprint", pa.string()),
    ]
)
NEVER_MISSING = frozenset({"time", "request_id", "position", "fingerprint", "probability", "contact"})
OF_CUSTOMERS = (pa.string(), pa.float64(), pa.null())
"""Types of the customers' columns; null if no customer of a part has a value."""


def as_table(predictions: Sequence[LoggedPrediction]) -> pa.Table:
    """Predictions as a table; the customers' columns follow, texts and numbers."""
    plain = [one.name for one in fields(LoggedPrediction) if one.name not in ("time", "customer")]
    columns = {name: [getattr(one, name) for one in predictions] for name in plain}
    columns["time"] = [datetime.fromtimestamp(one.time, UTC) for one in predictions]
    table = pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)
    names = dict.fromkeys(name for one in predictions for name in one.customer or ())
    for name in names:
        values = [None if one.customer is None else one.customer.get(name) for one in predictions]
        kind = pa.string() if any(isinstance(value, str) for value in values) else pa.float64()
        if all(value is None for value in values):
            kind = pa.null()
        table = table.append_column(f"{OF_CUSTOMER}{name}", pa.array(values, kind))
    return table


class PredictionLog:
    """Writes the log of one process. The caller holds the folder's lock."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self._folder, self._keep_days = folder, keep_days

    def append(self, predictions: Sequence[LoggedPrediction]) -> None:
        """Write predictions as parts, one for each of their days.

        Raises:
            OSError: they cannot be written; none of a day is then.
        """
        by_day: dict[str, list[LoggedPrediction]] = {}
        for one in predictions:
            by_day.setdefault(datetime.fromtimestamp(one.time, UTC).date().isoformat(), []).append(one)
        for day, of_day in by_day.items():
            number = self._last_part(day) + 1
            with replacing(_part(self._folder, day, number, number)) as draft:
                pq.write_table(as_table(of_day), draft)
            parts = list(_parts_of(self._folder, day))
            if len(parts) >= MOST_PARTS:
                _merge_parts(self._folder, day, parts)

    def close_days(self, before: date | None = None) -> None:
        """Merge the parts of each day, or of those before a date, into its file; delete days that are too old."""
        for day in sorted(_days_with(self._folder, DAY_PARTS)):
            if before is None or date.fromisoformat(day) < before:
                _close_day(self._folder, day)
        if before is not None:
            self._delete_before(before - timedelta(days=self._keep_days))

    def _delete_before(self, oldest: date) -> None:
        for day in _days_with(self._folder, DAY_FILE):
            if date.fromisoformat(day) < oldest:
                _day_file(self._folder, day).unlink(missing_ok=True)

    def _last_part(self, day: str) -> int:
        return max([last for _, last, _ in _parts_of(self._folder, day)] + [_last_held(self._folder, day)])


def read_predictions(folder: Path, request_id: str | None = None) -> pd.DataFrame:
    """Logged predictions in the order of writing, or those of one request; also while they are written.

    Raises:
        ChurnError: there is no log, or it is damaged.
    """
    if not folder.is_dir():
        raise ChurnError(f"{folder}: no prediction log; `churn serve --log {folder}` writes one")
    for _ in range(READ_AGAIN):
        try:
            paths = (path for day in _days(folder) for path in _files_of_day(folder, day))
            tables = [_read(path, request_id) for path in paths]
        except (FileNotFoundError, _MovedError):
            continue
        except (pa.ArrowException, OSError) as error:
            raise _damaged(folder, error) from None
        found = [table for table in tables if len(table)] or [SCHEMA.empty_table()]
        frame: pd.DataFrame = pa.concat_tables(found, promote_options="permissive").to_pandas()
        return frame
    raise _parts_missing(folder)


ROWS_A_BLOCK = 65_536


def prediction_blocks(
    folder: Path, since: float = -math.inf, until: float = math.inf, columns: Sequence[str] | None = None
) -> Iterator[tuple[pd.DataFrame, float]]:
    """Logged predictions in the order of writing, in blocks, each with the share of the log that has been read.

    `since` (inclusive) and `until` (exclusive) are seconds since 1970. Days outside of them are not opened. `columns`:
    only these, `time` among them.

    Raises:
        ChurnError: there is no log, or it is damaged.
    """
    if not folder.is_dir():
        raise ChurnError(f"{folder}: no prediction log; `churn serve --log {folder}` writes one")
    days = [day for day in _days(folder) if _seconds(day) < until and _seconds(day) + SECONDS_A_DAY > since]
    for number, day in enumerate(days):
        with ExitStack() as opened:
            try:
                files = _open_day(folder, day, opened)
                rows, read = sum(file.metadata.num_rows for file in files), 0
                for block in (block for file in files for block in file.iter_batches(ROWS_A_BLOCK, columns=columns)):
                    _require_values(block)
                    read += len(block)
                    frame: pd.DataFrame = block.to_pandas()
                    seconds = frame["time"].to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
                    yield frame[(seconds >= since) & (seconds < until)], (number + read / max(rows, 1)) / len(days)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(folder, error) from None


def _open_day(folder: Path, day: str, opened: ExitStack) -> list[pq.ParquetFile]:
    """The files of a day, all open before the first is read: a merge can then move none of them away."""
    for _ in range(READ_AGAIN):
        with ExitStack() as here:
            try:
                files = [pq.ParquetFile(here.enter_context(open_regular(path))) for path in _files_of_day(folder, day)]
                for file in files:
                    _require_own(file.schema_arrow)
            except (FileNotFoundError, _MovedError):
                continue
            opened.push(here.pop_all())
            return files
    raise _parts_missing(folder)


def _seconds(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def _damaged(folder: Path, error: Exception) -> ChurnError:
    reason = " ".join(str(error).split())
    return ChurnError(f"{folder}: cannot be read: {reason}; move the damaged file away")


def _parts_missing(folder: Path) -> ChurnError:
    return ChurnError(f"{folder}: parts of a day are missing; restore them, or move that day's folder away")


class _MovedError(Exception):
    """A merge moved parts between two looks."""


def _days(folder: Path) -> list[str]:
    return sorted({*_days_with(folder, DAY_FILE), *_days_with(folder, DAY_PARTS)})


def _files_of_day(folder: Path, day: str) -> Iterator[Path]:
    """Files of a day: its file, then the parts that follow what the file holds, without a gap.

    Raises:
        _MovedError: after the last one, if what was read until then does not belong together.
    """
    path = _day_file(folder, day)
    before = _identity(path)
    following = _last_held(folder, day) + 1
    if before is not None:
        yield path
    for first, last, part in sorted(_listed(folder, day), key=lambda one: (one[0], -one[1])):
        if first > following:
            raise _MovedError
        if first == following:
            yield part
            following = last + 1
    if _identity(path) != before:
        raise _MovedError


def _identity(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _read(path: Path, request_id: str | None) -> pa.Table:
    # Opened once: its name can belong to another file a moment later.
    with open_regular(path) as file:
        _require_own(pq.read_schema(file))
        table = pq.read_table(file, filters=None if request_id is None else [("request_id", "=", request_id)])
    _require_values(table)
    return table


def _require_own(schema: pa.Schema) -> None:
    """Check that a file has the columns of the log, in their types.

    Raises:
        pa.ArrowInvalid: it has not.
    """
    for wanted in SCHEMA:
        if schema.names.count(wanted.name) != 1 or schema.field(wanted.name).type != wanted.type:
            raise pa.ArrowInvalid(f"column {wanted.name}: not as the service writes it")
    for found in schema:
        if found.name.startswith(OF_CUSTOMER) and found.type not in OF_CUSTOMERS:
            raise pa.ArrowInvalid(f"column {found.name}: neither texts nor numbers")


def _require_values(rows: pa.Table | pa.RecordBatch) -> None:
    """Check that a value which every logged prediction has is missing nowhere.

    Raises:
        pa.ArrowInvalid: one is.
    """
    for name in NEVER_MISSING.intersection(rows.schema.names):
        if rows.column(name).null_count:
            raise pa.ArrowInvalid(f"column {name}: a value is missing")
    probability = np.asarray(rows.column("probability") if "probability" in rows.schema.names else [])
    if not ((probability >= 0) & (probability <= 1)).all():
        raise pa.ArrowInvalid("column probability: a value is not between 0 and 1")


def _parts_of(folder: Path, day: str) -> list[tuple[int, int, Path]]:
    """First number, last number and path of the parts that count: not those that a merged file already holds."""
    held = _last_held(folder, day)
    found: list[tuple[int, int, Path]] = []
    # Of files that begin with the same part, the longest one comes first.
    for first, last, path in sorted(_listed(folder, day), key=lambda part: (part[0], -part[1])):
        if first > held:
            found.append((first, last, path))
            held = last
    return found


def _listed(folder: Path, day: str) -> Iterator[tuple[int, int, Path]]:
    parts = folder / f"{day}.parts"
    for path in parts.iterdir() if parts.is_dir() else ():
        if form := PART.fullmatch(path.name):
            yield int(form[1]), int(form[2]), path


def _last_held(folder: Path, day: str) -> int:
    path = _day_file(folder, day)
    if not path.exists():
        return -1
    with open_regular(path) as file:
        held = (pq.read_schema(file).metadata or {}).get(HELD, b"-1")
    if not re.fullmatch(rb"-1|\d{1,8}", held):
        raise pa.ArrowInvalid(f"metadata {HELD.decode()}: {held!r} is no number of a part")
    return int(held)


def _merge_parts(folder: Path, day: str, parts: Sequence[tuple[int, int, Path]]) -> None:
    merged = _part(folder, day, parts[0][0], parts[-1][1])
    _write_merged(merged, [path for _, _, path in parts], {})
    for _, _, path in parts:
        path.unlink()


def _close_day(folder: Path, day: str) -> None:
    parts, whole = _parts_of(folder, day), _day_file(folder, day)
    if parts:
        earlier = [whole] if whole.exists() else []
        _write_merged(whole, [*earlier, *(path for _, _, path in parts)], {HELD: str(parts[-1][1]).encode()})
    shutil.rmtree(folder / f"{day}.parts")


def _write_merged(path: Path, sources: Iterable[Path], metadata: dict[bytes, bytes]) -> None:
    """Write one file with the rows of several; one of them is in memory at a time."""
    paths = list(sources)
    schemas = [pq.read_schema(source).remove_metadata() for source in paths]
    schema = pa.unify_schemas(schemas, promote_options="permissive").with_metadata(metadata)
    with replacing(path) as draft, pq.ParquetWriter(draft, schema) as writer:
        for source in paths:
            table = pa.concat_tables(
                [schema.remove_metadata().empty_table(), pq.read_table(source)], promote_options="permissive"
            )
            writer.write_table(table.replace_schema_metadata(metadata))


def _day_file(folder: Path, day: str) -> Path:
    return folder / f"{day}.parquet"


def _part(folder: Path, day: str, first: int, last: int) -> Path:
    return folder / f"{day}.parts" / f"{first:08d}-{last:08d}.parquet"


def _days_with(folder: Path, form: re.Pattern[str]) -> list[str]:
    found = (form.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return [match[1] for match in found if match and _is_day(match[1])]


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
