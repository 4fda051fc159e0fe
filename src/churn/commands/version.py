"""`churn --version`: which release this is, and which commit and state of the project."""

import logging
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from churn.history.git import GitRefusalError, git

log = logging.getLogger(__name__)

DISTRIBUTION = "churn-pipeline"
PIPELINE_FILE = "dvc.yaml"
"""File that makes a folder a project. Not imported from churn.history, to keep the command fast outside a project."""
CODE = ("src", "params.yaml", PIPELINE_FILE, "requirements.lock")
"""Paths whose edits git reports; other inputs of the stages are compared by md5."""
DIGITS_OF_COMMIT, DIGITS_OF_STATE = 7, 12


def version_text(root: Path) -> str:
    """The version on one line; in a project's folder also commit, edits and fingerprint."""
    told = ", ".join(_of_project(root)) if (root / PIPELINE_FILE).is_file() else ""
    return f"churn {_installed()}{f' ({told})' if told else ''}"


def _installed() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # the code runs from its source folder
        return "(not installed)"


def _of_project(root: Path) -> Iterator[str]:
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD")
        fingerprint, edited = _state(root)
    except GitRefusalError as error:
        yield str(error)
        return
    if commit:
        yield f"commit {commit[:DIGITS_OF_COMMIT]}"
        yield from ["edited"] if edited else []
    if fingerprint:
        yield f"state {fingerprint[:DIGITS_OF_STATE]}"


def _state(root: Path) -> tuple[str, bool]:
    """Fingerprint of the files, '' if they have none, and whether they differ from the commit."""
    from churn.history import committed, state

    try:
        stages = state.stages_from_files(root)
        edited = git(root, "status", "--porcelain", "--", *CODE) or committed.find_edits(root, stages)
        return state.fingerprint(stages), bool(edited)
    except GitRefusalError:
        raise
    except Exception:  # the files can contain anything, and `--version` must not fail
        log.debug("no state", exc_info=True)
        return "", bool(git(root, "status", "--porcelain", "--", *CODE))
