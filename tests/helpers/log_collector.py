"""Debian's rsyslog as the collector of logs, with certificates of its own, a store that can be down, and senders."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.projects import REPOSITORY

CONFIGURATION = REPOSITORY / "deploy/monitoring/rsyslog"
TOOLS = REPOSITORY / ".monitoring/tools"
PACKAGES = (
    *("rsyslog", "rsyslog-gnutls", "rsyslog-elasticsearch"),
    *("libestr0", "libfastjson4", "liblognorm5", "libcurl3-gnutls", "libcurl4"),
)
LIBRARIES = TOOLS / "usr/lib/x86_64-linux-gnu"
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def fetch_rsyslog() -> None:
    """Unpack Debian's packages in the project's folder, once."""
    if not (TOOLS / "usr/sbin/rsyslogd").exists():
        subprocess.run([REPOSITORY / "deploy/monitoring/debian-tools", TOOLS, *PACKAGES], check=True)


def make_certificates(folder: Path, authority: str, *names: str) -> None:
    """A certificate authority and certificates for names in churn.internal."""
    _openssl(folder, "req", "-x509", *CURVE, "-keyout", f"{authority}.key", "-out", f"{authority}.pem",
             "-subj", f"/CN={authority}", "-days", "2")  # fmt: skip
    for name in names:
        subject = f"{name}.churn.internal"
        _openssl(folder, "req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        (folder / "names").write_text(f"subjectAltName=DNS:{subject}\n")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
                 "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "names")  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class LogStore:
    """What listens where the store should be; `lines` is everything that it was sent."""

    port: int = field(default_factory=free_port)
    lines: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Take connections until the end."""
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            accepting = threading.Thread(target=self._accept, args=[listener], daemon=True)
            accepting.start()
            yield
            listener.shutdown(socket.SHUT_RDWR)  # ends the call that accepts
            accepting.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the store is down again
                return
            threading.Thread(target=self._read, args=[connection], daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with connection, connection.makefile(encoding="utf-8") as lines:
            for line in lines:
                self.lines.append(line)

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until so many lines are there."""
        deadline = time.monotonic() + seconds
        while len(self.lines) < count:
            assert time.monotonic() < deadline, f"{len(self.lines)} of {count} lines arrived"
            time.sleep(0.05)


@dataclass(frozen=True)
class Collector:
    """rsyslog with the committed configuration."""

    folder: Path
    store: LogStore
    port: int = field(default_factory=free_port)

    def settings(self, output: str) -> dict[str, str]:
        """Its environment."""
        return {
            "PATH": os.environ["PATH"],
            "LD_LIBRARY_PATH": str(LIBRARIES),
            "CHURN_LOGS_PORT": str(self.port),
            "CHURN_LOGS_CA": str(self.folder / "ca.pem"),
            "CHURN_LOGS_CERT": str(self.folder / "collector.pem"),
            "CHURN_LOGS_KEY": str(self.folder / "collector.key"),
            "CHURN_LOGS_SPOOL": str(self.folder),
            "CHURN_LOGS_STORE_HOST": "127.0.0.1",
            "CHURN_LOGS_STORE_PORT": str(self.store.port),
            "CHURN_LOGS_OUTPUT": str(CONFIGURATION / f"output-{output}.conf"),
        }

    def command(self) -> list[str]:
        """rsyslogd in the foreground."""
        return [
            str(TOOLS / "usr/sbin/rsyslogd"), "-n", "-M", str(LIBRARIES / "rsyslog"),
            "-f", str(CONFIGURATION / "collector.conf"), "-i", str(self.folder / "pid"),
        ]  # fmt: skip

    def check(self, output: str) -> subprocess.CompletedProcess[str]:
        """`rsyslogd -N1` for one of the outputs."""
        return subprocess.run(
            [*self.command(), "-N1"], env=self.settings(output), capture_output=True, text=True, check=False
        )

    @contextlib.contextmanager
    def running(self, output: str = "victorialogs") -> Iterator[None]:
        """The collector, ended by SIGTERM."""
        process = subprocess.Popen(self.command(), env=self.settings(output))
        try:
            self._wait_until_it_listens()
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            assert time.monotonic() < deadline, "rsyslog does not listen"
            time.sleep(0.05)

    def send(self, lines: Sequence[str], program: str = "api", certificate: str | None = "api", ca: str = "ca") -> None:
        """Send lines over TLS as Docker's syslog driver does (RFC 5424)."""
        context = ssl.create_default_context(cafile=str(self.folder / f"{ca}.pem"))
        if certificate is not None:
            context.load_cert_chain(self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key")
        framed = "".join(f"<30>1 2026-05-01T00:00:00Z host {program} 1 - - {line.rstrip()}\n" for line in lines)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="collector.churn.internal") as secured,
        ):
            secured.sendall(framed.encode())
            with contextlib.suppress(ssl.SSLError):  # rsyslog ends the connection without a farewell
                secured.unwrap()
