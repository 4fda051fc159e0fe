"""On which side and in which fold each row falls."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from churn.config.contract import TableContract
from churn.table.keys import with_row_keys
from churn.table.parsing import parse_table
from churn.table.splits import fold_of, is_newest, is_test
from tests.helpers.strategies import kinds_of_customers, repeatable, tables, values_of

SALT = "any text"


def places(texts: pd.DataFrame, contract: TableContract) -> list[tuple[bool, int]]:
    """Side and fold of each row, in the order of the table."""
    rows, order = with_row_keys(parse_table(texts, contract)[0], contract)
    table = pd.DataFrame({"test": is_test(rows.index, SALT, 0.5), "fold": fold_of(rows.index, SALT, 5)})
    return list(table.set_axis(order.tolist()).sort_index().itertuples(index=False, name=None))


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
@given(kinds_of_customers(), st.data())
def test_with_an_id_the_features_have_no_say(kind: tuple[TableContract, pd.DataFrame], data: DataObject) -> None:
    contract, texts = kind
    named = contract.model_copy(update={"id": "customer_id"})
    texts = texts.assign(customer_id=[f"customer {number}" for number in range(len(texts))])
    name = data.draw(st.sampled_from(list(contract.columns)))
    other = texts.assign(**{name: data.draw(values_of(contract.columns[name]))})
    assert places(other, named) == places(texts, named)


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
