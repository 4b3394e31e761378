"""Errors as people and programs read them: problem details for HTTP APIs (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec
from pydantic import BaseModel, Field
from starlette.responses import Response

from lyceum.errors import LyceumError

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:lyceum:problem:"

# What each kind of problem is called; the name is a part of `type` and stays.
TITLES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad-request", "The request cannot be understood"),
    401: ("unauthorized", "No valid token"),
    403: ("forbidden", "Not for this role"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "The API is read with GET"),
    413: ("content-too-large", "Requests have no content"),
    414: ("uri-too-long", "The address is too long"),
    422: ("invalid-parameter", "A parameter cannot be used"),
    429: ("too-many-requests", "Too many requests"),
    500: ("internal", "Something went wrong here"),
    503: ("unavailable", "Not available just now"),
}


class InvalidParameter(BaseModel):
    """One parameter that cannot be used."""

    name: str = Field(description="Where it stands and what it is called, such as `query.period`.")
    reason: str = Field(description="What was expected.")


class ProblemDetails(BaseModel):
    """A problem as RFC 9457 describes it."""

    type: str = Field(description="What kind of problem it is; stable, for programs.", examples=[f"{_TYPE}forbidden"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The status of the answer.")
    detail: str = Field(description="What was found, what was expected and what to do.")
    request_id: str = Field(description="The id of the request, which the audit trail has, too.")
    invalid_parameters: list[InvalidParameter] | None = Field(
        default=None, description="The parameters that cannot be used."
    )


@dataclass(eq=False)
class Problem(LyceumError):  # noqa: N818
    """A request that is answered with a problem. `detail` quotes neither a token nor a learner's data."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    invalid_parameters: tuple[InvalidParameter, ...] = ()

    def __str__(self) -> str:
        """Return the detail."""
        return self.detail

    def response(self, request_id: str) -> Response:
        """Return the problem as it is sent."""
        name, title = TITLES.get(self.status, ("error", _phrase(self.status)))
        content: dict[str, Any] = {
            "type": _TYPE + name,
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.invalid_parameters:
            content["invalid_parameters"] = [one.model_dump() for one in self.invalid_parameters]
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(msgspec.json.encode(content), self.status, headers, MEDIA_TYPE)


def unavailable(detail: str, seconds: int = 1) -> Problem:
    """Return the problem of something that may be there again after so many seconds."""
    return Problem(503, detail, {"Retry-After": str(seconds)})


def invalid(name: str, reason: str) -> Problem:
    """Return the problem of one parameter."""
    return Problem(
        422,
        f"The parameter {name.rpartition('.')[2]} cannot be used. {reason}",
        invalid_parameters=(InvalidParameter(name=name, reason=reason),),
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the API's description says of these problems."""
    return {
        status: {
            "description": TITLES[status][1],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
            **({"headers": {"Retry-After": _RETRY_AFTER}} if status in (429, 503) else {}),
        }
        for status in statuses
    }


_RETRY_AFTER = {"description": "After how many seconds to try again.", "schema": {"type": "integer"}}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
