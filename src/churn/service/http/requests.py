"""What all routes share: the service, and how they read a request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from churn.model.plain.classifiers import TooLargeError
from churn.model.plain.encoder import Customer
from churn.model.plain.proof import ScoringPath
from churn.service.customers import UnreadableError, parse_json
from churn.service.follower import Follower
from churn.service.http.gate import OF_PROTOCOL, Exchange, ProblemError
from churn.service.metrics import ServiceMetrics
from churn.service.recording import PredictionRecorder, ScoredRequest
from churn.service.served_model import Score, ServedModel
from churn.service.settings import ServeSettings

NO_MODEL = "no model yet: run `make run`"
MOST_REASONS = 100
"""Reasons for one customer."""
ROWS_INLINE = 64
"""Customers that are scored in the event loop: handing them to a thread takes longer than scoring them."""
BYTES_OF_A_CUSTOMER = 200
"""Fewest bytes of a customer in JSON, to tell a long list before it is parsed."""


@dataclass
class Service:
    """What the routes share. `draining` is set once, before the service ends."""

    settings: ServeSettings
    follower: Follower
    recorder: PredictionRecorder
    metrics: ServiceMetrics
    version: str
    draining: bool = False

    def model(self) -> ServedModel:
        """The present model; a request takes it once and uses no other.

        Raises:
            ProblemError: there is none.
        """
        model = self.follower.model
        if model is None:
            raise ProblemError(503, self.follower.problem or NO_MODEL)
        return model

    @property
    def unready(self) -> str:
        """Why it takes no requests; empty if it does."""
        if self.draining:
            return "the service is stopping"
        return "" if self.follower.model else self.follower.problem or NO_MODEL

    def score(self, exchange: Exchange, model: ServedModel, customers: Sequence[Customer]) -> list[Score]:
        """Score customers; count them, and hand them to shadow and log.

        Raises:
            ProblemError: a number is beyond what the model takes.
        """
        try:
            scores = model.scores(customers)
        except TooLargeError as error:
            raise ProblemError(422, str(error)) from None
        exchange.rows += len(customers)
        self.metrics.scored(model, customers, scores)
        if self.recorder.is_needed:
            self.recorder.offer(ScoredRequest(time.time(), exchange.request_id, model, customers, scores))
        return scores


def require_ready(service: Service) -> None:
    """Check that the service takes requests.

    Raises:
        ProblemError: it does not.
    """
    if service.unready:
        raise ProblemError(503, service.unready)


def exchange_of(request: Request) -> Exchange:
    """What the gate knows of a request."""
    exchange: Exchange = request.scope["exchange"]
    return exchange


def wanted_reasons(request: Request) -> int:
    """Number of reasons for each customer that a request asks for.

    Raises:
        ProblemError: it is no such number.
    """
    if not request.scope["query_string"]:
        return 0
    given = request.query_params.get("reasons", "0")
    if not (given.isascii() and given.isdecimal() and len(given) <= 4 and int(given) <= MOST_REASONS):
        raise ProblemError(400, f"reasons: must be a number from 0 to {MOST_REASONS}")
    return int(given)


def parsed(body: bytes, *, nan_is_missing: bool = False) -> Any:
    """A body as JSON.

    Raises:
        ProblemError: it is none.
    """
    try:
        return parse_json(body, nan_is_missing=nan_is_missing)
    except UnreadableError as error:
        raise ProblemError(400, str(error)) from None


async def read_json_body(request: Request, most_bytes: int) -> bytes:
    """The body of a request.

    Raises:
        ProblemError: it is too long, compressed, or not declared as JSON.
    """
    require_content_type(request, "application/json")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise ProblemError(413, f"more than {most_bytes:,} bytes")
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise ProblemError(413, f"more than {most_bytes:,} bytes")
        parts.append(chunk)
    return b"".join(parts)


def require_content_type(request: Request, wanted: str) -> None:
    """Check how a body is written.

    Raises:
        ProblemError: as another type, or compressed: a few bytes could stand for gigabytes.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Clients of the protocol send none: it knows only JSON.
    if kind != wanted and (kind or not exchange_of(request).path.startswith(OF_PROTOCOL)):
        raise ProblemError(415, f"send it as `Content-Type: {wanted}`")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(415, "send it without compression")


def takes_long(model: ServedModel, size: int, reasons: int = 0) -> bool:
    """Whether a request takes so long that others should not wait for it; `size` in bytes."""
    return model.proved.path != ScoringPath.PLAIN or reasons > 0 or size > BYTES_OF_A_CUSTOMER * ROWS_INLINE
