"""Real servers for tests: MLflow's own, one that gives a single answer, and a proxy that lets things go wrong."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[None]:
    """Let a server answer from a thread of this process."""
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def mlflow_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Address of a server with a store and artifacts of its own in a folder."""
    uri = f"http://127.0.0.1:{port or free_port()}"
    command = f"mlflow server --backend-store-uri sqlite:///{folder}/server.db --artifacts-destination {folder}/files"
    with subprocess.Popen(
        [*command.split(), "--workers", "1", "--port", uri.rpartition(":")[2]],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as server:
        try:
            for _ in range(600):
                with suppress(OSError), urlopen(f"{uri}/health"):  # noqa: S310 - an address of ours
                    break
                time.sleep(0.1)
            else:
                raise TimeoutError(f"{uri} does not come up")
            yield uri
        finally:
            os.killpg(server.pid, signal.SIGTERM)


Fault = Callable[[str, str], int | None]
"""By method and path of a request: None lets it through, a status is the answer; for the others see below."""

HANG, CUT, LOSE = -1, -2, -3
"""Never answer; hang up; pass the request on and hang up instead of answering."""


@dataclass
class Proxy:
    """What stands between a client and a server."""

    uri: str
    host: str | None = None
    """What the server is told as Host; by default its own address."""
    fault: Fault = lambda method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def proxy_to(server: str) -> Iterator[Proxy]:
    """A proxy in front of a server; its faults can be set and taken back while it runs."""
    target = urlsplit(server)
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            proxy.requests.append((self.command, self.path))
            fault = proxy.fault(self.command, self.path)
            if fault == HANG:
                released.wait()
            if fault == LOSE:
                self._asked(body)
            if fault in (HANG, CUT, LOSE):
                self.close_connection = True
            elif fault is not None:
                self._answer(fault, b"not now\nnot ever")
            else:
                self._answer(*self._asked(body))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 - the names that http.server calls

        def _asked(self, body: bytes) -> tuple[int, bytes, str]:
            """Status, content and type of what the server answers."""
            with closing(HTTPConnection(target.hostname or "", target.port, timeout=60)) as upstream:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                if proxy.host:
                    headers["Host"] = proxy.host
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                return answer.status, answer.read(), answer.getheader("Content-Type", "application/json")

        def _answer(self, status: int, content: bytes, kind: str = "text/plain") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        proxy = Proxy(f"http://127.0.0.1:{listening.server_port}")
        with answering(listening):
            try:
                yield proxy
            finally:
                released.set()
