"""The executor on a real server: what it makes, what it may wait for, and what it picks up after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import psycopg
import pytest
from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.partitions import Patience, drop_partition, ensure_ahead, ensure_for_dates, read_existing
from warehouse import Warehouse

AS_OF = datetime(2026, 11, 22, 12, tzinfo=UTC)
SUNDAY = date(2026, 11, 22)
KEYS = "stage_one.event_keys"
STATES = "stage_two.learner_day_states"
RAW = "stage_one.raw_data_collection"
# A lock that is not free within this time is one that a test holds on purpose.
IMPATIENT = Patience(attempts=2, lock_timeout_seconds=0.05, first_pause_seconds=0.0)


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


def test_every_table_takes_rows_of_its_clock_and_of_what_lies_ahead(connection: Connection) -> None:
    ensure_ahead(connection, AS_OF)

    for day in (SUNDAY, SUNDAY + timedelta(weeks=8)):
        _insert_key(connection, day)
    assert _leaf_of_keys(connection) == ["partitions.event_keys_p2026w47", "partitions.event_keys_p2027w02"]
    counts = dict(
        connection.execute(
            """
            select split_part(relname, '_p20', 1), count(*) from pg_class
            where relnamespace = 'partitions'::regnamespace and relkind = 'r' group by 1
            """
        ).fetchall()
    )
    # The rest of November from the 22nd, December, January and February of 2027.
    assert counts["raw_data_collection"] == 9 + 31 + 31 + 28
    assert counts["learner_day_states"] == 9 * 2
    assert counts["event_keys"] == 9
    assert counts["quarantine"] == 4
    assert counts["aggregated_analytics"] == 3 * 2


def test_ensuring_twice_does_nothing_the_second_time(connection: Connection) -> None:
    assert ensure_ahead(connection, AS_OF)
    assert not ensure_ahead(connection, AS_OF)
    assert not ensure_for_dates(connection, RAW, [SUNDAY])


def test_the_next_day_adds_nothing_and_the_next_month_adds_a_month(connection: Connection) -> None:
    ensure_ahead(connection, AS_OF)

    assert not ensure_ahead(connection, AS_OF + timedelta(days=0.4))
    added = ensure_ahead(connection, datetime(2026, 12, 1, tzinfo=UTC)).steps
    raw = [step.partition.name for step in added if step.partition.root == RAW]
    assert raw == ["raw_data_collection_p2027m03"]


def test_rows_of_one_organization_share_one_hash_leaf(connection: Connection) -> None:
    ensure_for_dates(connection, STATES, [SUNDAY])

    for learner in range(1, 30):
        connection.execute(_STATE_ROW, {"organization": 7, "learner": learner, "day": SUNDAY})
    leaves = connection.execute(f"select distinct tableoid::regclass::text from {STATES}").fetchall()
    assert len(leaves) == 1
    assert leaves[0][0].startswith("partitions.learner_day_states_p2026w47_h")


def test_a_day_of_a_week_that_spans_two_years_lies_in_the_iso_year(connection: Connection) -> None:
    ensure_for_dates(connection, KEYS, [date(2024, 12, 30), date(2021, 1, 3)])

    for day in (date(2024, 12, 30), date(2021, 1, 3)):
        _insert_key(connection, day)
    assert _leaf_of_keys(connection) == ["partitions.event_keys_p2020w53", "partitions.event_keys_p2025w01"]


def test_leaves_carry_the_indexes_and_constraints_of_their_table_under_names_of_their_own(
    connection: Connection,
) -> None:
    ensure_for_dates(connection, STATES, [SUNDAY])
    ensure_for_dates(connection, RAW, [SUNDAY])

    indexes = connection.execute(
        "select tablename, indexname from pg_indexes where schemaname = 'partitions' order by 1, 2"
    ).fetchall()
    assert ("learner_day_states_p2026w47_h1", "learner_day_states_p2026w47_h1_pkey") in indexes
    assert (
        "raw_data_collection_p20261122",
        "raw_data_collection_p20261122_organization_id_batch_id_idx",
    ) in indexes
    checks = connection.execute(
        """
        select conname from pg_constraint where contype = 'c' and conrelid = 'partitions.raw_data_collection_p20261122'::regclass
        order by 1
        """
    ).fetchall()
    assert checks == [("raw_data_collection_minute_check",), ("raw_data_collection_precision_check",)]
    assert connection.execute("select count(*) from pg_index where not indisvalid").fetchone() == (0,)


def test_a_new_modulus_counts_from_the_next_partition_on(connection: Connection) -> None:
    ensure_for_dates(connection, STATES, [SUNDAY])
    connection.execute("update ops.partition_policies set hash_modulus = 4 where parent_table = %s", [STATES])

    ensure_for_dates(connection, STATES, [SUNDAY, SUNDAY + timedelta(weeks=1)])

    leaves = connection.execute(
        """
        select substr(relname, 1, 27), count(*) from pg_class
        where relnamespace = 'partitions'::regnamespace and relkind = 'r' group by 1 order by 1
        """
    ).fetchall()
    assert leaves == [("learner_day_states_p2026w47", 2), ("learner_day_states_p2026w48", 4)]


def test_readers_and_writers_of_the_table_do_not_hinder_a_new_partition(
    warehouse: Warehouse, connection: Connection
) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY])
    with warehouse.connect() as reader, warehouse.connect() as writer:
        reader.execute(f"lock table {KEYS} in access share mode")
        writer.execute(f"lock table {KEYS} in row exclusive mode")
        _insert_key(writer, SUNDAY)

        done = ensure_for_dates(connection, KEYS, [SUNDAY + timedelta(weeks=1)], patience=IMPATIENT)

    assert [step.action for step in done.steps] == ["create"]


@pytest.mark.parametrize("table", [KEYS, STATES, RAW])
def test_making_a_partition_takes_no_lock_on_the_table_that_a_reader_or_writer_would_feel(
    connection: Connection, table: str
) -> None:
    connection.execute(
        f"""
        create table public.lock_log (mode text);
        create function public.note_locks() returns event_trigger language plpgsql as $$
        begin
            insert into public.lock_log
            select mode from pg_locks where pid = pg_backend_pid() and relation = '{table}'::regclass;
        end $$;
        create event trigger note_locks on ddl_command_end execute function public.note_locks();
        """
    )

    ensure_for_dates(connection, table, [SUNDAY])

    modes = {mode for (mode,) in connection.execute("select distinct mode from public.lock_log").fetchall()}
    assert modes == {"AccessShareLock", "ShareUpdateExclusiveLock"}


def test_a_lock_that_does_not_pass_gives_an_error_that_says_who_holds_it(
    warehouse: Warehouse, connection: Connection
) -> None:
    with warehouse.connect() as other:
        other.execute(f"lock table {KEYS} in share mode")
        holder = other.info.backend_pid

        with pytest.raises(RetryableError, match=rf"stage_one\.event_keys could not be changed.*process {holder} "):
            ensure_for_dates(connection, KEYS, [SUNDAY], patience=IMPATIENT)

    assert read_existing(connection, ["event_keys_p2026w47"]) == {}
    assert ensure_for_dates(connection, KEYS, [SUNDAY])


def test_a_lock_that_passes_costs_another_attempt_and_nothing_else(
    warehouse: Warehouse, connection: Connection
) -> None:
    with warehouse.connect() as other:
        other.execute(f"lock table {KEYS} in share mode")
        patience = Patience(attempts=2, lock_timeout_seconds=0.05, pause=lambda _: other.rollback())

        done = ensure_for_dates(connection, KEYS, [SUNDAY], patience=patience)

    assert [step.action for step in done.steps] == ["create"]


def test_executors_at_once_make_every_partition_exactly_once(warehouse: Warehouse) -> None:
    weeks = [SUNDAY + timedelta(weeks=number) for number in range(40)]
    start = Barrier(4)

    def ensure(_: int) -> int:
        with warehouse.connect(autocommit=True) as connection:
            start.wait()
            return len(ensure_for_dates(connection, STATES, weeks).steps)

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(ensure, range(4)))

    assert sum(counts) == len(weeks)


def test_an_interruption_while_building_leaves_nothing_behind(warehouse: Warehouse, connection: Connection) -> None:
    # The backend ends itself in the middle of the group: the last of its partitions is created, none is attached.
    connection.execute(
        """
        create function public.die() returns event_trigger language plpgsql as $$
        begin
            if to_regclass('partitions.event_keys_p2026w49') is not null then
                perform pg_terminate_backend(pg_backend_pid());
            end if;
        end $$;
        create event trigger die on ddl_command_end execute function public.die();
        """
    )
    weeks = [SUNDAY + timedelta(weeks=number) for number in range(3)]

    with warehouse.connect(autocommit=True) as victim, pytest.raises(psycopg.OperationalError):
        ensure_for_dates(victim, KEYS, weeks)

    assert _tables(connection) == []
    connection.execute("drop event trigger die")
    assert len(ensure_for_dates(connection, KEYS, weeks).steps) == 3


def test_a_detached_partition_with_rows_is_attached_again_without_scanning_it(connection: Connection) -> None:
    ensure_for_dates(connection, STATES, [SUNDAY])
    connection.execute(_STATE_ROW, {"organization": 7, "learner": 1, "day": SUNDAY})
    connection.execute(f"alter table {STATES} detach partition partitions.learner_day_states_p2026w47")
    said: list[str] = []
    connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    connection.execute("set client_min_messages = debug1")

    done = ensure_for_dates(connection, STATES, [SUNDAY])

    assert [step.action for step in done.steps] == ["attach"]
    assert connection.execute(f"select count(*) from {STATES}").fetchone() == (1,)
    assert any(
        text.startswith('partition constraint for table "learner_day_states_p2026w47" is implied') for text in said
    )
    assert _checks(connection, "learner_day_states_p2026w47") == []


def test_a_detached_partition_without_rows_is_made_anew(connection: Connection) -> None:
    connection.execute("create table partitions.event_keys_p2026w47 (organization_id bigint)")

    done = ensure_for_dates(connection, KEYS, [SUNDAY])

    assert [step.action for step in done.steps] == ["discard", "create"]
    _insert_key(connection, SUNDAY)


def test_a_foreign_table_in_the_way_is_named_and_kept(connection: Connection) -> None:
    connection.execute("create table partitions.event_keys_p2026w47 (activity_date date not null)")
    connection.execute("insert into partitions.event_keys_p2026w47 values ('2026-11-22')")

    with pytest.raises(ConfigurationError, match=r"stage_one\.event_keys cannot be attached"):
        ensure_for_dates(connection, KEYS, [SUNDAY])

    assert connection.execute("select count(*) from partitions.event_keys_p2026w47").fetchone() == (1,)


def test_dropping_does_not_wait_for_those_who_do_not_read_the_table(
    warehouse: Warehouse, connection: Connection
) -> None:
    ensure_for_dates(connection, STATES, [SUNDAY])
    with warehouse.connect() as other:
        other.execute(f"lock table {KEYS} in row exclusive mode")
        assert drop_partition(connection, STATES, "learner_day_states_p2026w47", patience=IMPATIENT)

    assert _tables(connection) == []
    assert not drop_partition(connection, STATES, "learner_day_states_p2026w47")


def test_an_interrupted_detachment_is_finished_and_the_partition_dropped(
    warehouse: Warehouse, connection: Connection
) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY, SUNDAY + timedelta(weeks=1)])
    _insert_key(connection, SUNDAY)
    _interrupt_detachment(warehouse, connection)

    assert drop_partition(connection, KEYS, "event_keys_p2026w48")
    assert drop_partition(connection, KEYS, "event_keys_p2026w47")

    assert _tables(connection) == []


def test_an_interrupted_detachment_of_a_partition_that_is_needed_again_is_undone(
    warehouse: Warehouse, connection: Connection
) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY])
    _insert_key(connection, SUNDAY)
    _interrupt_detachment(warehouse, connection)
    assert connection.execute(f"select count(*) from {KEYS}").fetchone() == (0,)

    done = ensure_for_dates(connection, KEYS, [SUNDAY])

    assert [step.action for step in done.steps] == ["finalize", "attach"]
    assert connection.execute(f"select count(*) from {KEYS}").fetchone() == (1,)


def test_a_reader_who_stays_keeps_the_drop_waiting_and_loses_nothing(
    warehouse: Warehouse, connection: Connection
) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY])
    _insert_key(connection, SUNDAY)
    with warehouse.connect() as reader:
        reader.execute("set transaction isolation level repeatable read")
        assert reader.execute(f"select count(*) from {KEYS}").fetchone() == (1,)

        with pytest.raises(RetryableError):
            drop_partition(connection, KEYS, "event_keys_p2026w47", patience=IMPATIENT)

        assert reader.execute(f"select count(*) from {KEYS}").fetchone() == (1,)
    assert connection.execute("show lock_timeout").fetchone() == ("0",)
    assert drop_partition(connection, KEYS, "event_keys_p2026w47")


def test_a_connection_in_a_transaction_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection, pytest.raises(ConfigurationError, match="autocommit"):
        ensure_ahead(connection, AS_OF)


def test_a_policy_without_its_table_is_named(connection: Connection) -> None:
    connection.execute("insert into ops.partition_policies values ('stage_one.nothing', 'week', 1, 1, '7 days')")

    with pytest.raises(ConfigurationError, match=r"stage_one\.nothing, which is not partitioned"):
        ensure_ahead(connection, AS_OF)


def test_a_table_without_a_policy_is_named(connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match=r"no row for stage_one\.void_tombstones"):
        ensure_for_dates(connection, "stage_one.void_tombstones", [SUNDAY])


_STATE_ROW = sql.SQL(
    """
    insert into stage_two.learner_day_states (
        organization_id, learner_id, course_id, collected_hour, activity_date, event_count, activity_count, attempt_count,
        score_count, contributions, interaction_count, first_event_at, last_event_at, score_sum
    ) values (
        %(organization)s, %(learner)s, 1, '2026-11-22 10:00+00', %(day)s, 1, 1, 0, 0, 0, 1,
        '2026-11-22 10:00+00', '2026-11-22 10:00+00', 0
    )
    """
)


def _insert_key(connection: Connection, day: date) -> None:
    connection.execute(
        f"insert into {KEYS} values (1, gen_random_uuid(), %s, 1, sha256(%s))", [day, day.isoformat().encode()]
    )


def _leaf_of_keys(connection: Connection) -> list[str]:
    rows = connection.execute(f"select distinct tableoid::regclass::text from {KEYS} order by 1").fetchall()
    return [name for (name,) in rows]


def _tables(connection: Connection) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'partitions'::regnamespace and relkind in ('r', 'p') order by 1"
    ).fetchall()
    return [name for (name,) in rows]


def _checks(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(
        "select conname from pg_constraint where contype = 'c' and conrelid = to_regclass(%s)", [f"partitions.{name}"]
    ).fetchall()
    return [name for (name,) in rows]


def _interrupt_detachment(warehouse: Warehouse, connection: Connection) -> None:
    """Leave the week of SUNDAY as a DETACH CONCURRENTLY leaves it whose second half never came."""
    with warehouse.connect() as reader:
        reader.execute(f"lock table {KEYS} in access share mode")
        connection.execute("set lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(f"alter table {KEYS} detach partition partitions.event_keys_p2026w47 concurrently")
        connection.execute("reset lock_timeout")
    assert read_existing(connection, ["event_keys_p2026w47"])["event_keys_p2026w47"].state == "detaching"
