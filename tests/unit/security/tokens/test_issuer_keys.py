"""An issuer's keys: asked for rarely, forgotten when taken back, and never asked for because somebody makes names up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lyceum.security.tokens.errors import IssuerUnavailableError, Refusal, TokenError, TokenKeyError
from lyceum.security.tokens.issuer_keys import IssuerKeys, fetch_key_set
from lyceum.security.tokens.verification import verify
from token_issuer import NOW, SETTINGS, key_set, pairs, token


class Issuer:
    """What an issuer answers, and how often it was asked."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked = 0
        self.is_down = False

    def __call__(self) -> bytes:
        self.asked += 1
        if self.is_down:
            raise IssuerUnavailableError("down")
        return key_set(*(pairs()[name].public for name in self.names))


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def test_many_tokens_ask_the_issuer_once() -> None:
    issuer = Issuer("EdDSA", "ES256")
    keys = IssuerKeys(issuer)

    for number in range(50):
        keys.find("ed-1" if number % 2 else "ec-1", minutes(number / 10))

    assert issuer.asked == 1


def test_a_new_key_is_found_at_once() -> None:
    issuer = Issuer("EdDSA")
    keys = IssuerKeys(issuer)
    keys.find("ed-1", NOW)
    issuer.names = ("EdDSA", "ES256")

    assert keys.find("ec-1", minutes(1)) is not None
    assert issuer.asked == 2


def test_a_flood_of_made_up_names_asks_the_issuer_twice_a_minute() -> None:
    issuer = Issuer("EdDSA")
    keys = IssuerKeys(issuer)
    keys.find("ed-1", NOW)

    for number in range(600):
        with pytest.raises(TokenError) as refusal:
            keys.find(f"made-up-{number}", NOW + timedelta(seconds=number / 10))
        assert refusal.value.reason is Refusal.UNKNOWN_KEY
        assert keys.find("ed-1", NOW + timedelta(seconds=number / 10)) is not None

    assert issuer.asked == 2


def test_a_flood_from_many_threads_asks_the_issuer_once() -> None:
    issuer = Issuer("EdDSA")
    keys = IssuerKeys(issuer)
    barrier = threading.Barrier(8)

    def call(number: int) -> bool:
        barrier.wait()
        if number % 2:
            return keys.find("ed-1", NOW) is not None
        with pytest.raises(TokenError):
            keys.find(f"made-up-{number}", NOW)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8)))
    assert issuer.asked == 1


def test_a_key_that_the_issuer_took_back_counts_for_ten_minutes_at_most() -> None:
    issuer = Issuer("EdDSA", "ES256")
    keys = IssuerKeys(issuer)
    keys.find("ec-1", NOW)
    issuer.names = ("EdDSA",)

    assert keys.find("ec-1", minutes(9.9)) is not None
    with pytest.raises(TokenError) as refusal:
        keys.find("ec-1", minutes(10))
    assert refusal.value.reason is Refusal.UNKNOWN_KEY


def test_while_the_issuer_is_down_its_keys_are_used_for_an_hour() -> None:
    issuer = Issuer("EdDSA")
    keys = IssuerKeys(issuer)
    keys.find("ed-1", NOW)
    issuer.is_down = True

    assert keys.find("ed-1", minutes(59.9)) is not None
    with pytest.raises(IssuerUnavailableError):
        keys.find("ed-1", minutes(60))
    issuer.is_down = False
    assert keys.find("ed-1", minutes(61)) is not None


def test_an_issuer_that_is_down_from_the_beginning_is_not_asked_for_every_token() -> None:
    issuer = Issuer("EdDSA")
    issuer.is_down = True
    keys = IssuerKeys(issuer)

    for second in range(30):
        with pytest.raises(IssuerUnavailableError):
            verify(token(), SETTINGS, keys, lambda now=NOW + timedelta(seconds=second): now)  # type: ignore[misc]

    assert issuer.asked == 1


def test_a_clock_that_is_put_back_does_not_keep_the_issuer_from_being_asked() -> None:
    issuer = Issuer("EdDSA")
    keys = IssuerKeys(issuer)
    keys.find("ed-1", minutes(600))
    issuer.names = ("ES256",)

    assert keys.find("ec-1", NOW) is not None


def test_a_key_set_may_be_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    keys = IssuerKeys.of(str(path))
    with pytest.raises(TokenKeyError, match="cannot be read"):
        keys.find("ed-1", NOW)
    path.write_bytes(key_set(pairs()["EdDSA"].public))

    assert keys.find("ed-1", minutes(1)) is not None


@contextmanager
def serving(status: int, body: bytes, location: str = "") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_key_set_is_fetched_from_its_address() -> None:
    with serving(200, key_set(pairs()["EdDSA"].public)) as address:
        assert verify(token(), SETTINGS, IssuerKeys.of(address), lambda: NOW).role == "learner"


def test_an_answer_that_points_elsewhere_is_not_followed() -> None:
    with (
        serving(200, key_set()) as elsewhere,
        serving(302, b"", elsewhere) as address,
        pytest.raises(IssuerUnavailableError, match="302"),
    ):
        fetch_key_set(address)


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    with serving(200, b" " * 1_000_000) as address, pytest.raises(IssuerUnavailableError, match="too large"):
        fetch_key_set(address)


def test_nobody_there_is_said_without_the_address() -> None:
    with serving(200, b"") as address:
        pass

    with pytest.raises(IssuerUnavailableError) as refusal:
        fetch_key_set(address)
    assert "127.0.0.1" not in str(refusal.value)
