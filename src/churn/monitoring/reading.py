"""Read the customers of a look block by block: a table that is scored now, or the service's prediction log."""

import math
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import FixedThresholdClassifier

from churn.config.contract import TableContract
from churn.errors import ChurnError, DataError, excerpt
from churn.history.predictions.log import OF_CUSTOMER, SECONDS_A_DAY, prediction_blocks
from churn.model import decision
from churn.monitoring.summary import ScoredBlock
from churn.table import parsing
from churn.table.parsing import date_format
from churn.table.reader import read_batches


@dataclass(frozen=True)
class Window:
    """Time that a look covers, in days since 1970: `since` belongs to it, `until` does not."""

    since: float = -math.inf
    until: float = math.inf

    @property
    def is_limited(self) -> bool:
        """Whether rows can be outside."""
        return self != Window()

    def holds(self, times: pd.Series) -> pd.Series:
        """Which times are inside; unknown times are not."""
        return (times >= self.since) & (times < self.until)


def window_of(since: str | None, until: str | None) -> Window:
    """The window between two dates or times in ISO 8601; without a time zone they are UTC.

    Raises:
        ChurnError: one is not a time, or they are in the wrong order.
    """
    start = -math.inf if since is None else _days(since, "--since")
    end = math.inf if until is None else _days(until, "--until")
    if start >= end:
        raise ChurnError(f"--until: {until} is not after --since {since}; --until itself is not included")
    return Window(start, end)


def _days(text: str, option: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ChurnError(
            f"{option}: {excerpt(text)} is no date; write it like 2026-05-01 or 2026-05-01T08:00+02:00"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() / SECONDS_A_DAY


def blocks_of_table(
    table: Path,
    model: FixedThresholdClassifier,
    contract: TableContract,
    date_column: str | None,
    window: Window,
) -> Generator[ScoredBlock]:
    """Customers of a table, scored with the model; rows that break the contract are compared, but not scored.

    Raises:
        DataError: the table cannot be read, or lacks a column.
    """
    with closing(read_batches(table, contract)) as batches:
        for batch in batches:
            times = dates_of(batch.texts, table, contract, date_column)
            inside = window.holds(times) if window.is_limited else pd.Series(True, index=batch.texts.index)
            texts, when = batch.texts[inside], times[inside].to_numpy()
            rows, reasons = parsing.parse_customers(texts, contract)
            valid = (reasons == "").to_numpy()
            scored = rows[valid].reset_index(drop=True)
            probability = decision.churn_probability(model, scored) if len(scored) else np.zeros(0)
            unread = 0 if window.is_limited else len(batch.ragged)  # nobody knows their time
            yield ScoredBlock(
                columns=rows,
                scored=scored,
                has_columns=np.ones(len(scored), dtype=bool),
                probability=probability,
                contacted=probability >= model.threshold,
                times=when,
                refused=int((~valid).sum()) + unread,
                unread=unread,
                of_other_models=0,
                done=batch.done,
            )


def dates_of(texts: pd.DataFrame, table: Path, contract: TableContract, column: str | None) -> pd.Series:
    """Days since 1970 of the rows of a table; unknown without a date column.

    Raises:
        DataError: the column is missing, or has values that are not dates.
    """
    if column is None:
        return pd.Series(np.nan, index=texts.index)
    if column not in texts.columns:
        raise DataError(
            f"{table}: no column {column!r} (monitor.date_column); the file has: {', '.join(map(str, texts))}"
        )
    return days_in(texts[column].fillna(""), table, column, contract)


def days_in(cells: pd.Series, table: Path, column: str, contract: TableContract) -> pd.Series:
    """Days since 1970 of the dates of a column; NaN for a missing value.

    Raises:
        DataError: a cell is not a date.
    """
    days = parsing.parse_dates(cells.fillna(""), date_format(contract, column))
    unread = cells[days.isna() & cells.notna()]
    if len(unread):
        raise DataError(
            f"{table}: column {column!r}: {excerpt(unread.iloc[0])} is not a date, in {len(unread):,} rows; correct "
            "them, or list the column under data.unused with its format"
        )
    return days


def blocks_of_log(folder: Path, fingerprint: str, types: Mapping[str, str], window: Window) -> Generator[ScoredBlock]:
    """Customers that one model scored, from the log of the service; others are only counted.

    Raises:
        ChurnError: there is no log, or it is damaged.
    """
    for logged, done in prediction_blocks(folder, window.since * SECONDS_A_DAY, window.until * SECONDS_A_DAY):
        own = logged[logged["fingerprint"] == fingerprint].reset_index(drop=True)
        names = [f"{OF_CUSTOMER}{name}" for name in types]
        has_columns = own[[name for name in names if name in own.columns]].notna().any(axis=1).to_numpy()
        rows = _typed(own[has_columns], types, folder) if set(names) <= set(own.columns) else pd.DataFrame()
        yield ScoredBlock(
            columns=rows,
            scored=rows,
            has_columns=has_columns if len(rows.columns) else np.zeros(len(own), dtype=bool),
            probability=own["probability"].to_numpy(dtype=np.float64),
            contacted=own["contact"].to_numpy(dtype=bool),
            times=own["time"].to_numpy(dtype="datetime64[us]").astype(np.int64) / (1e6 * SECONDS_A_DAY),
            refused=0,
            unread=0,
            of_other_models=len(logged) - len(own),
            done=done,
        )


def _typed(logged: pd.DataFrame, types: Mapping[str, str], folder: Path) -> pd.DataFrame:
    columns = {}
    for name, kind in types.items():
        try:
            columns[name] = logged[f"{OF_CUSTOMER}{name}"].astype("str" if kind == "categorical" else "float64")
        except ValueError as error:
            raise DataError(f"{folder}: column {OF_CUSTOMER}{name}: {error}; move the damaged file away") from None
    return pd.DataFrame(columns)


def newest_fingerprint(folder: Path, window: Window) -> str:
    """Fingerprint of the state whose model answered last in a window.

    Raises:
        ChurnError: nothing was logged then.
    """
    found, times = None, (window.since * SECONDS_A_DAY, window.until * SECONDS_A_DAY)
    for logged, _ in prediction_blocks(folder, *times, columns=["time", "fingerprint"]):
        if len(logged):
            found = str(logged["fingerprint"].iloc[-1])
    if found is None:
        raise ChurnError(f"{folder}: holds no predictions{' of that time' if window.is_limited else ''}")
    return found
