"""`churn --version`: which release this is, and which commit and state of the project."""

import logging
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

log = logging.getLogger(__name__)

DISTRIBUTION = "churn-pipeline"
PIPELINE_FILE = "dvc.yaml"
"""Makes a folder a project; not imported, so that the answer outside of one takes no longer than Python's start."""
DIGITS_OF_COMMIT, DIGITS_OF_STATE = 7, 12


def version_text(root: Path) -> str:
    """The version in a line; in the folder of a project also its commit, whether it is edited, and its fingerprint."""
    told = ", ".join(_of_project(root)) if (root / PIPELINE_FILE).is_file() else ""
    return f"churn {_installed()}{f' ({told})' if told else ''}"


def _installed() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # the code runs from a folder
        return "(not installed)"


def _of_project(root: Path) -> Iterator[str]:
    from churn.history import committed, state
    from churn.history.git import git

    commit = git(root, "rev-parse", "--verify", "HEAD")
    stages, fingerprint = None, ""
    try:
        stages = state.stages_from_files(root)
        fingerprint = state.fingerprint(stages)
    except Exception:  # the files of a folder may hold anything, and who asks for a version wants no fault
        log.debug("no state", exc_info=True)
    if commit:
        yield f"commit {commit[:DIGITS_OF_COMMIT]}"
        edits = committed.find_edits(root, stages) if stages else git(root, "status", "--porcelain")
        yield from ["edited"] if edits else []
    if fingerprint:
        yield f"state {fingerprint[:DIGITS_OF_STATE]}"
