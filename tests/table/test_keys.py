"""The key of each row."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from churn.config.contract import TableContract
from churn.table.keys import canonical_text, equal_rows, with_row_keys
from churn.table.parsing import parse_table
from tests.helpers.projects import REST_OF_CONTRACT
from tests.helpers.strategies import kinds_of_customers, repeatable


def keyed(texts: pd.DataFrame, contract: TableContract) -> pd.DataFrame:
    return with_row_keys(parse_table(texts, contract)[0], contract)[0]


@repeatable
@given(kinds_of_customers(), st.data())
def test_the_order_of_the_file_changes_nothing(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    shuffled = texts.iloc[data.draw(st.permutations(range(len(texts))))]
    pd.testing.assert_frame_equal(keyed(shuffled, contract), keyed(texts, contract))


@repeatable
@given(kinds_of_customers())
def test_repeated_rows_get_keys_of_their_own_and_are_counted(kind: tuple[TableContract, pd.DataFrame]) -> None:
    contract, texts = kind
    once, twice = keyed(texts, contract), keyed(pd.concat([texts, texts], ignore_index=True), contract)
    assert once.index.is_unique
    assert twice.index.is_unique
    assert equal_rows(twice) == len(texts) + equal_rows(once)


def test_numbers_are_the_same_in_any_dtype(contract: TableContract) -> None:
    floats = pd.DataFrame(
        {"plan": ["pro", "plus"], "months": [1.0, 0.0], "fee": [5.0, 7.0], "senior": [1.0, 0.0], "gone": [1.0, 0.0]}
    )
    others = floats.astype({"plan": "category", "months": "int64", "fee": "float32", "senior": "bool"})
    minus_zero = floats.assign(months=[1.0, -0.0])
    expected = with_row_keys(floats, contract)[0].index
    assert with_row_keys(others, contract)[0].index.equals(expected)
    assert with_row_keys(minus_zero, contract)[0].index.equals(expected)


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        (None, "\x1f".join(["\x00", "3.0", "basic", "1.0"])),  # fee (a gap), months, plan, senior
        ("name", "Ann"),
    ],
)
def test_the_key_is_a_hash_of_the_id_or_of_all_features(
    contract: TableContract, identifier: str | None, text: str
) -> None:
    row = {"gone": ["yes"], "plan": ["basic"], "months": ["3"], "fee": ["NA"], "senior": ["true"], "name": ["Ann"]}
    rows = keyed(pd.DataFrame(row, dtype="str"), contract.model_copy(update={"id": identifier}))
    assert rows.index.tolist() == [hashlib.sha256(text.encode()).hexdigest()[:16]]


PLAN_AND_MONTHS = TableContract.model_validate(
    {
        **REST_OF_CONTRACT,
        "id": None,
        "target": {"column": "gone", "positive": "yes", "negative": "no", "missing": "fail"},
        "missing_values": [],
        "columns": {
            "plan": {"type": "categorical", "values": None, "missing": "allow", "on_error": "fail"},
            "months": {"type": "numeric", "min": None, "max": None, "missing": "allow", "on_error": "fail"},
        },
    }
)
AWKWARD_LABELS = st.none() | st.sampled_from(
    ["", "nan", "None", "\x00", "\x1f", "a\x1fb", "a\x00", "é", "e\u0301", "1", "1.0"]
)
AWKWARD_NUMBERS = (
    st.sampled_from([0.0, -0.0, 1.0, 0.1 + 0.2, 1e-300, 1e16, 5e-324, np.inf, -np.inf, np.nan]) | st.floats()
)


def plain_text(plan: str | None, months: float) -> str:
    """The canonical text of a customer with these two features, one value after the other."""
    number = "\x00" if np.isnan(months) else repr(months + 0.0)
    return number + "\x1f" + ("\x00" if plan is None else plan)


@repeatable
@given(st.lists(st.tuples(AWKWARD_LABELS | st.text(max_size=3), AWKWARD_NUMBERS), max_size=12))
def test_the_text_of_a_row_is_that_of_its_values_one_by_one(rows: list[tuple[str | None, float]]) -> None:
    table = pd.DataFrame(
        {
            "plan": pd.Series([plan for plan, _ in rows], dtype="str"),
            "months": pd.Series([months for _, months in rows], dtype="float64"),
        }
    )
    assert canonical_text(table, PLAN_AND_MONTHS) == [plain_text(plan, months) for plan, months in rows]


def test_rows_that_differ_in_the_target_alone_are_equal_and_numbered(
    contract: TableContract, customers: pd.DataFrame
) -> None:
    three = customers.iloc[[0, 0, 0]].assign(gone=["yes", "no", "yes"])
    rows = keyed(three, contract)
    first = rows.index[0]
    assert rows.index.tolist() == [first, f"{first}-2", f"{first}-3"]
    assert rows["gone"].tolist() == [0.0, 1.0, 1.0]
    assert equal_rows(rows) == 2


def test_a_table_without_rows_is_keyed_as_one(contract: TableContract, customers: pd.DataFrame) -> None:
    rows = keyed(customers.head(0), contract)
    assert len(rows) == equal_rows(rows) == 0
    assert rows.index.name == "row_key"
