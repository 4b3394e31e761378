"""Nobody waits for a clean-up: not who reads, not who writes; and whoever reads for long keeps his partition, no more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from aging import Cleanup, as_if_built, leaves
from lyceum.database import Connection
from lyceum.lifecycle import CleanupReport
from lyceum.lifecycle.planner import DropPartition
from lyceum.partitions import Patience, claim_partition, ensure_for_dates, keep_partitions
from tenants import AS_OF, Tenant, deliver, event, void
from warehouse import Warehouse

DAY = timedelta(days=1)
EXPIRED = datetime(2024, 5, 17, tzinfo=UTC)
RAW = "stage_one.raw_data_collection"
YEARS = "stage_three.aggregated_analytics"
LEAF = "raw_data_collection_p20240515"
# Long enough that only the test ends the wait.
PATIENT = Patience(attempts=1, lock_timeout_seconds=600)


@pytest.fixture
def old_day(tenant: Tenant, connection: Connection) -> Tenant:
    """Raw rows of a day that has expired and is built, and of one that is young."""
    tenant.collect(deliver(event(1), event(2)))
    tenant.collect(deliver(event(3, "05-16 10:00")), as_of=AS_OF + DAY)
    as_if_built(connection)
    return tenant


@contextmanager
def waiting_cleanup(cleanup: Cleanup, connection: Connection) -> Iterator[tuple[int, Future[CleanupReport]]]:
    """A clean-up in the middle of a detachment that waits for an earlier transaction; gives its process and its result."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(cleanup, "daily", EXPIRED, patience=PATIENT)
        while (pid := _waiting(connection)) is None:
            assert not running.done(), running.result()
        yield pid, running


def _waiting(connection: Connection) -> int | None:
    row = connection.execute(
        """
        select locks.pid
        from pg_locks as locks
        inner join pg_stat_activity as activity on activity.pid = locks.pid
        where
            not locks.granted and locks.locktype = 'virtualxid'
            and activity.application_name = 'lyceum cleanup' and activity.datname = current_database()
        """
    ).fetchone()
    return row[0] if row is not None else None


def test_readers_and_writers_go_on_while_a_clean_up_waits_for_a_long_reader(
    old_day: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    with warehouse.connect() as long_reader:
        long_reader.execute("set transaction isolation level repeatable read")
        assert long_reader.execute(f"select count(*) from {RAW}").fetchone() == (3,)
        with waiting_cleanup(cleanup, connection) as (pid, running):
            held = {
                (relation, mode)
                for relation, mode in connection.execute(
                    """
                    select locks.relation::regclass::text, locks.mode
                    from pg_locks as locks
                    where
                        locks.locktype = 'relation' and locks.granted
                        and locks.pid in (
                            select pid from pg_stat_activity
                            where
                                application_name in ('lyceum cleanup', 'lyceum cleanup guard')
                                and datname = current_database()
                        )
                        and locks.relation::regclass::text ~ '^(stage_|partitions|core|ops)'
                    """
                ).fetchall()
            }
            with warehouse.connect() as reader:
                reader.execute("set lock_timeout = '1ms'")
                # The expired day is out of sight already, and the young one is not.
                assert reader.execute(f"select count(*) from {RAW}").fetchone() == (1,)
            # A collection of today: it takes whatever locks a batch takes, and none of them is in the way.
            report = old_day.collect(deliver(event(4, "05-16 11:00")), as_of=EXPIRED + timedelta(hours=1))
            assert report.events_accepted == 1
            assert not running.done()
            assert long_reader.execute(f"select count(*) from {RAW}").fetchone() == (3,)
            long_reader.rollback()
            assert running.result().partitions_dropped == 1

    assert held <= {
        (f"partitions.{LEAF[:-8]}2024m05", "ShareUpdateExclusiveLock"),
        (f"partitions.{LEAF}", "AccessShareLock"),
    }
    assert pid > 0
    assert LEAF not in leaves(connection, "raw")


def test_a_reader_who_stays_keeps_his_partition_until_the_next_clean_up(
    old_day: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    with warehouse.connect() as reader:
        reader.execute("set transaction isolation level repeatable read")
        assert reader.execute(f"select count(*) from {RAW}").fetchone() == (3,)

        report = cleanup("daily", EXPIRED)

        assert report.partitions_dropped == 0
        assert [(hold.name, hold.held_by, hold.found_by) for hold in report.holds] == [(LEAF, "readers", "work")]
        assert reader.execute(f"select count(*) from {RAW}").fetchone() == (3,)
    # The interrupted detachment is finished.
    after = cleanup("daily", EXPIRED)
    assert (after.partitions_dropped, after.holds) == (1, ())
    assert old_day.query("select count(*) from stage_one.raw_data_collection") == [(1,)]
    assert connection.execute("select count(*) from ops.partition_holds").fetchone() == (0,)


def test_a_writer_in_the_middle_of_his_transaction_loses_nothing(
    old_day: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    with warehouse.connect() as writer:
        # What a batch does that collects in the expired day: it keeps the day before it touches the table.
        keep_partitions(writer, RAW, [AS_OF.date()])

        report = cleanup("daily", EXPIRED)

        assert [hold.held_by for hold in report.holds] == ["readers"]
        assert "somebody adds to it" in report.holds[0].reason
        assert LEAF in leaves(connection, "raw")
    assert cleanup("daily", EXPIRED).partitions_dropped == 1


def test_a_void_that_is_being_decided_is_waited_for_and_what_it_makes_pending_is_a_hold(
    old_day: Tenant, connection: Connection, cleanup: Cleanup, warehouse: Warehouse
) -> None:
    """The void keeps the day of its target; the clean-up that has planned to drop it looks again, and finds it needed."""
    connection.execute(
        """
        create function public.wait_for_test() returns trigger language plpgsql as $$
        begin
            perform pg_advisory_xact_lock(4711);
            return null;
        end $$;
        create trigger wait_for_test after update on partitions.raw_data_collection_p20240515
        for each row execute function public.wait_for_test();
        """
    )
    with ThreadPoolExecutor(2) as pool:
        with warehouse.connect() as gate:
            gate.execute("select pg_advisory_xact_lock(4711)")
            voiding = pool.submit(
                old_day.collect, deliver(void(9, 1, "05-16 23:00")), as_of=EXPIRED - timedelta(minutes=30)
            )
            while not _waits_for(connection, "lyceum collect"):
                assert not voiding.done(), voiding.result()
            report = cleanup("daily", EXPIRED)
            assert [hold.held_by for hold in report.holds] == ["readers"]
        assert voiding.result().events_accepted == 1

    (hold,) = cleanup("daily", EXPIRED).holds
    assert (hold.name, hold.held_by) == (LEAF, "build")
    assert old_day.query("select count(*) from stage_one.raw_data_collection where is_voided") == [(1,)]


def _waits_for(connection: Connection, application: str) -> bool:
    row = connection.execute(
        """
        select exists (
            select from pg_locks as locks
            inner join pg_stat_activity as activity on activity.pid = locks.pid
            where
                not locks.granted and locks.locktype = 'advisory'
                and activity.application_name = %s and activity.datname = current_database()
        )
        """,
        [application],
    ).fetchone()
    return row == (True,)


def test_two_clean_ups_at_once_drop_every_partition_once(
    old_day: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    for number in range(1, 6):
        old_day.collect(deliver(event(10 + number, "05-14 10:00")), as_of=AS_OF - number * DAY)
    as_if_built(connection)
    before = set(leaves(connection, "raw_data_collection_p202405"))

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: cleanup("daily", EXPIRED, patience=Patience()), range(2)))

    gone = before - set(leaves(connection, "raw_data_collection_p202405"))
    assert LEAF in gone
    assert len(gone) == 6
    done = [sentence for report in reports for sentence in report.done]
    held = {hold.name for report in reports for hold in report.holds}
    # Whoever came second found nothing to do, or somebody at it; what one has not dropped the other has.
    assert len(done) == len(set(done))
    assert cleanup("daily", EXPIRED).partitions_dropped == 0
    assert held <= gone


def test_a_claim_and_those_who_keep_exclude_each_other_and_other_days_are_free(warehouse: Warehouse) -> None:
    with warehouse.connect() as claiming, warehouse.connect() as keeping:
        keeping.execute("set lock_timeout = '1ms'")
        claim_partition(claiming, RAW, AS_OF.date())
        keep_partitions(keeping, RAW, [AS_OF.date() + DAY])
        keep_partitions(keeping, "stage_one.quarantine", [AS_OF.date()])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            keep_partitions(keeping, RAW, [AS_OF.date()])


def test_who_begins_to_need_a_partition_after_the_plan_was_made_keeps_it(
    old_day: Tenant, connection: Connection, warehouse: Warehouse
) -> None:
    from lyceum.lifecycle import plan_cleanup, read_partition_policies
    from lyceum.lifecycle.executor import Executor

    policies = read_partition_policies(connection)
    plan = plan_cleanup(connection, policies, "daily", EXPIRED)
    assert [step.name for step in plan.steps if isinstance(step, DropPartition)] == [LEAF]
    connection.execute(
        "insert into ops.pending_hours (organization_id, collected_hour) values (%s, '2024-05-15T12:00Z')",
        [old_day.organization.organization_id],
    )

    with warehouse.connect(autocommit=True) as guard:
        executor = Executor(connection, guard, warehouse.target, warehouse.settings, policies, EXPIRED)
        executor.carry_out(plan)

    assert [(hold.name, hold.held_by) for hold in executor.holds] == [(LEAF, "build")]
    assert LEAF in leaves(connection, "raw")
    assert len(old_day.accepted()) == 3


def test_a_row_that_comes_after_the_archive_was_proven_brings_the_partition_back(
    tenant: Tenant, connection: Connection, cleanup: Cleanup
) -> None:
    """The writer is as sly as can be: it writes to the leaf itself, at the end of the detachment."""
    ensure_for_dates(connection, YEARS, [date(2019, 1, 1)])
    connection.execute(
        """
        insert into stage_three.aggregated_analytics (
            organization_id, subject_id, period_start, subject_type, period_type, scope, learners_active
        ) values (1, 1, '2019-06-01', 'organization', 'day', 'all_courses', 5);
        create function public.write_late() returns event_trigger language plpgsql security definer as $$
        begin
            if not exists (
                select from pg_inherits
                where inhrelid = to_regclass('partitions.aggregated_analytics_p2019')
            ) then
                update partitions.aggregated_analytics_p2019 set learners_active = 6;
            end if;
        end $$;
        create event trigger write_late on ddl_command_end when tag in ('ALTER TABLE') execute function public.write_late();
        """
    )
    as_of = datetime(2027, 1, 2, 1, 35, tzinfo=UTC)

    report = cleanup("yearly", as_of)

    connection.execute("drop event trigger write_late")
    assert [(hold.name, hold.held_by, hold.needs_attention) for hold in report.holds] == [
        ("aggregated_analytics_p2019", "archive", True)
    ]
    assert tenant.query("select learners_active from stage_three.aggregated_analytics") == [(6,)]
    # The next one archives what is there now.
    assert cleanup("yearly", as_of).partitions_dropped == 1
