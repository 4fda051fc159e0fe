"""preprocess: the raw table becomes clean rows, divided into training and test, and encoded for the classifier.

The split comes before the encoding: whatever is learned (labels, medians, means) is learned from training rows.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer

from churn import artifacts, cleaning, features, schema
from churn.contract import TableContract
from churn.errors import DataError
from churn.params import Params, Preprocess
from churn.source import read_source
from churn.stages.__main__ import main
from churn.stages.execution import Measurements

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Customer columns and target of both sides, indexed by row key."""

    train: pd.DataFrame
    test: pd.DataFrame


@dataclass(frozen=True)
class Encoded:
    """Fitted on the training rows; both sides as the classifier gets them."""

    encoders: ColumnTransformer
    scaler: ColumnTransformer
    X_train: pd.DataFrame
    X_test: pd.DataFrame


def run(params: Params) -> Measurements:
    """Do the whole stage."""
    source = Path(params.data.source)
    texts = load_data(source, params.data)
    table = validate_data(source, texts, params.data)
    rows, report = clean_data(table, params.data)
    split = split_data(rows, params.data, params.preprocess)
    encoded = encode_features(split, params.data)
    report |= describe_split(split, encoded, params.data)
    save_processed_data(split, encoded, report, params.data.target.column)
    return {}


def load_data(source: Path, contract: TableContract) -> pd.DataFrame:
    """Read the table as texts and see that its columns are there, once each."""
    texts = read_source(source)
    problem = schema.header_problem(list(texts.columns), contract)
    if problem:
        raise DataError(f"{source}: {problem}")
    log.info("%s: %s rows, %s columns", source, f"{len(texts):,}", texts.shape[1])
    unused = [name for name in texts.columns if name not in contract.needed]
    if unused:
        log.info("not used, since data.columns does not list them: %s", ", ".join(unused))
    return texts


def validate_data(source: Path, texts: pd.DataFrame, contract: TableContract) -> pd.DataFrame:
    """Give every column its type; all breaches of the contract are told at once."""
    table, unparsed = schema.parse_table(texts, contract)
    faults = schema.all_faults(table, unparsed, contract)
    if faults:
        raise DataError("\n".join(f"{source}: {fault}" for fault in faults))
    log.info("contract holds: %s columns checked", len(contract.needed))
    return table


def clean_data(table: pd.DataFrame, contract: TableContract) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Leave out incomplete rows where the policy says so, and give every row its key."""
    complete, dropped = cleaning.drop_incomplete(table, contract)
    if complete.empty:
        raise DataError("every row has a gap in a column whose missing policy is drop; set one of them to allow")
    rows = cleaning.with_row_keys(complete, contract)
    equal = cleaning.equal_rows(rows)
    log.info(
        "%s rows kept, %s left out, %s equal to an earlier one",
        f"{len(rows):,}",
        sum(dropped.values()),
        equal,
    )
    report = {
        "rows_in": len(table),
        "rows_kept": len(rows),
        "rows_dropped": dropped,
        "rows_equal_to_another": equal,
        "missing": {name: int(table[name].isna().sum()) for name in contract.columns},
    }
    return rows, report


def split_data(rows: pd.DataFrame, contract: TableContract, how: Preprocess) -> Split:
    """Put every row on the side that its key says."""
    test = cleaning.is_test(rows.index, how.split_salt, how.test_share)
    split = Split(train=rows[~test], test=rows[test])
    for side, part in (("training", split.train), ("test", split.test)):
        if part[contract.target.column].nunique() < 2:
            raise DataError(
                f"{side} rows ({len(part):,} of {len(rows):,}) lack churners or stayers; bring more customers, or "
                "change preprocess.test_share"
            )
    log.info("%s training rows, %s test rows", f"{len(split.train):,}", f"{len(split.test):,}")
    return split


def encode_features(split: Split, contract: TableContract) -> Encoded:
    """Fit encoders and scaler on the training rows, then apply them to both sides."""
    customer_columns = list(contract.columns)
    train, test = split.train[customer_columns], split.test[customer_columns]
    encoders = features.make_encoders(contract.columns)
    scaler = features.make_scaler(contract.columns)
    scaler.fit(encoders.fit_transform(train))
    X_train = features.encode(encoders, scaler, train)
    log.info("%s columns encoded as %s", len(customer_columns), X_train.shape[1])
    return Encoded(encoders, scaler, X_train, features.encode(encoders, scaler, test))


def describe_split(split: Split, encoded: Encoded, contract: TableContract) -> dict[str, Any]:
    """Figures of both sides; labels of the test rows that training never saw are counted."""
    target = contract.target.column
    return {
        "rows_train": len(split.train),
        "rows_test": len(split.test),
        "churn_rate_train": float(split.train[target].mean()),
        "churn_rate_test": float(split.test[target].mean()),
        "unknown_labels_test": features.unknown_labels(encoded.encoders, split.test),
    }


def save_processed_data(split: Split, encoded: Encoded, report: dict[str, Any], target: str) -> None:
    """Write both sides, what was fitted, and the figures."""
    artifacts.write_rows(artifacts.TRAIN_ROWS, split.train.drop(columns=target))
    artifacts.write_rows(artifacts.TEST_ROWS, split.test.drop(columns=target))
    artifacts.write_table(artifacts.X_TRAIN, encoded.X_train)
    artifacts.write_table(artifacts.X_TEST, encoded.X_test)
    artifacts.write_table(artifacts.Y_TRAIN, split.train[[target]].astype("int64"))
    artifacts.write_table(artifacts.Y_TEST, split.test[[target]].astype("int64"))
    artifacts.write_pickle(artifacts.ENCODERS, encoded.encoders)
    artifacts.write_pickle(artifacts.SCALER, encoded.scaler)
    artifacts.write_json(artifacts.DATA_METRICS, report)
    log.info("written to %s and %s", artifacts.PROCESSED, artifacts.DATA_METRICS)


if __name__ == "__main__":
    main("preprocess")
