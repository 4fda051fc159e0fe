"""What stands before the routes: request id, tokens, rate, time limit, and one line of log and metrics a request."""

import asyncio
import contextlib
import json
import logging
import sys
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json

from churn.errors import ChurnError
from churn.service.customers import FieldFault
from churn.service.metrics import ServiceMetrics
from churn.service.settings import ServeSettings
from churn.service.tokens import Scope, TokenFile

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

JSON = b"application/json"
PROBLEM = b"application/problem+json"
OF_PROTOCOL = "/v2"
STREAM = "/v1/score/stream"

NEEDED: dict[str, Scope | None] = {
    "/health/live": None,
    "/health/ready": None,
    "/v2/health/live": None,
    "/v2/health/ready": None,
    "/metrics": Scope.METRICS,
    "/v1/reload": Scope.ADMIN,
}
"""Scope that a path needs; every other path needs `score`, None is open."""

ROUTES = ("/v1/score", STREAM, "/v1/model", "/v1/reload", "/metrics", "/health/live", "/health/ready", "/openapi.json")
"""Paths that have a label of their own in metrics and logs."""

HEALTH = ("/health/live", "/health/ready")
"""Asked every few seconds: no line of log unless they fail."""

SECONDS_TO_DISCARD = 1.0
"""How long a body that is too long is still read."""

MOST_CALLERS = 10_000
"""Callers whose rate is remembered."""


@dataclass(frozen=True)
class HttpProblem:
    """An error as RFC 9457 describes it; the protocol v2 gets its own form."""

    status: int
    detail: str
    faults: Sequence[FieldFault] = ()

    @property
    def closes(self) -> bool:
        """Whether the connection ends: the rest of the request is not read."""
        return self.status in (408, 413)

    def body(self, path: str, request_id: str) -> bytes:
        """JSON in the form of the path's interface; without any value that the client sent."""
        if path.startswith(OF_PROTOCOL):
            faults = "; ".join(map(str, self.faults))
            return to_json({"error": f"{self.detail}{f': {faults}' if faults else ''}"})
        listed = [{"customer": one.row, "field": one.field, "reason": one.reason} for one in self.faults]
        return to_json(
            {
                "type": "about:blank",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "request_id": request_id,
                **({"errors": listed} if listed else {}),
            }
        )


FAILED = HttpProblem(500, "the service failed; its log has this request id")


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str, faults: Sequence[FieldFault] = ()) -> None:
        super().__init__(detail)
        self.problem = HttpProblem(status, detail, faults)


@dataclass
class Exchange:
    """One request while it is answered."""

    path: str
    request_id: str
    status: int = 0
    rows: int = 0
    caller: str = ""


class RequestGate:
    """ASGI application around the routes."""

    def __init__(
        self,
        routes: Application,
        settings: ServeSettings,
        metrics: ServiceMetrics,
        tokens: TokenFile,
        is_draining: Callable[[], bool],
    ) -> None:
        self._routes, self._settings, self._metrics, self._tokens = routes, settings, metrics, tokens
        self._is_draining = is_draining
        self._needs_tokens = settings.needs_tokens  # asked in each request
        self._hosts = frozenset(settings.hosts.lower().replace(" ", "").split(","))
        self._rates: dict[str, tuple[float, float]] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = Exchange(scope["path"], str(uuid.uuid4()))
        scope["exchange"] = exchange

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", exchange.request_id.encode())]
                if self._is_draining():
                    message["headers"].append((b"connection", b"close"))
            if exchange.status == 413 and message["type"] == "http.response.body":
                await send({**message, "more_body": True})
                await _discard_rest(receive)
                message = {"type": "http.response.body"}
            await send(message)

        try:
            await self._answer(exchange, scope, receive, send_with_headers)
        finally:
            self._note(exchange, scope["method"], time.perf_counter() - started)

    async def _answer(self, exchange: Exchange, scope: Message, receive: Receive, send: Send) -> None:
        try:
            self._admit(exchange, scope)
            # A stream has no end; its own time limit is that of each block.
            limit = None if exchange.path == STREAM else self._settings.seconds
            async with asyncio.timeout(limit):
                await self._routes(scope, receive, send)
            return
        except ProblemError as error:
            problem = error.problem
        except TimeoutError:
            problem = HttpProblem(408, f"not complete within {self._settings.seconds:g} s")
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end the others
            log.error("request %s: %s at %s", exchange.request_id, type(error).__name__, _place_of(error))
            problem = FAILED
        if not exchange.status:  # otherwise the answer has begun, and the connection is cut
            await send_problem(problem, exchange, send)

    def _admit(self, exchange: Exchange, scope: Message) -> None:
        """Check token and rate.

        Raises:
            ProblemError: the request is not admitted.
        """
        if not exchange.path.isprintable():
            raise ProblemError(404, "no such path")  # routes also match a path with a line break at its end
        needed = NEEDED.get(exchange.path, Scope.SCORE)
        if needed is None:
            return
        exchange.caller = (scope.get("client") or ("unknown",))[0]
        if self.authenticates:
            exchange.caller = self._name_of_token(scope, needed)
        else:
            self._require_known_host(scope)
        if self._settings.requests_a_second is not None and not self._is_within_rate(exchange.caller):
            raise ProblemError(429, f"more than {self._settings.requests_a_second:g} requests a second")

    def _require_known_host(self, scope: Message) -> None:
        """Refuse other names: a foreign page in a browser could give its own name this address (DNS rebinding)."""
        given = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        name = given.partition("]")[0] + "]" if given.startswith("[") else given.partition(":")[0]
        if given and self._hosts.isdisjoint({name, "*"}):
            raise ProblemError(421, "reached under a name that is not in CHURN_SERVE_HOSTS")

    @property
    def authenticates(self) -> bool:
        """Whether requests need a token.

        Raises:
            ProblemError: the file of tokens cannot be read.
        """
        return self._needs_tokens or (self._settings.authentication == "auto" and bool(self._read_tokens()))

    def _read_tokens(self) -> Sequence[object]:
        try:
            return self._tokens.tokens
        except ChurnError as error:
            log.error("%s", error)
            raise ProblemError(503, "the file of tokens cannot be read") from None

    def _name_of_token(self, scope: Message, needed: Scope) -> str:
        self._read_tokens()
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kind, _, secret = given.decode("latin-1").partition(" ")
        token = self._tokens.find(secret.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise ProblemError(401, "a valid token is needed: `Authorization: Bearer TOKEN`")
        if not token.allows(needed):
            raise ProblemError(403, f"the token {token.name} does not allow {needed}")
        return token.name

    def _is_within_rate(self, caller: str) -> bool:
        """Whether a caller has a request left: a second's worth can come at once."""
        rate, now = self._settings.requests_a_second or 0.0, time.monotonic()
        left, before = self._rates.get(caller, (max(rate, 1.0), now))
        left = min(max(rate, 1.0), left + rate * (now - before))
        if len(self._rates) >= MOST_CALLERS and caller not in self._rates:
            self._rates.clear()
        self._rates[caller] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def _note(self, exchange: Exchange, method: str, seconds: float) -> None:
        route = (
            exchange.path if exchange.path in ROUTES else OF_PROTOCOL if exchange.path.startswith("/v2/") else "other"
        )
        self._metrics.request(route, exchange.status, seconds)
        if self._settings.log_requests and not (route in HEALTH and exchange.status == HTTPStatus.OK):
            line = {
                "time": round(time.time(), 3),
                "request_id": exchange.request_id,
                "method": method if method in METHODS else "other",
                "route": route,
                "status": exchange.status,
                "ms": round(1000 * seconds, 3),
                "rows": exchange.rows,
                "caller": exchange.caller,
            }
            sys.stdout.write(f"{json.dumps(line)}\n")


async def _discard_rest(receive: Receive) -> None:
    """Read for a moment what a client goes on sending: a connection closed at once is reset, and the answer lost."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_TO_DISCARD):
            while (await receive()).get("more_body"):
                pass


def _place_of(error: BaseException) -> str:
    """Where an error was raised: its message and the values around it can be a customer's."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"


METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})


async def send_problem(problem: HttpProblem, exchange: Exchange, send: Send) -> None:
    """Send an error."""
    content = problem.body(exchange.path, exchange.request_id)
    kind = JSON if exchange.path.startswith(OF_PROTOCOL) else PROBLEM
    headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if problem.closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
