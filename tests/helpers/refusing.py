"""A server that refuses every request with all that it was told, and what its answers must not be handed on with."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from tests.helpers.servers import answering

PASSWORD, TOKEN = "s3cr%t/W0rd+x", "tok-ABC/def+123=="
ESCAPED = quote(PASSWORD, safe="")


def forms_of(secret: str) -> set[str]:
    """A secret as it is, escaped, and the signs of it that base64 has behind any name."""
    encoded = {base64.b64encode(before + secret.encode()).decode()[4:-4] for before in (b"12:", b"123:", b"1234:")}
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], *encoded}


FORMS = forms_of(PASSWORD) | forms_of(TOKEN)


def forms_in(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


class Refusing(ThreadingHTTPServer):
    """Refuses every request with all that it was told, and looks at the processes of the machine meanwhile."""

    daemon_threads = True

    def __init__(self, status: int, elsewhere: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.status, self.elsewhere = status, elsewhere
        self.authorizations: list[str] = []
        self.arguments: set[str] = set()


class Answers(BaseHTTPRequestHandler):
    server: Refusing

    def refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = self.headers.get("Authorization", "")
        self.server.authorizations.append(sent)
        self.server.arguments |= set(map(_read, Path("/proc").glob("[0-9]*/cmdline")))
        told = f"{self.command} {self.path}\n{self.headers}\nbad login {sent.rpartition(' ')[2]}"
        content = json.dumps({"error_code": "INTERNAL_ERROR", "message": told}).encode()
        self.send_response(self.server.status)
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere + self.path)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = refuse  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def refusing(status: int, elsewhere: str = "") -> Iterator[Refusing]:
    with Refusing(status, elsewhere) as server, answering(server):
        yield server
