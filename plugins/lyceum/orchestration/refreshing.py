"""The tasks of `refresh_learner_summary` and `refresh_organization_metrics`."""

from __future__ import annotations

import logging

from lyceum.orchestration.task_context import as_of, run_name, settings
from lyceum.orchestration.task_policy import library_task

_log = logging.getLogger(__name__)


@library_task
def mv_learner_analytics_summary() -> dict[str, int]:
    """Refresh the learner summary; return organizations told anew and rows changed."""
    return _refresh("learner")


@library_task
def mv_organization_metrics() -> dict[str, int]:
    """Refresh the organization metrics; return organizations told anew and rows changed."""
    return _refresh("organization")


def _refresh(view: str) -> dict[str, int]:
    from lyceum.database import target
    from lyceum.views import VIEWS, refresh

    where = settings()
    report = refresh(target(where), where, VIEWS[view], as_of(), run_name(), lambda step: _log.info("%s", step))
    return {
        "refresh_id": report.refresh_id,
        "organizations": report.organizations,
        "rows_removed": report.rows_removed,
        "rows_added": report.rows_added,
    }
