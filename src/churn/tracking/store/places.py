"""Locations of MLflow's files, none of which may be inside the project's own code."""

import errno
from pathlib import Path
from urllib.parse import unquote, urlsplit

from churn import files
from churn.report.origin import with_origin
from churn.tracking.destination import Destination, StoreError
from churn.tracking.record import (
    Experiment,
)


def artifact_location(destination: Destination, name: str) -> str | None:
    """Folder for the artifacts of an experiment in the embedded store; None for a server, which chooses its own."""
    if not destination.is_embedded:
        return None
    return (destination.root / "mlruns" / name).as_uri()


def require_apart_from_project(destination: Destination, location: str) -> None:
    """Check that a store, which chooses where files go, does not write them into the project, where they could be code.

    Raises:
        StoreError: it would.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return
    place, root = Path(unquote(parts.path)).resolve(), destination.root.resolve()
    if place in (root, *root.parents) or (place.is_relative_to(root) and not place.is_relative_to(root / "mlruns")):
        raise StoreError(f"{destination.address} asks to write files to {place}, which is refused", refused=True)


def lay_out_file(folder: Path, path: str, content: Path, experiment: Experiment) -> None:
    """Link a file of an experiment into the folder that is uploaded to MLflow.

    Raises:
        StoreError: its path leads out of the folder or is invalid; a fetched branch can declare any path.
    """
    link = folder / path
    if not link.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{path}: is outside the project, so it is not published", refused=True)
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        if path == str(files.REPORT):
            page = content.read_text(encoding="utf-8")
            link.write_text(with_origin(page, experiment.origin), encoding="utf-8")
        else:
            link.symlink_to(content)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise StoreError(f"{path[:60]}: cannot be published: {error.strerror}", refused=not full) from error
