"""Validate and score a batch of customers. Uses no files and no threads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import FixedThresholdClassifier

from churn.config.contract import TableContract
from churn.config.economics import Economics
from churn.errors import ChurnError
from churn.metrics import profit
from churn.model import decision, encoding
from churn.table import parsing
from churn.table.keys import row_keys
from churn.table.reader import Batch
from churn.table.splits import fractions_of
from churn.types import ROW_KEY

SCORES = ("data_row", ROW_KEY, "probability", "contact", "expected_profit_of_contact")
"""Columns of the output, besides the id."""

REJECTS = ("data_row", "reason")
"""Columns of the rejects file."""


SCORED_ON, FINGERPRINT, HELD_OUT = "scored_on", "fingerprint", "held_out"
OF_CAMPAIGN = (SCORED_ON, FINGERPRINT, HELD_OUT)
"""Columns that join a score with its outcome later."""


@dataclass(frozen=True)
class Campaign:
    """What is written beside scores, so that their outcomes can be joined and the effect of contacts measured.

    Attributes:
        fingerprint: of the state that scores.
        scored_on: date of all scores; None: that of the table's `date_column`.
        holdout: share of the customers who are not contacted although the model would.
        salt: another text holds out other customers.
    """

    fingerprint: str
    scored_on: str | None
    date_column: str | None
    holdout: float
    salt: str


@dataclass(frozen=True)
class Customers:
    """A batch, parsed and validated.

    Attributes:
        rows: typed columns of the valid rows.
        numbers: row number of each valid row in the table.
        keys: row key of each valid row.
        dates: date of each valid row as text; empty without a date column.
        refused: row number and reason of each rejected row.
        done: share of the table that has been read after this batch, 0 to 1.
    """

    rows: pd.DataFrame
    numbers: NDArray[np.int64]
    keys: list[str]
    dates: list[str]
    refused: pd.DataFrame
    done: float


def read_customers(batch: Batch, contract: TableContract, date_column: str | None = None) -> Customers:
    """Parse a batch to typed columns; rows that violate the contract are separated, with the reason.

    So are rows whose value in the date column, if one is asked for, is not a date.
    """
    rows, reasons = parsing.parse_customers(batch.texts, contract)
    days = pd.Series(dtype="float64")
    if date_column is not None:
        days = parsing.parse_dates(batch.texts[date_column], parsing.date_format(contract, date_column))
        reasons = reasons.mask((reasons == "") & days.isna(), f"column {date_column!r}: the value is not a date")
    broken = (reasons != "").to_numpy()
    kept = rows[~broken]
    return Customers(
        rows=kept,
        numbers=batch.numbers[~broken],
        keys=row_keys(kept, contract),
        dates=[parsing.moment_text(day) for day in days[~broken]] if len(days) else [],
        refused=_rejects_table(batch, reasons[broken]),
        done=batch.done,
    )


def name_of_id(name: str) -> str:
    """Name of the id column in the output, prefixed with id_ if it clashes with another column.

    The comparison ignores case, since many programs treat column names as case-insensitive.
    """
    while name.casefold() in (*SCORES, *OF_CAMPAIGN):
        name = f"id_{name}"
    return name


def require_columns_of_model(model: FixedThresholdClassifier, contract: TableContract) -> None:
    """Check that the contract has the columns that the model was fitted with.

    Raises:
        ChurnError: a column is missing or has another type.
    """
    types = encoding.column_types(decision.pipeline_of(model).named_steps["encoders"])
    other = [
        name for name, kind in types.items() if name not in contract.columns or contract.columns[name].type != kind
    ]
    if other:
        raise ChurnError(
            f"params.yaml: data.columns: the model was fitted with {other[0]!r} as {types[other[0]]}; "
            "restore that contract, or run `dvc repro`"
        )


Reasons = Callable[[pd.DataFrame], list[list[str]]]
"""Returns for each row the same number of reasons in words, strongest first; empty texts where there are fewer."""


def score_customers(
    model: FixedThresholdClassifier,
    customers: Customers,
    contract: TableContract,
    economics: Economics,
    reasons: Reasons | None = None,
) -> pd.DataFrame:
    """Score customers: row number, id, key, probability, decision, expected profit of a contact, and reasons."""
    rows = customers.rows
    identifiers = {} if contract.id is None else {name_of_id(contract.id): rows[contract.id].tolist()}
    probability = decision.churn_probability(model, rows) if len(rows) else pd.Series(dtype="float64").to_numpy()
    return pd.DataFrame(
        {
            "data_row": customers.numbers,
            **identifiers,
            "row_key": customers.keys,
            "probability": probability,
            # Equal to `model.predict`, without computing probabilities twice.
            "contact": (probability >= model.threshold).astype("int64"),
            "expected_profit_of_contact": profit.expected_gain(probability, economics),
            **({} if reasons is None else _columns_of_reasons(reasons(rows))),
        }
    ).astype({"data_row": "int64", "row_key": "str"})


def with_campaign(scores: pd.DataFrame, customers: Customers, campaign: Campaign) -> pd.DataFrame:
    """Add day, fingerprint and whether a customer is held out, who then is not to be contacted."""
    held_out = fractions_of(pd.Index(customers.keys), f"holdout {campaign.salt}") < campaign.holdout
    would_contact = scores["contact"].to_numpy() == 1
    return scores.assign(
        **{
            "contact": (would_contact & ~held_out).astype("int64"),
            SCORED_ON: customers.dates if campaign.scored_on is None else campaign.scored_on,
            FINGERPRINT: campaign.fingerprint,
            HELD_OUT: (would_contact & held_out).astype("int64"),
        }
    )


def to_call_first(scores: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many of the customers to be contacted: those with the highest probability, best first."""
    contacted = scores[scores["contact"] == 1]
    return contacted.sort_values(["probability", "data_row"], ascending=[False, True], kind="stable").head(most)


def _columns_of_reasons(reasons: list[list[str]]) -> dict[str, list[str]]:
    return {f"reason_{number}": list(texts) for number, texts in enumerate(zip(*reasons, strict=True), 1)}


def _rejects_table(batch: Batch, reasons: pd.Series) -> pd.DataFrame:
    numbers = [*batch.ragged, *(int(batch.numbers[position]) for position in reasons.index)]
    told = [*batch.ragged.values(), *reasons]
    return pd.DataFrame({"data_row": numbers, "reason": told}).astype({"data_row": "int64", "reason": "str"})


def first_fault(refused: pd.DataFrame) -> str:
    """The first rejected row and its reason, on one line."""
    first = refused.sort_values("data_row", kind="stable").iloc[0]
    return f"data row {first['data_row']:,}: {first['reason']}"
