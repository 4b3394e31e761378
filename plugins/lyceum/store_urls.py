"""Where files lie: a folder or any URL that fsspec knows, as people write it and as the product keeps it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

_FILE = "file://"


def store_url(value: str | None, cwd: Path) -> str | None:
    """Return what somebody wrote as a URL; a folder becomes a `file://` one of an absolute path. An empty value is None."""
    if not value:
        return None
    if "://" in value and not value.startswith(_FILE):
        return value
    path = Path(unquote(value.removeprefix(_FILE)) if value.startswith(_FILE) else value)
    return f"{_FILE}{quote(str((cwd / path.expanduser()).absolute()))}"


def path_of(url: str | None) -> Path | None:
    """Return the path that a URL names on this machine; None where it names none, or another store."""
    if url is None or not url.startswith(_FILE):
        return None
    return Path(unquote(url.removeprefix(_FILE)))
