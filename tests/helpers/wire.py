"""Requests byte by byte, as no HTTP library would send them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.helpers.services import RunningService


@dataclass(frozen=True)
class WireAnswer:
    """An answer; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(service: RunningService, seconds: float = 10) -> Iterator[socket.socket]:
    with socket.create_connection(service.address, timeout=seconds) as connection:
        yield connection


def request_bytes(
    body: str | bytes = b"",
    path: str = "/v1/score",
    method: str = "POST",
    kind: str = "application/json",
    length: int | None = None,
    *more: str,
) -> bytes:
    """A request; `more` are further lines of headers."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *more]
    lines.append(f"Content-Length: {len(content) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + content


def read_answer(connection: socket.socket) -> WireAnswer:
    """The next answer of a connection.

    Raises:
        ConnectionError: it ends before an answer is complete.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += _some(connection)
        body = b"".join(body.split(b"\r\n")[1::2])
    while len(body) < int(headers.get("content-length", 0)):
        body += _some(connection)
    return WireAnswer(int(first.split()[1]), headers, body)


def is_closed(connection: socket.socket) -> bool:
    """Whether the service ends the connection before the time of the connection is over."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def answer_to(service: RunningService, data: bytes) -> WireAnswer:
    """The first answer to what is sent, also if the service does not take it all."""
    with connected(service) as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
        return read_answer(connection)


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65_536)
    if not received:
        raise ConnectionError("closed before the answer was complete")
    return received
