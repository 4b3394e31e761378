"""What is let through from a socket: the head of a request is bounded, however it comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from lyceum.serving.protocol import LARGEST_HEAD_BYTES, BoundedProtocol

pytestmark = pytest.mark.timeout(120)

PIECE = 1000


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    body = b"welcome" if scope["method"] == "GET" else str(await _length(receive)).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _length(receive: Receive) -> int:
    length = 0
    while True:
        message = await receive()
        length += len(message["body"])
        if not message["more_body"]:
            return length


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Lend a connection to a server that speaks the protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(greet, http=BoundedProtocol, ws="none", lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await serving


def asked(*pieces: bytes, answers: int = 1) -> list[bytes]:
    """Send these pieces one after the other and return the status line of each answer; fewer when the connection ends before."""

    async def ask() -> list[bytes]:
        async with listening() as (reader, writer):
            sending = asyncio.create_task(_send(writer, pieces))
            found = []
            for _ in range(answers):
                head = await _head(reader)
                if not head:
                    break
                found.append(head.split(b"\r\n")[0])
            await sending
            return found

    return asyncio.run(ask())


async def _send(writer: asyncio.StreamWriter, pieces: tuple[bytes, ...]) -> None:
    for piece in pieces:
        try:
            writer.write(piece)
            await writer.drain()
        except ConnectionError:
            return
        # Let the server take it before the next, so that it comes as a piece.
        await asyncio.sleep(0)


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    return head


OK, BAD = b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_requests_of_one_connection_are_answered_however_many_there_are() -> None:
    padded = b"GET / HTTP/1.1\r\nHost: a\r\nX-Padding: " + b"a" * 8000 + b"\r\n\r\n"
    assert asked(*[padded] * 12, answers=12) == [OK] * 12


@pytest.mark.parametrize(
    "endless",
    [
        [b"GET / HTTP/1.1\r\nX-Long: ", *[b"a" * PIECE] * 200],
        [b"GET / HTTP/1.1\r\n", *[b"X-Other: " + b"a" * PIECE + b"\r\n"] * 200],
        [b"GET /", *[b"a" * PIECE] * 200],
        [b"GET / HTTP/1.1\r\n", *[b"a" * PIECE] * 200],
    ],
    ids=["value", "headers", "address", "name"],
)
def test_a_head_that_does_not_end_is_refused(endless: list[bytes]) -> None:
    assert sum(map(len, endless)) > 4 * LARGEST_HEAD_BYTES
    assert asked(*endless, answers=2) in ([BAD], [])


def test_a_head_that_does_not_end_is_refused_after_a_request_that_did() -> None:
    assert asked(REQUEST, b"GET / HTTP/1.1\r\nX-Long: ", *[b"a" * PIECE] * 200, answers=3)[:1] == [OK]


def test_a_content_is_no_head() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    assert asked(head, *[b"a" * PIECE] * 100, REQUEST, answers=2) == [OK, OK]


def test_what_is_no_request_is_refused() -> None:
    assert asked(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n") == [BAD]
