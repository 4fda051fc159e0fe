"""Aligned columns in a terminal."""

import json

from churn.texts import aligned, escaped_json


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_stand_to_the_right() -> None:
    rows = [("column", "missing", "why"), ("tenure", "-", "a number"), ("a", "12 %", "")]
    assert aligned(rows, right=(1,)) == [
        "column  missing  why",
        "tenure        -  a number",
        "a          12 %",
    ]


def test_a_sign_that_a_terminal_draws_over_two_columns_counts_as_two_and_an_accent_as_none() -> None:
    accents = "e\u0301t\u0301"
    assert aligned([("合同", "x"), ("plan", "x"), (accents, "x")]) == ["合同  x", "plan  x", f"{accents}    x"]


def test_a_table_without_rows_has_no_lines() -> None:
    assert aligned([]) == []


def test_json_without_what_moves_a_cursor_is_the_same_value() -> None:
    value = {"name": "größe \x9b2J \u202e 😀 \udcff"}
    printed = escaped_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert all(sign.isprintable() or sign == "\n" for sign in printed)
    assert "größe" in printed
    assert json.loads(printed) == value
