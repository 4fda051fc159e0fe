"""The main job runs where a module or function of Linux is absent; nothing names a processor that a user must have."""

import re
import sys
from pathlib import Path

import pytest

from churn import files
from churn.tracking.destination import find_destination
from tests.helpers.mlflow_rows import rows
from tests.helpers.projects import REPOSITORY, shell

ABSENT_MODULES = ("fcntl", "resource")
ABSENT_FROM_OS = (
    "copy_file_range",
    "getrandom",
    "listxattr",
    "memfd_create",
    "pidfd_open",
    "posix_fadvise",
    "posix_fallocate",
    "sched_getaffinity",
    "sched_setaffinity",
    "splice",
)
WITHOUT = f"""
import os, sys
sys.modules.update(dict.fromkeys({ABSENT_MODULES}))
for name in {ABSENT_FROM_OS}:
    if hasattr(os, name):
        delattr(os, name)
"""


@pytest.mark.slow
def test_the_stages_and_tracking_do_without_what_only_linux_has(embedded: Path, tmp_path: Path) -> None:
    before = {path: (embedded / path).read_bytes() for path in (files.MODEL, files.TRAIN_METRICS, files.REPORT)}
    start = tmp_path / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(WITHOUT)  # Python runs it first in every process
    run = shell(embedded)
    (tmp_path / "temporary").mkdir()  # of its own: without locks, it cannot be held against commands that have them
    there = {"PYTHONPATH": f"{start}:{embedded / 'src'}", "TMPDIR": str(tmp_path / "temporary")}
    for stage in ("preprocess", "train", "evaluate"):
        told = run(f"{sys.executable} -m churn.stages {stage}", **there).stderr
        assert "`churn sync` publishes it: no process can run in the background here" in told
    assert before == {path: (embedded / path).read_bytes() for path in before}
    command = f"{sys.executable} -c 'from churn.cli.main import main; main()'"
    assert "3 records published" in run(f"{command} sync", **there).stdout
    assert "EUR per 1,000 customers" in run(f"{command} summary", **there).stdout
    assert [row.info.status for row in rows(find_destination(embedded))] == ["FINISHED"]


COMPOSED = [f"deploy/compose/{one.name}" for one in sorted((REPOSITORY / "deploy/compose").glob("*.yml"))]


@pytest.mark.parametrize("path", ["Dockerfile", "docker-compose.yml", *COMPOSED])
def test_images_are_built_and_started_for_the_processor_that_is_there(path: str) -> None:
    assert not re.search(r"amd64|x86_64|arm64|aarch64|platform", (REPOSITORY / path).read_text())
