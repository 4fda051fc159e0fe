"""Contracts, and tables made to fit them, for property-based tests."""

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from churn.config.contract import Column, TableContract
from tests.helpers.projects import REST_OF_CONTRACT

# Repeatable, without a verdict on speed, and without a minute of explanations when a test fails.
repeatable = settings(derandomize=True, deadline=None, database=None, phases=[Phase.generate, Phase.shrink])

NUMBERS = st.floats(-1e6, 1e6) | st.integers(-1000, 1000).map(float)
LABELS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=6).filter(
    lambda label: label not in ("NA", "?", "nan")
)
POLICIES = st.sampled_from(["allow", "drop", "fail"])


@st.composite
def numeric_columns(draw: DrawFn) -> dict[str, Any]:
    low, high = sorted(draw(st.tuples(NUMBERS, NUMBERS)))
    bounds = {"min": draw(st.sampled_from([low, None])), "max": draw(st.sampled_from([high, None]))}
    return {"type": "numeric", "missing": draw(POLICIES), "on_error": "fail", **bounds}


CATEGORICAL_COLUMNS = st.fixed_dictionaries(
    {
        "type": st.just("categorical"),
        "values": st.none() | st.lists(LABELS, min_size=1, max_size=4),
        "missing": POLICIES,
        "on_error": st.just("fail"),
    }
)
BOOLEAN_COLUMNS = st.fixed_dictionaries({"type": st.just("boolean"), "missing": POLICIES, "on_error": st.just("fail")})


@st.composite
def contracts(draw: DrawFn) -> TableContract:
    """Any contract. Names of columns hold no underscore, so that no two encoded columns share a name."""
    names = st.text("abcé 1", min_size=1, max_size=4)
    columns = numeric_columns() | CATEGORICAL_COLUMNS | BOOLEAN_COLUMNS
    return TableContract.model_validate(
        {
            "id": draw(st.sampled_from([None, "customer_id"])),
            "target": {
                "column": "has_left",
                "positive": "yes",
                "negative": "no",
                "missing": draw(st.sampled_from(["drop", "fail"])),
            },
            **REST_OF_CONTRACT,
            "missing_values": draw(st.lists(st.sampled_from(["NA", "?"]), unique=True)),
            "columns": draw(st.dictionaries(names, columns, min_size=1, max_size=4)),
        }
    )


@st.composite
def tables(draw: DrawFn, contract: TableContract) -> pd.DataFrame:
    """Texts that fit a contract: both target values twice at least, no column entirely missing."""
    outcomes = draw(st.lists(st.sampled_from(["yes", "no"]), max_size=6).map(lambda more: ["yes", "no"] * 2 + more))
    count = len(outcomes)
    gaps = st.sampled_from(["", *contract.missing_values])
    cells = {contract.target.column: draw(st.permutations(outcomes))}
    if contract.id is not None:
        cells[contract.id] = draw(st.lists(LABELS, min_size=count, max_size=count))
    for name, column in contract.columns.items():
        value = values_of(column)
        anything = value if column.missing == "fail" else value | gaps
        cells[name] = draw(st.tuples(value, st.lists(anything, min_size=count - 1, max_size=count - 1)).map(_joined))
    return pd.DataFrame({name: cells[name] for name in draw(st.permutations(list(cells)))}, dtype="str")


def _joined(cells: tuple[str, list[str]]) -> list[str]:
    first, others = cells
    return [*others, first]


def values_of(column: Column) -> SearchStrategy[str]:
    """Texts that are a value of a column."""
    if column.type == "boolean":
        return st.sampled_from(["0", "1", "0.0", "1.0", "true", "False"])
    if column.type == "categorical":
        return LABELS if column.values is None else st.sampled_from(column.values)
    low = -1e9 if column.min is None else column.min
    high = 1e9 if column.max is None else column.max
    return st.floats(low, high).map(repr)


def just_outside(column: Column) -> list[tuple[str, str]]:
    """Texts that break a column's contract, each with the problem it is."""
    if column.type == "boolean":
        texts = [("2", "not 0 or 1"), ("maybe", "not 0 or 1")]
    elif column.type == "categorical":
        texts = [] if column.values is None else [("".join(column.values) + "!", "not in values")]
    else:
        texts = [("many", "not a number"), ("1,5", "not a number"), ("inf", "infinite"), ("-1e999", "infinite")]
        texts += [] if column.min is None else [(repr(float(np.nextafter(column.min, -np.inf))), "below min")]
        texts += [] if column.max is None else [(repr(float(np.nextafter(column.max, np.inf))), "above max")]
    return texts + ([("", "missing")] if column.missing == "fail" else [])


@st.composite
def kinds_of_customers(draw: DrawFn) -> tuple[TableContract, pd.DataFrame]:
    """A contract, and a table of texts that fits it."""
    contract = draw(contracts())
    return contract, draw(tables(contract))
