"""What a process changes of itself while it works, and gives back."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from churn import runtime
from churn.errors import excerpt
from churn.runtime import (
    FLAGS_OF_V3,
    SAME_BYTES_ON,
    THREAD_SETTINGS,
    environment,
    is_locked,
    limited_threads,
    lock,
    log_text_to_stderr,
    os_error_line,
    platform_name,
    same_kernels,
    unexpected_error_line,
    without_secrets,
)
from churn.texts import escape_what_cannot_be_encoded, without_quoted
from tests.helpers.command_line import churn
from tests.helpers.processors import PROCESSORS


@pytest.fixture(params=["by the kernel", "without fcntl"])
def _either_lock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without fcntl":
        monkeypatch.setattr(runtime, "fcntl", None)


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    assert "GIVEN" not in os.environ
    assert "ABSENT" not in os.environ


@pytest.mark.usefixtures("_either_lock")
def test_a_lock_has_one_holder_and_one_who_does_not_wait_is_told(tmp_path: Path) -> None:
    path = tmp_path / "not-there-yet/lock"
    with lock(path) as held, lock(path, wait=False) as second:
        assert held is not None
        assert second is None
        assert is_locked(path)
    assert not is_locked(path)


@pytest.mark.usefixtures("_either_lock")
def test_a_shared_lock_has_many_holders_and_keeps_out_who_wants_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path, shared=True), lock(path, shared=True, wait=False) as second, lock(path, wait=False) as alone:
        assert second is not None
        assert alone is None
        assert is_locked(path)


def test_a_folder_is_locked_without_a_file(tmp_path: Path) -> None:
    with lock(tmp_path):
        assert is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_holder_however_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder_of(path) as holder:
        assert is_locked(path)
        holder.kill()
        holder.wait()
        assert not is_locked(path)


def test_a_lock_without_fcntl_ends_with_its_holder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "fcntl", None)
    for path in (tmp_path / "lock", tmp_path):
        with holder_of(path, "sys.modules['fcntl'] = None") as holder:
            assert is_locked(path)
            holder.kill()
            holder.wait()
            assert not is_locked(path)


def test_a_child_that_gets_the_descriptor_goes_on_holding_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path) as held:
        assert held is not None
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[held])
    assert is_locked(path)
    child.communicate()
    assert not is_locked(path)


KERNELS = """
import json
from churn.runtime import same_kernels
with same_kernels():
    import numpy, scipy.linalg
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
    from threadpoolctl import threadpool_info
print(json.dumps([
    sorted({pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"}),
    [name for name in __cpu_dispatch__ if __cpu_features__[name]],
]))
"""


where_kernels_are_pinned = pytest.mark.skipif(
    platform_name() != SAME_BYTES_ON,
    reason=f"kernels are pinned on {SAME_BYTES_ON} with AVX2 only, and this is {platform_name()}: docs/guarantees.md",
)


@where_kernels_are_pinned
@pytest.mark.parametrize("processor", PROCESSORS)
def test_libraries_use_the_same_kernels_whatever_they_would_choose(processor: str) -> None:
    command, settings = [sys.executable, "-c", KERNELS], {**os.environ, **PROCESSORS[processor]}
    told = subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout
    assert json.loads(told) == [["Haswell"], ["X86_V3"]]


@where_kernels_are_pinned
def test_the_tests_use_them_too() -> None:
    import scipy.linalg  # noqa: F401 - has an OpenBLAS of its own

    assert {pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"} == {"Haswell"}


@pytest.mark.parametrize(
    ("system", "machine", "flags", "name"),
    [
        ("Linux", "x86_64", FLAGS_OF_V3 | {"avx512f"}, "Linux x86_64"),
        ("Linux", "x86_64", FLAGS_OF_V3, "Linux x86_64"),
        ("Linux", "x86_64", FLAGS_OF_V3 - {"fma"}, "Linux x86_64 without AVX2"),
        ("Linux", "x86_64", None, "Linux x86_64 without AVX2"),
        ("Linux", "aarch64", None, "Linux aarch64"),
        ("Darwin", "arm64", None, "macOS arm64"),
        ("Darwin", "x86_64", None, "macOS x86_64"),
    ],
)
def test_a_platform_has_the_name_of_all_that_should_compute_the_same(
    system: str, machine: str, flags: frozenset[str] | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu_info = tmp_path / "cpuinfo"
    if flags is not None:
        cpu_info.write_text(f"model name\t: any\nflags\t\t: {' '.join(flags)}\n\nflags\t\t:\n")
    monkeypatch.setattr(runtime, "CPU_INFO", cpu_info)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    platform_name.cache_clear()
    try:
        assert platform_name() == name
        with same_kernels():
            assert (os.environ.get("OPENBLAS_CORETYPE") == "Haswell") == (name == SAME_BYTES_ON)
    finally:
        platform_name.cache_clear()


def test_windows_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    answer = churn("summary")
    assert answer.code == 1
    assert answer.err == ("churn: Windows is supported only through WSL; install the project there (`wsl --install`)\n")


def test_threads_are_limited_in_loaded_libraries_and_for_those_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_SETTINGS:
        monkeypatch.setenv(name, "2")
    with limited_threads(1):
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert {os.environ[name] for name in THREAD_SETTINGS} == {"1"}
    assert {os.environ[name] for name in THREAD_SETTINGS} == {"2"}


def test_one_thread_of_python_computes_at_a_time() -> None:
    inside, most = 0, 0

    def compute() -> None:
        nonlocal inside, most
        with limited_threads(1), limited_threads(1):  # as a search does that is asked for within another one
            inside += 1
            most = max(most, inside)
            inside -= 1

    in_threads([compute] * 20)
    assert most == 1


def test_variables_are_set_for_a_while_and_then_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "by the user")
    with environment({"GIVEN": "by us", "ABSENT": "by us"}):
        assert (os.environ["GIVEN"], os.environ["ABSENT"]) == ("by us", "by us")
    assert os.environ["GIVEN"] == "by the user"
    assert "ABSENT" not in os.environ


def test_what_the_user_has_set_can_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "by the user")
    with environment({"GIVEN": "by us", "ABSENT": "by us"}, unless_given=True):
        assert (os.environ["GIVEN"], os.environ["ABSENT"]) == ("by the user", "by us")
        with environment({"ABSENT": "by us again"}, unless_given=True):  # the first was not the user
            assert os.environ["ABSENT"] == "by us again"
        assert os.environ["ABSENT"] == "by us"


@pytest.mark.parametrize("given", [None, "by the user"])
def test_threads_that_overlap_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    if given:
        monkeypatch.setenv("GIVEN", given)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with environment({"GIVEN": "first"}):
            first_is_in.set()
            assert second_is_in.wait(60)
            assert os.environ["GIVEN"] == "second"
        first_is_out.set()

    def second() -> None:
        assert first_is_in.wait(60)
        with environment({"GIVEN": "second"}):
            second_is_in.set()
            assert first_is_out.wait(60)
            assert os.environ["GIVEN"] == "second"

    in_threads([first, second])
    assert os.environ.get("GIVEN") == given


def in_threads(work: list[Callable[[], None]]) -> None:
    """Do all of it at once; a fault of one is a fault of the test, since pytest makes errors of such warnings."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def holder_of(path: Path, first: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    program = f"""
import sys, time
{first}
from pathlib import Path
from churn.runtime import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("column 'fee': 'abc' is not a number in line 7", "column '…': '…' is not a number in line 7"),
        ("a customer's columns: 'it\\'s' and \"it's\"", "a customer's columns: '…' and '…'"),
        ("column 'fee': 'a value that goes on... in line 7; the key is 'x'", "column …"),
        ("7,043 rows kept", "7,043 rows kept"),
    ],
)
def test_what_a_message_quotes_is_not_in_a_line_for_a_collector(message: str, expected: str) -> None:
    assert without_quoted(message) == expected


@given(st.text(max_size=80))
def test_no_value_is_in_a_line_for_a_collector_whatever_it_is(value: str) -> None:
    marked = f"{value[:20]}SECRET{value[20:]}"
    assert "SECRET" not in without_quoted(f"column {'fee'!r}: {excerpt(marked)} is invalid, {excerpt(marked)} too")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", "hunter22"),
        ("MLFLOW_TRACKING_TOKEN", "hunter22"),
        ("AWS_SECRET_ACCESS_KEY", "hunter22"),
        ("PGPASSWORD", "hunter22"),
        ("AZURE_STORAGE_CONNECTION_STRING", "hunter22"),
        ("MLFLOW_FLASK_SERVER_SECRET_KEY", "hunter22"),
        ("DATABASE_URL", "postgresql://db/mlflow?user=ann&password=hunter22"),
        ("MLFLOW_TRACKING_URI", "https://ann:hunter22@mlflow.example"),
        ("https_proxy", "http://ann:hunter22@proxy:3128"),
    ],
)
def test_no_secret_of_the_environment_is_in_a_text(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert without_secrets("401 for user ann, hunter22") == "401 for user ann, ***"


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("s3cret/hunter22", "s3cret/hunter22"),
        ("s3cret/hunter22", "s3cret"),
        ("s3cret?hunter22", "hunter22"),
        ("s3cret%2Fhunter22", "s3cret%2Fhunter22"),
        ("s3cret%2Fhunter22", "s3cret/hunter22"),
    ],
)
def test_no_part_of_a_password_that_an_error_can_quote_is_in_a_text(
    password: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:{password}@mlflow:5000")
    assert without_secrets(f"Port could not be cast to integer value as '{told}'").endswith(" as '***'")


def test_a_variable_that_holds_no_secret_hides_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_SERVE_TOKENS", "tokens.txt")
    monkeypatch.setenv("JUPYTER_TOKEN", "abc")
    assert without_secrets("tokens.txt: not found, abc") == "tokens.txt: not found, abc"


def test_a_terminal_without_a_sign_gets_its_number_as_in_json(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        escape_what_cannot_be_encoded(stream)
        print(json.dumps("± 2 € \udcff", ensure_ascii=False), file=stream)
    assert json.loads((tmp_path / "out").read_text()) == "± 2 € \udcff"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(30, "Read-only file system", "models/x"), "models/x: Read-only file system"),
        (
            OSError(30, "Read-only file system", "models/.x.csv.dd893c7156f1.draft"),
            "models/x.csv: Read-only file system",
        ),
        (
            OSError(28, "No space left on device", "x.csv"),
            "x.csv: no space left on the disk; free some (`dvc gc --workspace --all",
        ),
        (OSError(28, "No space left on device"), "no space left on the disk"),
        (ConnectionResetError(), "ConnectionResetError: "),
    ],
)
def test_what_the_operating_system_refuses_is_one_line(error: OSError, line: str) -> None:
    assert os_error_line(error).startswith(line)
    assert len(os_error_line(error).splitlines()) == 1


class TestUnexpectedErrors:
    @staticmethod
    def error() -> Exception:
        try:
            raise ValueError("two\nlines, postgresql://ann:hunter22@db/x")
        except ValueError as error:
            return error

    def test_the_line_names_the_file_with_the_details(self, tmp_path: Path) -> None:
        (tmp_path / "dvc.yaml").touch()
        line = unexpected_error_line(self.error(), tmp_path)
        path = tmp_path / ".churn/errors.log"
        assert line.startswith("unexpected ValueError: two lines, ")
        assert line.endswith(f"with the details in {path}")
        assert "Traceback" in path.read_text()
        assert "hunter22" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_outside_a_project_no_folder_is_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        line = unexpected_error_line(self.error(), tmp_path)
        (path,) = (tmp_path / "temporary").iterdir()
        assert line.endswith(f"with the details in {path}")

    def test_where_nothing_can_be_written_the_line_comes_all_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "dvc.yaml").touch()
        (tmp_path / ".churn").touch()
        assert "its details cannot be written (File exists)" in unexpected_error_line(self.error(), tmp_path)


def test_no_secret_and_no_escape_is_in_a_line_of_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    log_text_to_stderr("%(message)s")
    root.warning("refused by http://ann:hunter22@mlflow \x1b[2J")
    assert capsys.readouterr().err == "refused by http://mlflow \\x1b[2J\n"
