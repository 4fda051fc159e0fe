"""Which rows are kept, and on which side and in which fold each one falls."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn

from churn.cleaning import canonical_text, drop_incomplete, equal_rows, fold_of, is_newest, is_test, with_row_keys
from churn.contract import TableContract
from churn.schema import parse_table
from tests.conftest import REST_OF_CONTRACT
from tests.strategies import contracts, repeatable, tables, values_of

SALT = "any text"


@st.composite
def kinds_of_customers(draw: DrawFn) -> tuple[TableContract, pd.DataFrame]:
    """A contract, and a table of texts that fits it."""
    contract = draw(contracts())
    return contract, draw(tables(contract))


def keyed(texts: pd.DataFrame, contract: TableContract) -> pd.DataFrame:
    return with_row_keys(parse_table(texts, contract)[0], contract)


def places(texts: pd.DataFrame, contract: TableContract) -> list[tuple[bool, int]]:
    """Side and fold of each row, in the order of the table."""
    numbered = parse_table(texts, contract)[0].assign(number=range(len(texts)))
    rows = with_row_keys(numbered, contract)
    table = pd.DataFrame({"test": is_test(rows.index, SALT, 0.5), "fold": fold_of(rows.index, SALT, 5)})
    return list(table.set_axis(rows["number"].tolist()).sort_index().itertuples(index=False, name=None))


@repeatable
@given(kinds_of_customers(), st.data())
def test_the_order_of_the_file_changes_nothing(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    shuffled = texts.iloc[data.draw(st.permutations(range(len(texts))))]
    pd.testing.assert_frame_equal(keyed(shuffled, contract), keyed(texts, contract))


@repeatable
@given(kinds_of_customers(), st.data())
def test_the_order_of_the_columns_moves_no_row(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    in_file = texts[data.draw(st.permutations(list(texts)))]
    in_params = data.draw(st.permutations(list(contract.columns)))
    columns = {name: contract.columns[name] for name in in_params}
    assert places(in_file, contract.model_copy(update={"columns": columns})) == places(texts, contract)


@repeatable
@given(kinds_of_customers(), st.sampled_from([" ", "\t", "  "]))
def test_blanks_around_cells_move_no_row(kind: tuple[TableContract, pd.DataFrame], blank: str) -> None:
    contract, texts = kind
    assert places((texts + blank).astype("str"), contract) == places(texts, contract)


@repeatable
@given(kinds_of_customers())
def test_a_column_outside_the_contract_moves_no_row(kind: tuple[TableContract, pd.DataFrame]) -> None:
    contract, texts = kind
    remarked = texts.assign(remark=[f"remark {number}" for number in range(len(texts))])
    assert places(remarked, contract) == places(texts, contract)


@repeatable
@given(kinds_of_customers(), st.data())
def test_new_rows_move_no_old_one(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    more = pd.concat([texts, data.draw(tables(contract))], ignore_index=True)
    assert places(more, contract)[: len(texts)] == places(texts, contract)


@repeatable
@given(kinds_of_customers())
def test_the_target_has_no_say_in_the_place_of_a_row(kind: tuple[TableContract, pd.DataFrame]) -> None:
    contract, texts = kind
    turned = texts.assign(has_left=texts["has_left"].map({"yes": "no", "no": "yes"}))
    assert places(turned, contract) == places(texts, contract)


@repeatable
@given(kinds_of_customers(), st.data())
def test_equal_rows_never_straddle_split_or_folds(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    again = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=5))
    outcomes = data.draw(st.lists(st.sampled_from(["yes", "no"]), min_size=len(again), max_size=len(again)))
    repeated = texts.iloc[again].assign(has_left=outcomes)
    where = places(pd.concat([texts, repeated], ignore_index=True), contract)
    assert where[len(texts) :] == [where[first] for first in again]


@repeatable
@given(kinds_of_customers())
def test_repeated_rows_get_keys_of_their_own_and_are_counted(kind: tuple[TableContract, pd.DataFrame]) -> None:
    contract, texts = kind
    once, twice = keyed(texts, contract), keyed(pd.concat([texts, texts], ignore_index=True), contract)
    assert once.index.is_unique
    assert twice.index.is_unique
    assert equal_rows(twice) == len(texts) + equal_rows(once)


@repeatable
@given(kinds_of_customers(), st.data())
def test_with_an_id_the_features_have_no_say(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    named = contract.model_copy(update={"id": "customer_id"})
    texts = texts.assign(customer_id=[f"customer {number}" for number in range(len(texts))])
    name = data.draw(st.sampled_from(list(contract.columns)))
    other = texts.assign(**{name: data.draw(values_of(contract.columns[name]))})
    assert places(other, named) == places(texts, named)


def test_numbers_are_the_same_in_any_dtype(contract: TableContract) -> None:
    floats = pd.DataFrame(
        {"plan": ["pro", "plus"], "months": [1.0, 0.0], "fee": [5.0, 7.0], "senior": [1.0, 0.0], "gone": [1.0, 0.0]}
    )
    others = floats.astype({"plan": "category", "months": "int64", "fee": "float32", "senior": "bool"})
    minus_zero = floats.assign(months=[1.0, -0.0])
    expected = with_row_keys(floats, contract).index
    assert with_row_keys(others, contract).index.equals(expected)
    assert with_row_keys(minus_zero, contract).index.equals(expected)


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


MANY = pd.Index([hashlib.sha256(f"customer {number}".encode()).hexdigest()[:16] for number in range(20_000)])


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_test_share_comes_out_as_asked_for(share: float) -> None:
    four_deviations = 4 * np.sqrt(share * (1 - share) / len(MANY))
    assert is_test(MANY, SALT, share).mean() == pytest.approx(share, abs=four_deviations)


def test_folds_are_of_about_one_size() -> None:
    sizes = np.bincount(fold_of(MANY, SALT, 5))
    assert len(sizes) == 5
    assert sizes == pytest.approx(np.full(5, 4000), abs=4 * np.sqrt(20_000 * 0.2 * 0.8))


def test_a_larger_share_keeps_every_test_row() -> None:
    assert is_test(MANY, SALT, 0.3)[is_test(MANY, SALT, 0.2)].all()


def test_another_salt_is_another_split_independent_of_the_first() -> None:
    first, second = is_test(MANY, SALT, 0.5), is_test(MANY, "another text", 0.5)
    assert (first == second).mean() == pytest.approx(0.5, abs=0.02)


GAPPY = pd.DataFrame(
    {
        "gone": ["yes", "", "no", "yes", "no"],
        "plan": ["basic", "", "", "pro", "plus"],
        "months": ["1", "", "", "", "5"],
        "fee": ["", "2", "3", "4", "5"],
        "senior": ["0", "1", "0", "1", "0"],
    },
    dtype="str",
)


@pytest.mark.parametrize(
    ("policies", "kept", "dropped"),
    [
        ({"gone": "fail", "plan": "allow", "months": "allow", "fee": "allow"}, [0, 1, 2, 3, 4], {}),
        ({"gone": "drop", "plan": "allow", "months": "allow", "fee": "fail"}, [0, 2, 3, 4], {"gone": 1}),
        ({"gone": "fail", "plan": "drop", "months": "allow", "fee": "drop"}, [3, 4], {"plan": 2, "fee": 1}),
        (
            {"gone": "drop", "plan": "drop", "months": "drop", "fee": "allow"},
            [0, 4],
            {"gone": 1, "plan": 1, "months": 1},
        ),
        (
            {"gone": "drop", "plan": "drop", "months": "drop", "fee": "drop"},
            [4],
            {"gone": 1, "plan": 1, "months": 1, "fee": 1},
        ),
    ],
)
def test_rows_are_dropped_by_policy_and_counted_under_the_first_column_that_said_so(
    contract: TableContract, policies: dict[str, str], kept: list[int], dropped: dict[str, int]
) -> None:
    content = contract.model_dump(exclude={"source"})
    content["target"]["missing"] = policies["gone"]
    for name in ("plan", "months", "fee"):
        content["columns"][name]["missing"] = policies[name]
    lenient = TableContract.model_validate(content)
    rows, counts = drop_incomplete(parse_table(GAPPY, lenient)[0], lenient)
    assert rows.index.tolist() == kept
    assert counts == dropped


def test_a_table_without_rows_is_keyed_as_one(contract: TableContract, customers: pd.DataFrame) -> None:
    rows = keyed(customers.head(0), contract)
    assert len(rows) == equal_rows(rows) == 0
    assert rows.index.name == "row_key"


@pytest.mark.parametrize(
    ("times", "share", "test"),
    [
        ([5, 1, 3, 2, 4], 0.4, [True, False, False, False, True]),
        ([1, 2, 2, 2, 3], 0.3, [False, False, False, False, True]),
        ([1, 1, 1, 2, 2], 0.1, [False, False, False, True, True]),
        ([1, 1, 1], 0.5, [False, False, False]),
    ],
    ids=["the newest", "equal times share a side", "some are kept aside", "without a past there is no future"],
)
def test_time_keeps_the_newest_rows_aside(times: list[float], share: float, test: list[bool]) -> None:
    assert is_newest(np.array(times, dtype=float), share).tolist() == test
