"""Weeks of stage two, years of stage three, months of the audit trail: each goes by its own rule, and what holds it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from aging import Cleanup, leaves
from lyceum import organizations
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.lifecycle import read_holds
from lyceum.partitions import ensure_for_dates
from tenants import Tenant
from warehouse import Warehouse

LEARNERS = "stage_two.learner_analytics"
KEYS = "stage_one.event_keys"
YEARS = "stage_three.aggregated_analytics"
AUDIT = "audit.audit_logs"
MONDAY = date(2024, 5, 6)
# 13 May is the end, a day later it is over in every zone, seven days later it may go.
WEEK_EXPIRES = datetime(2024, 5, 21, tzinfo=UTC)


def give_years(tenant: Tenant, connection: Connection, *years: int) -> None:
    ensure_for_dates(connection, YEARS, [date(year, 1, 1) for year in years])
    connection.execute(
        """
        insert into stage_three.aggregated_analytics (
            organization_id, subject_id, period_start, subject_type, period_type, scope, learners_active
        )
        select %(organization)s, %(organization)s, make_date(year, 6, day), 'organization', 'day', 'all_courses', day
        from unnest(%(years)s::integer[]) as year cross join generate_series(1, 9) as day
        """,
        {"organization": tenant.organization.organization_id, "years": list(years)},
    )


def give_audit_rows(connection: Connection, *months: date) -> None:
    """Write rows that are as old as nothing can be while a test runs, and seal none of them."""
    ensure_for_dates(connection, AUDIT, months)
    for month in months:
        connection.execute(
            """
            insert into audit.audit_logs (occurred_at, action, resource, decision, source, server_id)
            values (%s, 'looked', 'a table', 'allowed', 'service', audit.server_id())
            """,
            [datetime(month.year, month.month, 5, tzinfo=UTC)],
        )


def seal_trail(warehouse: Warehouse) -> None:
    from lyceum.audit import seal_and_tell
    from lyceum.database import connect

    warehouse.settings.create_directories()
    with connect(warehouse.target, autocommit=True) as connection:
        while seal_and_tell(connection, warehouse.target, warehouse.settings).rows_waiting:
            pass


def test_published_weeks_go_when_they_are_over_for_seven_days_in_every_zone(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    ensure_for_dates(connection, LEARNERS, [MONDAY])
    name = "learner_analytics_p2024w19"

    cleanup("weekly", WEEK_EXPIRES - timedelta(microseconds=1))
    assert name in leaves(connection, name)
    cleanup("daily", WEEK_EXPIRES)
    assert name in leaves(connection, name)
    cleanup("weekly", WEEK_EXPIRES)

    assert leaves(connection, name) == []


def test_a_week_that_an_organization_has_open_is_on_hold_and_named(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    ensure_for_dates(connection, LEARNERS, [MONDAY])
    ensure_for_dates(connection, KEYS, [MONDAY])
    tenant.set_week("2024-05-06", "open")

    report = cleanup("weekly", WEEK_EXPIRES)

    held = {hold.name: (hold.held_by, hold.reason) for hold in report.holds}
    why = ("seal", "college has the week of 2024-05-06 open")
    assert held["learner_analytics_p2024w19"] == why
    assert held["event_keys_p2024w19"] == why
    other = organizations.add_organization(connection, "university", "University", "UTC", WEEK_EXPIRES)
    replace(tenant, organization=other).set_week("2024-05-06", "open")
    reasons = {hold.reason for hold in cleanup("weekly", WEEK_EXPIRES).holds}
    assert reasons == {"2 organizations, such as college, have the week of 2024-05-06 open"}
    replace(tenant, organization=other).set_week("2024-05-06", "sealed")
    # No force overrules an open week.
    forced = cleanup("weekly", WEEK_EXPIRES, force_reason="Because I can.")
    assert "learner_analytics_p2024w19" in {hold.name for hold in forced.holds}
    tenant.set_week("2024-05-06", "sealed")
    assert {hold.name for hold in cleanup("weekly", WEEK_EXPIRES).holds} & held.keys() == set()
    assert leaves(connection, "event_keys_p2024w19") == leaves(connection, "learner_analytics_p2024w19") == []


def test_a_sealed_week_without_its_archive_stays_and_somebody_is_told_at_once(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    ensure_for_dates(connection, KEYS, [MONDAY])
    connection.execute(
        "insert into stage_one.event_keys values (%s, gen_random_uuid(), %s, 1, sha256('x'))",
        [tenant.organization.organization_id, MONDAY],
    )
    tenant.set_week("2024-05-06", "sealed")

    report = cleanup("weekly", WEEK_EXPIRES)

    assert [(hold.name, hold.needs_attention) for hold in report.holds] == [("event_keys_p2024w19", True)]
    assert report.overdue == (KEYS,)
    assert connection.execute("select kind, subject from ops.alerts where resolved_at is null").fetchall() == [
        ("partition_held", KEYS)
    ]
    # A clean-up of another schedule has not looked: the hold and its alert stay.
    assert cleanup("daily", WEEK_EXPIRES + timedelta(hours=1)).overdue == ()
    assert [hold.name for hold in read_holds(connection)] == ["event_keys_p2024w19"]


def test_a_year_of_stage_three_is_archived_and_dropped_after_seven_years(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    give_years(tenant, connection, 2019, 2020)

    assert cleanup("yearly", datetime(2027, 1, 1, 23, tzinfo=UTC)).partitions_dropped == 0
    report = cleanup("yearly", datetime(2027, 1, 2, 1, 35, tzinfo=UTC))

    assert report.done[0] == "Archived partitions.aggregated_analytics_p2019, and read the archive back."
    assert report.done[1].startswith("Dropped partitions.aggregated_analytics_p2019")
    assert leaves(connection, "aggregated_analytics_p2019") == []
    assert connection.execute("select partition_name, row_count from ops.partition_archives").fetchall() == [
        ("aggregated_analytics_p2019", 9)
    ]
    assert tenant.query(
        "select distinct extract(year from period_start)::integer from stage_three.aggregated_analytics"
    ) == [(2020,)]


def test_whatever_was_kept_of_a_year_is_of_another_version_once_it_goes_or_comes_back(
    tenant: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    from lyceum.archiving.partitions import restore_partition

    def version() -> int:
        ((found,),) = connection.execute("select data_version from ops.organization_watermarks").fetchall()
        return int(found)

    give_years(tenant, connection, 2019)
    ensure_for_dates(connection, LEARNERS, [date(2026, 11, 2)])
    connection.execute(
        "insert into ops.organization_watermarks (organization_id, data_version) values (%s, 7)",
        [tenant.organization.organization_id],
    )
    as_of = datetime(2027, 1, 2, 1, 35, tzinfo=UTC)
    assert cleanup("weekly", as_of).partitions_dropped > 0
    assert version() == 7, "no answer is told from stage two"

    cleanup("yearly", as_of)
    assert version() == 8
    cleanup("yearly", as_of)
    assert version() == 8, "nothing went"
    restore_partition(connection, warehouse.settings, YEARS, "aggregated_analytics_p2019", as_of, timedelta(days=30))
    assert version() == 9
    restore_partition(connection, warehouse.settings, YEARS, "aggregated_analytics_p2019", as_of, timedelta(days=60))
    assert version() == 9, "its rows were there"


def test_a_year_whose_archive_is_damaged_stays_until_it_is_mended(
    tenant: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    give_years(tenant, connection, 2019)
    connection.execute("update ops.partition_policies set archive_after = '1 year' where parent_table = %s", [YEARS])
    cleanup("monthly", datetime(2026, 11, 1, tzinfo=UTC))
    (file,) = warehouse.settings.archives.rglob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])

    report = cleanup("yearly", datetime(2027, 1, 2, 1, 35, tzinfo=UTC))

    (hold,) = report.holds
    assert (hold.held_by, hold.needs_attention) == ("archive", True)
    assert str(file) in hold.reason or file.name in hold.reason
    assert report.overdue == (YEARS,)
    assert tenant.query("select count(*) from stage_three.aggregated_analytics") == [(9,)]
    file.write_bytes(content)
    assert cleanup("yearly", datetime(2027, 1, 2, 1, 36, tzinfo=UTC)).partitions_dropped == 1
    assert connection.execute("select count(*) from ops.alerts where resolved_at is null").fetchone() == (0,)


def test_a_year_that_somebody_restored_stays_for_as_long_as_was_said(
    tenant: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    from lyceum.archiving.partitions import restore_partition

    give_years(tenant, connection, 2019)
    as_of = datetime(2027, 1, 2, 1, 35, tzinfo=UTC)
    cleanup("yearly", as_of)
    restore_partition(connection, warehouse.settings, YEARS, "aggregated_analytics_p2019", as_of, timedelta(days=30))

    (hold,) = cleanup("yearly", as_of + timedelta(days=29)).holds
    assert (hold.held_by, hold.reason) == (
        "restore",
        "somebody asked for its rows, which stay until 2027-02-01 01:35 UTC",
    )
    assert tenant.query("select count(*) from stage_three.aggregated_analytics") == [(9,)]
    assert cleanup("yearly", as_of + timedelta(days=31)).partitions_dropped == 1


def test_audit_months_are_archived_after_thirteen_months_and_dropped_after_ten_years(
    connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    give_audit_rows(connection, date(2015, 1, 1), date(2016, 11, 1), date(2025, 1, 1))
    as_of = datetime(2026, 11, 22, tzinfo=UTC)

    # What is in no batch of the chain yet is neither archived nor dropped.
    held = {hold.name: hold.held_by for hold in cleanup("monthly", as_of).holds}
    assert held == {"audit_logs_p2015m01": "audit chain"}
    assert connection.execute("select count(*) from ops.partition_archives").fetchone() == (0,)
    seal_trail(warehouse)
    cleanup("monthly", as_of)
    archived = connection.execute("select partition_name from ops.partition_archives order by 1").fetchall()
    assert archived == [("audit_logs_p2015m01",), ("audit_logs_p2016m11",), ("audit_logs_p2025m01",)]
    assert "audit_logs_p2015m01" in leaves(connection, "audit_logs")
    report = cleanup("yearly", as_of)

    assert report.holds == ()
    assert {"audit_logs_p2015m01", "audit_logs_p2016m11", "audit_logs_p2025m01"} & set(
        leaves(connection, "audit_logs")
    ) == {
        "audit_logs_p2016m11",
        "audit_logs_p2025m01",
    }


def test_a_hold_past_its_grace_time_is_told_and_the_end_of_it_too(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    ensure_for_dates(connection, LEARNERS, [MONDAY])
    tenant.set_week("2024-05-06", "open")

    assert cleanup("daily", WEEK_EXPIRES + timedelta(days=7, microseconds=-1)).overdue == ()
    assert cleanup("daily", WEEK_EXPIRES + timedelta(days=7)).overdue == (LEARNERS,)
    cleanup("daily", WEEK_EXPIRES + timedelta(days=8))
    ((message,),) = connection.execute("select message from ops.alerts where resolved_at is null").fetchall()
    assert message.startswith(
        "An expired partition of stage_two.learner_analytics waits longer than they should; the oldest, learner_analytics_p2024w19, "
        "since 2024-05-21 00:00 UTC, held by seal, because college has the week of 2024-05-06 open."
    )
    tenant.set_week("2024-05-06", "sealed")
    cleanup("weekly", WEEK_EXPIRES + timedelta(days=9))
    assert connection.execute("select count(*) from ops.alerts where resolved_at is null").fetchone() == (0,)
    assert read_holds(connection) == ()


def test_a_running_build_keeps_the_weeks_that_it_may_publish(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    ensure_for_dates(connection, LEARNERS, [MONDAY])
    connection.execute(
        "insert into ops.builds (as_of, run_id, state, step) values (%s, 'test', 'running', 'stage_two')",
        [WEEK_EXPIRES - timedelta(days=1)],
    )

    (hold,) = cleanup("weekly", WEEK_EXPIRES).holds

    assert (hold.name, hold.reason) == ("learner_analytics_p2024w19", "build 1 is running")


def test_a_build_at_work_is_not_waited_for(
    tenant: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    from lyceum.analytics.scope import build_lock

    ensure_for_dates(connection, LEARNERS, [MONDAY])
    with build_lock(warehouse.target):
        (hold,) = cleanup("weekly", WEEK_EXPIRES).holds

    assert (hold.name, hold.held_by, hold.found_by) == ("learner_analytics_p2024w19", "build", "work")


def test_every_clean_up_makes_partitions_ahead(connection: Connection, cleanup: Cleanup) -> None:
    as_of = datetime(2024, 12, 30, tzinfo=UTC)

    report = cleanup("daily", as_of)

    assert len(report.made) > 30
    weeks = [name[-7:] for name in leaves(connection, "event_keys")]
    # Monday 30 December is of the first ISO week of 2025.
    assert weeks == ["2025w01", *(f"2025w{number:02}" for number in range(2, 10))]
    assert [name for name in leaves(connection, "audit_logs") if name >= "audit_logs_p2024m12" and name < "audit_logs_p2026"] == [
        "audit_logs_p2024m12", "audit_logs_p2025m01", "audit_logs_p2025m02", "audit_logs_p2025m03"
    ]  # fmt: skip
    assert cleanup("daily", as_of).made == ()


def test_a_partition_that_is_not_what_its_name_says_stops_everything(connection: Connection, cleanup: Cleanup) -> None:
    connection.execute(
        """
        create table partitions.event_keys_p2013w05 (like stage_one.event_keys including all);
        alter table stage_one.event_keys attach partition partitions.event_keys_p2013w05
        for values from ('2024-05-06') to ('2024-05-13');
        """
    )

    with pytest.raises(ConfigurationError, match=r"event_keys_p2013w05 holds FOR VALUES FROM \('2024-05-06'\)"):
        cleanup("weekly", WEEK_EXPIRES)


def test_raw_data_may_not_be_told_to_live_for_less_than_a_day(connection: Connection) -> None:
    import psycopg

    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "update ops.partition_policies set retention = '23 hours' where parent_table = 'stage_one.raw_data_collection'"
        )


def test_pages_of_reports_go_after_ninety_days_and_the_latest_stays(
    connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    from lyceum.reporting.quality import write_quality_report
    from lyceum.reporting.shelf import quality_folder

    warehouse.settings.create_directories()
    clock = datetime(2026, 11, 1, 6, tzinfo=UTC)
    connection.execute(
        "insert into ops.builds (as_of, run_id, state, step) values (%s, 'test', 'failed', 'stage_two')", [clock]
    )
    write_quality_report(warehouse.target, warehouse.settings)
    folder = quality_folder(warehouse.settings)

    cleanup("daily", clock + timedelta(days=90, microseconds=-1))
    assert (folder / "build-1.html").exists()
    report = cleanup("daily", clock + timedelta(days=90))

    assert "Removed 1 from reporting.quality_pages that were older than 90 days." in report.done
    assert {path.name for path in folder.iterdir()} == {"latest.html", "index.html"}
    assert "build-1.html" not in (folder / "index.html").read_text()
