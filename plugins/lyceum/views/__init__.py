"""The materialized views: their candidates are built, audited, and shown in one transaction (docs/architecture.md, Views)."""

from lyceum.views.catalogue import VIEWS, View
from lyceum.views.refreshing import RefreshReport, refresh

__all__ = ["VIEWS", "RefreshReport", "View", "refresh"]
