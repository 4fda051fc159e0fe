"""HTTP/1.1 as uvicorn speaks it, with limits on what comes before a route, and without losing an answer."""

import asyncio
import logging
import uuid
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from churn.service.http.gate import JSON, OF_PROTOCOL, PROBLEM, HttpProblem

log = logging.getLogger(__name__)

MOST_HEAD_BYTES = 65_536
"""Longest request line and headers."""
OF_BODY = (b"content-length", b"transfer-encoding")
"""Headers that say where a body ends."""

NOT_HTTP = HttpProblem(400, "not a request in HTTP/1.1")
TOO_LONG = HttpProblem(431, f"request line and headers of more than {MOST_HEAD_BYTES:,} bytes")


class Connection(HttpToolsProtocol):
    """A connection.

    Attributes:
        seconds: time in which the head of a request has to arrive.
    """

    seconds = 5.0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.url = b""
        self._is_in_head = False
        self._is_replaying = False
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_expecting()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether an answer is still to be sent: a client may close its side once it has sent the request."""
        if not self._is_answering or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._unset_keepalive_if_required()
        was_in_head = self._is_in_head
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(TOO_LONG if self._is_too_long else NOT_HTTP)
            return
        if was_in_head and self._is_in_head:  # the parser keeps a header to itself until it is complete
            self._head_bytes += len(data)
            if self._is_too_long:
                self._refuse(TOO_LONG)
                return
        if not self._is_answering:
            self._expect_head()

    def on_message_begin(self) -> None:
        """Begin a request."""
        if not self._is_replaying:
            self._is_in_head, self._head_bytes = True, 0
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Add to the path."""
        if not self._is_replaying:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; trailers are none."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        if not self._is_replaying:
            self._head_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if self._is_too_long:
                raise ValueError("too long")  # the parser raises its own error
            self._is_in_head = False
            self._stop_expecting()
            super().on_headers_complete()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_too_long(self) -> bool:
        return self._head_bytes > MOST_HEAD_BYTES

    def _feed(self, data: bytes) -> None:
        """Parse, and decline every offer of another protocol, as clients for HTTP/2 make it."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self._go_on_after_head()
            else:
                return

    def _go_on_after_head(self) -> None:
        """Let a new parser go on with the body: after an offer, the old one has skipped it."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.cycle.more_body = True
        framing = b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] in OF_BODY)
        self._is_replaying = True
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
        finally:
            self._is_replaying = False

    def _refuse(self, problem: HttpProblem) -> None:
        """Answer what is no request, unless an earlier request still gets its answer; then end."""
        if self._is_answering and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not (self._is_answering and self.cycle.response_started):
            self.transport.write(_answer_of(problem, self.url))
        self.transport.close()

    def _expect_head(self) -> None:
        """Close the connection unless the head of a request is complete in time."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def connection_class(seconds: float) -> type[Connection]:
    """Connections on which the head of a request has to arrive in a time."""
    return type("TimedConnection", (Connection,), {"seconds": seconds})


def _answer_of(problem: HttpProblem, url: bytes) -> bytes:
    path, request_id = url.decode("latin-1"), str(uuid.uuid4())
    log.warning("request %s: %s", request_id, problem.detail)
    body = problem.body(path, request_id)
    kind = JSON if path.startswith(OF_PROTOCOL) else PROBLEM
    head = (
        b"HTTP/1.1 %d %b\r\n" % (problem.status, HTTPStatus(problem.status).phrase.encode()),
        b"content-type: %b\r\ncontent-length: %d\r\n" % (kind, len(body)),
        b"x-request-id: %b\r\nconnection: close\r\n\r\n" % request_id.encode(),
    )
    return b"".join((*head, body))
