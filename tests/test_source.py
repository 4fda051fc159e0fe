"""The table as it comes: what is understood, and what is refused in one line."""

from pathlib import Path

import pytest

from churn.errors import DataError
from churn.source import read_source


def source(folder: Path, content: bytes) -> Path:
    path = folder / "customers.csv"
    path.write_bytes(content)
    return path


def told(path: Path) -> str:
    """The line in which a table is refused."""
    with pytest.raises(DataError) as refusal:
        read_source(path)
    (line,) = str(refusal.value).splitlines()
    return line.removeprefix(f"{path}: ")


def test_a_table_is_read_as_it_stands(tmp_path: Path) -> None:
    path = source(tmp_path, b'plan, fee\nNA,007\n"a,\n""b""", 1.50 \n,\n')
    table = read_source(path)
    assert table.to_dict("list") == {"plan": ["NA", 'a,\n"b"', ""], " fee": ["007", " 1.50 ", ""]}


@pytest.mark.parametrize(
    "content",
    [
        b"plan,fee\r\npro,1\r\nplus,2\r\n",
        b"\xef\xbb\xbfplan,fee\npro,1\nplus,2",
        b"\nplan,fee\n\npro,1\n\n\nplus,2\n\n",
        b'"plan","fee"\n"pro","1"\n"plus","2"\n',
    ],
    ids=["line ends of Windows", "byte order mark", "empty lines", "quotes"],
)
def test_the_habits_of_other_programs_are_understood(tmp_path: Path, content: bytes) -> None:
    table = read_source(source(tmp_path, content))
    assert table.to_dict("list") == {"plan": ["pro", "plus"], "fee": ["1", "2"]}


def test_a_repeated_name_in_the_header_is_left_for_the_contract_to_judge(tmp_path: Path) -> None:
    assert read_source(source(tmp_path, b"fee,fee\n1,2\n")).columns.tolist() == ["fee", "fee"]


RAGGED = "has another number of cells ({}) than the header (2); mend it, with quotes around a cell that holds a comma"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is empty; check data.source"),
        (b" \n\n", "is empty; check data.source"),
        (b"plan,fee\n", "holds no rows; check data.source"),
        (b"plan,fee", "holds no rows; check data.source"),
        (b"\xef\xbb\xbf", "holds no rows; check data.source"),
        (b"plan,fee\ncaf\xe9,1\n", "byte 12 is not UTF-8, in line 2; save the table as UTF-8"),
        ("plan,fee\npro,1\n".encode("utf-16"), "byte 0 is not UTF-8, in line 1; save the table as UTF-8"),
        (b"plan,fee\npro,1\nplus\npro,2\n", f"data row 2 {RAGGED.format(1)}"),
        (b"plan,fee\npro,1,50\n", f"data row 1 {RAGGED.format(3)}"),
        (b'plan,fee\n"p\nr\no",1\n\nplus\n', f"data row 2 {RAGGED.format(1)}"),
        (
            b'plan,fee\npro,"1\nplus,2\n',
            "has an odd number of double quotes; close the open one, or double it inside a cell",
        ),
    ],
)
def test_what_is_no_table_is_told_in_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    assert told(source(tmp_path, content)) == line


def test_a_ragged_row_deep_in_a_large_table_is_named(tmp_path: Path) -> None:
    row = b'"' + b"\n" * 100 + b'",1\n'
    assert told(source(tmp_path, b"plan,fee\n" + 30_000 * row + b"plus\n")) == f"data row 30,001 {RAGGED.format(1)}"


def test_a_missing_table_is_told_in_one_line(tmp_path: Path) -> None:
    assert told(tmp_path / "customers.csv") == "no such file; put the table there, or set data.source"


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    assert told(tmp_path) == "is a folder; set data.source to a CSV file"
