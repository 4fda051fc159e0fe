"""Locations of MLflow's files, none of which may be inside the project's own code."""

import errno
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from churn import files
from churn.report.origin import with_origin
from churn.tracking.destination import Destination, StoreError
from churn.tracking.record import (
    Experiment,
)

UNFIT_FOR_A_FOLDER = re.compile(r"[^\w .-]")


def artifact_location(destination: Destination, name: str) -> str | None:
    """Folder for the artifacts of an experiment in the embedded store; None for a server, which chooses its own.

    The name of an experiment is anybody's, so it is one folder, whatever signs it has.
    """
    if not destination.is_embedded:
        return None
    return (destination.artifacts / folder_name(name)).as_uri()


def folder_name(experiment: str) -> str:
    """Name of an experiment as that of a folder, which is never a path."""
    name = UNFIT_FOR_A_FOLDER.sub(lambda sign: quote(sign[0], safe=""), experiment)
    return name if name.strip(".") else name.replace(".", "%2E")


def path_of(location: str) -> Path | None:
    """Folder of a location on this machine; None for one elsewhere, such as a bucket or a server."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(location) if location.startswith("/") else None


def require_apart_from_project(destination: Destination, location: str) -> None:
    """Check that a store, which chooses where files go, does not write them into the project, where they could be code.

    Raises:
        StoreError: it would.
    """
    found = path_of(location)
    if found is None:
        return
    place, root = found.resolve(), destination.root.resolve()
    if place in (root, *root.parents) or (place.is_relative_to(root) and not place.is_relative_to(root / "mlruns")):
        raise StoreError(f"{destination.address} asks to write files to {place}, which is refused", refused=True)


def require_here(destination: Destination, experiment: str, location: str) -> None:
    """Check that files of an experiment do not go to a folder of another machine, or of a folder that was moved.

    Raises:
        StoreError: neither the folder nor the two above it exist.
    """
    place = path_of(location)
    if place is not None and not any(folder.is_dir() for folder in (place, *place.parents[:2])):
        raise StoreError(
            f"experiment {experiment!r} of {destination.address} keeps its files in {place}, which this machine does "
            "not have; mount that folder, or set MLFLOW_EXPERIMENT_NAME to another name",
            refused=True,
        )


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
