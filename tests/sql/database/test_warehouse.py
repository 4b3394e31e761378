"""The databases that tests get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lyceum import database
from warehouse import SharedServer, Warehouse


@pytest.fixture
def another_warehouse(shared_server: SharedServer, warehouse: Warehouse) -> Iterator[Warehouse]:
    template = warehouse.target.with_database(shared_server.settings.warehouse_database)
    with shared_server.database(warehouse.settings.home, template) as lent:
        yield lent


def test_a_warehouse_is_migrated(warehouse: Warehouse) -> None:
    assert database.pending_migrations(warehouse.target, warehouse.settings).is_empty


def test_a_warehouse_sees_nothing_of_another(warehouse: Warehouse, another_warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("create table public.mark (only_here integer)")
    with another_warehouse.connect() as connection:
        assert connection.execute("select to_regclass('public.mark')").fetchone() == (None,)


def test_the_settings_of_a_warehouse_lead_to_it(warehouse: Warehouse) -> None:
    with database.connect(database.target(warehouse.settings)) as connection:
        assert connection.execute("select current_database()").fetchone() == (warehouse.settings.warehouse_database,)


def test_a_database_orders_text_by_code_point(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select word from unnest(array['b', 'a', 'B', 'ä']) as words (word) order by word"
        ).fetchall()
    assert [word for (word,) in rows] == ["B", "a", "b", "ä"]
