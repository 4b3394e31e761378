"""The Statement resource of a Learning Record Store: pages of statements, one after the other (xAPI 4.1.6.1, GET)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from lyceum.errors import ConfigurationError, InputError, RetryableError
from lyceum.lrs.authorization import Authorization
from lyceum.lrs.options import LrsOptions
from lyceum.lrs.transport import Answer, Transport, UnreadableAnswerError

VERSIONS = ("2.0.0", "1.0.3")
"""Versions of xAPI that are spoken, the preferred one first; an older one is tried where the store refuses the newer."""

_MOST_EMPTY_PAGES = 100
_GONE = (400, 404, 410)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: its statements as they came, and what the store says about itself. `more` is the next page's address, `digest`
    that of the whole answer.
    """

    statements: tuple[msgspec.Raw, ...]
    digest: bytes
    more: str | None
    consistent_through: datetime | None
    server_time: datetime | None


@dataclass(frozen=True, slots=True)
class Query:
    """Which statements to ask for: those that the store places after `since` (None: from the beginning), at most at `until`."""

    since: datetime | None
    until: datetime
    page_size: int


class Times(msgspec.Struct):
    """The two instants of a statement by which a store may apply since and until; None where it has none."""

    id: str | None
    stored: datetime | None
    timestamp: datetime | None


class StatementStore:
    """Asks one Learning Record Store. `version` is what both sides speak, None until the store has accepted one.

    What it raises: `ConfigurationError` when the store refuses what it is asked or who asks, `RetryableError` when it
    cannot be reached or breaks off, `InputError` when following it is not safe.
    """

    def __init__(self, transport: Transport, authorization: Authorization, options: LrsOptions) -> None:
        self.version: str | None = None
        self._transport = transport
        self._authorization = authorization
        self._options = options
        self._address = f"{options.endpoint}/statements"

    def about(self) -> tuple[str, ...] | None:
        """Return the versions that the store says it speaks; None when it has no about resource."""

        def read(answer: Answer) -> tuple[str, ...] | None:
            if answer.status != 200:
                return None
            try:
                return tuple(msgspec.json.decode(answer.body, type=_About).version)
            except msgspec.MsgspecError:
                return None

        return self._transport.get(f"{self._options.endpoint}/about", {}, read)

    def pages(self, query: Query) -> Iterator[Page]:
        """Yield the pages that answer the query, in the store's own order, at least one."""
        parameters = {"until": instant_text(query.until), "limit": str(query.page_size), "ascending": "true"}
        if query.since is not None:
            parameters["since"] = instant_text(query.since)
        page = self._first(parameters)
        followed: set[tuple[str, bytes]] = set()
        empty = 0
        while True:
            yield page
            if page.more is None:
                return
            address, page = page.more, self._next(page.more)
            empty = 0 if page.statements else empty + 1
            # The same address alone says little: a store may keep for itself how far it is.
            if (address, page.digest) in followed or empty > _MOST_EMPTY_PAGES:
                raise InputError(
                    f"{self._transport.label} sends pages without end: the same page twice, or more than {_MOST_EMPTY_PAGES} empty ones. "
                    "This is a defect of the store; collect an export of it as a file."
                )
            if page.statements:
                followed.add((address, page.digest))

    def _first(self, parameters: dict[str, str]) -> Page:
        status = 0
        for version in VERSIONS if self.version is None else (self.version,):
            answer = self._get(self._address, version, parameters)
            if isinstance(answer, Page):
                self.version = version
                return answer
            status = answer.status
        raise self._refused(status)

    def _next(self, address: str) -> Page:
        assert self.version is not None
        answer = self._get(address, self.version, None)
        if isinstance(answer, Page):
            return answer
        if answer.status in _GONE:
            raise RetryableError(
                f"{self._transport.label} no longer knows the next page it promised ({answer.status}). Pull again; the next pull goes "
                "on where the cursor stands, nothing is lost."
            )
        raise self._refused(answer.status)

    def _get(self, address: str, version: str, parameters: dict[str, str] | None) -> Page | Answer:
        """Return the page, or the answer of a store that refuses; credentials are renewed once before that."""

        def read(answer: Answer) -> Page | Answer:
            return self._page(answer, address) if answer.status == 200 else answer

        answer: Page | Answer
        for is_last in (False, True):
            headers = {"X-Experience-API-Version": version, **self._authorization.headers()}
            answer = self._transport.get(address, headers, read, parameters)
            is_refused = isinstance(answer, Answer) and answer.status == 401
            if is_last or not is_refused or not self._authorization.renew():
                break
        if isinstance(answer, Answer) and answer.status in (401, 403):
            raise self._refused(answer.status)
        return answer

    def _page(self, answer: Answer, address: str) -> Page:
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            result = msgspec.json.decode(answer.body, type=_StatementResult)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise UnreadableAnswerError(
                f"answered 200 with {kind or 'something'} that is no StatementResult of xAPI (is {self._options.endpoint} the address "
                "before /statements?)"
            ) from None
        return Page(
            tuple(result.statements),
            hashlib.blake2b(answer.body, digest_size=16).digest(),
            next_address(result.more, address, self._options.endpoint, self._transport.label) if result.more else None,
            _instant(answer.headers.get("X-Experience-API-Consistent-Through")),
            answer.server_time,
        )

    def _refused(self, status: int) -> ConfigurationError:
        label = self._transport.label
        if status in (401, 403):
            return ConfigurationError(
                f"{label} refuses who asks ({status}). Check the credentials {self._options.credentials!r}, and that they may read "
                "all statements."
            )
        if 300 <= status < 400:
            return ConfigurationError(
                f"{label} answered with a redirect ({status}), which is not followed, because credentials would follow it. State the "
                "address to which it leads as endpoint."
            )
        if status == 404:
            return ConfigurationError(
                f"{label} knows no statements there (404). Expected the address before /statements as endpoint, such as "
                "https://lrs.example.edu/xapi."
            )
        return ConfigurationError(
            f"{label} refuses the question ({status}), with xAPI {' and '.join(VERSIONS)}. Expected a Learning Record Store that "
            "answers GET /statements with since, until, limit and ascending."
        )


def next_address(more: str, address: str, endpoint: str, label: str) -> str:
    """Return the address of the next page: on the endpoint's own host, whatever spelling `more` has.

    `more` may be relative to the host, to the address that was asked, or absolute. A store behind a proxy that ends TLS may name
    http: the endpoint's scheme and port stand. Raises `InputError` for another host or port, where credentials must not go.
    """
    own = urlsplit(endpoint)
    try:
        found = urlsplit(urljoin(address, more))
        port = found.port
    except ValueError:
        raise InputError(
            f"{label} names a next page whose address cannot be read. This is a defect of the store."
        ) from None
    is_own = (found.hostname or "") == (own.hostname or "") and (
        (found.scheme == own.scheme and (port or _port(found.scheme)) == (own.port or _port(own.scheme)))
        or port is None
    )
    if found.scheme not in ("http", "https") or not is_own:
        raise InputError(
            f"{label} names a next page on another host or port, {found.hostname or found.scheme}, where credentials must not go. "
            "Expected it on the endpoint's own; correct the address that the store is told to have."
        )
    return urlunsplit((own.scheme, own.netloc, found.path, found.query, ""))


def times_of(statement: msgspec.Raw) -> Times:
    """Return a statement's id and instants, as far as they can be read."""
    try:
        found = msgspec.json.decode(statement, type=_Times)
    except (msgspec.MsgspecError, RecursionError):
        return Times(None, None, None)
    identity = found.id.lower() if isinstance(found.id, str) else None
    return Times(identity, _instant(found.stored), _instant(found.timestamp))


def instant_text(instant: datetime) -> str:
    """Return the instant as stores expect it: UTC, to the millisecond, cut off."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03}Z"


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _instant(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        value = datetime.fromisoformat(text.strip())
        return None if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _StatementResult(msgspec.Struct):
    statements: list[msgspec.Raw]
    more: str | None = None


class _About(msgspec.Struct):
    version: list[str]


class _Times(msgspec.Struct):
    id: object = None
    stored: object = None
    timestamp: object = None
