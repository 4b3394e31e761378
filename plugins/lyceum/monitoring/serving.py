"""The newest measurements at an address that Prometheus scrapes."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import FrameType
from urllib.parse import urlsplit

import psycopg

from lyceum.errors import ConfigurationError, LyceumError
from lyceum.monitoring.exposition import CONTENT_TYPE

_LOG = logging.getLogger("lyceum.monitoring")

_PATH = "/metrics"
_SECONDS_A_REQUEST = 10.0
_SHORTEST_TOKEN = 16


def metrics_server(host: str, port: int, measurements: Callable[[], bytes], token: str | None) -> HTTPServer:
    """Return a server that listens on `host` and answers GET /metrics with what `measurements` returns, one request at a time.

    A request must bear `token`, if there is one. Where the warehouse does not answer the answer is 503. Raises
    `ConfigurationError` for an address that is no loopback without a token, a short token, or an address that cannot be listened on.
    """
    if token is None and not _is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached from other machines, and no token guards the measurements. Expected --token-file with a file "
            "whose content Prometheus sends as a bearer token (authorization: credentials_file), or an address such as 127.0.0.1."
        )
    if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
        raise ConfigurationError(
            f"The token that guards the measurements is unusable. Expected at least {_SHORTEST_TOKEN} printable ASCII characters in "
            "one line, for example the output of `openssl rand -hex 24`."
        )
    try:
        return _Server(host, port, measurements, token)
    except OSError as error:
        raise ConfigurationError(
            f"Nothing can listen on {host}:{port} ({error.strerror or type(error).__name__}). Expected an address of this machine and "
            "a free port."
        ) from None


def serve_until_stopped(server: HTTPServer) -> None:
    """Answer until somebody asks to stop (SIGINT, SIGTERM), then close. Only the main thread may call this."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        server.server_close()


class _Server(HTTPServer):
    def __init__(self, host: str, port: int, measurements: Callable[[], bytes], token: str | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.measurements = measurements
        self.expected = f"Bearer {token}".encode() if token is not None else None
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # The base class asks a name server for the machine's name, which nobody reads.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server_version = "lyceum"
    sys_version = ""
    # Whoever says nothing does not keep others waiting.
    timeout = _SECONDS_A_REQUEST

    def do_GET(self) -> None:
        """Answer a scrape."""
        server = self.server
        assert isinstance(server, _Server)
        if urlsplit(self.path).path != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"There is nothing here. Expected {_PATH}.\n".encode())
            return
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if server.expected is not None and not hmac.compare_digest(given, server.expected):
            self._answer(HTTPStatus.UNAUTHORIZED, b"Expected the bearer token of the measurements.\n")
            return
        try:
            text = server.measurements()
        except (LyceumError, psycopg.Error) as error:
            _LOG.warning("not scraped: %s", type(error).__name__)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"The warehouse does not answer.\n")
            return
        self._answer(HTTPStatus.OK, text, CONTENT_TYPE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: a scrape every few seconds is nothing to tell."""

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
