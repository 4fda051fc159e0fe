"""Run the service: uvicorn in one process, ended by SIGTERM without losing a request."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import uvicorn
import uvloop

from churn.errors import ChurnError
from churn.runtime import limited_threads
from churn.service.follower import Follower
from churn.service.http.app import make_app
from churn.service.http.connection import connection_class
from churn.service.http.gate import RequestGate
from churn.service.http.requests import Service
from churn.service.metrics import ServiceMetrics
from churn.service.recording import PredictionRecorder
from churn.service.settings import ServeSettings
from churn.service.sources import source_of
from churn.service.tokens import TokenFile

log = logging.getLogger(__name__)

BACKLOG = 2048
SECONDS_TO_ACCEPT = 0.2
"""Time in which connections that are there already are accepted, and their requests read."""
SECONDS_TO_FINISH = 30
"""How long requests may take to end after the last connection was accepted."""


class DrainingServer(uvicorn.Server):
    """A server that its own signal handlers end; uvicorn's would end the process with the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def serve(root: Path, settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ChurnError: the address cannot be used, or must not be without tokens.
    """
    tokens = TokenFile(root / settings.tokens)
    _require_tokens_off_loopback(settings, tokens)
    metrics = ServiceMetrics()
    follower = Follower(
        source_of(root, settings.model),
        settings.most_rows,
        lambda event: metrics.followed("model", event, follower.model),
    )
    shadow = _shadow(root, settings, metrics)
    recorder = PredictionRecorder(settings, lambda: shadow.model if shadow else None, metrics.recorded)
    service = Service(settings, follower, recorder, metrics, version("churn-pipeline"))
    gate = RequestGate(make_app(service), settings, metrics, tokens, lambda: service.draining)
    with limited_threads(1), _listening(settings) as listener:
        followers = [one for one in (follower, shadow) if one]
        recorder.start()
        try:
            for one in followers:
                one.look()
                one.start(settings.poll_seconds)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(service, gate, listener))
        finally:
            for one in followers:
                one.stop()
            recorder.stop()


def _shadow(root: Path, settings: ServeSettings, metrics: ServiceMetrics) -> Follower | None:
    if settings.shadow is None:
        return None
    source = source_of(root, "registry", settings.shadow)
    shadow = Follower(
        source, settings.most_rows, lambda event: metrics.followed("shadow", event, shadow.model), name="shadow"
    )
    return shadow


def _require_tokens_off_loopback(settings: ServeSettings, tokens: TokenFile) -> None:
    if settings.needs_tokens and not tokens.tokens:
        raise ChurnError(
            f"CHURN_SERVE_HOST {settings.host}: other machines can connect, and there is no token; make one with "
            "`churn token new NAME`, or set CHURN_SERVE_AUTHENTICATION=off if something else authenticates"
            if not settings.is_on_loopback
            else "CHURN_SERVE_AUTHENTICATION=on: there is no token; make one with `churn token new NAME`"
        )


@contextlib.contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = _reason_of(error)
        raise ChurnError(
            f"{settings.host}:{settings.port}: {reason}; end what listens there, or choose another --port"
        ) from None
    with listener:
        yield listener


def _reason_of(error: OSError | UnicodeError) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error)


async def _run(service: Service, gate: RequestGate, listener: socket.socket) -> None:
    config = uvicorn.Config(
        gate,
        http=connection_class(service.settings.seconds),
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,  # any client can send them; tokens tell callers apart
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
        backlog=BACKLOG,
    )
    server = DrainingServer(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: loop.create_task(_drain(service, server, listener)))
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%s, documentation at /docs", host, port)
    await server.serve(sockets=[listener])


async def _drain(service: Service, server: uvicorn.Server, listener: socket.socket) -> None:
    """Be not ready, close connections after their next answer, then take no new ones and end."""
    if service.draining:
        server.force_exit = True  # asked twice
        return
    service.draining = True
    await asyncio.sleep(service.settings.drain_seconds)
    _drop_new_connections(listener)
    await asyncio.sleep(SECONDS_TO_ACCEPT)
    server.should_exit = True


def _drop_new_connections(listener: socket.socket) -> None:
    """Let the kernel drop attempts to connect, so that none waits unaccepted when the socket is closed.

    Such a connection would be reset, and its request lost; a dropped attempt is repeated by the client's kernel, and
    then refused. Only on Linux; elsewhere the time as not ready has to suffice.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in NO_NEW_CONNECTIONS))
    attached = struct.pack("HP", len(NO_NEW_CONNECTIONS), ctypes.addressof(program))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, attached)


SO_ATTACH_FILTER = 26
NO_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x54, 0, 0, 0x12),  # of these, SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone begins a connection
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # keep
)
"""Classic BPF (linux/filter.h): code, jump if true, jump if false, constant."""
