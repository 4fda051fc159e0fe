"""How a table is written, from its first bytes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churn.config.contract import TableFormat
from churn.errors import ChurnError, DataError
from churn.table.sniffing import difference, sniff
from tests.helpers.strategies import repeatable

Told = tuple[str, str, str, str]


def told(head: bytes) -> Told:
    found = sniff(head)
    return found.delimiter, found.quote, found.encoding, found.decimal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plan,fee\npro,1.5\nplus,20.25\n", (",", '"', "utf-8", ".")),
        ("plan;fee\npro;1,5\nplus;20,25\n", (";", '"', "utf-8", ",")),
        ("plan;fee;paid\npro;1.234,56;1.000\nplus;20;2.000\n", (";", '"', "utf-8", ",")),
        ("plan\tfee\npro\t$1,234.50\nplus\t$1,000\n", ("\t", '"', "utf-8", ".")),
        ("plan|fee\n'pro|max'|1\n'plus'|2\n", ("|", "'", "utf-8", ".")),
        ("plan|fee\n'pro'|1\n'plus'|2\n", ("|", "'", "utf-8", ".")),
        ('plan,note\npro,"1;2;3"\nplus,"a;b;c"\n', (",", '"', "utf-8", ".")),
        ('plan,note\n"pro","two\nlines, and more"\n"plus",""\n', (",", '"', "utf-8", ".")),
        ("plan;note\npro;a, b\nplus;c, d\n", (";", '"', "utf-8", ".")),
        ('plan,fee\npro,"1,5"\nplus,"2,75"\n', (",", '"', "utf-8", ",")),
        ("plan;share\npro;12,5 %\nplus;7,25 €\n", (";", '"', "utf-8", ",")),
        ("plan,band\n'tis,1\nrock 'n',2\n", (",", '"', "utf-8", ".")),
        ("fee\n1\n2\n", (",", '"', "utf-8", ".")),
        ("note\na, b\nc, d, e\n", (";", '"', "utf-8", ".")),
    ],
    ids=[
        "commas",
        "decimal commas",
        "thousands with points",
        "tabs and currency",
        "single quotes that hold the delimiter",
        "single quotes",
        "semicolons in cells",
        "lines and commas in cells",
        "commas in cells",
        "decimal commas in quotes",
        "percent and euro signs",
        "apostrophes",
        "one column",
        "one column with commas",
    ],
)
def test_the_way_a_table_is_cut_is_told(text: str, expected: Told) -> None:
    assert told(text.encode()) == expected


@pytest.mark.parametrize(
    ("numbers", "decimal"),
    [
        ("1.234;2.345", "."),
        ("1,234;2,345", ","),
        ("0,234;0,345", ","),
        ("1.234.567;7", ","),
        ("1,234,567;7", "."),
        ("1234,567;7", ","),
        ("01.02.2024;02.03.2024", "."),
        ("-12,5;-3,5", ","),
        ("12,5;3.5", "."),
    ],
)
def test_a_decimal_comma_needs_a_number_that_can_be_read_in_no_other_way(numbers: str, decimal: str) -> None:
    assert sniff(f"a;b\n{numbers}\n".encode()).decimal == decimal


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("ort,fee\nKöln,1\n".encode(), "utf-8"),
        ("ort,fee\nKöln,1\n".encode("utf-8-sig"), "utf-8"),
        ("ort,fee\nKöln,1\n".encode("windows-1252"), "windows-1252"),
        ("ort,fee\nKöln,1 €\n".encode("windows-1252"), "windows-1252"),
        ("ort,fee\nKöln,1\n".encode("utf-16"), "utf-16"),
        ("ort,fee\nKöln,1\n".encode("utf-16-le"), "utf-16-le"),
        ("ort,fee\nKöln,1\n".encode("utf-16-be"), "utf-16-be"),
        ("ort,fee\nKöln,1\nK".encode() + "ö".encode()[:1], "utf-8"),
    ],
)
def test_the_encoding_is_told(head: bytes, encoding: str) -> None:
    assert sniff(head).encoding == encoding


def test_a_head_that_is_cut_inside_a_row_tells_the_same() -> None:
    whole = "a;b;c\n" + "1,5;x;2\n" * 4
    assert {told(whole[:length].encode()) for length in range(24, len(whole))} == {told(whole.encode())}


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b"", "is empty; name a table with a header and rows"),
        (b"\xef\xbb\xbf \r\n", "is empty; name a table with a header and rows"),
        (b"PK\x03\x04\x14\0", "is a spreadsheet or another archive; save the table as CSV"),
        (b"PAR1\x15\x04", "is a Parquet table; name it .parquet"),
        (b"a,b\n1,\x02\n", "is not a text file (contains 0x02); save the table as CSV"),
        (b"a,b\n1,\x81\n", "is neither UTF-8, UTF-16 nor windows-1252; save the table as UTF-8"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(head: bytes, line: str) -> None:
    with pytest.raises(DataError) as refusal:
        sniff(head)
    assert str(refusal.value) == line


def test_a_stray_control_character_in_a_long_text_is_let_pass() -> None:
    assert sniff(b"a,b\n" + b"1,text\n" * 1000 + b"2,te\x1fxt\n").delimiter == ","


@repeatable
@given(st.binary(max_size=300) | st.text("a1,;|\t'\"\n. é", max_size=200).map(lambda text: text.encode("utf-16")))
def test_any_bytes_are_a_table_or_refused(head: bytes) -> None:
    with contextlib.suppress(ChurnError):
        assert isinstance(sniff(head), TableFormat)


TITLED = {
    "a title line": "Customer report 2023\n\nid,tenure,left\n1,2,no\n2,3,yes\n",
    "a padded title line": "Customer report 2023,,\n,,\nid,tenure,left\n1,2,no\n2,3,yes\n",
    "two lines": "Report;;\nas of 2023-01-01;;\nid;tenure;left\n1;2;no\n2;3;yes\n",
}


@pytest.mark.parametrize("text", TITLED.values(), ids=TITLED)
def test_a_title_above_the_header_is_told(text: str) -> None:
    with pytest.raises(DataError, match="instead of a header; delete the lines above the header, which"):
        sniff(text.encode())


@pytest.mark.parametrize(
    "text", ["id,tenure\n1,2\n2,3\n", ",a,b\n0,1,2\n1,2,3\n", "only\n1\n2\n", "a,b\n1,\n,2\n", "a\n1,2\n3,4\n5,6\n"[2:]]
)
def test_a_header_is_no_title(text: str) -> None:
    assert sniff(text.encode()).delimiter == ","


EXPECTED = TableFormat(delimiter=",", quote='"', encoding="utf-8", decimal=".")


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (
            b"a;b\n1;2\n2;3\n",
            "it seems to have delimiter ';', not ',' (data.format): save it like the table of the model",
        ),
        ("a,b\nü,2\n".encode("utf-16"), "it seems to have encoding 'utf-16', not 'utf-8'"),
        ("a,b\nü,2\n".encode("windows-1252"), "it seems to have encoding 'windows-1252', not 'utf-8'"),
        (b"PK\x03\x04rest", "it is a spreadsheet or another archive; save the table as CSV"),
        (b"Report\n\na,b\n1,2\n3,4\n", "it begins with 'Report' instead of a header"),
    ],
)
def test_a_format_other_than_the_expected_one_is_told(head: bytes, told: str) -> None:
    found = difference(head, EXPECTED)
    assert found is not None
    assert found.startswith(told)


@pytest.mark.parametrize("head", [b"a,b\n1,2\n", b"a\n1\n", b"\xef\xbb\xbfa,b\n1,2\n"])
def test_a_format_that_is_the_expected_one_differs_in_nothing(head: bytes) -> None:
    assert difference(head, EXPECTED) is None
    assert difference(b"a,b\n1,2\n", EXPECTED.model_copy(update={"encoding": "windows-1252"})) is None
