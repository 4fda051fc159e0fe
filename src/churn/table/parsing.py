"""Parse text columns to the types of the contract."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from churn.config.contract import TableContract, Target, columns_of_type
from churn.errors import excerpt
from churn.table.numbers import read_amounts
from churn.table.validation import Fault, Problem, breaches

BOOLEAN_TEXTS = {"0": 0.0, "0.0": 0.0, "false": 0.0, "f": 0.0, "no": 0.0, "n": 0.0}
BOOLEAN_TEXTS |= {"1": 1.0, "1.0": 1.0, "true": 1.0, "t": 1.0, "yes": 1.0, "y": 1.0}


def parse_table(texts: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, list[Fault]]:
    """Parse each column of the contract to its type; values that cannot be parsed are returned as faults.

    Numbers and booleans become float64, labels and ids text, the target 1.0 (positive) or 0.0 (negative).
    Missing values are NaN. Columns outside the contract are dropped.
    """
    parsers = {name: PARSERS[column.type] for name, column in contract.columns.items()}
    numeric = columns_of_type(contract.columns, "numeric")
    parsers[contract.target.column] = lambda cells, _: _parse_target(cells, contract.target)
    typed: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    for name in contract.needed:
        if name in numeric and (plain := _plain_numbers(texts[name], contract, name)) is not None:
            typed[name] = plain
            continue
        # Numbers rarely repeat often enough for deduplication to pay off.
        places, cells = (np.arange(len(texts)), texts[name]) if name in numeric else _distinct_texts(texts[name])
        known = known_texts(cells, contract, name)
        values, problem = parsers.get(name, _parse_label)(known, contract.decimal_of(contract.columns.get(name)))
        typed[name] = pd.Series(values.array.take(places), index=texts.index)
        unread = (known.notna() & values.isna()).to_numpy()
        if unread.any():
            lost = np.flatnonzero(unread[places])
            faults.append(Fault(name, problem, len(lost), str(known.iloc[places[lost[0]]]), int(lost[0]) + 1, lost))
    return pd.DataFrame(typed), faults


def is_left_out(texts: pd.Series, target: Target) -> NDArray[np.bool_]:
    """Which rows are left out, by their texts in the target's column."""
    outcomes = texts.str.strip().str.casefold()
    return outcomes.isin([text.casefold() for text in target.drop]).to_numpy()


def _plain_numbers(texts: pd.Series, contract: TableContract, name: str) -> pd.Series | None:
    """Fast path for columns of missing values and plain numbers; None if the column holds anything else."""
    if contract.decimal_of(contract.columns[name]) != ".":
        return None
    cells = pa.array(texts, pa.large_string())
    is_gap = pc.is_in(cells, pa.array(sorted(contract.gap_texts(name)), pa.large_string()))
    try:
        numbers = pc.cast(pc.if_else(is_gap, None, cells), pa.float64())
    except pa.ArrowInvalid:
        return None
    if pc.any(pc.is_nan(numbers)).as_py():  # the text "nan" is a missing value only if the contract lists it
        return None
    return pd.Series(numbers.to_numpy(zero_copy_only=False), index=texts.index)


def _distinct_texts(texts: pd.Series) -> tuple[NDArray[np.intp], pd.Series]:
    """Position of each row's text in the list of distinct texts, and that list, so that each text is parsed once."""
    places, distinct = pd.factorize(texts, use_na_sentinel=False)
    return places, pd.Series(distinct, dtype=texts.dtype)


def known_texts(texts: pd.Series, contract: TableContract, name: str) -> pd.Series:
    """Stripped texts of a column, NaN where they mean a missing value."""
    stripped = texts.str.strip()
    return stripped.mask(stripped.isin(contract.gap_texts(name)))


def parse_customers(texts: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, pd.Series]:
    """Parse customers to be scored; also return all contract violations of each row as text ('' if there are none).

    The target is not read. Missing values are accepted only with `missing: allow`, as in training.
    """
    reasons = pd.Series("", index=texts.index, dtype="object")
    typed: dict[str, pd.Series] = {}
    for name in contract.of_customer:
        places, distinct = _distinct_texts(texts[name])
        values, told = _read_cells(name, distinct, contract)
        typed[name] = pd.Series(values.array.take(places), index=texts.index)
        if told.any():
            reasons += told.to_numpy()[places]
    broken = reasons != ""
    reasons[broken] = reasons[broken].str.removesuffix("; ")
    return pd.DataFrame(typed), reasons


def _read_cells(name: str, texts: pd.Series, contract: TableContract) -> tuple[pd.Series, pd.Series]:
    """Typed values of some cells of one column, and the contract violations of each, '; ' after each violation."""
    column = contract.columns.get(name)
    known = known_texts(texts, contract, name)
    parser = _parse_label if column is None else PARSERS[column.type]
    values, problem = parser(known, contract.decimal_of(column))
    broken = {problem: known.notna() & values.isna()}
    if column is not None:
        broken |= breaches(values, column)
    if column is not None and column.on_error == "missing":
        values = values.mask(np.logical_or.reduce(list(broken.values())))
        broken = {}
    if column is None or column.missing != "allow":
        broken = {Problem.MISSING: known.isna() if broken else values.isna()} | broken
    told = pd.Series("", index=texts.index, dtype="object")
    for said, cells in broken.items():
        if cells.any():
            shown_values = ["the value" if pd.isna(value) else excerpt(value) for value in known[cells]]
            told[cells] += [f"column {name!r}: {value} is {said}; " for value in shown_values]
    return values, told


def parse_times(texts: pd.Series, how: str | None) -> pd.Series:
    """Parse times to numbers: days since 1970 for dates, or the numbers themselves; NaN for any other text.

    `how`: format of the dates as in `datetime.strptime`, None for ISO 8601 or numbers.
    """
    known = texts.str.strip()
    known = known.mask(known == "")
    numbers = pd.to_numeric(known, errors="coerce").astype("float64")
    if how is None and numbers.notna().sum() >= known.notna().sum() / 2:
        return numbers
    return parse_dates(texts, how)


def parse_dates(texts: pd.Series, how: str | None) -> pd.Series:
    """Parse dates to days since 1970; NaN for any other text. A number is no date, except in the form 20260501.

    `how`: format of the dates as in `datetime.strptime`, None for ISO 8601.
    """
    known = texts.str.strip()
    if how is None:
        known = known.mask(~known.str.match(r"\d{4}-?\d\d-?\d\d(?:\D|$)"))
    dates = pd.to_datetime(known.mask(known == ""), format=how or "ISO8601", errors="coerce", utc=True)
    # In microseconds: nanoseconds end in 2262, and 9999-12-31 often stands for never.
    days: pd.Series = (dates - pd.Timestamp(0, tz="UTC").as_unit("us")) / pd.Timedelta(days=1)
    return days.astype("float64")


def date_format(contract: TableContract, column: str) -> str | None:
    """Format of the dates of an unused column; None for ISO 8601."""
    listed = contract.unused.get(column)
    return listed.format if listed else None


def moment_text(days: float) -> str:
    """Days since 1970 as a date, or as a date and time if it is not midnight; empty if unknown."""
    if not math.isfinite(days):
        return ""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)
    is_midnight = not (moment.hour or moment.minute or moment.second)
    return moment.date().isoformat() if is_midnight else moment.isoformat(timespec="seconds")


def parse_numbers(texts: pd.Series, decimal: str) -> pd.Series:
    """Parse texts to float64, NaN if a text is not a number; accepts amounts and all that pandas parses."""
    numbers = pd.Series(read_amounts(pa.array(texts, pa.large_string()), decimal), index=texts.index)
    unread = texts[numbers.isna() & texts.notna()]
    if decimal == ",":  # pandas would read a thousands separator "." as the decimal separator
        unread = unread[~unread.str.contains(".", regex=False)]
    numbers[unread.index] = pd.to_numeric(unread, errors="coerce").astype("float64")
    return numbers


def _parse_number(texts: pd.Series, decimal: str) -> tuple[pd.Series, Problem]:
    return parse_numbers(texts, decimal), Problem.NOT_A_NUMBER


def _parse_boolean(texts: pd.Series, _: str) -> tuple[pd.Series, Problem]:
    return texts.str.lower().map(BOOLEAN_TEXTS).astype("float64"), Problem.NOT_0_OR_1


def _parse_label(texts: pd.Series, _: str) -> tuple[pd.Series, Problem]:
    return texts, Problem.NOT_IN_VALUES


PARSERS: dict[str, Callable[[pd.Series, str], tuple[pd.Series, Problem]]] = {
    "numeric": _parse_number,
    "boolean": _parse_boolean,
    "categorical": _parse_label,
}


def _parse_target(texts: pd.Series, target: Target) -> tuple[pd.Series, Problem]:
    outcomes = {target.positive.casefold(): 1.0, target.negative.casefold(): 0.0}
    labels = texts.str.casefold().map(outcomes).astype("float64")
    return labels, Problem.NO_TARGET_VALUE
