"""Tables that are packed, endless or too large, and tables that are left before their end."""

import gzip
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.config.contract import TableFormat
from churn.errors import DataError
from churn.runtime import LIMITS_SETTING
from churn.table import opening
from churn.table.reader import read_source

PLAIN = TableFormat(delimiter=",", quote='"', encoding="utf-8", decimal=".")
RAISE = f"if that is right, raise all limits with {LIMITS_SETTING}=10 (ten times)"


def told(path: Path) -> str:
    """The line in which a table is refused."""
    with pytest.raises(DataError) as refusal:
        read_source(path, PLAIN)
    (line,) = str(refusal.value).splitlines()
    return line.removeprefix(f"{path}: ")


LEAVE = """
import os, sys
from pathlib import Path
from churn.config.contract import TableFormat
from churn.table import reader

reader.BLOCK_BYTES = 200_000
how = TableFormat(delimiter=",", quote='"', encoding="utf-8", decimal=".")
for path in map(Path, sys.argv[1:]):
    for _ in range(8):
        child = os.fork()
        if not child:
            rows = reader._batches(path, how, reader.OF_ARGUMENT)
            next(rows)
            rows.close()
            sys.exit()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code == 0, code
"""


@pytest.mark.slow
def test_a_process_that_leaves_a_table_early_ends(tmp_path: Path) -> None:
    content = b"plan,fee\n" + b"".join(b"plan %d,%d\n" % (row, row * 7919 % 10_007) for row in range(500_000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(content, 1))
    subprocess.run([sys.executable, "-c", LEAVE, str(tmp_path / "a.csv.gz")], check=True, timeout=60)


@pytest.mark.parametrize("name", ["table.csv.gz", "table.zip"])
def test_what_unpacks_to_far_more_than_a_table_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "UNPACKED_UNQUESTIONED", 1_000_000)
    path, content = tmp_path / name, b"plan,fee\n" + b"pro,1\n" * 500_000
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("table.csv", content)
    assert told(path).endswith(f"times its size, more than the limit of 200 times; {RAISE}")
    monkeypatch.setenv(LIMITS_SETTING, "10")
    assert len(read_source(path, PLAIN)) == 500_000


def test_a_method_of_packing_without_a_bound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("table.csv", b"plan,fee\npro,1\n")
    assert told(path) == "packed with another method than deflate; compress it again with the usual one"


@pytest.mark.parametrize("kind", ["device", "pipe", "socket", "link to a device"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".zip", ".parquet"])
def test_only_a_file_is_a_table(kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    path = Path(f"t{suffix}")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    assert told(path) == "is a device, pipe or socket, and a table is read more than once; save it as a file"


def test_a_row_too_long_and_too_many_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"plan,fee\npro,1\n" + b"x" * 20_000_000 + b",1\npro,2\n")
    assert told(path) == f"has a row that is too long, more than the limit of 8,000,000 bytes; {RAISE}"
    path.write_bytes(b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n" + b"1," * 999_999 + b"1\n")
    assert told(path) == f"has 1,000,000 columns, more than the limit of 10,000; {RAISE}"


def test_a_label_that_stands_for_many_cells_is_refused_before_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    labels = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), pa.array(["x" * 300_000]))
    pq.write_table(pa.table({"plan": labels, "fee": [1] * 5_000}), path, store_schema=False)
    assert told(path) == (
        f"has 1,500,000,000 bytes of text in 5,000 rows, more than the limit of 1,000,000,000 bytes; {RAISE}"
    )


@pytest.mark.parametrize("factor", ["0", "many", "nan", "-1", "inf"])
def test_a_factor_for_the_limits_that_is_none_is_refused(
    factor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"plan,fee\npro,1\n")
    monkeypatch.setenv(LIMITS_SETTING, factor)
    with pytest.raises(DataError, match=LIMITS_SETTING):
        read_source(path, PLAIN)
