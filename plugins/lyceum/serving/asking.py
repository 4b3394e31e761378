"""From a request to the desk and back: the token in its header, the parameters that many endpoints have, the headers of an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from lyceum.reporting.people.sealed import Format
from lyceum.security.tokens.claims import Role
from lyceum.serving.desk import Asker, Desk
from lyceum.serving.figures import Period
from lyceum.serving.paging import Order, Paging
from lyceum.serving.problems import documented
from lyceum.serving.questions import Question
from lyceum.serving.ranges import Range
from lyceum.serving.report_files import ReportFiles, described

LARGEST_ID = 2**63 - 1
MOST_ROWS = 200
_USUAL_ROWS = 50
_KNOWN_AT_MOST = 20

_BEARER: Final = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A token of the configured issuer; where there is none, one of `lyceum token mint`.",
)

CourseId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The course.")]
ReportId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The report.")]
LearnerId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The learner's pseudonymous id.")]


@dataclass(frozen=True, slots=True)
class Asking:
    """A request whose token was verified, and the desk that answers it."""

    desk: Desk
    asker: Asker
    known: Sequence[str]
    report_files: ReportFiles

    async def about(self, question: Question) -> Response:
        """Return the answer to a question, or that the asking one has it already (304)."""
        told = await self.desk.answer(self.asker, question, self.known)
        # What is kept must be shown to be current each time: a publish may come at any moment.
        headers = {"ETag": told.etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if told.answer is None:
            return Response(status_code=304, headers=headers)
        return Response(told.answer.body, 200, {**headers, **told.answer.headers}, told.answer.media_type)


def asking_as(*roles: Role, scope: str | None = None) -> Callable[..., Awaitable[Asking]]:
    """Return the dependency of an endpoint for these roles; a service needs the scope."""

    async def depend(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Asking:
        desk: Desk = request.app.state.desk
        host = request.client.host if request.client is not None else ""
        token = credentials.credentials if credentials is not None else None
        resource = f"{request.method} {request.scope['route'].path}"
        asker = await desk.admit(token, roles, host, request.state.request_id, resource)
        if scope is not None:
            await desk.require_scope(asker, scope)
        known = _etags(request.headers.get("if-none-match", ""))
        return Asking(desk, asker, known, request.app.state.report_files)

    return depend


def _etags(header: str) -> list[str]:
    """Return the ETags of If-None-Match; weak ones count as the strong ones, and `*` names no answer."""
    return [part.strip().removeprefix("W/") for part in header.split(",")][:_KNOWN_AT_MOST]


class Parameters(BaseModel):
    """Parameters of a query; one that is not known is refused rather than passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RangeParameters(Parameters):
    """A range of periods."""

    period: Period = Field(default="day", description="The length of a row's period.")
    first: date | None = Field(
        default=None,
        alias="from",
        description="The first day. Default: as many periods before `to` as are usual, 30 days, 12 weeks or months, 3 years.",
    )
    last: date | None = Field(
        default=None, alias="to", description="The last day. Default: the day after the last closed one, which is open."
    )

    @property
    def range(self) -> Range:
        """The range. Raises `Problem` (422) when it is empty or too long."""
        return Range(self.period, self.first, self.last)


class ActivityParameters(RangeParameters):
    """A range of a learner's periods."""

    course_id: int | None = Field(
        default=None, ge=1, le=LARGEST_ID, description="One course. Default: what was done across all courses."
    )


class CohortParameters(Parameters):
    """A range of weeks."""

    first: date | None = Field(default=None, alias="from", description="The first day. Default: 12 weeks before `to`.")
    last: date | None = Field(default=None, alias="to", description="The last day. Default: the last closed one.")

    @property
    def range(self) -> Range:
        """The range. Raises `Problem` (422) when it is empty or too long."""
        return Range("week", self.first, self.last)


class DownloadParameters(Parameters):
    """What a report is read as."""

    format: Format = Field(default="html", description="As a page, to print, or the numbers alone.")


class PageParameters(Parameters):
    """A page of a listing."""

    limit: int = Field(default=_USUAL_ROWS, ge=1, le=MOST_ROWS, description="How many rows at most.")
    cursor: str | None = Field(
        default=None, max_length=400, description="The `next_cursor` of the page before. Default: the first page."
    )

    def page(self, listing: str, sort: str, allowed: Sequence[str], key: str) -> tuple[Paging, dict[str, object]]:
        """Return the page, and what of it an answer depends on. Raises `Problem` (422) for a cursor of another listing."""
        paging = Paging.of(listing, Order.by(sort, allowed, key), self.limit, self.cursor)
        return paging, {"sort": sort, "limit": self.limit, "cursor": self.cursor}


def sort_field(default: str, *columns: str) -> Any:
    """Return the field of a `sort` parameter over these columns."""
    return Field(
        default=default,
        pattern=f"^-?({'|'.join(columns)})$",
        description=f"By which column; `-` before it for descending. One of {', '.join(columns)}.",
    )


def answers(model: type[BaseModel], *statuses: int, **more: Any) -> dict[str, Any]:
    """Return what FastAPI is told of an endpoint that answers with this model."""
    known: dict[int | str, dict[str, Any]] = {
        200: {"description": "The answer.", "headers": {"ETag": {"schema": {"type": "string"}, "description": _ETAG}}},
        304: {"description": "What you have, by its ETag, is the answer."},
    }
    problems = documented(401, 403, *statuses, 413, 414, 422, 429, 503)
    return {"response_model": model, "responses": known | problems, **more}


def downloads(*statuses: int) -> dict[str, Any]:
    """Return what FastAPI is told of an endpoint that answers with the file of a report."""
    told = answers(BaseModel, *statuses)
    name = {"schema": {"type": "string"}, "description": "Whether it is to be shown or saved, and under which name."}
    told["responses"][200] = {
        "description": "The report.",
        "headers": {**told["responses"][200]["headers"], "Content-Disposition": name},
        "content": described(),
    }
    return {**told, "response_model": None, "response_class": Response}


_ETAG = "Names the answer: the same as long as you ask the same and nothing new was published."

__all__ = [
    "LARGEST_ID",
    "ActivityParameters",
    "Asking",
    "CohortParameters",
    "CourseId",
    "DownloadParameters",
    "LearnerId",
    "PageParameters",
    "Query",
    "RangeParameters",
    "ReportId",
    "answers",
    "asking_as",
    "downloads",
    "sort_field",
]
