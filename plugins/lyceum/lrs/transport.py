"""HTTP as a pull needs it: one request at a time, repeated while that may help, never larger or slower than agreed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx

from lyceum.errors import ConfigurationError, InputError, RetryableError
from lyceum.lrs.options import is_loopback

_LOG = logging.getLogger("lyceum.lrs")

ATTEMPTS = 6
"""How often a request is made before it is given up; the pauses between are 1, 2, 4, 8 and 16 seconds."""
LONGEST_PAUSE_SECONDS = 120.0
_CONNECT_SECONDS = 10.0
_FORM = "application/x-www-form-urlencoded"

Pause: TypeAlias = Callable[[float], None]
"""Waits for so many seconds."""

_Result = TypeVar("_Result")


class UnreadableAnswerError(Exception):
    """An answer is not what its status promised, as when it was cut off or comes from a proxy. Says what was found."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: the status, the headers and the body, decompressed."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def server_time(self) -> datetime | None:
        """The server's own clock when it answered, in UTC; None when it does not tell."""
        return _http_date(self.headers.get("Date"))


class Transport:
    """Sends requests to one server. Use it as a context; `label` names the server in messages.

    Raises `RetryableError` once a request has failed `ATTEMPTS` times in ways that may pass, `InputError` for an answer
    of more than `maximum_bytes`.
    """

    def __init__(self, address: str, *, label: str, timeout_seconds: float, maximum_bytes: int, pause: Pause) -> None:
        self.label = label
        self._timeout_seconds = timeout_seconds
        self._maximum_bytes = maximum_bytes
        self._pause = pause
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds)),
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "lyceum"},
            follow_redirects=False,
            # A proxy that the environment names has no business with this machine itself.
            trust_env=not is_loopback(urlsplit(address).hostname or ""),
        )

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def get(
        self,
        address: str,
        headers: Mapping[str, str],
        read: Callable[[Answer], _Result],
        parameters: Mapping[str, str] | None = None,
    ) -> _Result:
        """GET the address and return what `read` makes of the answer, whatever its status, once it is worth reading.

        Statuses that may pass (408, 425, 429, 5xx) and an `UnreadableAnswerError` are tried again first.
        """
        return self._repeat(
            lambda: self._client.build_request("GET", address, headers=headers, params=parameters), read
        )

    def post_form(
        self, address: str, headers: Mapping[str, str], form: Mapping[str, str], read: Callable[[Answer], _Result]
    ) -> _Result:
        """POST a form, else as `get`."""
        return self._repeat(
            lambda: self._client.build_request("POST", address, headers={**headers, "Content-Type": _FORM}, data=form),
            read,
        )

    def _repeat(self, request: Callable[[], httpx.Request], read: Callable[[Answer], _Result]) -> _Result:
        pause = 1.0
        for attempt in range(1, ATTEMPTS + 1):
            wait: float | None = None
            try:
                answer = self._send(request())
                if not _may_pass(answer.status):
                    return read(answer)
                problem = f"answered {_status(answer.status)}"
                wait = _asked_to_wait(answer)
            except httpx.TimeoutException as error:
                problem = f"did not answer in time ({type(error).__name__}, {self._timeout_seconds:g} s)"
            except httpx.InvalidURL:
                raise ConfigurationError(f"{self.label} has an address that cannot be used. Correct it.") from None
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem = f"could not be read from ({type(error).__name__}: {error})"
            except UnreadableAnswerError as error:
                problem = str(error)
            if wait is not None and wait > LONGEST_PAUSE_SECONDS:
                raise RetryableError(
                    f"{self.label} {problem} and asks to be left alone for {wait:,.0f} seconds. Pull again after that; "
                    "nothing is lost."
                )
            if attempt < ATTEMPTS:
                _LOG.info("request is tried again", extra={"attempt": attempt, "problem": problem})
                self._pause(pause if wait is None else wait)
                pause *= 2
        raise RetryableError(
            f"{self.label} {problem}, {ATTEMPTS} times in a row. Check that it runs and can be reached from here, then pull again; "
            "the next pull goes on where the cursor stands, nothing is lost."
        )

    def _send(self, request: httpx.Request) -> Answer:
        response = self._client.send(request, stream=True)
        try:
            parts: list[bytes] = []
            size = 0
            for part in response.iter_bytes():
                size += len(part)
                if size > self._maximum_bytes:
                    raise InputError(
                        f"{self.label} answered with more than {self._maximum_bytes:,} bytes. Expected pages smaller than that: "
                        "lower page_size, or raise maximum_page_bytes."
                    )
                parts.append(part)
            return Answer(response.status_code, response.headers, b"".join(parts))
        finally:
            response.close()


def _may_pass(status: int) -> bool:
    return status in (408, 425, 429) or status >= 500


def _status(status: int) -> str:
    try:
        phrase = httpx.codes(status).name.replace("_", " ").title()
    except ValueError:
        return str(status)
    return f"{status} {phrase}"


def _asked_to_wait(answer: Answer) -> float | None:
    """Return for how many seconds the server asks to be left alone: Retry-After, a number or an instant of its own clock."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    until, now = _http_date(text), answer.server_time
    if until is None or now is None:
        return None
    return max((until - now).total_seconds(), 0.0)


def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        value = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
