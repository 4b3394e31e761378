"""Raw days: they go a day after they ended, once they are built, and what refers to them then is told that it is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aging import Cleanup, as_if_built, leaves
from lyceum.collect.reports import silent
from lyceum.collect.runs import Collector, open_run
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.partitions import drop_partition
from tenants import AS_OF, Tenant, deliver, event, void

DAY = timedelta(days=1)
MIDNIGHT = datetime(2024, 5, 16, tzinfo=UTC)
RAW = "raw_data_collection_p"
DAY_OF_AS_OF = f"{RAW}20240515"


def test_a_raw_day_lives_for_a_day_after_it_ended_and_then_goes_with_its_rows(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1), event(2)))
    as_if_built(connection)

    cleanup("daily", MIDNIGHT + DAY - timedelta(microseconds=1))
    assert DAY_OF_AS_OF in leaves(connection, RAW)
    assert len(tenant.accepted()) == 2
    report = cleanup("daily", MIDNIGHT + DAY)

    assert report.partitions_dropped == 1
    assert report.bytes_freed > 0
    assert DAY_OF_AS_OF not in leaves(connection, RAW)
    assert tenant.accepted() == set()
    assert cleanup("daily", MIDNIGHT + DAY).partitions_dropped == 0


def test_a_day_that_waits_to_be_built_is_on_hold_until_it_is(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1)))

    (hold,) = cleanup("daily", MIDNIGHT + 3 * DAY).holds
    assert (hold.name, hold.held_by) == (DAY_OF_AS_OF, "build")
    assert hold.reason == "1 collected hours of 1 organizations wait to be built"
    assert len(tenant.accepted()) == 1

    as_if_built(connection)
    assert cleanup("daily", MIDNIGHT + 3 * DAY).holds == ()
    assert tenant.accepted() == set()


def test_only_the_daily_clean_up_drops_raw_days_and_a_dry_run_drops_nothing(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)
    before = leaves(connection, "")

    for schedule in ("weekly", "monthly", "yearly"):
        assert cleanup(schedule, MIDNIGHT + DAY).partitions_dropped == 0
    after = leaves(connection, RAW)
    dry = cleanup("daily", MIDNIGHT + DAY, is_dry_run=True)

    assert dry.planned == (f"Drop partitions.{DAY_OF_AS_OF}: expired since 2024-05-17 00:00 UTC, nobody needs it.",)
    assert dry.done == ()
    assert leaves(connection, RAW) == after
    assert set(before) <= set(leaves(connection, ""))


def test_an_empty_month_goes_after_its_days(tenant: Tenant, connection: Connection, cleanup: Cleanup) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)

    cleanup("daily", datetime(2024, 6, 1, 23, tzinfo=UTC))
    assert f"{RAW}2024m05" in leaves(connection, RAW)
    cleanup("daily", datetime(2024, 6, 2, tzinfo=UTC))

    assert [name for name in leaves(connection, RAW) if name.startswith((f"{RAW}2024m05", f"{RAW}202405"))] == []
    # It comes again where an older clock needs it.
    tenant.collect(deliver(event(2)), as_of=AS_OF - timedelta(hours=2))
    assert len(tenant.accepted()) == 1


def test_a_void_of_an_event_whose_raw_day_is_gone_is_too_late_and_one_before_is_not(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1), event(2), event(3)))
    as_if_built(connection)
    tenant.collect(deliver(void(4, 1, "05-16 10:00")), as_of=AS_OF + DAY)
    assert connection.execute("select count(*) from ops.pending_hours").fetchone() == (2,)
    # The void has made the hour of its target pending: the day stays until that is built.
    assert [hold.name for hold in cleanup("daily", MIDNIGHT + DAY).holds] == [DAY_OF_AS_OF]
    as_if_built(connection)
    cleanup("daily", MIDNIGHT + DAY)

    late = tenant.collect(deliver(void(5, 2, "05-17 00:10")), as_of=MIDNIGHT + DAY + timedelta(hours=1))

    assert dict(late.quarantined) == {"void_too_late": 1}
    assert connection.execute("select count(*) from ops.pending_hours").fetchone() == (0,)
    # Never seen: it leaves a tombstone, as before.
    tenant.collect(deliver(void(6, 99, "05-17 00:10")), as_of=MIDNIGHT + DAY + timedelta(hours=1))
    assert connection.execute("select count(*) from stage_one.void_tombstones").fetchone() == (1,)


def test_a_duplicate_of_an_event_whose_raw_day_is_gone_is_still_one(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)
    cleanup("daily", MIDNIGHT + DAY)

    report = tenant.collect(deliver(event(1), event(2)), as_of=MIDNIGHT + DAY + timedelta(hours=1))

    assert (report.events_accepted, report.duplicates) == (1, 1)


def test_a_clock_in_an_hour_whose_raw_rows_are_gone_is_refused_before_anything_is_collected(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)
    cleanup("daily", MIDNIGHT + DAY)

    with pytest.raises(
        ConfigurationError, match=r"In the hour of 2024-05-15 12:00 UTC .* raw data of that day is gone"
    ):
        tenant.collect(deliver(event(2)), as_of=AS_OF + timedelta(minutes=5))

    assert tenant.accepted() == set()
    # Another hour of that day lost nothing.
    assert tenant.collect(deliver(event(2)), as_of=AS_OF + timedelta(hours=1)).events_accepted == 1
    # And it is complete, so that more may come to it.
    assert tenant.collect(deliver(event(3)), as_of=AS_OF + timedelta(hours=1, minutes=1)).events_accepted == 1


def test_a_run_that_began_before_its_hour_was_dropped_adds_nothing_to_it(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)
    with open_run(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        source="xapi",
        source_format="xapi",
        as_of=AS_OF + timedelta(minutes=5),
        is_history=False,
        run_id="slow",
    ) as run:
        assert cleanup("daily", MIDNIGHT + DAY).partitions_dropped == 1
        with (
            pytest.raises(ConfigurationError, match="raw data of that day is gone"),
            Collector(run, silent) as collector,
        ):
            collector.collect([deliver(event(2))])

    assert tenant.accepted() == set()
    assert connection.execute("select count(*) from ops.pending_hours").fetchone() == (0,)


def test_a_drop_is_written_down(tenant: Tenant, connection: Connection, cleanup: Cleanup) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)
    cleanup("daily", MIDNIGHT + DAY)

    rows = connection.execute(
        "select partition_name, expired_at, as_of, is_forced, is_finished from ops.partition_drops where byte_length > 0"
    ).fetchall()
    assert rows == [(DAY_OF_AS_OF, MIDNIGHT + DAY, MIDNIGHT + DAY, False, True)]


def test_a_force_needs_a_reason_is_audited_and_lets_the_next_build_go_on(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    tenant.collect(deliver(event(1)))

    with pytest.raises(ConfigurationError, match="reason for the force is empty"):
        cleanup("daily", MIDNIGHT + DAY, force_reason=" ")
    assert len(tenant.accepted()) == 1
    report = cleanup("daily", MIDNIGHT + DAY, force_reason="The source asked us to forget the day.")

    assert report.partitions_dropped == 1
    assert "by force, although 1 collected hours" in report.planned[0]
    assert connection.execute("select count(*) from ops.pending_hours").fetchone() == (0,)
    (row,) = connection.execute(
        "select resource, decision, detail from audit.audit_logs where action = 'cleanup_forced'"
    ).fetchall()
    assert row[:2] == ("cleanup daily", "allowed")
    assert row[2]["reason"] == "The source asked us to forget the day."
    assert row[2]["partitions"] == [DAY_OF_AS_OF]


def test_a_month_that_gained_a_day_meanwhile_keeps_it(tenant: Tenant, connection: Connection) -> None:
    tenant.collect(deliver(event(1)))

    assert not drop_partition(
        connection, "stage_one.raw_data_collection", f"{RAW}2024m05", only_without_partitions=True
    )

    assert len(tenant.accepted()) == 1
