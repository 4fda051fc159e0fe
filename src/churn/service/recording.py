"""What happens to a scored request outside of it: the shadow's scores, and the prediction log."""

import hashlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pandas as pd

from churn.errors import ChurnError
from churn.history.predictions.log import LoggedPrediction, PredictionLog
from churn.model.plain.encoder import Customer, as_frame
from churn.runtime import lock
from churn.service.served_model import Score, ServedModel
from churn.service.settings import FeatureLogging, ServeSettings
from churn.table.keys import row_keys

log = logging.getLogger(__name__)

SECONDS_BETWEEN_PARTS = 2.0
"""A killed service loses the predictions of at most this time."""
MOST_WAITING_ROWS = 500_000
"""Rows that may wait for a disk that does not take them."""


@dataclass(frozen=True)
class ScoredRequest:
    """A request that was answered. Its model is part of it, so that no later one is taken for it."""

    time: float
    request_id: str
    model: ServedModel
    customers: Sequence[Customer]
    scores: Sequence[Score]


@dataclass(frozen=True)
class ShadowScores:
    """Probabilities of the shadow for the customers of a request."""

    fingerprint: str
    probability: Sequence[float]


Count = Callable[[str, int], None]
"""Counts something by its name."""


class PredictionRecorder:
    """Scores requests with the shadow and logs them, in a thread of its own.

    Requests wait in a bounded queue for the shadow; where it is full, they are logged without its score.
    """

    def __init__(self, settings: ServeSettings, shadow: Callable[[], ServedModel | None], count: Count) -> None:
        self._settings, self._shadow, self._count = settings, shadow, count
        self._for_shadow: queue.Queue[ScoredRequest] = queue.Queue(settings.shadow_queue)
        self._for_log: deque[tuple[ScoredRequest, ShadowScores | None]] = deque()
        self._waiting_rows = 0
        self._ended = threading.Event()
        self._stack = ExitStack()
        self._log: PredictionLog | None = None
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._said = ""

    @property
    def is_needed(self) -> bool:
        """Whether requests have to be offered."""
        return self._settings.log is not None or self._settings.shadow is not None

    def start(self) -> None:
        """Open the log and begin.

        Raises:
            ChurnError: another service writes to the folder, or it cannot be written.
        """
        folder = self._settings.log
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held = self._stack.enter_context(lock(folder / ".lock", wait=False))
                if held is None:
                    raise ChurnError(f"{folder}: another service logs there; give each its own folder with --log")
                self._log = PredictionLog(folder, self._settings.log_days)
                self._log.close_days(before=_today())
            except OSError as error:
                raise ChurnError(
                    f"{folder}: cannot be written: {error.strerror}; name another folder with --log"
                ) from None
        if self.is_needed:
            self._thread.start()

    def stop(self) -> None:
        """Write what is left and close the log."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._log is not None:
            self._flush()
            try:
                self._log.close_days()
            except OSError as error:
                self._say(f"prediction log: parts cannot be merged: {error.strerror}; they stay")
        self._stack.close()

    def offer(self, request: ScoredRequest) -> None:
        """Take a request that was answered; never waits."""
        if self._settings.shadow is not None:
            try:
                self._for_shadow.put_nowait(request)
                return
            except queue.Full:
                self._count("shadow_dropped", len(request.customers))
        self._keep(request, None)

    def _keep(self, request: ScoredRequest, shadow: ShadowScores | None) -> None:
        if self._log is None:
            return
        if self._waiting_rows > MOST_WAITING_ROWS:
            self._count("log_dropped", len(request.customers))
            return
        self._waiting_rows += len(request.customers)
        self._for_log.append((request, shadow))

    def _work(self) -> None:
        due, day = time.monotonic() + SECONDS_BETWEEN_PARTS, _today()
        while not (self._ended.is_set() and self._for_shadow.empty()):
            try:
                request = self._for_shadow.get(timeout=0.1)
            except queue.Empty:
                pass
            else:
                self._keep(request, self._scores_of_shadow(request))
            if time.monotonic() >= due:
                self._flush()
                due = time.monotonic() + SECONDS_BETWEEN_PARTS
            if day != _today():
                day = _today()
                self._close_days(day)

    def _scores_of_shadow(self, request: ScoredRequest) -> ShadowScores | None:
        shadow = self._shadow()
        if shadow is None:
            return None
        try:
            scores = shadow.scores(request.customers)
        except (LookupError, TypeError, ValueError) as error:  # its contract can be another one
            self._count("shadow_failed", len(request.customers))
            self._say(f"shadow: cannot score: {type(error).__name__}")
            return None
        self._count("shadow_scored", len(scores))
        return ShadowScores(shadow.origin.fingerprint, [one.probability for one in scores])

    def _flush(self) -> None:
        if self._log is None or not self._for_log:
            return
        entries = [self._for_log.popleft() for _ in range(len(self._for_log))]
        rows = [row for request, shadow in entries for row in self._rows_of(request, shadow)]
        try:
            self._log.append(rows)
        except OSError as error:
            self._say(f"prediction log: cannot be written: {error.strerror}; {len(rows):,} rows wait")
            self._count("log_failed", 1)
            self._for_log.extendleft(reversed(entries))
            return
        self._waiting_rows -= len(rows)
        self._count("logged", len(rows))

    def _rows_of(self, request: ScoredRequest, shadow: ShadowScores | None) -> Iterator[LoggedPrediction]:
        model, with_columns = request.model, self._logs_columns_of(request.request_id)
        keys = keys_of(model, request.customers)
        for position, (key, customer, score) in enumerate(zip(keys, request.customers, request.scores, strict=True)):
            yield LoggedPrediction(
                time=request.time,
                request_id=request.request_id,
                position=position,
                row_key=key,
                fingerprint=model.origin.fingerprint,
                version=model.origin.version,
                probability=score.probability,
                contact=score.contact,
                shadow_probability=None if shadow is None else shadow.probability[position],
                shadow_fingerprint=None if shadow is None else shadow.fingerprint,
                customer={name: customer[name] for name in model.parts.contract.columns} if with_columns else None,
            )

    def _logs_columns_of(self, request_id: str) -> bool:
        if self._settings.log_features == FeatureLogging.SAMPLE:
            digest = hashlib.sha256(request_id.encode()).digest()
            return int.from_bytes(digest[:8]) < self._settings.log_share * 2**64
        return self._settings.log_features == FeatureLogging.ALL

    def _close_days(self, today: date) -> None:
        try:
            if self._log is not None:
                self._log.close_days(before=today)
        except OSError as error:
            self._say(f"prediction log: days before {today} cannot be merged: {error.strerror}; their parts stay")

    def _say(self, line: str) -> None:
        """Log a line unless it was the last one."""
        if line != self._said:
            log.warning("%s", line)
        self._said = line


def keys_of(model: ServedModel, customers: Sequence[Customer]) -> list[str | None]:
    """Row keys of customers, as the pipeline gives them; None without the id that the contract asks for."""
    contract = model.parts.contract
    if contract.id is None:
        types = {name: column.type for name, column in contract.columns.items()}
        return list(row_keys(as_frame(customers, types), contract))
    identifiers = [customer.get(contract.id) for customer in customers]
    keys = row_keys(pd.DataFrame({contract.id: [str(one) for one in identifiers]}), contract)
    return [None if one is None else key for one, key in zip(identifiers, keys, strict=True)]


def _today() -> date:
    return datetime.fromtimestamp(time.time(), UTC).date()
