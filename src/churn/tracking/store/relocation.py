"""Where the embedded store keeps its files: in `mlruns`, wherever its folder was moved, copied or mounted.

MLflow writes absolute locations into its database. They are rewritten when the database is opened in another place, so
that a copy never writes into its original, and a moved project finds its models.
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from churn.tracking.destination import Destination, StoreError
from churn.tracking.store.places import folder_name, path_of

LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's database with a location."""
SECONDS_TO_WAIT = 20.0
"""For another process that writes to the database; MLflow waits as long."""

log = logging.getLogger(__name__)


def follow_folder(destination: Destination) -> None:
    """Make an SQLite store name the folder `mlruns` that goes with it; any other store stays as it is.

    Raises:
        StoreError: its locations are those of another folder, and the database cannot be written.
    """
    database = destination.database
    if database is None or not database.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=SECONDS_TO_WAIT)) as reading:
            former = _former_homes(reading, destination)
        if not former:
            return
        with closing(sqlite3.connect(database, timeout=SECONDS_TO_WAIT, isolation_level=None)) as writing:
            writing.execute("BEGIN IMMEDIATE")
            for home in _former_homes(writing, destination):
                _rewrite(writing, f"{home}/", f"{_alike(home, destination.artifacts)}/")
            writing.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(
            f"{database}: its files are to be looked for in {destination.artifacts}, but it cannot be changed to say "
            f"so: {error}; make the database and its folder writable",
            refused=True,
        ) from error
    log.info("%s was moved or copied: its files are now those in %s", database, destination.artifacts)


def _former_homes(connection: sqlite3.Connection, destination: Destination) -> list[str]:
    """Other folders called `mlruns` in which experiments keep their files, in the form in which MLflow wrote them."""
    if not _has(connection, "experiments", "artifact_location"):
        return []  # not MLflow's, or not yet
    found = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
    homes = {home for number, name, location in found if (home := _home(location or "", str(number), str(name)))}
    return sorted(home for home in homes if _is_left(home, destination))


def _home(location: str, number: str, name: str) -> str | None:
    """The folder `mlruns` of an experiment; None for an experiment whose files somebody wanted elsewhere."""
    if not location.startswith(("file:///", "/")):
        return None
    ends = (f"/{one}" for one in (number, folder_name(name), quote(name), name))
    homes = (location.removesuffix(end) for end in ends if location.endswith(f"/mlruns{end}"))
    return next(homes, None)


def _is_left(home: str, destination: Destination) -> bool:
    """Whether the files of a store are no longer, or are not to be, in a folder.

    A database outside the project stays with the files that it has, for it may be several projects' database.
    """
    if home == _alike(home, destination.artifacts):
        return False
    database = destination.database
    is_own = database is not None and database.is_relative_to(destination.root)
    former = path_of(home)
    return is_own or destination.artifacts.is_dir() or former is None or not former.is_dir()


def _alike(home: str, folder: Path) -> str:
    """A folder in the form of another location: an address or a plain path."""
    return folder.as_uri() if home.startswith("file:") else str(folder)


def _rewrite(connection: sqlite3.Connection, former: str, present: str) -> None:
    for table, column in LOCATIONS:
        if _has(connection, table, column):
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                (present, len(former) + 1, len(former), former),
            )


def _has(connection: sqlite3.Connection, table: str, column: str) -> bool:
    return (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
