"""The page that shows the API and lets people try it: three files of ours, nothing from elsewhere, nothing inline."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

_FOLDER: Final = Path(__file__).parent / "page"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def lead_to_the_page() -> Response:
    """Lead whoever came without an address to the page."""
    return RedirectResponse("/docs", 307)


@router.get("/docs")
async def show_page() -> Response:
    """The page."""
    return _file("page.html", "text/html; charset=utf-8")


@router.get("/docs/page.js")
async def show_script() -> Response:
    """What the page does."""
    return _file("page.js", "text/javascript; charset=utf-8")


@router.get("/docs/page.css")
async def show_style() -> Response:
    """How the page looks."""
    return _file("page.css", "text/css; charset=utf-8")


def _file(name: str, media_type: str) -> Response:
    return Response(_content(name), 200, _HEADERS, media_type)


@functools.cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
