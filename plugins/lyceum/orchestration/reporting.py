"""The tasks that write pages for people: at the end of `build_analytics`, and in `publish_documentation`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypedDict

from airflow.sdk.exceptions import AirflowSkipException

from lyceum.orchestration.task_context import as_of, settings
from lyceum.orchestration.task_policy import library_task

if TYPE_CHECKING:
    from lyceum.reporting.quality import WrittenReport

_log = logging.getLogger(__name__)


class Reported(TypedDict):
    """Which build a report tells of, and what became of it."""

    build_id: int
    verdict: str


@library_task
def report_quality() -> Reported:
    """Write the data-quality report of the build that has just ended, however it ended."""
    from lyceum.database import target
    from lyceum.reporting.quality import write_quality_report

    where = settings()
    written = write_quality_report(target(where), where)
    return _told(written)


@library_task
def publish_quality_report() -> Reported:
    """Write the latest data-quality report as of this run, so that it tells what waits when no build has come since."""
    from lyceum.database import target
    from lyceum.reporting.facts import NothingBuiltError
    from lyceum.reporting.quality import write_quality_report

    where = settings()
    try:
        written = write_quality_report(target(where), where, as_of=as_of())
    except NothingBuiltError as nothing:
        raise AirflowSkipException(str(nothing)) from None
    return _told(written)


@library_task
def publish_dbt_docs() -> dict[str, int]:
    """Write dbt's documentation of the published tables as one page; return its size."""
    from lyceum.analytics.documentation import publish_documentation
    from lyceum.database import target

    where = settings()
    return {"bytes": publish_documentation(target(where), where).stat().st_size}


@library_task
def check_published_tables() -> int:
    """Run the dbt tests on what people read now; return how many held. Fails with the first that does not."""
    from lyceum.analytics.documentation import check_published_tables as check
    from lyceum.database import target

    where = settings()
    return len(check(target(where), where).seconds)


def _told(written: WrittenReport) -> Reported:
    _log.info("build %s: %s", written.build_id, written.headline)
    return Reported(build_id=written.build_id, verdict=written.verdict)
