"""preprocess: clean the raw table, split it into training and test rows, and encode both.

The split precedes the encoding, so labels, medians and means are learned from training rows only.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer

from churn import files
from churn.audit import checks, view, wording
from churn.config.contract import TableContract, UnusedKind
from churn.config.params import Params, Preprocess, SplitBy
from churn.errors import DataError, ParameterError, excerpt
from churn.model import encoding
from churn.stages.runner import Measurements
from churn.stages.start import start_anew
from churn.table import keys, parsing, splits, validation
from churn.table.column_names import says_customers
from churn.table.reader import difference_of, lines_of, read_source
from churn.texts import counted

log = logging.getLogger(__name__)

NAME_NOBODY: frozenset[UnusedKind] = frozenset({"date", "copy", "constant"})
"""Kinds of unused columns that do not identify customers, so the audit ignores values on both sides of the split."""

MANY_FRACTIONS = 0.3

AUDIT_FOLDS = 5
FIRST_LINES = 3


@dataclass(frozen=True)
class KeyedRows:
    """Kept rows, sorted by key.

    Attributes:
        table: customer columns and target, indexed by row key.
        places: position of each row in the file, from 1.
        times: increasing numbers, by name of the date column.
    """

    table: pd.DataFrame
    places: NDArray[np.int64]
    times: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Split:
    """Customer columns and target of both sides, indexed by row key; position of each row in the file, from 1."""

    train: pd.DataFrame
    test: pd.DataFrame
    train_places: NDArray[np.int64]
    test_places: NDArray[np.int64]
    times: dict[str, NDArray[np.float64]]
    """Of the training rows, as in `KeyedRows`."""


@dataclass(frozen=True)
class EncodedRows:
    """Encoders and scaler, fitted on training rows, and both sides encoded."""

    encoders: ColumnTransformer
    scaler: ColumnTransformer
    X_train: pd.DataFrame
    X_test: pd.DataFrame


def run(root: Path, params: Params) -> Measurements:
    """Run the stage in a folder."""
    source = source_of(root, params.data.source)
    texts = load_data(source, params.data, params.preprocess.split)
    settled = validate_data(root, source, texts, params.data)
    times = read_times(texts, params.data, params.preprocess.split)
    rows, report = clean_data(texts, settled, times, params.data)
    split = split_data(rows, params.data, params.preprocess)
    audit_split(root, split, texts, params.data, params.preprocess)
    encoded = encode_features(split, params.data)
    report |= describe_split(split, encoded, params.data)
    save_processed_data(root, split, encoded, report, params.data.target.column)
    return {}


def source_of(root: Path, name: str) -> Path:
    """Path of the table; a link in the project may lead to a file elsewhere.

    Raises:
        ParameterError: the name leads out of the project, so that DVC and git could not give the same table again.
    """
    folder, path = (Path(os.path.normpath(one)) for one in (root.absolute(), root.absolute() / name))
    if not path.is_relative_to(folder):
        raise ParameterError(
            f"params.yaml: data.source: {excerpt(name)} is outside the project's folder; copy or move the table to "
            "data/raw/ and name it there"
        )
    return root / name


def load_data(source: Path, contract: TableContract, how: SplitBy) -> pd.DataFrame:
    """Read the table as texts and check that each column exists exactly once."""
    texts = read_source(source, contract.format)
    problem = validation.header_problem(list(texts.columns), contract)
    if problem:
        raise DataError(f"{source}: {difference_of(source, contract.format) or problem}")
    if how.column is not None and how.column not in texts.columns:
        raise DataError(f"{source}: no column {how.column!r} (preprocess.split.column)")
    log.info("%s: %s rows, %s columns", source, f"{len(texts):,}", texts.shape[1])
    unlisted = [name for name in texts.columns if name not in (*contract.needed, *contract.unused)]
    if unlisted:
        log.info("not used, because data.columns does not list them: %s", ", ".join(unlisted))
    return texts


def validate_data(root: Path, source: Path, texts: pd.DataFrame, contract: TableContract) -> validation.SettledTable:
    """Convert each column to its type and apply the contract; all violations are reported together.

    Raises:
        DataError: one line for each kind of violation; data/faults.csv lists every case.
    """
    target = contract.target
    judged = np.flatnonzero(~parsing.is_left_out(texts[target.column], target))
    kept = texts.iloc[judged].reset_index(drop=True)
    settled = validation.settle(*parsing.parse_table(kept, contract), contract).at(judged)
    if settled.faults:
        raise DataError("\n".join(_refusal(root, source, texts, settled.faults, contract)))
    if _is_list_of_faults(root / files.FAULTS):
        (root / files.FAULTS).unlink()  # of an earlier table
    log.info("contract holds: %s columns checked", len(contract.needed))
    for counts, fate in (
        (settled.rows_dropped, "rows dropped for invalid values in"),
        (settled.taken_for_gaps, "invalid values treated as gaps in"),
    ):
        if counts:
            log.warning("%s %s", fate, ", ".join(f"{name} ({count:,})" for name, count in counts.items()))
    left_out = len(texts) - len(judged)
    if not left_out:
        return settled
    log.info("%s left out by data.target.drop: %s", counted(left_out, "row"), ", ".join(map(excerpt, target.drop)))
    return replace(settled, rows_dropped=settled.rows_dropped | {target.column: left_out})


def _refusal(
    root: Path, source: Path, texts: pd.DataFrame, faults: list[validation.Fault], contract: TableContract
) -> Iterator[str]:
    """One line for each kind of violation, with its first line numbers; all cases are written to a file."""
    rows = sorted({int(row) for fault in faults for row in fault.rows})
    line = dict(zip(rows, lines_of(source, contract.format, rows), strict=True))
    cases = [
        (line[row], fault.column, fault.problem, texts[fault.column].loc[row])
        for fault in faults
        for row in fault.rows.tolist()
    ]
    if os.path.lexists(root / files.FAULTS) and not _is_list_of_faults(root / files.FAULTS):
        log.warning(
            "%s: exists, and is not a list of violations: left unchanged; rename it to get the list", files.FAULTS
        )
    else:
        files.write_rounded_table(root / files.FAULTS, pd.DataFrame(cases, columns=list(files.FAULT_COLUMNS)))
        log.warning("all violations are in %s", files.FAULTS)
    for fault in faults:
        lines = [f"{line[row]:,}" for row in fault.rows[:FIRST_LINES].tolist()]
        more = f", then {', '.join(lines[1:])}" if len(lines) > 1 else ""
        yield f"{source}: {fault.describe(f'line {lines[0]}{more}')}"


def _is_list_of_faults(path: Path) -> bool:
    """Whether an earlier run wrote the file; a file of the user may have the same name."""
    return path.is_file() and files.has_header(path, files.FAULT_COLUMNS)


def read_times(texts: pd.DataFrame, contract: TableContract, how: SplitBy) -> dict[str, pd.Series]:
    """Times of all rows by date column; the column that defines the split comes first."""
    formats: dict[str, str | None] = {} if how.column is None else {how.column: how.format}
    for name, column in contract.unused.items():
        if column.kind == "date" and name in texts.columns and name not in formats:
            formats[name] = column.format
    times: dict[str, pd.Series] = {}
    for name, form in formats.items():
        key = "preprocess.split.format" if name == how.column else f"data.unused.{name}.format"
        times[name] = _times_of(texts[name], form, key)
    return {name: moments for name, moments in times.items() if name == how.column or moments.notna().any()}


def _times_of(texts: pd.Series, form: str | None, key: str) -> pd.Series:
    try:
        return parsing.parse_times(texts, form)
    except (ValueError, re.error):  # raised by pandas for an invalid format
        raise ParameterError(
            f'params.yaml: {key}: {form!r} is not a date format; write it like "%d.%m.%Y", or null for ISO 8601 or '
            "numbers"
        ) from None


def clean_data(
    texts: pd.DataFrame, settled: validation.SettledTable, times: dict[str, pd.Series], contract: TableContract
) -> tuple[KeyedRows, dict[str, Any]]:
    """Drop incomplete rows if the policy says so, and add row keys."""
    table = settled.table
    complete, dropped = validation.drop_incomplete(table, contract)
    if complete.empty:
        raise DataError("every row has a missing value in a column with `missing: drop`; set one of them to `allow`")
    times = {name: moments.loc[complete.index] for name, moments in times.items()}
    keyed, order = keys.with_row_keys(complete, contract, then_by=list(times.values()))
    rows = KeyedRows(
        table=keyed,
        places=complete.index.to_numpy()[order] + 1,
        times={name: moments.to_numpy()[order] for name, moments in times.items()},
    )
    equal = keys.equal_rows(keyed)
    left_out = sum(dropped.values()) + sum(settled.rows_dropped.values())
    log.info(
        "%s rows kept, %s dropped, %s with the key of an earlier row", f"{len(keyed):,}", f"{left_out:,}", f"{equal:,}"
    )
    report = {
        "rows_in": len(texts),
        "rows_kept": len(keyed),
        "rows_dropped": dropped,
        "rows_dropped_on_error": settled.rows_dropped,
        "taken_for_gaps": settled.taken_for_gaps,
        "rows_equal_to_another": equal,
        "missing": {name: int(table[name].isna().sum()) for name in contract.columns},
    }
    return rows, report


def split_data(rows: KeyedRows, contract: TableContract, how: Preprocess) -> Split:
    """Split rows into training and test, by key or by time."""
    test = SIDES[how.split.by](rows, how)
    split = Split(
        train=rows.table[~test],
        test=rows.table[test],
        train_places=rows.places[~test],
        test_places=rows.places[test],
        times={name: moments[~test] for name, moments in rows.times.items()},
    )
    for side, part in (("training", split.train), ("test", split.test)):
        if part[contract.target.column].nunique() < 2:
            raise DataError(
                f"{side} rows ({len(part):,} of {len(test):,}) lack churners or stayers; add customers, or "
                "change preprocess.test_share"
            )
    log.info("%s training rows, %s test rows", f"{len(split.train):,}", f"{len(split.test):,}")
    return split


def _by_key(rows: KeyedRows, how: Preprocess) -> NDArray[np.bool_]:
    return splits.is_test(rows.table.index, how.split_salt, how.test_share)


def _by_time(rows: KeyedRows, how: Preprocess) -> NDArray[np.bool_]:
    times = rows.times[str(how.split.column)]
    unknown = np.isnan(times)
    if unknown.any():
        count, first = int(unknown.sum()), int(rows.places[unknown].min())
        form = f"dates like {how.split.format}" if how.split.format else "ISO 8601 dates or numbers"
        raise DataError(
            f"column {how.split.column!r} (preprocess.split.column): {count:,} values are not {form}, first in data "
            f"row {first:,}; set preprocess.split.format, or correct them"
        )
    return splits.is_newest(times, how.test_share)


SIDES = {"key": _by_key, "time": _by_time}


def audit_split(root: Path, split: Split, texts: pd.DataFrame, contract: TableContract, how: Preprocess) -> None:
    """Check for problems that make metrics too optimistic; write and log the findings.

    Raises:
        DataError: a finding fails the run, and data.audit.accept does not list it.
    """
    findings = checks.find_leaks(audit_input(split, texts, contract, how), contract, by_time=how.split.by == "time")
    open_ones = checks.open_findings(findings, contract)
    files.write_json(root / files.AUDIT, wording.as_report(findings, open_ones))
    for name in checks.needless_accepts(findings, contract):
        log.warning("params.yaml: data.audit.accept: no finding has the name %r; remove it", name)
    for finding in open_ones:
        if finding.severity == "warn":
            log.warning("audit: %s (%s)", wording.describe(finding), finding.name)
    failing = [finding for finding in open_ones if finding.severity == "fail"]
    if failing:
        raise DataError("\n".join(wording.objections(failing)))
    log.info(
        "audit: %s checks, %s, %s accepted, %s",
        len(checks.CHECKS),
        counted(len(findings), "finding"),
        len(findings) - len(open_ones),
        counted(len(open_ones), "warning"),
    )


def audit_input(split: Split, texts: pd.DataFrame, contract: TableContract, how: Preprocess) -> view.AuditInput:
    """Input of the audit, without outcomes of test rows."""
    customers = list(contract.columns)
    return view.AuditInput(
        train=split.train[customers],
        churned=split.train[contract.target.column].to_numpy().astype(np.int64),
        test=split.test[customers],
        folds=splits.fold_of(split.train.index, how.split_salt, AUDIT_FOLDS),
        places=split.train_places,
        times=split.times,
        names=dict(_names_of_customers(split, texts, contract)),
    )


def _names_of_customers(
    split: Split, texts: pd.DataFrame, contract: TableContract
) -> Iterator[tuple[str, tuple[NDArray[np.int64], NDArray[np.int64]]]]:
    """The id, columns that the model does not use, and features whose names say that they name customers."""
    nobody = [name for name, column in contract.unused.items() if column.kind in NAME_NOBODY]
    nobody += [contract.target.column, *(name for name in contract.columns if not says_customers(name))]
    for name in texts.columns:
        if name in nobody or not name:
            continue
        codes, values = pd.factorize(parsing.known_texts(texts[name], contract, name))
        if name == contract.id or not _are_amounts(values, contract):
            yield name, (codes[split.train_places - 1], codes[split.test_places - 1])


def _are_amounts(values: pd.Index, contract: TableContract) -> bool:
    """Whether many texts are numbers with a fraction, which name nobody."""
    some = pd.Series(values[:: max(1, len(values) // 1000)], dtype="str")
    return bool((parsing.parse_numbers(some, contract.format.decimal) % 1 > 0).mean() > MANY_FRACTIONS)


def encode_features(split: Split, contract: TableContract) -> EncodedRows:
    """Fit encoders and scaler on training rows, then apply them to both sides."""
    customer_columns = list(contract.columns)
    train, test = split.train[customer_columns], split.test[customer_columns]
    encoders = encoding.make_encoders(contract.columns)
    scaler = encoding.make_scaler(contract.columns)
    scaler.fit(encoders.fit_transform(train))
    X_train = encoding.encode(encoders, scaler, train)
    log.info("%s columns encoded as %s", len(customer_columns), X_train.shape[1])
    return EncodedRows(encoders, scaler, X_train, encoding.encode(encoders, scaler, test))


def describe_split(split: Split, encoded: EncodedRows, contract: TableContract) -> dict[str, Any]:
    """Row counts and churn rates of both sides, and counts of test labels that training rows lack."""
    target = contract.target.column
    return {
        "rows_train": len(split.train),
        "rows_test": len(split.test),
        "churn_rate_train": float(split.train[target].mean()),
        "churn_rate_test": float(split.test[target].mean()),
        "unknown_labels_test": encoding.unknown_labels(encoded.encoders, split.test),
    }


def save_processed_data(root: Path, split: Split, encoded: EncodedRows, report: dict[str, Any], target: str) -> None:
    """Write both sides, encoders, scaler and metrics."""
    files.write_rows(root / files.TRAIN_ROWS, split.train.drop(columns=target))
    files.write_rows(root / files.TEST_ROWS, split.test.drop(columns=target))
    files.write_table(root / files.X_TRAIN, encoded.X_train)
    files.write_table(root / files.X_TEST, encoded.X_test)
    files.write_table(root / files.Y_TRAIN, split.train[[target]].astype("int64"))
    files.write_table(root / files.Y_TEST, split.test[[target]].astype("int64"))
    files.write_pickle(root / files.ENCODERS, encoded.encoders)
    files.write_pickle(root / files.SCALER, encoded.scaler)
    files.write_json(root / files.DATA_METRICS, report)
    log.info("written to %s and %s", files.PROCESSED, files.DATA_METRICS)


if __name__ == "__main__":
    start_anew("preprocess")
