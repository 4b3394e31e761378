"""Lyceum in the Airflow UI: how the warehouse does, what it keeps, its data quality and dbt's documentation, behind its login."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from lyceum.orchestration.pages import PREFIX, PagesWhenAsked
from lyceum.settings import Settings


def _icon(color: str, drawing: str) -> str:
    """Return an icon as an address that holds it."""
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='{color}' stroke-width='2'>{drawing}</svg>"
    return "data:image/svg+xml," + svg.replace("#", "%23").replace("<", "%3C").replace(">", "%3E")


_QUALITY = "<path d='M4 20V10M10 20V4M16 20v-7M22 20H2M14 7l3 3 5-6'/>"
_WAREHOUSE = "<path d='M3 21V9l9-5 9 5v12M7 21v-8h10v8M7 17h10'/>"
_SHIELD = "<path d='M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6zM9 12l2 2 4-4'/>"
_BOOK = "<path d='M4 4h6a2 2 0 0 1 2 2v14a2 2 0 0 0-2-2H4zM20 4h-6a2 2 0 0 0-2 2v14a2 2 0 0 1 2-2h6z'/>"


class LyceumPlugin(AirflowPlugin):
    """What Airflow takes over from Lyceum."""

    name = "lyceum"
    fastapi_apps: ClassVar[list[Any]] = [
        {
            "name": "Lyceum pages",
            "url_prefix": PREFIX,
            "app": PagesWhenAsked(lambda: Settings.from_environment(os.environ, Path.cwd()), lambda: datetime.now(UTC)),
        }
    ]
    external_views: ClassVar[list[Any]] = [
        {
            "name": title,
            "href": f"{PREFIX}{page}",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": route,
            "icon": _icon("#64748b", drawing),
            "icon_dark_mode": _icon("#a8b5c6", drawing),
        }
        for title, page, route, drawing in (
            ("Warehouse", "/warehouse.html", "lyceum-warehouse", _WAREHOUSE),
            ("Data quality", "/quality/latest.html", "lyceum-data-quality", _QUALITY),
            ("dbt docs", "/documentation/index.html", "lyceum-dbt-docs", _BOOK),
            ("Audit & retention", "/retention.html", "lyceum-audit-retention", _SHIELD),
        )
    ]
