"""Readers go on while a view is refreshed: the refresh takes no lock that conflicts with reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest

from lyceum.database import Connection
from lyceum.views import VIEWS, View
from lyceum.views.showing import show
from sql.views.conftest import Tenants  # type: ignore[import-not-found]

AS_OF = datetime(2026, 11, 13, 8, tzinfo=UTC)
READERS = 20

# Every mode that a session can hold beside AccessShareLock, the mode of a reader; all others are stronger than ours.
HARMLESS = {
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
}

LOCKS = """
    select distinct locks.mode, locks.granted, locks.pid = %(refresher)s
    from pg_locks as locks
    where
        locks.locktype = 'relation'
        and locks.database = (select oid from pg_database where datname = current_database())
        and locks.relation in (
            select %(view)s::regclass
            union all
            select indexrelid from pg_index where indrelid = %(view)s::regclass
        )
"""


@contextmanager
def open_readers(tenants: Tenants, view: View) -> Iterator[list[Connection]]:
    """Twenty transactions that have read the view and stay open. They never wait: a lock that they cannot have is an error."""
    with ExitStack() as stack:
        readers = [stack.enter_context(tenants.warehouse.connect()) for _ in range(READERS)]
        for reader in readers:
            reader.execute("set lock_timeout = '1ms'")
            assert read(reader, view) > 0
        yield readers


def read(reader: Connection, view: View) -> int:
    row = reader.execute(f"select count(*) from stage_three.{view.name}").fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


def window_end(tenants: Tenants, view: View) -> object:
    return tenants.query("select max(window_ends_on) from ops.view_versions where view_name = %s", view.name)[0][0]


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_twenty_readers_hold_up_no_refresh_and_no_refresh_holds_up_a_reader(tenants: Tenants, name: str) -> None:
    view = VIEWS[name]
    tenants.refresh(name, AS_OF)
    shown = window_end(tenants, view)
    tenants.close_a_day()
    # A candidate of the new version is ready; only the transaction that shows it is left.
    with pytest.raises(InterruptedError):
        tenants.refresh(name, AS_OF, interrupt_before_show)
    refresh_id = tenants.query("select max(refresh_id) from ops.view_refreshes")[0][0]
    with open_readers(tenants, view) as readers, tenants.warehouse.connect() as refresher:
        refresher.execute("set lock_timeout = '1ms'")
        with refresher.transaction():
            change = show(refresher, view, refresh_id)
            # Everything is done but the commit: all locks of the refresh are held now.
            held = {
                (mode, granted, is_refresher)
                for mode, granted, is_refresher in readers[0]
                .execute(LOCKS, {"view": f"stage_three.{view.name}", "refresher": refresher.info.backend_pid})
                .fetchall()
            }
            assert ("ExclusiveLock", True, True) in held
            assert ("AccessShareLock", True, False) in held
            assert all(granted for _, granted, _ in held), "somebody waits"
            assert {mode for mode, _, _ in held} <= HARMLESS
            for reader in readers:
                assert read(reader, view) > 0
            newcomer = tenants.warehouse.connect()
            newcomer.execute("set lock_timeout = '1ms'")
            assert read(newcomer, view) > 0
            newcomer.close()
            assert window_end(tenants, view) == shown, "nobody sees the new version before it is whole"
        assert change.rows_added > 0
        for reader in readers:
            assert read(reader, view) > 0
    assert window_end(tenants, view) > shown  # type: ignore[operator]


def interrupt_before_show(step: str) -> None:
    if step == "show":
        raise InterruptedError


def test_the_view_and_its_version_change_in_one_moment(tenants: Tenants) -> None:
    tenants.refresh("organization", AS_OF)
    tenants.close_a_day()
    both = """
        select
            (select max(window_ends_on) from stage_three.mv_organization_metrics),
            (select max(window_ends_on) from ops.view_versions where view_name = 'mv_organization_metrics')
    """
    seen = []
    with tenants.warehouse.connect() as reader:
        reader.execute("set transaction isolation level repeatable read")
        seen += reader.execute(both).fetchall()
        tenants.refresh("organization", AS_OF)
        seen += reader.execute(both).fetchall()
    seen += tenants.query(both)
    assert seen[0] == seen[1] != seen[2]
    assert all(shown == version for shown, version in seen)
