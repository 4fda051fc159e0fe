"""Where MLflow's files go, and that none of them goes into the project's own code."""

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
    """For the embedded store a folder of the project, fixed now; a server knows its own."""
    if not destination.is_embedded:
        return None
    return (destination.root / "mlruns" / name).as_uri()


def require_apart_from_project(destination: Destination, location: str) -> None:
    """See that a store does not have files written into the project, which would be code; it chooses where they go.

    Raises:
        StoreError: they would be.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return
    place, root = Path(unquote(parts.path)).resolve(), destination.root.resolve()
    if place in (root, *root.parents) or (place.is_relative_to(root) and not place.is_relative_to(root / "mlruns")):
        raise StoreError(f"{destination.address} would have files written to {place}, so nothing is", refused=True)


def lay_out_file(folder: Path, path: str, content: Path, experiment: Experiment) -> None:
    """Put a file of an experiment where MLflow is to find it.

    Raises:
        StoreError: its path leads out of the folder, or is none that a file system takes; a branch that was fetched
            may name any.
    """
    link = folder / path
    if not link.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{path}: leads out of the project, so it is not shown", refused=True)
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        if path == str(files.REPORT):
            page = content.read_text(encoding="utf-8")
            link.write_text(with_origin(page, experiment.origin), encoding="utf-8")
        else:
            link.symlink_to(content)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise StoreError(f"{path[:60]}: cannot be shown: {error.strerror}", refused=not full) from error
