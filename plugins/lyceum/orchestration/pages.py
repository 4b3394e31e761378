"""The pages that the Airflow UI links to, for people who are logged in: the data-quality reports and dbt's documentation."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyceum.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

PREFIX = "/lyceum"

_QUALITY_PAGE = re.compile(r"(?:latest|index|build-[1-9][0-9]{0,18})\.html")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A browser asks each time whether the page has changed, and no shared cache keeps it.
    "Cache-Control": "private, no-cache",
}


class PagesWhenAsked:
    """The application, made by the first request: only the API server ever gets one, and importing Airflow's API is slow."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        """Take what reads the settings."""
        self._settings = settings
        self._pages: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._pages is None:
            self._pages = create_pages(self._settings())
        await self._pages(scope, receive, send)


def create_pages(settings: Settings) -> FastAPI:
    """Return the application that serves the reports of one home to whoever Airflow knows.

    Without a valid login every page answers 401 or 403. Only names of pages are served, never a path.
    """
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, FastAPI

    from lyceum.analytics.documentation import CONTENT_SECURITY_POLICY as DBT_POLICY
    from lyceum.reporting.rendering import CONTENT_SECURITY_POLICY as REPORT_POLICY
    from lyceum.reporting.shelf import documentation_page, quality_folder

    pages = FastAPI(title="Lyceum", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(get_user)])

    @pages.get("/quality/{name}")
    def quality(name: str) -> Any:
        missing = "No data-quality report was written yet. The next build writes one: trigger build_analytics."
        page = quality_folder(settings) / name if _QUALITY_PAGE.fullmatch(name) else None
        return _page(page, REPORT_POLICY, missing)

    @pages.get("/documentation/index.html")
    def documentation() -> Any:
        missing = "The documentation was not written yet. Trigger publish_documentation, or wait for tonight."
        return _page(documentation_page(settings), DBT_POLICY, missing)

    return pages


def _page(file: Path | None, policy: str, missing: str) -> Response:
    from starlette.responses import FileResponse, HTMLResponse

    headers = {**_HEADERS, "Content-Security-Policy": f"{policy}; frame-ancestors 'self'"}
    if file is None:
        return HTMLResponse(_message("There is no such page."), 404, headers)
    if not file.is_file():
        return HTMLResponse(_message(missing), 404, headers)
    return FileResponse(file, media_type="text/html; charset=utf-8", headers=headers)


def _message(text: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Lyceum</title>'
        "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:3rem}</style></head>"
        f"<body><p>{text}</p></body></html>"
    )
