"""The outbox: records to be published to MLflow, written first and independently of any server.

A record names no store. Each store has receipts for the records that it shows, so that another store can be brought up
to date later. Records and the files they need (`contents`, by md5) outlive the files of the workspace.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from churn.drafts import replacing
from churn.errors import ChurnError
from churn.files import read_bytes
from churn.history.state import MD5_FORM
from churn.runtime import lock, without_secrets
from churn.tracking.record import Record, record_from

log = logging.getLogger(__name__)

KEPT = 200
"""Published records kept for other stores; unpublished ones are kept without limit."""


@dataclass(frozen=True)
class Outbox:
    """The outbox in .churn of the project's folder, also for stages that run in a temporary copy of it."""

    folder: Path

    def add(self, record: Record, content_of: Callable[[str], bytes]) -> None:
        """Store a record. Its contents are written first, so every stored record can be published.

        Raises:
            OSError: it cannot be written; then there is no record.
        """
        with lock(self._lock, shared=True):
            for md5 in record.experiment.contents:
                if not self.content(md5).exists():
                    _write(self.content(md5), content_of(md5))
            _write(self._records / f"{record.name}.json", record.as_text().encode())

    def content(self, md5: str) -> Path:
        """Path of the content with an md5."""
        return self.folder / "contents" / md5

    def names(self) -> list[str]:
        """Names of all records, oldest first."""
        return sorted(path.stem for path in self._records.glob("*.json"))

    def record(self, name: str) -> Record | None:
        """Read a record by name. If it is unreadable or lacks contents, set it aside, log a warning and return None."""
        path = self._records / f"{name}.json"
        try:
            record = record_from(read_bytes(path))
        except FileNotFoundError:
            return None
        except (ValueError, ChurnError, IsADirectoryError):
            self._set_aside(path, "not readable as a record")
            return None
        if not all(MD5_FORM.fullmatch(md5) and self.content(md5).exists() for md5 in record.experiment.contents):
            self._set_aside(path, "contents are missing")
            return None
        return record

    def _set_aside(self, path: Path, reason: str) -> None:
        self._aside.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process moved it first
            path.replace(self._aside / path.name)
        log.warning("%s: %s; set aside to %s", path.name, reason, self._aside)

    def records_set_aside(self) -> list[Path]:
        """Paths of the records that could not be read."""
        return sorted(self._aside.glob("*"))

    def without_receipt(self, store: str) -> list[str]:
        """Names of the records that a store does not show yet, oldest first."""
        shown = {path.name for path in (self.folder / "receipts" / store).glob("*")}
        return [name for name in self.names() if name not in shown]

    def names_never_shown(self) -> list[str]:
        """Names of the records that no store has shown."""
        shown = {path.name for path in self.folder.glob("receipts/*/*")}
        return [name for name in self.names() if name not in shown]

    def give_receipt(self, store: str, name: str) -> None:
        """Note that a store shows a record."""
        receipt = self.folder / "receipts" / store / name
        receipt.parent.mkdir(parents=True, exist_ok=True)
        receipt.touch()

    def note_outcome(self, name: str, reason: str) -> None:
        """Store the result of the last attempt to publish a record; an empty reason means success."""
        _write(self.folder / "outcomes" / name, without_secrets(reason).encode())

    def outcome(self, name: str) -> str | None:
        """Result of the last attempt to publish a record, empty on success; None before the first attempt."""
        try:
            return read_bytes(self.folder / "outcomes" / name).decode(errors="replace")
        except (FileNotFoundError, IsADirectoryError, ChurnError):  # only a note of the last attempt
            return None

    def prune(self) -> None:
        """Remove the oldest published records beyond KEPT, and contents that no record refers to."""
        with lock(self._lock):  # no process is adding a record, so all drafts are left over from kills
            unshown = set(self.names_never_shown())
            shown = [name for name in self.names() if name not in unshown]
            for name in shown[: max(0, len(shown) - KEPT)]:
                for path in self._belonging_to(name):
                    path.unlink(missing_ok=True)
            records = filter(None, map(self.record, self.names()))
            needed = {md5 for record in records for md5 in record.experiment.contents}
            for path in [*self.folder.glob("contents/*"), *self._records.glob(".*.draft")]:
                ours = MD5_FORM.fullmatch(path.name) or path.suffix == ".draft"
                if ours and path.name not in needed:
                    path.unlink(missing_ok=True)

    def _belonging_to(self, name: str) -> Iterator[Path]:
        yield self._records / f"{name}.json"
        yield self.folder / "outcomes" / name
        yield from self.folder.glob(f"receipts/*/{name}")

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    @property
    def _records(self) -> Path:
        return self.folder / "records"

    @property
    def _aside(self) -> Path:
        return self.folder / "set-aside"


def outbox_of(root: Path) -> Outbox:
    """The outbox of a project."""
    return Outbox(root / ".churn" / "outbox")


def _write(path: Path, content: bytes) -> None:
    """Write atomically and flush to disk."""
    with replacing(path) as draft, draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
