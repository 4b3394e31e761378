"""The pages that the Airflow UI links to, for people who are logged in.

*Warehouse* and *Audit & retention* are told anew at each request; the data-quality reports and dbt's documentation are files.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyceum.errors import LyceumError
from lyceum.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from lyceum.reporting.live.dag_runs import DagHistory

_log = logging.getLogger(__name__)

PREFIX = "/lyceum"

_AT_ONCE, _TURN_SECONDS = 2, 15.0
"""Pages that are read from the warehouse at the same time, and how long the next one waits for its turn."""

_QUALITY_PAGE = re.compile(r"(?:latest|index|build-[1-9][0-9]{0,18})\.html")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A browser asks each time whether the page has changed, and no shared cache keeps it.
    "Cache-Control": "private, no-cache",
}


class PagesWhenAsked:
    """The application, made by the first request: only the API server ever gets one, and importing Airflow's API is slow."""

    def __init__(self, settings: Callable[[], Settings], clock: Callable[[], datetime]) -> None:
        """Take what reads the settings, and the clock by which pages are told."""
        self._settings = settings
        self._clock = clock
        self._pages: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._pages is None:
            self._pages = create_pages(self._settings(), self._clock)
        await self._pages(scope, receive, send)


def create_pages(
    settings: Settings,
    clock: Callable[[], datetime],
    dag_history: Callable[[], tuple[DagHistory, ...] | None] | None = None,
) -> FastAPI:
    """Return the application that serves the pages of one home to whoever Airflow knows.

    Without a valid login every page answers 401 or 403. Only names of pages are served, never a path. A page that cannot be
    read from the warehouse answers 503 and says what to do. `dag_history` is Airflow's own tables unless something else is given.
    """
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import Depends, FastAPI

    from lyceum.analytics.documentation import CONTENT_SECURITY_POLICY as DBT_POLICY
    from lyceum.orchestration.dag_history import read_dag_history
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

    history = dag_history or read_dag_history
    turns = threading.BoundedSemaphore(_AT_ONCE)

    @pages.get("/warehouse.html")
    def warehouse() -> Any:
        def tell() -> str:
            from lyceum.database import monitor_target
            from lyceum.reporting.live.runbook import read_runbook
            from lyceum.reporting.live.warehouse import gather_warehouse
            from lyceum.reporting.live.warehouse_page import render_warehouse

            facts = gather_warehouse(monitor_target(settings), clock(), history())
            return render_warehouse(facts, read_runbook(settings.project_root))

        return _told("Warehouse", "warehouse.html", REPORT_POLICY, turns, tell)

    @pages.get("/retention.html")
    def retention() -> Any:
        def tell() -> str:
            from lyceum.audit import heads_of_home
            from lyceum.database import monitor_target
            from lyceum.reporting.live.retention import gather_retention
            from lyceum.reporting.live.retention_page import render_retention
            from lyceum.reporting.live.runbook import read_runbook

            facts = gather_retention(monitor_target(settings), heads_of_home(settings), clock(), history())
            return render_retention(facts, read_runbook(settings.project_root))

        return _told("Audit & retention", "retention.html", REPORT_POLICY, turns, tell)

    return pages


def _told(page: str, address: str, policy: str, turns: threading.BoundedSemaphore, tell: Callable[[], str]) -> Response:
    """Answer with what `tell` returns, one of a few at a time, or with why it cannot be told."""
    from starlette.responses import HTMLResponse

    from lyceum.reporting.live.unavailable import BUSY, CANNOT_BE_READ, explain, render_unavailable

    headers = {**_HEADERS, "Content-Security-Policy": f"{policy}; frame-ancestors 'self'"}
    if not turns.acquire(timeout=_TURN_SECONDS):
        return HTMLResponse(render_unavailable(page, BUSY, address), 503, {**headers, "Retry-After": "5"})
    try:
        return HTMLResponse(tell(), 200, headers)
    except CANNOT_BE_READ as error:
        # The page names neither address nor account; who reads this log may know them. Of what the server says only its code.
        told = str(error) if isinstance(error, LyceumError) else f"SQLSTATE {getattr(error, 'sqlstate', None)}"
        _log.warning("the page %s cannot be told: %s: %s", page, type(error).__name__, told)
        return HTMLResponse(render_unavailable(page, explain(error), address), 503, {**headers, "Retry-After": "30"})
    finally:
        turns.release()


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
