"""The table as it comes: what is understood, and what is refused in one line."""

import gzip
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.contract import TableFormat
from churn.errors import DataError
from churn.table import reader
from churn.table.parsing import parse_numbers
from churn.table.reader import lines_of, read_source
from tests.helpers.bombs import Bomb

SAVE = "save the table as UTF-8, or set data.format.encoding"
PLAIN = TableFormat(delimiter=",", quote='"', encoding="utf-8", decimal=".")


def source(folder: Path, content: bytes) -> Path:
    path = folder / "customers.csv"
    path.write_bytes(content)
    return path


def told(path: Path, how: TableFormat = PLAIN) -> str:
    """The line in which a table is refused."""
    with pytest.raises(DataError) as refusal:
        read_source(path, how)
    (line,) = str(refusal.value).splitlines()
    return line.removeprefix(f"{path}: ")


def test_a_table_is_read_as_it_stands(tmp_path: Path) -> None:
    path = source(tmp_path, b'plan, fee\nNA,007\n"a,\n""b""", 1.50 \n,\n')
    table = read_source(path, PLAIN)
    assert table.to_dict("list") == {"plan": ["NA", 'a,\n"b"', ""], " fee": ["007", " 1.50 ", ""]}


@pytest.mark.parametrize(
    "content",
    [
        b"plan,fee\r\npro,1\r\nplus,2\r\n",
        b"\xef\xbb\xbfplan,fee\npro,1\nplus,2",
        b"\nplan,fee\n\npro,1\n\n\nplus,2\n\n",
        b'"plan","fee"\n"pro","1"\n"plus","2"\n',
        b"plan,fee\rpro,1\rplus,2",
    ],
    ids=["line ends of Windows", "byte order mark", "empty lines", "quotes", "carriage returns"],
)
def test_the_habits_of_other_programs_are_understood(tmp_path: Path, content: bytes) -> None:
    table = read_source(source(tmp_path, content), PLAIN)
    assert table.to_dict("list") == {"plan": ["pro", "plus"], "fee": ["1", "2"]}


def test_a_repeated_name_in_the_header_is_left_for_the_contract_to_judge(tmp_path: Path) -> None:
    assert read_source(source(tmp_path, b"fee,fee\n1,2\n"), PLAIN).columns.tolist() == ["fee", "fee"]


RAGGED = (
    "differs from the header in its number of cells ({} instead of 2); quote a cell that contains a comma, "
    "or set data.format.delimiter"
)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is empty; check data.source"),
        (b" \n\n", "is empty; check data.source"),
        (b"plan,fee\n", "holds no rows; check data.source"),
        (b"plan,fee", "holds no rows; check data.source"),
        (b"\xef\xbb\xbf", "holds no rows; check data.source"),
        (
            b"plan,fee\ncaf\xe9,1\n",
            f"byte 12 (line 2) is not valid UTF-8; it seems to be windows-1252: {SAVE}",
        ),
        (
            "plan,fee\npro,1\n".encode("utf-16"),
            f"byte 0 (line 1) is not valid UTF-8; it seems to be utf-16: {SAVE}",
        ),
        (b"plan,fee\npro,1\nplus\npro,2\n", f"data row 2 {RAGGED.format(1)}"),
        (b"plan,fee\npro,1,50\n", f"data row 1 {RAGGED.format(3)}"),
        (b'plan,fee\n"p\nr\no",1\n\nplus\n', f"data row 2 {RAGGED.format(1)}"),
        (
            b'plan,fee\npro,"1\nplus,2\n',
            "has an odd number of double quotes; close the open quote, or double those inside a cell",
        ),
    ],
)
def test_what_is_no_table_is_told_in_one_line(tmp_path: Path, content: bytes, line: str) -> None:
    assert told(source(tmp_path, content)) == line


MARKED = "\ufeffplan,fee\n" + "café,5 €\n" * 7


@pytest.mark.parametrize("block_bytes", [1, 3, 100, 10_000])
@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        ("UTF-8", MARKED.encode(), b"\xe9,1\n"),
        ("UTF-8", MARKED.encode(), b"\xc3"),
        ("windows-1252", MARKED[1:].encode("windows-1252"), b"\x81,1\n"),
        ("utf-16", MARKED.encode("utf-16-le"), b"\x00\xdc\n\x00"),
        ("utf-16", MARKED.encode("utf-16-be"), b"\n"),
    ],
    ids=["UTF-8 with a mark", "cut inside a character", "windows-1252", "UTF-16", "half a character"],
)
def test_the_byte_that_cannot_be_decoded_is_named_wherever_blocks_end(
    tmp_path: Path, encoding: str, good: bytes, bad: bytes, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BLOCK_BYTES", block_bytes)
    how = PLAIN.model_copy(update={"encoding": encoding})
    assert told(source(tmp_path, good + bad), how) == f"byte {len(good)} (line 9) is not valid {encoding}; {SAVE}"


def test_utf_16_that_does_not_say_which_of_both_it_is_is_refused(tmp_path: Path) -> None:
    path = source(tmp_path, "plan,fee\npro,1\n".encode("utf-16-le"))
    line = told(path, PLAIN.model_copy(update={"encoding": "utf-16"}))
    assert line == "UTF-16 stream does not start with BOM; save the table as CSV or Parquet, and check data.format"
    assert len(read_source(path, PLAIN.model_copy(update={"encoding": "utf-16-le"}))) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "utf-16"])
@pytest.mark.parametrize("name", ["customers.csv", "customers.csv.gz", "customers.zip", "customers.parquet"])
def test_a_table_is_the_same_in_blocks_of_any_size(
    tmp_path: Path, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = pd.DataFrame({"plan": ['a,\n"b"', "café", ""] * 20, "fee": [f"{number} €" for number in range(60)]})
    content = texts.to_csv(index=False).encode(encoding)
    path = source(tmp_path, content).rename(tmp_path / name)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(content))
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("customers.csv", content)
    elif name.endswith(".parquet"):
        texts.to_parquet(path)
    how = PLAIN.model_copy(update={"encoding": encoding})
    whole = read_source(path, how)
    assert whole.to_dict("list") == texts.to_dict("list")
    monkeypatch.setattr(reader, "BLOCK_BYTES", 100)
    monkeypatch.setattr(reader, "ROWS_A_BATCH", 7)
    pd.testing.assert_frame_equal(read_source(path, how), whole)


def test_a_table_that_may_not_be_read_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = source(tmp_path, b"plan,fee\npro,1\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert told(path) == "cannot be read: Permission denied"


def test_a_ragged_row_deep_in_a_large_table_is_named(tmp_path: Path) -> None:
    row = b'"' + b"\n" * 100 + b'",1\n'
    assert told(source(tmp_path, b"plan,fee\n" + 30_000 * row + b"plus\n")) == f"data row 30,001 {RAGGED.format(1)}"


def test_a_missing_table_is_told_in_one_line(tmp_path: Path) -> None:
    assert told(tmp_path / "customers.csv") == "no such file; put the table there, or set data.source"


@pytest.mark.parametrize("name", ["customers.csv", "customers.parquet"])
def test_a_folder_is_no_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert told(tmp_path / name) == "is a folder; set data.source to a CSV or Parquet file"


@pytest.mark.parametrize(
    ("how", "content"),
    [
        ({"delimiter": ";"}, b'plan;note\npro;1,5\nplus;"a;b"\n'),
        ({"delimiter": "\t", "quote": "'"}, b"plan\tnote\npro\t1,5\nplus\t'a;b'\n"),
        ({"encoding": "utf-16"}, 'plan,note\npro,"1,5"\nplus,a;b\n'.encode("utf-16")),
    ],
    ids=["semicolon", "tab and single quotes", "UTF-16"],
)
def test_a_table_is_read_as_its_format_says(tmp_path: Path, how: dict[str, str], content: bytes) -> None:
    table = read_source(source(tmp_path, content), PLAIN.model_copy(update=how))
    assert table.to_dict("list") == {"plan": ["pro", "plus"], "note": ["1,5", "a;b"]}


def test_letters_of_older_programs_are_read_by_their_encoding(tmp_path: Path) -> None:
    path = source(tmp_path, "plan,fee\ncafé,5 €\n".encode("windows-1252"))
    table = read_source(path, PLAIN.model_copy(update={"encoding": "windows-1252"}))
    assert table.to_dict("list") == {"plan": ["café"], "fee": ["5 €"]}


def test_a_packed_table_is_unpacked(tmp_path: Path) -> None:
    content = b"plan,fee\npro,1\n"
    (tmp_path / "customers.csv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "customers.zip", "w") as archive:
        archive.writestr("inside/customers.csv", content)
    for name in ("customers.csv.gz", "customers.zip"):
        assert read_source(tmp_path / name, PLAIN).to_dict("list") == {"plan": ["pro"], "fee": ["1"]}


@pytest.mark.parametrize("name", ["customers.csv.gz", "customers.zip", "customers.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"plan,fee\npro,1\n", gzip.compress(b"plan,fee\npro,1\n" * 100)[:40], b""):
        path.write_bytes(content)
        told(path)


def test_an_archive_with_two_tables_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "customers.zip", "w") as archive:
        archive.writestr("a.csv", b"plan\npro\n")
        archive.writestr("b.csv", b"plan\npro\n")
    assert told(tmp_path / "customers.zip") == "contains 2 files; compress only the table"


def test_the_values_of_a_parquet_table_are_written_out(tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    columns = {
        "plan": ["pro", None],
        "fee": [1.5, float("nan")],
        "months": pd.array([3, None], dtype="Int64"),
        "senior": [True, False],
        "since": pd.to_datetime(["2020-02-01", "2021-03-04"]),
    }
    pd.DataFrame(columns).to_parquet(path)
    table = read_source(path, PLAIN)
    assert table["plan"].tolist() == ["pro", ""]
    assert table["fee"].tolist() == ["1.5", ""]
    assert table["months"].tolist() == ["3", ""]
    assert table["senior"].tolist() == ["true", "false"]
    assert table["since"].str[:10].tolist() == ["2020-02-01", "2021-03-04"]


def test_rows_are_found_again_by_their_lines(tmp_path: Path) -> None:
    path = source(tmp_path, b'\nplan,fee\n"a\nb",1\n\npro,2\npro,3\n')
    assert lines_of(path, PLAIN, [2, 0, 1]) == [7, 4, 6]


def test_numbers_of_a_parquet_table_are_written_with_the_decimal_sign_of_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    pd.DataFrame({"fee": [3.772, 1e-7, 1234567.25, None], "months": [1, 2, 3, 4]}).to_parquet(path)
    texts = read_source(path, PLAIN.model_copy(update={"decimal": ","}))
    assert texts["fee"].tolist() == ["3,772", "0,0000001", "1234567,25", ""]
    assert parse_numbers(texts["fee"], ",").dropna().tolist() == [3.772, 1e-7, 1234567.25]


def test_a_column_that_is_no_text_or_number_is_refused_by_its_type(tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    pd.DataFrame({"tags": [["a"], ["b", "c"]]}).to_parquet(path)
    assert "list" in told(path)
    assert "unpacked" not in told(path)


def test_the_line_of_a_row_is_found_behind_a_very_long_cell(tmp_path: Path) -> None:
    path = source(tmp_path, b"plan,fee\n" + b"x" * 200_000 + b",1\npro,2\n")
    assert lines_of(path, PLAIN, [1]) == [3]


def test_nothing_in_a_parquet_file_is_unpickled(tmp_path: Path) -> None:
    """Types of Python's own once stood in the metadata of a column, pickled (CVE-2023-47248)."""
    mark = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(mark))
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": bomb,
        "pandas": bomb,
    }
    schema = pa.schema([pa.field("fee", pa.string(), metadata=metadata)], metadata=metadata)
    path = tmp_path / "customers.parquet"
    pq.write_table(pa.table({"fee": ["1", "2"]}, schema=schema), path)
    with suppress(DataError):  # it may be refused
        read_source(path, PLAIN)
    assert not mark.exists()
