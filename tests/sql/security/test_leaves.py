"""Partitions are closed from the moment that they exist, however they came to be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from lyceum.database import Connection
from lyceum.partitions import drop_partition, ensure_ahead, ensure_for_dates
from sql.security.departures import check_security  # type: ignore[import-not-found]
from warehouse import Warehouse

KEYS = "stage_one.event_keys"
SUNDAY = date(2026, 11, 22)
OPEN_LEAVES = """
    select relname from pg_class
    where
        relnamespace = 'partitions'::regnamespace and relkind in ('r', 'p')
        and not (relrowsecurity and relforcerowsecurity)
"""


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with warehouse.connect(autocommit=True) as connection:
        yield connection


def _count(connection: Connection, query: str) -> int:
    return len(connection.execute(query.encode()).fetchall())


def test_every_partition_that_is_made_ahead_is_closed(connection: Connection, warehouse: Warehouse) -> None:
    ensure_ahead(connection, datetime(2026, 11, 22, 12, tzinfo=UTC))

    assert _count(connection, "select from pg_class where relnamespace = 'partitions'::regnamespace") > 100
    assert _count(connection, OPEN_LEAVES) == 0
    assert check_security(connection, warehouse.settings) == []


def test_a_partition_that_is_made_again_is_closed_again(connection: Connection) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY])
    drop_partition(connection, KEYS, "event_keys_p2026w47")
    ensure_for_dates(connection, KEYS, [SUNDAY])

    assert _count(connection, "select from partitions.event_keys_p2026w47") == 0
    assert _count(connection, OPEN_LEAVES) == 0


def test_a_detached_partition_of_before_is_closed_when_it_is_attached_again(connection: Connection) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY])
    leaf = "partitions.event_keys_p2026w47"
    connection.execute(f"insert into {KEYS} values (1, gen_random_uuid(), '2026-11-22', 1, '')".encode())
    connection.execute(f"alter table {KEYS} detach partition {leaf} concurrently".encode())
    connection.execute(f"alter table {leaf} disable row level security, no force row level security".encode())

    ensure_for_dates(connection, KEYS, [SUNDAY])

    assert _count(connection, f"select from {KEYS}") == 1
    assert _count(connection, OPEN_LEAVES) == 0


def test_the_migration_closes_the_partitions_that_exist(connection: Connection, warehouse: Warehouse) -> None:
    ensure_for_dates(connection, "stage_two.learner_analytics", [SUNDAY])
    leaves = "select oid::regclass::text from pg_class where relnamespace = 'partitions'::regnamespace and relkind in ('r', 'p')"
    for (leaf,) in connection.execute(leaves).fetchall():
        connection.execute(f"alter table {leaf} disable row level security, no force row level security".encode())
    assert _count(connection, OPEN_LEAVES) == 3

    connection.execute(_block_of(warehouse.settings.migrations / "20261122002100_row_level_security.sql").encode())

    assert _count(connection, OPEN_LEAVES) == 0


def test_not_even_a_grant_and_the_schema_open_a_partition(connection: Connection) -> None:
    ensure_for_dates(connection, KEYS, [SUNDAY])
    connection.execute(f"insert into {KEYS} values (1, gen_random_uuid(), '2026-11-22', 1, '')".encode())
    with connection.transaction(force_rollback=True):
        connection.execute("grant usage on schema partitions to lyceum_org_admin")
        connection.execute("grant all on partitions.event_keys_p2026w47 to lyceum_org_admin")
        connection.execute("set local role lyceum_org_admin")
        assert _count(connection, "select from partitions.event_keys_p2026w47") == 0


def _block_of(migration: Path) -> str:
    text = migration.read_text(encoding="utf-8")
    return text[text.index("do $$") : text.index("-- migrate:down")]
