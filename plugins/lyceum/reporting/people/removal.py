"""How reports go: the key first, then the file, then the row.

A report whose key is destroyed can be read by nobody, whatever becomes of its file. An interruption leaves a row that says so, and
the next removal goes on with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from lyceum import faults
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.reporting.people.shelf import ReportShelf, file_name
from lyceum.settings import Settings

_log = logging.getLogger("lyceum.reporting")

_AT_ONCE = 500

_EXPIRED = """
status = 'expired'
or expires_at <= %(as_of)s
or coalesce(generated_at, requested_at) + (
    select policies.retention
    from ops.retention_policies as policies
    where policies.subject = 'reporting.reports'
) <= %(as_of)s
"""
# What is being written may have been read before the person went: it is not finished then, and whoever writes is told.
_OF_PERSON = """
organization_id = %(organization_id)s
and (owner_user_id = %(user_id)s or %(user_id)s = any(people) or status = 'pending')
"""


def remove_expired(connection: Connection, settings: Settings, as_of: datetime) -> int:
    """Remove the reports that have expired at `as_of`, and what interruptions left; return how many.

    `connection` is in autocommit mode, as the login of the pipeline. Raises `RetryableError` when a file cannot be removed.
    """
    return _remove(connection, ReportShelf.of(settings), _EXPIRED, {"as_of": as_of})


def remove_reports_of_person(connection: Connection, settings: Settings, organization_id: int, user_id: int) -> int:
    """Remove every report of a person, every one that tells of them by themselves, and those being written; return how many.

    For erasure: when this returns, no report is left in which the person stands. `connection` is in autocommit mode, as the login of
    the pipeline. Raises `RetryableError` when a file cannot be removed; its key is destroyed then, and calling again goes on.
    """
    whose = {"organization_id": organization_id, "user_id": user_id}
    return _remove(connection, ReportShelf.of(settings), _OF_PERSON, whose)


def require_not_wrapping(connection: Connection, provider: str, version: int) -> None:
    """Raise `ConfigurationError` when a version of a provider's key, or one before it, wraps the key of a report."""
    row = connection.execute(
        """
        select count(*), max(expires_at)
        from reporting.reports
        where key_provider = %s and key_version <= %s and wrapped_key is not null
        """,
        [provider, version],
    ).fetchone()
    assert row is not None
    if row[0]:
        raise ConfigurationError(
            f"Version {version}, or one before it, wraps the keys of {row[0]} reports. They expire by {row[1]:%Y-%m-%d %H:%M} UTC: retire "
            "it then, after lyceum cleanup daily, or generate them anew with --anew."
        )


def remove_report(connection: Connection, shelf: ReportShelf, organization_id: int, report_id: int) -> int:
    """Remove one report, in whatever state it is."""
    which = {"organization_id": organization_id, "report_id": report_id}
    return _remove(connection, shelf, "organization_id = %(organization_id)s and report_id = %(report_id)s", which)


def _remove(connection: Connection, shelf: ReportShelf, condition: str, parameters: Mapping[str, object]) -> int:
    removed = 0
    while rows := connection.execute(
        f"""
        with due as (
            select organization_id, report_id
            from reporting.reports
            where {condition}
            order by organization_id, report_id
            limit {_AT_ONCE}
            for update
        )

        update reporting.reports as reports
        set status = 'expired', failure = null, key_provider = null, key_version = null, wrapped_key = null
        from due
        where reports.organization_id = due.organization_id and reports.report_id = due.report_id
        returning reports.organization_id, reports.report_id
        """.encode(),  # noqa: S608
        parameters,
    ).fetchall():
        faults.reach("reports.key_destroyed")
        for organization_id, report_id in rows:
            shelf.remove(file_name(organization_id, report_id))
        faults.reach("reports.file_removed")
        connection.execute(
            """
            delete from reporting.reports
            using unnest(%s::bigint[], %s::bigint[]) as gone (organization_id, report_id)
            where reports.organization_id = gone.organization_id and reports.report_id = gone.report_id
            """,
            [[row[0] for row in rows], [row[1] for row in rows]],
        )
        removed += len(rows)
    if removed:
        _log.info("reports removed", extra={"reports": removed})
    return removed
