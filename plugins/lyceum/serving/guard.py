"""What every request passes through: an id, bounds of its address and content, headers of every answer, and no error without form."""

from __future__ import annotations

import logging
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lyceum.security.tokens.claims import is_mark
from lyceum.serving.problems import Problem

_LOG = logging.getLogger(__name__)

LONGEST_ADDRESS = 4096

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NOTHING_RUNS = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Guard:
    """The outermost part of the application."""

    def __init__(self, application: ASGIApp) -> None:
        """Take what is within."""
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with a problem."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        scope.setdefault("state", {})["request_id"] = request_id
        has_begun = False

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                told = list(message.get("headers", ()))
                names = {name for name, _ in told}
                told += [(b"x-request-id", request_id.encode()), *_HEADERS]
                if _NOTHING_RUNS[0] not in names:
                    told.append(_NOTHING_RUNS)
                message = {**message, "headers": told}
            await send(message)

        problem = _problem(scope, headers)
        if problem is not None:
            await problem.response(request_id)(scope, receive, send_on)
            return
        try:
            await self._application(scope, receive, send_on)
        except Exception as error:
            # Its message may quote a row, so its kind alone is logged; where it came from, for whoever mends it.
            _LOG.error("%s failed with %s at %s", request_id, type(error).__name__, _place(error))
            if has_begun:
                raise
            problem = Problem(500, "The request could not be answered. Its id helps whoever looks into it.")
            await problem.response(request_id)(scope, receive, send_on)


def _problem(scope: Scope, headers: dict[bytes, bytes]) -> Problem | None:
    address = scope.get("raw_path") or scope["path"].encode()
    if len(address) + len(scope.get("query_string", b"")) > LONGEST_ADDRESS:
        return Problem(414, f"The address is longer than {LONGEST_ADDRESS} bytes. Ask for less at a time.")
    if headers.get(b"content-length", b"0").strip() != b"0" or b"transfer-encoding" in headers:
        return Problem(413, "The request has a content. Expected none.", {"Connection": "close"})
    return None


def _request_id(given: bytes) -> str:
    text = given.decode("latin-1")
    return text if is_mark(text) else uuid4().hex


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "nowhere"
