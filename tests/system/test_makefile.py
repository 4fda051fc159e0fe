"""`make` installs into the project's own environment, whatever settings of installers are around it."""

import shutil
from pathlib import Path

import pytest

from tests.helpers.projects import REPOSITORY, shell


@pytest.fixture
def folder_with_environment(tmp_path: Path) -> Path:
    """A folder with the Makefile, and an environment that says that it was set up there."""
    folder = tmp_path / "my project"
    (folder / ".venv/bin").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Makefile", folder)
    (folder / ".venv/bin/setup-done").write_text(f"{folder}/.venv\n")
    return folder


def test_an_environment_that_was_set_up_here_is_kept(folder_with_environment: Path) -> None:
    shell(folder_with_environment)("make help")
    assert (folder_with_environment / ".venv/bin/setup-done").exists()


@pytest.mark.parametrize("how", ["cp -a 'my project' copy", "mv 'my project' copy"])
def test_a_copied_or_moved_environment_is_set_up_again(how: str, folder_with_environment: Path) -> None:
    shell(folder_with_environment.parent)(how)
    copy = folder_with_environment.parent / "copy"
    shell(copy)("make help")
    assert not (copy / ".venv/bin/setup-done").exists()


def test_an_environment_of_another_folder_can_be_shared_by_a_link(folder_with_environment: Path) -> None:
    other = folder_with_environment.parent / "other"
    other.mkdir()
    shutil.copy(REPOSITORY / "Makefile", other)
    (other / ".venv").symlink_to(folder_with_environment / ".venv")
    shell(other)("make help")
    assert (other / ".venv/bin/setup-done").exists()


def test_settings_of_installers_that_lead_elsewhere_are_left_out_and_those_of_indexes_stay(
    folder_with_environment: Path,
) -> None:
    leading_elsewhere = {
        "UV_SYSTEM_PYTHON": "1",
        "UV_PYTHON": "/usr/bin/python3",
        "UV_TARGET": "elsewhere",
        "UV_PREFIX": "elsewhere",
        "UV_OVERRIDE": "x.txt",
        "PIP_USER": "1",
        "PIP_TARGET": "elsewhere",
        "PIP_PREFIX": "elsewhere",
        "PIP_ROOT": "elsewhere",
        "PIP_CONSTRAINT": "x.txt",
        "PYTHONHOME": "/usr",
    }
    kept = {"UV_INDEX_URL": "https://packages.example", "PIP_INDEX_URL": "https://packages.example"}
    told = shell(folder_with_environment)("make --eval='settings: ; @env' settings", **leading_elsewhere, **kept).stdout
    names = {line.partition("=")[0] for line in told.splitlines()}
    assert not names & leading_elsewhere.keys()
    assert kept.keys() <= names
