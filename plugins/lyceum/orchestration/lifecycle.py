"""The tasks of `cleanup_daily`, `cleanup_weekly`, `maintain_monthly` and `archive_yearly`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lyceum.errors import LyceumError, RetryableError
from lyceum.orchestration.task_context import as_of, settings
from lyceum.orchestration.task_policy import library_task

if TYPE_CHECKING:
    from lyceum.lifecycle import Schedule

_log = logging.getLogger(__name__)

_SAMPLE = 20


@library_task
def drop_expired_days() -> dict[str, int]:
    """Drop the raw days that have expired and are built, and remove old reports; return the counts."""
    return _clean_up("daily")


@library_task
def drop_expired_weeks() -> dict[str, int]:
    """Drop the weeks of stage two and the months of quarantine that have expired, and remove old results; return the counts."""
    return _clean_up("weekly", is_tried_again=True)


@library_task
def archive_old_months() -> dict[str, int]:
    """Make partitions ahead, archive the months of the audit trail that are due, and analyze the tables; return the counts."""
    return _clean_up("monthly")


@library_task
def archive_and_drop_years() -> dict[str, int]:
    """Archive and drop the years of stage three and the months of the audit trail that have expired; return the counts."""
    return _clean_up("yearly", is_tried_again=True)


@library_task
def verify_sample_of_archives() -> dict[str, int]:
    """Read those archives whole that were not looked at for longest. Fails when one is damaged, and names it."""
    from lyceum.archiving.listing import verify_archives
    from lyceum.database import connect, target

    where = settings()
    with connect(target(where), autocommit=True, application_name="lyceum archives") as connection:
        report = verify_archives(connection, where, as_of(), sample=_SAMPLE)
    _log.info("%s", report)
    if report.damaged:
        raise LyceumError(
            f"{len(report.damaged)} of {report.archives} archives are not whole: "
            f"{', '.join(found.entry.uri for found in report.damaged)}. "
            "Bring them back from a backup, and look with `lyceum archive verify`."
        )
    return {"archives": report.archives, "bytes": report.byte_length}


def _clean_up(schedule: Schedule, *, is_tried_again: bool = False) -> dict[str, int]:
    """Run one clean-up. With `is_tried_again` what somebody was in the way of is not left until the schedule comes again."""
    from lyceum.database import target
    from lyceum.lifecycle import run_cleanup

    where = settings()
    report = run_cleanup(target(where), where, schedule, as_of())
    for sentence in (*report.made, *report.done, *(hold.sentence for hold in report.holds)):
        _log.info("%s", sentence)
    in_the_way = [hold for hold in report.holds if hold.found_by == "work" and not hold.needs_attention]
    if is_tried_again and in_the_way:
        raise RetryableError(
            f"{len(in_the_way)} expired partitions could not be dropped just now; the first: {in_the_way[0].sentence} "
            "Whatever else had expired is gone."
        )
    return {
        "partitions_made": len(report.made),
        "partitions_dropped": report.partitions_dropped,
        "bytes_freed": report.bytes_freed,
        "holds": len(report.holds),
        "tables_overdue": len(report.overdue),
    }
