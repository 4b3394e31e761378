"""Apply one delivery of a roster: one transaction under the organization's lock, or nothing."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from lyceum import faults
from lyceum.adapters.oneroster import RosterDelivery, open_roster
from lyceum.audit import Access, prepare_trail, record_access
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError
from lyceum.identity import organization_hasher
from lyceum.local_calendar import LocalCalendar, week_of
from lyceum.organizations import DEFAULT_ROSTER_SOURCE, Source, ensure_source, find_organization, load_calendar
from lyceum.roster.classes import resolve_classes
from lyceum.roster.enrollments import apply_enrollments
from lyceum.roster.loading import Pseudonyms, load
from lyceum.roster.options import load_options
from lyceum.roster.people import resolve_people
from lyceum.roster.profiles import write_profiles
from lyceum.roster.reports import RosterReport
from lyceum.settings import Settings

_log = logging.getLogger(__name__)

_WEEK = timedelta(days=7)

APPLIED = "roster_applied"


def apply_roster(
    target: ConnectionTarget,
    settings: Settings,
    organization: str,
    path: Path,
    source_name: str = DEFAULT_ROSTER_SOURCE,
    as_of: datetime | None = None,
    run_id: str = "roster",
) -> RosterReport:
    """Apply a OneRoster zip or folder to an organization; `as_of` is when it became known.

    The source is added when the organization has none of this name. A delivery with the content of the last one, read with
    the same options, changes nothing. Refused rows are in `stage_one.roster_quarantine`. Raises `InputError` when the
    delivery as a whole cannot be read, `ConfigurationError` when it would be known before the last one.
    """
    if as_of is None:
        raise ConfigurationError("A roster needs the instant at which it became known. Pass as_of.")
    delivery = open_roster(path)
    with connect(target, application_name="lyceum roster") as connection:
        found = find_organization(connection, organization)
        source = ensure_source(connection, found, source_name, "oneroster", as_of)
        return apply_delivery(connection, settings, source, delivery, as_of, run_id)


def apply_delivery(
    connection: Connection,
    settings: Settings,
    source: Source,
    delivery: RosterDelivery,
    as_of: datetime,
    run_id: str,
    name: str | None = None,
) -> RosterReport:
    """Apply an opened delivery of a source; commit, with the row of the audit trail. See `apply_roster`."""
    options = load_options(connection, source)
    organization_id = source.organization_id
    hasher = organization_hasher(connection, settings, organization_id)
    calendar = load_calendar(connection, organization_id)
    known = RosterReport(source.organization, source.name, name or delivery.name, True, delivery.version)
    connection.commit()
    prepare_trail(connection)
    with connection.transaction():
        for lock in ("lyceum.organization", "lyceum.identities"):
            connection.execute("select pg_advisory_xact_lock(hashtext(%s), %s::int)", [lock, organization_id])
        fingerprint = options.fingerprint_of(delivery)
        if _is_last(connection, source, fingerprint, as_of):
            return known
        # What this transaction itself has filled has no statistics yet: the planner would take it for empty and loop over it.
        connection.execute("set local enable_nestloop to off")
        tells_from = first_open_week(calendar, as_of)
        speaks_for = _speaks_for(connection, organization_id, tells_from)
        roster_id = _begin(
            connection, source, fingerprint, name or delivery.name, delivery.version, as_of, speaks_for, run_id
        )
        pseudonyms = Pseudonyms(hasher, source.name, options)
        read, ignored = load(connection, delivery, pseudonyms, options)
        faults.reach("roster.loaded")
        people = resolve_people(
            connection,
            organization_id,
            source.source_id,
            roster_id,
            as_of,
            tells_from,
            is_bulk=delivery.files["users"] == "bulk",
        )
        classes = resolve_classes(connection, organization_id, source.source_id, speaks_for, as_of)
        enrollments = apply_enrollments(
            connection,
            organization_id,
            source.source_id,
            roster_id,
            as_of,
            calendar.local_day(as_of).activity_date,
            speaks_for,
            is_bulk=delivery.files["enrollments"] == "bulk",
        )
        connection.execute("set local enable_nestloop to on")
        profiles = write_profiles(connection, settings, organization_id, delivery, pseudonyms, as_of)
        marked = _mark_people(connection, organization_id, roster_id, tells_from)
        quarantined = _quarantine(connection, organization_id, roster_id, as_of)
        refused = sum(count for _, count in quarantined)
        report = replace(
            known,
            is_known=False,
            rows_read=read,
            rows_accepted=read - refused - ignored - enrollments.ignored,
            rows_quarantined=refused,
            rows_ignored=ignored + enrollments.ignored,
            quarantined=quarantined,
            users_created=people.created,
            users_claimed=people.claimed,
            users_merged=people.merged,
            classes=classes,
            enrollments_changed=enrollments.changed,
            identities_ambiguous=people.identities_ambiguous,
            actors_unmatched=_unmatched(connection, organization_id),
            people_to_tell=marked,
            profiles_written=profiles,
        )
        _finish(connection, organization_id, roster_id, report)
        detail = {"roster_id": roster_id, "refused": refused, "profiles_written": profiles, "people_to_tell": marked}
        access = Access(APPLIED, f"roster {source.organization}/{source.name}", organization_id, detail=detail)
        record_access(connection, access, row_count=read)
        faults.reach("roster.written")
    connection.commit()
    faults.reach("roster.committed")
    _log.info(
        "roster applied",
        extra={
            "organization": source.organization,
            "source": source.name,
            "roster": roster_id,
            "rows": read,
            "quarantined": refused,
            "enrollments_changed": enrollments.changed,
            "users_merged": people.merged,
            "profiles_written": profiles,
        },
    )
    return report


def first_open_week(calendar: LocalCalendar, as_of: datetime) -> date:
    """Return the Monday of the earliest week that still takes events at `as_of`."""
    week = week_of(calendar.local_day(as_of).activity_date)
    while calendar.seal_due_at(week - _WEEK) > as_of:
        week -= _WEEK
    return week


def _is_last(connection: Connection, source: Source, fingerprint: bytes, as_of: datetime) -> bool:
    """Tell whether the last delivery of the source had this content. Raises `ConfigurationError` when it is a later one."""
    row = connection.execute(
        """
        select fingerprint, known_at
        from ops.rosters
        where organization_id = %s and source_id = %s
        order by roster_id desc
        limit 1
        """,
        [source.organization_id, source.source_id],
    ).fetchone()
    if row is None:
        return False
    last_fingerprint, known_at = row
    if known_at > as_of:
        raise ConfigurationError(
            f"The last roster of the source {source.name!r} of {source.organization!r} became known at {known_at.isoformat()}, "
            f"after {as_of.isoformat()}. Expected deliveries in the order of time: apply this one with a later --as-of."
        )
    return bool(last_fingerprint == fingerprint)


def _speaks_for(connection: Connection, organization_id: int, tells_from: date) -> str:
    """Return the days that a delivery may decide: those of open weeks, and those that were never told."""
    row = connection.execute(
        "select first_activity_on from ops.organization_watermarks where organization_id = %s", [organization_id]
    ).fetchone()
    first_told = row[0] if row else None
    if first_told is None or first_told >= tells_from:
        return "{(,)}"
    return f"{{(,{first_told}),[{tells_from},)}}"


def _begin(
    connection: Connection,
    source: Source,
    fingerprint: bytes,
    name: str,
    version: str,
    as_of: datetime,
    speaks_for: str,
    run_id: str,
) -> int:
    row = connection.execute(
        """
        insert into ops.rosters (
            organization_id, source_id, fingerprint, name, known_at, version, speaks_for, rows_read, rows_accepted,
            rows_quarantined, rows_ignored, users_created, users_claimed, users_merged, enrollments_changed,
            identities_ambiguous, actors_unmatched, run_id
        )
        values (%s, %s, %s, %s, %s, %s, %s, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, %s)
        returning roster_id
        """,
        [
            source.organization_id,
            source.source_id,
            fingerprint,
            name,
            as_of,
            version,
            speaks_for,
            run_id,
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _mark_people(connection: Connection, organization_id: int, roster_id: int, tells_from: date) -> int:
    """Mark everybody whose rows the delivery changes, so that the next build tells them anew from `tells_from` on."""
    return connection.execute(
        """
        with

        marked as (
            select
                user_id,
                false as is_rekeyed
            from changed_enrollments

            union all

            select
                learner_courses.learner_id as user_id,
                false as is_rekeyed
            from stage_three.learner_courses
            inner join delivered_classes as classes
                on learner_courses.course_id = classes.course_id
            where
                learner_courses.organization_id = %(organization)s
                and classes.is_new

            union all

            select
                unnest(array[merged_user_id, user_id]) as user_id,
                true as is_rekeyed
            from merged_users
        )

        insert into ops.pending_users as pending (organization_id, user_id, told_from, is_rekeyed, marked_by)
        select
            %(organization)s,
            user_id,
            %(tells_from)s,
            bool_or(is_rekeyed),
            %(roster)s
        from marked
        group by user_id
        on conflict (organization_id, user_id) do update
        set
            told_from = least(pending.told_from, excluded.told_from),
            is_rekeyed = pending.is_rekeyed or excluded.is_rekeyed,
            marked_by = excluded.marked_by
        """,
        {"organization": organization_id, "roster": roster_id, "tells_from": tells_from},
    ).rowcount


def _quarantine(
    connection: Connection, organization_id: int, roster_id: int, as_of: datetime
) -> tuple[tuple[str, int], ...]:
    connection.execute(
        """
        insert into stage_one.roster_quarantine (
            organization_id, roster_id, file_name, line, reason, detail, quarantined_at
        )
        select distinct on (file_name, line) %s, %s, file_name, line, reason, detail, %s::timestamptz
        from refused_rows
        order by file_name, line
        """,
        [organization_id, roster_id, as_of],
    )
    rows = connection.execute(
        """
        select reason, count(*)
        from stage_one.roster_quarantine
        where organization_id = %s and roster_id = %s
        group by reason
        order by reason
        """,
        [organization_id, roster_id],
    ).fetchall()
    return tuple((reason, count) for reason, count in rows)


def _unmatched(connection: Connection, organization_id: int) -> int:
    row = connection.execute(
        """
        select count(*)
        from core.users
        where
            users.organization_id = %s
            and users.is_provisional
            and exists (
                select 1
                from stage_three.learner_courses
                where
                    learner_courses.organization_id = users.organization_id
                    and learner_courses.learner_id = users.user_id
            )
        """,
        [organization_id],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _finish(connection: Connection, organization_id: int, roster_id: int, report: RosterReport) -> None:
    connection.execute(
        """
        update ops.rosters
        set
            rows_read = %s,
            rows_accepted = %s,
            rows_quarantined = %s,
            rows_ignored = %s,
            users_created = %s,
            users_claimed = %s,
            users_merged = %s,
            enrollments_changed = %s,
            identities_ambiguous = %s,
            actors_unmatched = %s
        where organization_id = %s and roster_id = %s
        """,
        [
            report.rows_read,
            report.rows_accepted,
            report.rows_quarantined,
            report.rows_ignored,
            report.users_created,
            report.users_claimed,
            report.users_merged,
            report.enrollments_changed,
            report.identities_ambiguous,
            report.actors_unmatched,
            organization_id,
            roster_id,
        ],
    )
