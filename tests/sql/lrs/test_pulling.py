"""A pull loses nothing and counts nothing twice, whatever the store's order, its pages, its clock or its troubles."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lyceum import faults, lrs
from lyceum.errors import ConfigurationError, InputError, LyceumError, RetryableError
from lyceum.lrs import PullReport, spool
from record_stores.door import Asked, Door, Reply, answers
from record_stores.made_to_order import Order, StoreToOrder
from record_stores.plain_statements import statement, statements
from record_stores.pulling_product import SOURCE, connect_source, pull
from tenants import AS_OF, Tenant

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
POINTS = [point for point in faults.POINTS if point.startswith("lrs.")]


def connect(tenant: Tenant, door: Door, store: StoreToOrder, **options: Any) -> None:
    door.always = store
    connect_source(tenant.warehouse, "acme", door.endpoint, AS_OF, authentication="none", **options)


def pulled(tenant: Tenant, as_of: datetime, **more: Any) -> PullReport:
    return pull(tenant.warehouse, "acme", "", as_of, **more)


def accepted(tenant: Tenant) -> set[str]:
    return {str(uuid.UUID(bytes=event_id)) for event_id in tenant.accepted()}


def spooled(tenant: Tenant) -> list[Path]:
    return [path for path in tenant.warehouse.settings.spool.rglob("*") if path.is_file()]


@pytest.mark.parametrize("order", ["oldest first", "newest first", "none"])
@pytest.mark.parametrize("tells_consistency", [True, False])
def test_everything_is_collected_in_whatever_order_it_comes(
    tenant: Tenant, door: Door, order: Order, tells_consistency: bool
) -> None:
    store = StoreToOrder(AS_OF - 2 * DAY, order, most_per_page=7, tells_consistency=tells_consistency)
    connect(tenant, door, store)
    for number in range(0, 60, 10):
        store.take(statements(range(number, number + 10), store.now, apart=HOUR))
        store.now += 3 * HOUR
    store.now = AS_OF
    report = pulled(tenant, AS_OF)

    assert accepted(tenant) == store.ids()
    assert len(store.ids()) == 60
    assert report.pulled_through == (AS_OF if tells_consistency else AS_OF - MINUTE)
    assert report.filters_by == "stored"
    tenant.check_books()


def test_the_next_pull_asks_for_what_is_new_and_a_little_more(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - HOUR)
    connect(tenant, door, store, overlap_seconds=30)
    store.take(statements(range(10), store.now))
    store.now = AS_OF
    pulled(tenant, AS_OF)
    store.take(statements(range(10, 15), store.now))
    store.now = AS_OF + 15 * MINUTE
    before = len(door.asked)
    report = pulled(tenant, AS_OF + 15 * MINUTE)

    (asked,) = door.asked[before:]
    assert datetime.fromisoformat(asked.parameters["since"]) == AS_OF - timedelta(seconds=31)
    assert datetime.fromisoformat(asked.parameters["until"]) == AS_OF + 15 * MINUTE
    assert (report.statements, report.collected.events_accepted) == (5, 5)
    assert accepted(tenant) == store.ids()


def test_what_comes_twice_is_a_duplicate(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    connect(tenant, door, store, overlap_seconds=3600)
    store.take(statements(range(10), store.now))
    pulled(tenant, AS_OF)
    store.take(statements(range(10, 12), store.now))
    report = pulled(tenant, AS_OF + MINUTE)

    assert (report.statements, report.collected.events_accepted, report.collected.duplicates) == (12, 2, 10)
    tenant.check_books()


def test_the_same_statements_again_make_no_batch(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    connect(tenant, door, store, overlap_seconds=3600)
    store.take(statements(range(10), store.now))
    pulled(tenant, AS_OF)
    again = pulled(tenant, AS_OF + MINUTE)

    assert (again.statements, again.collected.inputs_known, again.collected.records_read) == (10, 1, 0)
    assert tenant.query("select count(*) from ops.batches") == [(1,)]


def test_a_store_is_not_believed_beyond_what_it_calls_consistent(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - 5 * HOUR)
    connect(tenant, door, store)
    store.take(statements([1], store.now), visible_after=9 * HOUR)
    store.now += HOUR
    store.take(statements([2], store.now))
    store.now = AS_OF
    first = pulled(tenant, AS_OF)
    assert first.pulled_through == AS_OF - 5 * HOUR - timedelta(milliseconds=1)
    assert accepted(tenant) == {statement(2, AS_OF)["id"]}

    store.now = AS_OF + 5 * HOUR
    pulled(tenant, store.now)
    assert accepted(tenant) == store.ids()


def test_a_store_that_does_not_say_is_given_time_by_its_own_clock(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - HOUR, tells_consistency=False)
    connect(tenant, door, store, settle_seconds=300)
    # The store's clock is an hour behind that of the run.
    store.take(statements([1], store.now), visible_after=4 * MINUTE)
    first = pulled(tenant, AS_OF)
    assert first.pulled_through == AS_OF - HOUR - 5 * MINUTE
    store.now += 5 * MINUTE
    pulled(tenant, AS_OF + 5 * MINUTE)

    assert accepted(tenant) == store.ids()


def test_a_store_that_tells_neither_time_nor_consistency_is_asked_for_everything_again(
    tenant: Tenant, door: Door
) -> None:
    store = StoreToOrder(AS_OF, tells_consistency=False, tells_time=False)
    connect(tenant, door, store)
    store.take(statements([1], store.now))
    # Where nothing is in the window either, the clock of the run is all there is.
    assert pulled(tenant, AS_OF).pulled_through is None
    store.take(statements([2], store.now))
    pulled(tenant, AS_OF + MINUTE)

    assert accepted(tenant) == store.ids()


def test_a_store_that_filters_by_timestamp_is_noticed_and_late_statements_are_found(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - HOUR, filters_by="timestamp")
    connect(tenant, door, store)
    store.take(statements(range(3), AS_OF - 2 * HOUR))
    store.now = AS_OF
    assert pulled(tenant, AS_OF).filters_by == "timestamp"
    # Stored now, of five days ago: behind the cursor in that store's eyes.
    store.take(statements([9], AS_OF - 5 * DAY))
    pulled(tenant, AS_OF + HOUR)

    assert accepted(tenant) == store.ids()


def test_a_store_whose_clock_is_not_known_yet_is_looked_back_into_as_well(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF, filters_by="timestamp")
    connect(tenant, door, store)
    store.take([statement(1, AS_OF)])
    assert pulled(tenant, AS_OF).filters_by is None
    store.take([statement(2, AS_OF - 3 * DAY)])
    assert pulled(tenant, AS_OF + MINUTE).filters_by == "timestamp"

    assert accepted(tenant) == store.ids()


def test_a_store_that_ignores_since_and_until_is_refused(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    store.take([statement(1, AS_OF)])

    def ignores(asked: Asked, opened: Door) -> Reply:
        return store(Asked(asked.method, "/xAPI/statements?limit=10", asked.headers, b""), opened)

    connect(tenant, door, store)
    door.always = ignores
    with pytest.raises(InputError, match="does not apply since and until"):
        pulled(tenant, AS_OF)


def test_a_store_that_fails_in_the_middle_costs_nothing(
    tenant: Tenant, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "ENOUGH_RECORDS", 20)
    store = StoreToOrder(AS_OF - HOUR, "newest first")
    connect(tenant, door, store, page_size=10)
    store.take(statements(range(100), store.now))
    store.now = AS_OF
    page = 0

    def dies(asked: Asked, opened: Door) -> Reply:
        nonlocal page
        page += "page=" in asked.target
        return store(asked, opened) if page <= 5 else Reply.of({}, 500)

    door.always = dies
    with pytest.raises(RetryableError, match="500 Internal Server Error"):
        pulled(tenant, AS_OF)
    some = accepted(tenant)
    assert 0 < len(some) < 100
    assert spooled(tenant) == []

    door.always = store
    report = pulled(tenant, AS_OF)
    assert report.collected.events_accepted == 100 - len(some)
    assert accepted(tenant) == store.ids()
    tenant.check_books()


def test_a_backlog_that_never_gets_through_whole_gets_through_in_parts(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - 6 * DAY)
    connect(tenant, door, store, page_size=10, since=(AS_OF - 7 * DAY).isoformat())
    for number in range(0, 240, 10):
        store.take(statements(range(number, number + 10), store.now))
        store.now += 6 * HOUR
    store.now = AS_OF
    left = 0

    def tires(asked: Asked, opened: Door) -> Reply:
        nonlocal left
        left -= 1
        return store(asked, opened) if left > 0 else Reply.of({}, 503)

    door.always = tires
    for _ in range(20):
        left = 9
        try:
            pulled(tenant, AS_OF)
            break
        except RetryableError:
            continue

    assert accepted(tenant) == store.ids()
    assert left > 0


@pytest.mark.parametrize("pages", [1, 3, 40])
def test_a_pull_that_runs_out_of_time_is_taken_up_by_the_next(tenant: Tenant, door: Door, pages: int) -> None:
    store = StoreToOrder(AS_OF - 6 * DAY)
    connect(tenant, door, store, page_size=10, since=(AS_OF - 7 * DAY).isoformat())
    for number in range(0, 120, 10):
        store.take(statements(range(number, number + 10), store.now))
        store.now += 12 * HOUR
    store.now = AS_OF
    reports: list[PullReport] = []
    for _ in range(60):
        began = len(door.asked)
        reports.append(pulled(tenant, AS_OF, seconds=pages, elapsed=lambda: float(len(door.asked))))
        assert len(door.asked) - began <= pages + 3
        if reports[-1].is_finished:
            break

    assert accepted(tenant) == store.ids()
    assert (reports[-1].is_finished, reports[-1].pulled_through) == (True, AS_OF)
    assert len(reports) > 1 or pages == 40
    tenant.check_books()


def test_old_statements_are_refused_unless_the_pull_is_one_of_history(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - 200 * DAY)
    connect(tenant, door, store)
    store.take(statements(range(5), store.now))
    store.now = AS_OF
    assert pulled(tenant, AS_OF).collected.quarantined == {"too_late": 5}
    store.take(statements(range(5, 9), AS_OF - 300 * DAY))
    report = pulled(tenant, AS_OF, is_history=True)

    assert report.collected.events_accepted == 4
    assert accepted(tenant) == {one["id"] for one in statements(range(5, 9), AS_OF)}


def test_a_pull_of_history_that_breaks_off_is_gone_on_with_as_history(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - 200 * DAY)
    connect(tenant, door, store, page_size=10)
    store.take(statements(range(30), store.now))
    store.now = AS_OF
    seen = 0

    def tires(asked: Asked, opened: Door) -> Reply:
        nonlocal seen
        reply = store(asked, opened)
        seen += len(reply.content["statements"])
        return reply if seen <= 20 else Reply.of({}, 503)

    door.always = tires
    with pytest.raises(RetryableError):
        pulled(tenant, AS_OF, is_history=True)
    door.always = store
    report = pulled(tenant, AS_OF)
    assert report.collected.quarantined.total() == 0
    assert accepted(tenant) == store.ids()

    store.take([statement(99, AS_OF - 150 * DAY)])
    assert pulled(tenant, AS_OF + MINUTE).collected.quarantined == {"too_late": 1}


def test_a_source_can_say_that_its_past_is_history(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - 200 * DAY)
    connect(tenant, door, store, history=True)
    store.take(statements(range(5), store.now))
    store.now = AS_OF
    pulled(tenant, AS_OF)
    assert accepted(tenant) == store.ids()

    store.take([statement(99, AS_OF - 150 * DAY)])
    assert pulled(tenant, AS_OF + MINUTE).collected.quarantined == {"too_late": 1}


def test_the_cursor_stays_behind_what_was_not_complete_when_it_was_asked(tenant: Tenant, door: Door) -> None:
    """While later windows are pulled, the store becomes consistent through more: that says nothing of the earlier ones."""
    store = StoreToOrder(AS_OF - 20 * DAY)
    since = AS_OF - 30 * DAY
    connect(tenant, door, store, since=since.isoformat(), overlap_seconds=1)
    store.now = AS_OF
    through = iter([since + 2 * HOUR, *[AS_OF] * 50])

    def catches_up(asked: Asked, opened: Door) -> Reply:
        reply = store(asked, opened)
        reply.headers["X-Experience-API-Consistent-Through"] = next(through).isoformat()
        return reply

    door.always = catches_up
    assert pulled(tenant, AS_OF).pulled_through == since + 2 * HOUR
    assert pulled(tenant, AS_OF).pulled_through == AS_OF


def test_everything_can_be_asked_for_anew(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF, filters_by="timestamp")
    connect(tenant, door, store, lateness_days=1)
    store.take([statement(1, AS_OF - HOUR)])
    pulled(tenant, AS_OF)
    store.take([statement(2, AS_OF - 5 * DAY)])
    pulled(tenant, AS_OF)
    assert accepted(tenant) == {statement(1, AS_OF)["id"]}

    pulled(tenant, AS_OF, is_anew=True)
    assert accepted(tenant) == store.ids()


def test_a_record_that_cannot_be_read_costs_nothing_but_itself(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    connect(tenant, door, store)
    store.take([statement(1, AS_OF), statement(2, AS_OF, verb={}), statement(3, AS_OF)])
    report = pulled(tenant, AS_OF)

    assert report.collected.quarantined == {"invalid": 1}
    assert accepted(tenant) == store.ids() - {statement(2, AS_OF)["id"]}


def test_line_breaks_between_tokens_are_no_ends_of_statements(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    store.take([statement(1, AS_OF, result={"response": "two\nlines"}), statement(2, AS_OF)])
    connect(tenant, door, store)

    def indented(asked: Asked, opened: Door) -> Reply:
        reply = store(asked, opened)
        reply.body = json.dumps(reply.content, indent=2).replace("\n", "\r\n").encode()
        return reply

    door.always = indented
    pulled(tenant, AS_OF)
    assert accepted(tenant) == store.ids()


def test_nothing_new_is_nothing_to_collect(tenant: Tenant, door: Door) -> None:
    connect(tenant, door, StoreToOrder(AS_OF))
    report = pulled(tenant, AS_OF)

    assert (report.statements, report.pulled_through) == (0, AS_OF)
    assert tenant.query("select count(*) from ops.inputs") == [(0,)]


def test_a_clock_that_stands_still_asks_nothing_again(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    connect(tenant, door, store, overlap_seconds=1)
    store.take([statement(1, AS_OF - HOUR)])
    pulled(tenant, AS_OF)
    before = len(door.asked)
    report = pulled(tenant, AS_OF - HOUR)

    assert len(door.asked) == before
    assert report.pulled_through == AS_OF


def test_another_endpoint_begins_anew(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF - DAY)
    connect(tenant, door, store)
    store.take(statements([1], store.now))
    store.now = AS_OF
    pulled(tenant, AS_OF)
    connect_source(
        tenant.warehouse, "acme", door.endpoint.replace("127.0.0.1", "localhost"), AS_OF, authentication="none"
    )
    report = pulled(tenant, AS_OF + MINUTE)

    assert (report.statements, report.collected.inputs_known) == (1, 1)


def test_two_pulls_of_one_source_do_not_meet(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    met: list[LyceumError] = []

    def meanwhile(asked: Asked, opened: Door) -> Reply:
        opened.always = store
        with pytest.raises(RetryableError, match="Another pull") as told:
            pulled(tenant, AS_OF)
        met.append(told.value)
        return store(asked, opened)

    connect(tenant, door, store)
    door.always = meanwhile
    pulled(tenant, AS_OF)
    assert len(met) == 1


def test_what_waits_on_disk_is_private_and_goes_when_it_is_collected(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    modes: set[int] = set()

    def looks(asked: Asked, opened: Door) -> Reply:
        if "page=" in asked.target:
            root = tenant.warehouse.settings.spool
            modes.update(stat.S_IMODE(path.stat().st_mode) for path in (root, *root.rglob("*")))
        return store(asked, opened)

    store.take(statements(range(30), AS_OF))
    connect(tenant, door, store, page_size=10)
    door.always = looks
    pulled(tenant, AS_OF)

    assert modes == {0o700, 0o600}
    assert spooled(tenant) == []


def test_a_source_that_is_removed_takes_what_waits_with_it(tenant: Tenant, door: Door) -> None:
    connect(tenant, door, StoreToOrder(AS_OF))
    waiting = spool.open_spool(tenant.warehouse.settings.spool, "acme", SOURCE)
    with waiting.begin("one") as file:
        file.finish()
    with tenant.warehouse.connect() as connection:
        assert lrs.remove(connection, tenant.warehouse.settings, "acme", SOURCE) == "removed"

    assert spooled(tenant) == []


def test_a_source_that_takes_files_cannot_be_pulled(tenant: Tenant) -> None:
    with pytest.raises(ConfigurationError, match="takes files"):
        pulled(tenant, AS_OF, name="xapi")


def test_an_inactive_source_is_not_pulled_and_goes_on_once_it_is_active_again(tenant: Tenant, door: Door) -> None:
    store = StoreToOrder(AS_OF)
    connect(tenant, door, store)
    store.take([statement(1, AS_OF)])
    pulled(tenant, AS_OF)
    with tenant.warehouse.connect() as connection:
        assert lrs.remove(connection, tenant.warehouse.settings, "acme", SOURCE) == "deactivated"
    with pytest.raises(ConfigurationError, match="not active"):
        pulled(tenant, AS_OF)
    connect(tenant, door, store)

    assert pulled(tenant, AS_OF + HOUR).pulled_through == AS_OF


@pytest.mark.parametrize(
    "point", [*POINTS, "collect.input_registered", "collect.keys_written", "collect.batch_committed"]
)
def test_a_pull_that_is_killed_is_taken_up_where_it_stopped(tenant: Tenant, door: Door, point: str) -> None:
    store = StoreToOrder(AS_OF - HOUR)
    connect(tenant, door, store, page_size=10)
    store.take(statements(range(35), store.now))
    store.now = AS_OF
    program = [sys.executable, "-c", "from lyceum.cli import main; main()", "source", "pull", SOURCE]
    killed = subprocess.run(
        [*program, "--organization", "acme", "--as-of", AS_OF.isoformat()],
        env={**os.environ, **tenant.warehouse.settings.environment(), faults.VARIABLE: point},
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    tenant.check_books()
    pulled(tenant, AS_OF + MINUTE)

    assert accepted(tenant) == store.ids()
    assert spooled(tenant) == []
    assert tenant.query("select count(*) from ops.inputs where completed_at is null") == [(0,)]
    tenant.check_books()


def test_the_lock_and_the_trouble_name_the_source(tenant: Tenant, door: Door) -> None:
    connect(tenant, door, StoreToOrder(AS_OF))
    door.always = answers(503)
    with pytest.raises(RetryableError, match=rf"acme/{SOURCE} \({door.endpoint}\)"):
        pulled(tenant, AS_OF)
