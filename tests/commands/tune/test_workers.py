"""Processes of a search start wherever temporary files lie."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.projects import REPOSITORY

START_A_PROCESS = """
import tempfile
from churn.commands.tune import workers
given = tempfile.gettempdir()
workers._make_folder_of_sockets()
process = workers.CONTEXT.Process(target=print, args=("started",))
process.start()
process.join()
assert tempfile.gettempdir() == given
"""


@pytest.mark.slow
@pytest.mark.parametrize("length", [10, 72, 200])
def test_the_path_of_the_temporary_folder_may_be_longer_than_that_of_a_socket(length: int, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * (length // 4))
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", START_A_PROCESS],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("started\n", 0), done.stderr
