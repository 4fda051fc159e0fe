"""Aligned columns in a terminal."""

from churn.texts import aligned


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
