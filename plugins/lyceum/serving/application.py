"""The application: its addresses, its description, its errors, and what lives as long as its process."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lyceum.key_files import make_key, read_key
from lyceum.security.tokens.development import accepted_issuer
from lyceum.security.tokens.internal import Clock, InternalTokens
from lyceum.security.tokens.issuer_keys import IssuerKeys
from lyceum.serving import documentation
from lyceum.serving.caching import Caches, ProcessCache, SharedCache
from lyceum.serving.databases import Database, conninfo_of_url, primary_conninfo
from lyceum.serving.desk import Desk, Verification
from lyceum.serving.endpoints import router
from lyceum.serving.figures import Health
from lyceum.serving.guard import Guard
from lyceum.serving.limits import Rates, Turns
from lyceum.serving.problems import InvalidParameter, Problem, ProblemDetails, documented, unavailable
from lyceum.serving.report_files import ReportFiles
from lyceum.serving.trail import Trail
from lyceum.settings import Settings

CACHE_KEY_FILE = "cache.key"
_STRANGERS_PER_MINUTE = 120

_DESCRIPTION = """\
Learners, trainers and organizations get their published numbers, and only theirs.

**Who asks** is said by a token in `Authorization: Bearer …`. What a token may see is decided by the database's row level security,
not by the address: the same address gives everybody their own. Every access, refused ones included, is a row of the audit trail.

**Days** are the organization's own calendar days; a week begins on Monday. A *closed* day is over, and its numbers change only when
late events come. `freshness` says of which published version an answer is.

**Keep answers.** Each has an `ETag`. Send it as `If-None-Match`, and the same answer is a `304`.

**Errors** are `application/problem+json` (RFC 9457). After `429` and `503` wait for the seconds of `Retry-After`.
"""

_TAGS = [
    {"name": "everybody", "description": "For every token."},
    {"name": "my learning", "description": "For learners, and for trainers who learn themselves: their own numbers."},
    {"name": "my teaching", "description": "For trainers: the courses that they teach, and the learners in them."},
    {
        "name": "my organization",
        "description": "For the organization's administrators and analysts, and for services with the scope `analytics.read`.",
    },
    {
        "name": "reports",
        "description": "For learners, trainers and administrators: the reports that were written for them, and their files. They are "
        "gone after a week.",
    },
    {"name": "service", "description": "For whoever runs the service. No token, no data."},
]


class Application(FastAPI):
    """FastAPI, with problems in its description as they are sent."""

    def openapi(self) -> dict[str, Any]:
        """Return the description (OpenAPI 3.1), made once."""
        if self.openapi_schema is None:
            schema = super().openapi()
            made = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
            components = schema["components"]["schemas"]
            components.update(made.pop("$defs", {}))
            components["ProblemDetails"] = made
            for unused in ("HTTPValidationError", "ValidationError"):
                components.pop(unused, None)
            self.openapi_schema = schema
        return self.openapi_schema


health = APIRouter(prefix="/health", tags=["service"])


@health.get("/live", summary="Is the process there", response_model=Health, responses=documented(413, 414))
async def tell_liveness() -> Response:
    """Answers as long as the process does."""
    return _HEALTHY


@health.get("/ready", summary="Can it answer", response_model=Health, responses=documented(413, 414, 503))
async def tell_readiness(request: Request) -> Response:
    """Answers well while the database does."""
    desk: Desk = request.app.state.desk
    if not await desk.is_ready():
        raise unavailable("The database does not answer.", 2)
    return _HEALTHY


_HEALTHY: Final = Response(b'{"status":"ok"}', 200, {"Cache-Control": "no-store"}, "application/json")


def make_application(settings: Settings, clock: Clock) -> Application:
    """Return the application of one process. Connects to nothing before it is started.

    Raises `ConfigurationError` when the settings name no database that the API may read, or keys cannot be used.
    """
    serving = settings.serving
    issuer = accepted_issuer(settings)
    verification = Verification(issuer, IssuerKeys.of(issuer.jwks), clock)
    primary = Database("primary", primary_conninfo(settings), serving.connections)
    replicas = [
        Database(f"replica {number}", conninfo_of_url("LYCEUM_REPLICA_URLS", url), serving.connections)
        for number, url in enumerate(serving.replica_urls, 1)
    ]
    application = Application(
        title="Lyceum analytics API",
        version=version("lyceum"),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_alive,
    )
    application.include_router(router)
    application.include_router(health)
    application.include_router(documentation.router)
    application.add_exception_handler(Problem, _tell_problem)
    application.add_exception_handler(RequestValidationError, _tell_invalid)
    application.add_exception_handler(HTTPException, _tell_http)
    application.add_middleware(Guard)
    form = hashlib.sha256(json.dumps(application.openapi(), sort_keys=True).encode()).hexdigest()
    application.state.report_files = ReportFiles(settings)
    application.state.desk = Desk(
        verification=verification,
        tokens=InternalTokens.of_home(settings),
        primary=primary,
        replicas=replicas,
        trail=Trail(primary),
        caches=Caches(ProcessCache(serving.cache_bytes), _shared_cache(settings)),
        rates=Rates(serving.requests_per_minute, time.monotonic),
        strangers=Rates(_STRANGERS_PER_MINUTE, time.monotonic),
        turns=Turns(serving.concurrent_requests, serving.waiting_requests),
        statement_seconds=serving.statement_seconds,
        form=form,
    )
    return application


def _shared_cache(settings: Settings) -> SharedCache | None:
    if settings.serving.cache_url is None:
        return None
    path = settings.keys / CACHE_KEY_FILE
    if not path.exists():
        make_key(path)
    return SharedCache(settings.serving.cache_url, read_key(path))


@asynccontextmanager
async def _alive(application: FastAPI) -> AsyncIterator[None]:
    desk: Desk = application.state.desk
    async with desk.at_work():
        yield


async def _tell_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request.state.request_id)


async def _tell_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not told back: it may be anything.
    wrong = tuple(
        InvalidParameter(name=".".join(map(str, one["loc"])), reason=str(one["msg"])) for one in error.errors()
    )
    names = ", ".join(sorted({one.name.rpartition(".")[2] for one in wrong}))
    return Problem(
        422, f"What was sent as {names[:200]} cannot be used. See the description of the API.", invalid_parameters=wrong
    ).response(request.state.request_id)


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        404: "There is nothing at this address. GET /v1/openapi.json describes what there is.",
        405: "Nothing can be changed here. Expected GET.",
    }
    detail = details.get(error.status_code, str(error.detail))
    return Problem(error.status_code, detail, dict(error.headers or {})).response(request.state.request_id)
