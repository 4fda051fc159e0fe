"""From text to types, and every way in which a table breaks its contract."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from churn.config.contract import Column, TableContract
from churn.table.parsing import parse_customers, parse_dates, parse_numbers, parse_table, parse_times
from churn.table.validation import REMEDIES, Fault, Problem, all_faults, drop_incomplete, header_problem, settle
from tests.helpers.strategies import contracts, just_outside, repeatable, tables


@pytest.fixture
def table() -> pd.DataFrame:
    """Four customers who keep the contract of params.yaml."""
    return pd.DataFrame(
        {
            "gone": ["yes", "no", "yes", "no"],
            "plan": ["basic", "plus", "pro", "basic"],
            "months": ["1", "2", "3", "4"],
            "fee": ["10.5", "NA", "20", "30"],
            "senior": ["0", "1", "0", "1"],
        },
        dtype="str",
    )


def faults_of(texts: pd.DataFrame, contract: TableContract) -> list[Fault]:
    typed, unparsed = parse_table(texts, contract)
    return all_faults(typed, unparsed, contract)


def changed(contract: TableContract, **values: object) -> TableContract:
    """The contract with other values under some of its keys."""
    return TableContract.model_validate(contract.model_dump(exclude={"source"}) | values)


@repeatable
@given(st.data())
def test_a_table_that_fits_its_contract_has_no_fault(data: DataObject) -> None:
    contract = data.draw(contracts())
    texts = data.draw(tables(contract))
    assert header_problem(texts.columns.tolist(), contract) is None
    assert faults_of(texts, contract) == []


@repeatable
@given(st.data())
def test_a_single_fault_is_found_where_it_was_planted(data: DataObject) -> None:
    contract = data.draw(contracts())
    texts = data.draw(tables(contract))
    planted = [(name, *outside) for name, column in contract.columns.items() for outside in just_outside(column)]
    planted += [(contract.target.column, "maybe", "neither positive nor negative")]
    planted += [(contract.target.column, "", "missing in the target")] if contract.target.missing == "fail" else []
    planted += [(contract.id, "", "missing in the id")] if contract.id else []
    column, text, problem = data.draw(st.sampled_from(planted))
    row = data.draw(st.integers(0, len(texts) - 1))
    texts.loc[row, column] = text
    (fault,) = faults_of(texts, contract)
    assert (fault.column, fault.problem, fault.count, fault.first_row) == (column, problem, 1, row + 1)


def test_numbers_are_read_as_python_reads_them(contract: TableContract, table: pd.DataFrame) -> None:
    texts = ["0.1", "1e-3", "+5", "99.99999999999999"]
    typed, _ = parse_table(table.assign(months=texts), contract)
    assert typed["months"].tolist() == [float(text) for text in texts]
    assert typed["months"].dtype == np.float64


WITH_A_POINT = ["1,234.50", "$ 12", "12 %", "-€3.5", "€-3.5", "1 234", "12EUR", "(5.00)", ".5"]
WITH_A_COMMA = ["1.234,50", "12,5 €", "1234", "1.234", "1 234,5", "-0,5"]


@pytest.mark.parametrize(
    ("decimal", "texts", "numbers"),
    [
        (".", WITH_A_POINT, [1234.5, 12, 12, -3.5, -3.5, 1234, 12, -5, 0.5]),
        (",", WITH_A_COMMA, [1234.5, 12.5, 1234, 1234, 1234.5, -0.5]),
    ],
)
def test_numbers_are_read_as_people_write_them(decimal: str, texts: list[str], numbers: list[float]) -> None:
    assert parse_numbers(pd.Series(texts), decimal).tolist() == numbers


@pytest.mark.parametrize("text", ["1,23", "1.2.3", "12,34,5", "1,5", "5)", "--5", "5 apples", "$", "", "1,234,5"])
def test_what_could_mean_two_numbers_is_none(text: str) -> None:
    assert parse_numbers(pd.Series([text]), ".").isna().all()


def test_a_point_is_no_decimal_sign_beside_a_comma() -> None:
    assert parse_numbers(pd.Series(["1.5", "1,2,3", "1.23,4"]), ",").isna().all()


WORDS_OF_BOOLEANS = [
    ["0", "1", "0", "1"],
    ["0.0", "1.0", "0", "1"],
    ["false", "TRUE", "False", "true"],
    ["no", "Yes", "N", "y"],
    ["f", "t", "F", "T"],
]


@pytest.mark.parametrize("texts", WORDS_OF_BOOLEANS)
def test_booleans_may_be_digits_or_words(contract: TableContract, table: pd.DataFrame, texts: list[str]) -> None:
    typed, unparsed = parse_table(table.assign(senior=texts), contract)
    assert typed["senior"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert unparsed == []


def test_the_target_is_1_for_who_has_left_and_0_for_who_has_stayed(
    contract: TableContract, table: pd.DataFrame
) -> None:
    typed, _ = parse_table(table, contract)
    assert typed["gone"].tolist() == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("gap", ["", "  ", "NA", " NA "])
def test_empty_cells_and_the_texts_listed_for_it_are_gaps(
    contract: TableContract, table: pd.DataFrame, gap: str
) -> None:
    typed, unparsed = parse_table(table.assign(fee=["1", gap, "3", "4"], plan=["basic", gap, "pro", "pro"]), contract)
    assert typed["fee"].isna().tolist() == typed["plan"].isna().tolist() == [False, True, False, False]
    assert unparsed == []


@pytest.mark.parametrize("text", ["null", "None", "nan", "N/A"])
def test_no_other_text_is_taken_for_a_gap(contract: TableContract, table: pd.DataFrame, text: str) -> None:
    assert parse_table(table.assign(plan=text), contract)[0]["plan"].tolist() == [text] * 4
    assert [fault.problem for fault in faults_of(table.assign(fee=text), contract)] == ["not a number"]


def test_spaces_around_a_cell_do_not_count(contract: TableContract, table: pd.DataFrame) -> None:
    spaced = (" " + table + "\t").astype("str")
    pd.testing.assert_frame_equal(parse_table(spaced, contract)[0], parse_table(table, contract)[0])


def test_columns_outside_the_contract_are_left_out(contract: TableContract, table: pd.DataFrame) -> None:
    typed, _ = parse_table(table.assign(note="hello"), contract)
    assert list(typed) == ["plan", "months", "fee", "senior", "gone"]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (["gone", "plan", "months", "fee", "senior", "more"], None),
        (["", "gone", "plan", "months", "fee", "senior", "", ""], None),
        (
            ["gone", "plan", "fee", "months", "fee", "senior", "fee"],
            "column 'fee' appears 3 times in the header; rename or remove the duplicates",
        ),
        (
            ["left", "plan", "months", "fee", "senior"],
            "no column 'gone' (data.target.column); the file has: left, plan, months, fee, senior",
        ),
        (
            ["gone", "plan", "senior"],
            "no column 'months', 'fee'; remove it from data.columns or data.id, or fix the file "
            "(the file has: gone, plan, senior)",
        ),
    ],
)
def test_the_header_has_every_column_of_the_contract_once(
    contract: TableContract, header: list[str], problem: str | None
) -> None:
    assert header_problem(header, contract) == problem


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (
            {"months": ["1", "many", "3", "few"]},
            "column 'months': 2 values are not a number, first 'many' in data row 2; "
            "correct them, or list the text under the column's missing_values",
        ),
        (
            {"senior": ["0", "1", "0", "maybe"]},
            "column 'senior': 1 value is not 0 or 1, first 'maybe' in data row 4; "
            "correct them, or make the column categorical",
        ),
        (
            {"months": ["1", "2", "inf", "-inf"]},
            "column 'months': 2 values are infinite, first 'inf' in data row 3; "
            "correct them, or list the text under the column's missing_values",
        ),
        (
            {"months": ["1", "-1", "3", "4"]},
            "column 'months': 1 value is below min, first '-1.0' in data row 2; correct them, or lower min",
        ),
        (
            {"months": ["1", "2", "3", "100.5"]},
            "column 'months': 1 value is above max, first '100.5' in data row 4; correct them, or raise max",
        ),
        (
            {"plan": ["basic", "gold", "gold", "pro"]},
            "column 'plan': 2 values are not in values, first 'gold' in data row 2; "
            "correct them, or add them to values",
        ),
        (
            {"plan": ["basic", "", "", "pro"]},
            "column 'plan': 2 values are missing, first in data row 2; "
            "fill them in, or set the column's missing policy to drop or allow",
        ),
        (
            {"fee": ["", "NA", "", ""]},
            "column 'fee': 4 values are entirely missing, first in data row 1; remove the column from data.columns",
        ),
        (
            {"months": ["", "", "", ""]},
            "column 'months': 4 values are entirely missing, first in data row 1; remove the column from data.columns",
        ),
        (
            {"gone": ["yes", "no", "maybe", "no"]},
            "column 'gone': 1 value is neither positive nor negative, first 'maybe' in data row 3; "
            "correct them, or list the text as positive, as negative or under drop of data.target",
        ),
        (
            {"gone": ["yes", "yes", "yes", "yes"]},
            "column 'gone': 4 values are the only value of the target, first 'yes' in data row 1; "
            "two are required: check data.target.positive and data.target.negative",
        ),
        (
            {"gone": ["", "no", "yes", "no"]},
            "column 'gone': 1 value is missing in the target, first in data row 1; "
            "fill them in, or set data.target.missing to drop",
        ),
        (
            {"gone": ["", "", "", ""]},
            "column 'gone': 4 values are entirely missing in the target, first in data row 1; "
            "check data.target.column and data.missing_values",
        ),
        (
            {"plan": ["basic", "a\nb" + "c" * 100, "pro", "pro"]},
            f"column 'plan': 1 value is not in values, first 'a\\nb{'c' * 52}... in data row 2; "
            "correct them, or add them to values",
        ),
    ],
)
def test_a_fault_is_one_line_with_column_count_value_row_and_remedy(
    contract: TableContract, table: pd.DataFrame, cells: dict[str, list[str]], told: str
) -> None:
    assert [str(fault) for fault in faults_of(table.assign(**cells), contract)] == [told]


def test_a_large_count_is_grouped_in_thousands(contract: TableContract, table: pd.DataFrame) -> None:
    texts = pd.concat([table] * 400, ignore_index=True)
    texts.loc[1233:, "plan"] = "gold"
    (fault,) = faults_of(texts, contract)
    assert str(fault).startswith("column 'plan': 367 values are not in values, first 'gold' in data row 1,234; ")


def test_every_problem_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Problem)


def test_an_id_has_no_gap(contract: TableContract, table: pd.DataFrame) -> None:
    named = changed(contract, id="name")
    (gap,) = faults_of(table.assign(name=["Ann", "", "Cy", "Di"]), named)
    assert str(gap).startswith("column 'name': 1 value is missing in the id, first in data row 2; ")
    (nobody,) = faults_of(table.assign(name=""), named)
    assert nobody.problem == "entirely missing in the id"


def test_a_target_with_gaps_still_needs_both_values(contract: TableContract, table: pd.DataFrame) -> None:
    target: dict[str, Any] = contract.target.model_dump() | {"missing": "drop"}
    lenient = changed(contract, target=target)
    assert faults_of(table.assign(gone=["", "no", "yes", ""]), lenient) == []
    (one_sided,) = faults_of(table.assign(gone=["", "no", "no", ""]), lenient)
    assert one_sided == Fault("gone", Problem.ONE_TARGET_VALUE, 2, "no", 2)
    (nothing,) = faults_of(table.assign(gone=""), lenient)
    assert nothing.problem == "entirely missing in the target"


@pytest.mark.parametrize("policy", ["allow", "drop"])
def test_gaps_that_the_policy_lets_in_are_no_fault(contract: TableContract, table: pd.DataFrame, policy: str) -> None:
    columns = {name: column.model_dump() | {"missing": policy} for name, column in contract.columns.items()}
    gappy = table.assign(plan=["", "pro", "", ""], months=["", "", "1", ""], senior=["1", "", "", ""])
    assert faults_of(gappy, changed(contract, columns=columns)) == []


def test_a_target_that_does_not_parse_is_not_told_as_one_sided_too(
    contract: TableContract, table: pd.DataFrame
) -> None:
    (fault,) = faults_of(table.assign(gone=["yes", "nope", "yes", "nope"]), contract)
    assert fault.problem == "neither positive nor negative"


def test_all_faults_are_told_at_once_those_of_parsing_first(contract: TableContract, table: pd.DataFrame) -> None:
    broken = table.assign(
        plan=["gold", "", "pro", "pro"], months=["-1", "x", "inf", "101"], senior=["2", "1", "0", "1"]
    )
    assert [(fault.column, fault.problem) for fault in faults_of(broken, contract)] == [
        ("months", "not a number"),
        ("senior", "not 0 or 1"),
        ("plan", "missing"),
        ("plan", "not in values"),
        ("months", "infinite"),
        ("months", "below min"),
        ("months", "above max"),
    ]


def test_a_column_without_any_value_is_told_in_its_place(contract: TableContract, table: pd.DataFrame) -> None:
    broken = table.assign(plan="", months=["-1", "2", "3", "4"], fee="", senior="")
    assert [(fault.column, fault.problem) for fault in faults_of(broken, contract)] == [
        ("plan", "entirely missing"),
        ("months", "below min"),
        ("fee", "entirely missing"),
        ("senior", "entirely missing"),
    ]


ANY_LABEL = {"type": "categorical", "values": None, "missing": "allow", "on_error": "fail"}
ANY_NUMBER = {"type": "numeric", "min": None, "max": None, "missing": "allow", "on_error": "fail"}


@pytest.mark.parametrize(
    ("columns", "cells", "column", "label", "row"),
    [
        ({"a": ANY_LABEL, "a_b": ANY_LABEL}, {"a": ["b_c", "x"], "a_b": ["y", "c"]}, "a_b", "c", 2),
        ({"a": ANY_LABEL, "a_b": ANY_NUMBER}, {"a": ["x", "b"], "a_b": ["1", "2"]}, "a", "b", 2),
        ({"a": ANY_LABEL}, {"a": ["", "nan"]}, "a", "nan", 1),
    ],
)
def test_labels_whose_encoded_columns_would_share_a_name_are_told(
    columns: dict[str, Any], cells: dict[str, list[str]], column: str, label: str, row: int, contract: TableContract
) -> None:
    (fault,) = faults_of(
        pd.DataFrame({"gone": ["yes", "no"], **cells}, dtype="str"), changed(contract, columns=columns)
    )
    assert (fault.column, fault.first_value, fault.first_row) == (column, label, row)
    assert "encoded with the same name as another column or label" in str(fault)
    assert str(fault).endswith("rename the column or the label")


def test_a_label_nan_is_welcome_where_gaps_are_dropped(contract: TableContract) -> None:
    texts = pd.DataFrame({"gone": ["yes", "no", "no"], "a": ["nan", "", "b"]}, dtype="str")
    assert faults_of(texts, changed(contract, columns={"a": ANY_LABEL | {"missing": "drop"}})) == []


AWKWARD_TEXTS = [
    *(
        "",
        " ",
        "NA",
        " NA ",
        "nan",
        "None",
        "\xa0",
        "\x00",
        "basic",
        " basic\t",
        "Basic",
        "gold",
        "plan\x1fbasic",
        "é",
        "e\u0301",
    ),
    *(
        "0",
        "-0.0",
        "1",
        " 1",
        "1.0",
        "1e0",
        "+1",
        "TRUE",
        "true",
        "False",
        "-1",
        "100",
        "100.5",
        "inf",
        "-1e999",
        "0x1",
        "1,5",
    ),
]


def read_alone(row: pd.Series, contract: TableContract) -> tuple[list[float | str], str]:
    """Values and reasons of one customer, cell by cell, without any table; NaN for a gap or what does not parse."""
    values: list[float | str] = []
    reasons: list[str] = []
    for name, column in contract.columns.items():
        text = str(row[name]).strip()
        value, problems = read_cell(text, column, contract)
        values.append(value)
        told = "the value" if text in ("", *contract.missing_values) else repr(text)
        reasons += [f"column {name!r}: {told} is {problem}" for problem in problems]
    return values, "; ".join(reasons)


def read_cell(text: str, column: Column, contract: TableContract) -> tuple[float | str, list[str]]:
    if text in ("", *contract.missing_values):
        return np.nan, [] if column.missing == "allow" else ["missing"]
    if column.type == "categorical":
        return text, [] if column.values is None or text in column.values else ["not in values"]
    if column.type == "boolean":
        words = dict.fromkeys(["0", "0.0", "false", "f", "no", "n"], 0.0)
        words |= dict.fromkeys(["1", "1.0", "true", "t", "yes", "y"], 1.0)
        return words.get(text.lower(), np.nan), [] if text.lower() in words else ["not 0 or 1"]
    number = float(parse_numbers(pd.Series([text]), contract.format.decimal).iloc[0])
    if np.isnan(number):
        return number, ["not a number"]
    if np.isinf(number):
        return number, ["infinite"]
    below = column.min is not None and number < column.min
    above = column.max is not None and number > column.max
    return number, ["below min"] * below + ["above max"] * above


@repeatable
@given(st.data())
def test_customers_are_read_as_if_each_stood_alone(data: DataObject) -> None:
    contract = data.draw(contracts()).model_copy(update={"id": None})
    names = list(contract.columns)
    cells = st.sampled_from(AWKWARD_TEXTS) | st.text(max_size=3)
    rows = data.draw(st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), max_size=12))
    texts = pd.DataFrame(rows, columns=names, dtype="str")
    typed, reasons = parse_customers(texts, contract)
    alone = [read_alone(row, contract) for _, row in texts.iterrows()]
    assert reasons.tolist() == [told for _, told in alone]
    for position, name in enumerate(names):
        expected = pd.Series([values[position] for values, _ in alone], dtype=typed[name].dtype, name=name)
        pd.testing.assert_series_equal(typed[name], expected, check_exact=True)


def test_an_id_is_read_as_text_and_may_not_be_missing(contract: TableContract, table: pd.DataFrame) -> None:
    named = changed(contract, id="name")
    typed, reasons = parse_customers(table.assign(name=["7", "", " 7.0 ", "NA"]), named)
    assert typed["name"].dropna().tolist() == ["7", "7.0"]
    assert reasons.tolist() == ["", "column 'name': the value is missing", "", "column 'name': the value is missing"]


def with_on_error(contract: TableContract, policy: str, **missing: str) -> TableContract:
    columns = {
        name: column.model_dump() | {"on_error": policy, "missing": missing.get(name, "allow")}
        for name, column in contract.columns.items()
    }
    return changed(contract, columns=columns)


BROKEN = {"plan": ["gold", "plus", "pro", "basic"], "months": ["-1", "x", "3", "4"], "senior": ["0", "1", "2", "1"]}


def test_values_that_break_the_contract_may_be_taken_for_gaps(contract: TableContract, table: pd.DataFrame) -> None:
    lenient = with_on_error(contract, "missing")
    settled = settle(*parse_table(table.assign(**BROKEN), lenient), lenient)
    assert settled.faults == []
    assert settled.taken_for_gaps == {"plan": 1, "months": 2, "senior": 1}
    assert settled.rows_dropped == {}
    assert settled.table["months"].isna().tolist() == [True, True, False, False]
    assert settled.table["plan"].isna().tolist() == [True, False, False, False]


def test_rows_with_values_that_break_the_contract_may_be_left_out(contract: TableContract, table: pd.DataFrame) -> None:
    lenient = with_on_error(contract, "drop")
    texts = table.assign(**BROKEN, gone=["yes", "no", "yes", "no"])
    more = pd.concat([texts, table], ignore_index=True)
    settled = settle(*parse_table(more, lenient), lenient)
    assert settled.faults == []
    assert settled.rows_dropped == {"months": 1, "senior": 1, "plan": 1}
    assert settled.table.index.tolist() == [3, 4, 5, 6, 7]


def test_what_is_settled_is_told_no_more_and_the_rest_keeps_its_place(
    contract: TableContract, table: pd.DataFrame
) -> None:
    lenient = with_on_error(contract, "drop", fee="fail")
    settled = settle(*parse_table(table.assign(months=["x", "2", "3", "4"]), lenient), lenient)
    assert [(fault.column, fault.problem, fault.first_row) for fault in settled.faults] == [("fee", "missing", 2)]


def test_customers_to_be_scored_are_settled_as_those_that_were_learned_from(
    contract: TableContract, table: pd.DataFrame
) -> None:
    typed, reasons = parse_customers(table.assign(**BROKEN), with_on_error(contract, "missing", senior="drop"))
    assert typed["months"].isna().tolist() == [True, True, False, False]
    assert typed["plan"].isna().tolist() == [True, False, False, False]
    assert reasons.tolist() == ["", "", "column 'senior': '2' is missing", ""]


@repeatable
@given(st.data())
def test_values_of_customers_to_be_scored_break_the_contract_in_the_same_words_as_those_that_were_learned_from(
    data: DataObject,
) -> None:
    drawn = data.draw(contracts())
    texts = data.draw(tables(drawn))
    contract = with_on_error(drawn.model_copy(update={"id": None}), "fail")
    for name, column in contract.columns.items():
        for text in (*(text for text, _ in just_outside(column)), data.draw(st.sampled_from(AWKWARD_TEXTS))):
            texts.loc[data.draw(st.integers(0, len(texts) - 1)), name] = text
    told: list[list[str]] = [[] for _ in range(len(texts))]
    faults = [fault for fault in faults_of(texts, contract) if fault.is_value]
    for fault in sorted(faults, key=lambda fault: list(contract.columns).index(fault.column)):
        for row in fault.rows:
            value = texts.loc[row, fault.column].strip()
            told[row].append(f"column {fault.column!r}: {value!r} is {fault.problem}")
    assert parse_customers(texts, contract)[1].tolist() == ["; ".join(problems) for problems in told]


@pytest.mark.parametrize(
    ("text", "day"),
    [("1970-01-02", 1.0), ("19700102", 1.0), ("1970-01-02T12:00Z", 1.5), ("3", np.nan), ("46143", np.nan)],
)
def test_a_number_is_no_date_unless_it_is_a_day_without_hyphens(text: str, day: float) -> None:
    np.testing.assert_array_equal(parse_dates(pd.Series([text]), None), [day])


@pytest.mark.parametrize(
    ("texts", "how", "days"),
    [
        (["1970-01-02", "1970-01-11T12:00", "", "soon"], None, [1.0, 10.5, np.nan, np.nan]),
        (["02.01.1970", "1970-01-02", " 11.01.1970 "], "%d.%m.%Y", [1.0, np.nan, 10.0]),
        (["3", "10", "2.5", ""], None, [3.0, 10.0, 2.5, np.nan]),
        (["1970-01-02", "9999-12-31", "0001-01-01"], None, [1.0, 2_932_896.0, -719_162.0]),
    ],
    ids=["ISO 8601", "a format", "numbers", "days that stand for never"],
)
def test_times_are_numbers_that_rise_with_time(texts: list[str], how: str | None, days: list[float]) -> None:
    np.testing.assert_array_equal(parse_times(pd.Series(texts), how), days)


def test_a_row_that_is_left_out_has_no_other_fault(contract: TableContract, table: pd.DataFrame) -> None:
    columns = {name: column.model_dump() for name, column in contract.columns.items()}
    columns["months"] |= {"on_error": "drop"}
    lenient = changed(contract, columns=columns)
    more = pd.concat([table, table], ignore_index=True)
    texts = more.assign(months=["999", *more["months"][1:]], senior=["oops", *more["senior"][1:]])
    texts.loc[0, "gone"] = "maybe"
    assert settle(*parse_table(texts.drop(columns="fee").assign(fee="1"), lenient), lenient).faults == []
    texts.loc[2, "senior"] = "oops"
    (fault,) = settle(*parse_table(texts, lenient), lenient).faults
    assert (fault.column, fault.count, fault.first_row) == ("senior", 1, 3)


def test_no_thousands_begin_with_a_zero() -> None:
    assert parse_numbers(pd.Series(["0,500", "00,123"]), ".").isna().all()


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
