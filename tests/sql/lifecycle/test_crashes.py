"""A clean-up may die at any point: the next one finishes what it began, and nothing else is lost."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest

from aging import Cleanup, as_if_built, leaves
from lyceum import faults
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from property import dying
from tenants import AS_OF, Tenant, deliver, event
from warehouse import Warehouse

DAY = timedelta(days=1)
EXPIRED = datetime(2024, 5, 17, tzinfo=UTC)
LEAF = "raw_data_collection_p20240515"
DAILY = ("cleanup.drop_recorded", "partitions.detached", "cleanup.partition_dropped", "cleanup.holds_kept")
WEEKLY = ("cleanup.rows_removed",)
YEARLY = (
    "archive.staged",
    "archive.verified",
    "archive.published",
    "partition_archive.recorded",
    "cleanup.archived",
    *DAILY,
)


def die(warehouse: Warehouse, schedule: str, as_of: datetime, point: str) -> None:
    environment = {**warehouse.settings.environment(), faults.VARIABLE: point}
    code, said = dying.run(["cleanup", schedule, "--as-of", as_of.isoformat()], environment)
    assert code == -signal.SIGKILL, f"did not reach {point}: {code} {said}"


def test_every_point_of_a_clean_up_is_tested() -> None:
    assert {name for name in faults.POINTS if name.startswith("cleanup.")} <= {*DAILY, *WEEKLY, *YEARLY}


@pytest.mark.timeout(900)
def test_a_raw_day_is_dropped_whole_wherever_the_clean_up_died(
    tenant: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    for number, point in enumerate(DAILY):
        collected = AS_OF - number * DAY
        tenant.collect(deliver(event(2 * number + 1, "05-08 10:00")), as_of=collected)
        tenant.collect(deliver(event(2 * number + 2, "05-08 11:00")), as_of=EXPIRED + timedelta(minutes=number))
        connection.execute("delete from ops.pending_hours where collected_hour < %s", [EXPIRED])

        die(warehouse, "daily", EXPIRED, point)
        report = cleanup("daily", EXPIRED)

        assert report.holds == (), point
        assert f"raw_data_collection_p{collected:%Y%m%d}" not in leaves(connection, "raw"), point
        assert connection.execute("select count(*) from ops.partition_drops where not is_finished").fetchone() == (0,)
        # The young day is untouched.
        assert len(tenant.accepted()) == number + 1, point


@pytest.mark.timeout(900)
def test_a_day_whose_drop_died_half_way_takes_rows_again_with_those_it_had(
    tenant: Tenant, connection: Connection, warehouse: Warehouse
) -> None:
    tenant.collect(deliver(event(1)))
    as_if_built(connection)
    die(warehouse, "daily", EXPIRED, "partitions.detached")
    assert tenant.accepted() == set()

    # Of the hour itself nobody can say whether it is whole; another one brings the day back with all that it had.
    with pytest.raises(ConfigurationError, match="raw data of that day is gone"):
        tenant.collect(deliver(event(2)), as_of=AS_OF + timedelta(minutes=1))
    tenant.collect(deliver(event(2)), as_of=AS_OF + timedelta(hours=1))

    assert len(tenant.accepted()) == 2


def test_rows_are_removed_in_portions_that_stay_removed(
    connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    connection.execute(
        """
        insert into ops.alerts (kind, subject, message, raised_at, resolved_at)
        select 'task_failed', 'dag.' || number, 'It failed.', '2022-01-01', '2022-01-02' from generate_series(1, 10050) as number
        """
    )
    die(warehouse, "weekly", EXPIRED, "cleanup.rows_removed")
    assert connection.execute("select count(*) from ops.alerts").fetchone() == (50,)

    assert "Removed 50 from ops.alerts that were older than 1 year 1 month." in cleanup("weekly", EXPIRED).done
    assert connection.execute("select count(*) from ops.alerts").fetchone() == (0,)


@pytest.mark.timeout(900)
def test_a_year_is_in_the_table_or_in_a_proven_archive_wherever_the_clean_up_died(
    tenant: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    from lyceum.archiving.partitions import restore_partition

    as_of = datetime(2027, 1, 2, 1, 35, tzinfo=UTC)
    connection.execute(
        "insert into ops.organization_watermarks (organization_id) values (%s)", [tenant.organization.organization_id]
    )
    for point in YEARLY:
        connection.execute("delete from ops.partition_archives")
        connection.execute("update ops.organization_watermarks set data_version = 0")
        years = old_year(tenant, connection)
        die(warehouse, "yearly", as_of, point)
        report = cleanup("yearly", as_of)

        assert report.holds == (), point
        version = connection.execute("select data_version from ops.organization_watermarks").fetchone()
        assert version == (1,), f"{point}: answers that were kept of that year would be given again"
        assert leaves(connection, "aggregated_analytics_p2019") == [], point
        with warehouse.connect(autocommit=True) as restoring:
            restore_partition(
                restoring, warehouse.settings, "stage_three.aggregated_analytics", "aggregated_analytics_p2019", as_of
            )
        assert year_rows(connection) == years, point
        connection.execute("drop table partitions.aggregated_analytics_p2019")


def old_year(tenant: Tenant, connection: Connection) -> list[tuple[object, ...]]:
    """Give the organization days of 2019, and return them."""
    from lyceum.partitions import ensure_for_dates

    ensure_for_dates(connection, "stage_three.aggregated_analytics", [datetime(2019, 1, 1, tzinfo=UTC).date()])
    connection.execute(
        """
        insert into stage_three.aggregated_analytics (
            organization_id, subject_id, period_start, subject_type, period_type, scope, learners_active, score_sum
        )
        select %s, %s, '2019-01-01'::date + number, 'organization', 'day', 'all_courses', number, number / 7.0
        from generate_series(0, 364) as number
        """,
        [tenant.organization.organization_id, tenant.organization.organization_id],
    )
    return year_rows(connection)


def year_rows(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("select * from stage_three.aggregated_analytics order by period_start").fetchall()
