"""A door in front of a store: passes on what is asked for, unless it was told to misbehave. Keeps what was asked of it."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx


@dataclass(slots=True)
class Reply:
    """What the door answers. With `is_cut` the body ends before its stated length."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_cut: bool = False

    @classmethod
    def of(cls, content: object, status: int = 200, **headers: str) -> Reply:
        """Return a reply of JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"Content-Type": "application/json", **named}, json.dumps(content).encode())

    @property
    def content(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came to the door."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def basic(self) -> str | None:
        """What Basic credentials say, None without any."""
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        return base64.b64decode(value).decode() if kind == "Basic" else None


Behaviour = Callable[[Asked, "Door"], Reply]
"""Answers one request instead of the store."""


@dataclass(slots=True)
class Door:
    """`endpoint` is what a source states. Each request for statements takes the next of `behaviours`; without any it passes."""

    endpoint: str
    store_endpoint: str | None
    asked: list[Asked] = field(default_factory=list)
    behaviours: deque[Behaviour] = field(default_factory=deque)
    always: Behaviour | None = None

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self.behaviours and "/statements" in asked.target:
            return self.behaviours.popleft()(asked, self)
        if self.always is not None:
            return self.always(asked, self)
        return self.passed_on(asked)

    def passed_on(self, asked: Asked, **headers: str) -> Reply:
        """Return what the store answers."""
        assert self.store_endpoint is not None
        origin = httpx.URL(self.store_endpoint)
        sent = {
            name: value for name, value in asked.headers.items() if name not in ("host", "connection", "content-length")
        }
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.request(
                asked.method, origin.join(asked.target), headers={**sent, **headers}, content=asked.body or None
            )
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower()
            in ("content-type", "date", "x-experience-api-version", "x-experience-api-consistent-through")
        }
        return Reply(answer.status_code, kept, answer.content)


def passes(asked: Asked, door: Door) -> Reply:
    """Behave."""
    return door.passed_on(asked)


def answers(status: int, **headers: str) -> Behaviour:
    """Refuse with this status."""
    return lambda asked, door: Reply.of({"warning": "told to"}, status, **headers)


def cuts_off(asked: Asked, door: Door) -> Reply:
    """Break the connection in the middle of a page."""
    reply = door.passed_on(asked)
    reply.is_cut = True
    return reply


def hangs_up(asked: Asked, door: Door) -> Reply:
    """Break the connection before anything is said."""
    return Reply(status=0)


def zipped(asked: Asked, door: Door) -> Reply:
    """Compress the answer."""
    reply = door.passed_on(asked)
    reply.body = gzip.compress(reply.body)
    reply.headers["Content-Encoding"] = "gzip"
    return reply


@contextmanager
def open_door(store_endpoint: str | None = None) -> Iterator[Door]:
    """Open a door on loopback in front of the store, or in front of nothing but behaviours."""
    door = Door("", store_endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = door.answer(Asked(self.command, self.path, headers, self.rfile.read(length)))
            if reply.status == 0:
                self.close_connection = True
                return
            if reply.status:
                # Not send_response: the store's own Date is passed on, or none.
                self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.is_cut:
                self.wfile.write(reply.body[: len(reply.body) // 2])
                self.close_connection = True
                return
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    door.endpoint = f"http://127.0.0.1:{server.server_address[1]}/xAPI"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
