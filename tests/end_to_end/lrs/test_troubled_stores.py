"""Real stores that are killed, fail in the middle of paging or change the order of their pages cost nothing."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lyceum import lrs, organizations
from lyceum.errors import RetryableError
from lyceum.lrs import spool
from record_stores.door import Asked, Door, Reply, answers, cuts_off, open_door, passes
from record_stores.plain_statements import statements
from record_stores.pulling_product import SOURCE, connect_source, pull
from record_stores.stores import Ralph, Store
from tenants import Tenant
from warehouse import Warehouse

NOW = datetime.now(UTC).replace(microsecond=0)
CLOCK = NOW + timedelta(hours=1)
NUMBERS = range(90)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def tenant(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """An organization; what is pulled for it goes through the disk in small portions."""
    monkeypatch.setattr(spool, "ENOUGH_RECORDS", 20)
    with warehouse.connect() as connection:
        return Tenant(warehouse, organizations.add_organization(connection, "acme", "Acme", "UTC", NOW))


@pytest.fixture
def door(store: Store) -> Iterator[Door]:
    """A door in front of each of the two stores, which hold a few statements."""
    store.put(statements(NUMBERS, NOW))
    with open_door(store.endpoint) as opened:
        yield opened


def accepted(tenant: Tenant) -> set[str]:
    return {str(uuid.UUID(bytes=event_id)) for event_id in tenant.accepted()}


def connect(tenant: Tenant, endpoint: str) -> None:
    since = (NOW - timedelta(days=10)).isoformat()
    connect_source(tenant.warehouse, "acme", endpoint, NOW, page_size=10, since=since)


def test_failures_in_the_middle_of_paging_cost_nothing(tenant: Tenant, door: Door, store: Store) -> None:
    connect(tenant, door.endpoint)
    trouble = [
        passes,
        answers(500),
        passes,
        cuts_off,
        passes,
        answers(429, Retry_After="1"),
        passes,
        *[answers(503)] * 6,
    ]
    door.behaviours.extend([*trouble, *trouble])
    with pytest.raises(RetryableError, match="503 Service Unavailable"):
        pull(tenant.warehouse, "acme", store.credentials, CLOCK)
    door.behaviours.clear()
    pull(tenant.warehouse, "acme", store.credentials, CLOCK)

    assert accepted(tenant) == store.ids()
    assert len(store.ids()) == len(NUMBERS)
    tenant.check_books()


def test_a_changed_order_of_pages_costs_nothing(tenant: Tenant, door: Door, store: Store) -> None:
    """The pages of a query are handed out in an order of the door's own, and break off in the middle."""
    chance = random.Random(7)
    tokens = itertools.count()
    waiting: dict[str, list[bytes]] = {}

    def shuffled(asked: Asked, opened: Door) -> Reply:
        token = asked.parameters.get("door")
        if token is None:
            pages, following = [], asked
            while True:
                reply = opened.passed_on(following)
                if reply.status != 200:
                    return reply
                content = reply.content
                pages.append(content["statements"])
                if not content.get("more"):
                    break
                following = Asked("GET", content["more"], asked.headers, b"")
            chance.shuffle(pages)
            token = f"t{next(tokens)}"
            waiting[token] = pages
        pages = waiting[token]
        page = pages.pop(0)
        more = f"/xAPI/statements?door={token}" if pages else ""
        return Reply.of({"statements": page, "more": more}, Date=reply_date)

    reply_date = CLOCK.strftime("%a, %d %b %Y %H:%M:%S GMT")
    connect(tenant, door.endpoint)
    door.behaviours.extend([shuffled] * 12)
    door.always = answers(503)
    with pytest.raises(RetryableError):
        pull(tenant.warehouse, "acme", store.credentials, CLOCK)
    door.behaviours.clear()
    door.always = shuffled
    pull(tenant.warehouse, "acme", store.credentials, CLOCK)

    assert accepted(tenant) == store.ids()
    tenant.check_books()


def test_a_store_that_is_killed_costs_nothing(tenant: Tenant, ralph_interpreter: Path, tmp_path: Path) -> None:
    ralph = Ralph(ralph_interpreter, tmp_path)
    try:
        ralph.start()
        store = ralph.store()
        store.put(statements(NUMBERS, NOW))
        with open_door(store.endpoint) as door:
            connect(tenant, door.endpoint)

            def kills(asked: Asked, opened: Door) -> Reply:
                ralph.kill()
                return answers(502)(asked, opened)

            door.behaviours.extend([passes] * 5 + [kills])
            door.always = answers(502)
            with pytest.raises(RetryableError, match=f"acme/{SOURCE}.*502 Bad Gateway"):
                pull(tenant.warehouse, "acme", store.credentials, CLOCK)
            assert 0 < len(accepted(tenant)) < len(NUMBERS)
            ralph.start()
            door.always = None
            pull(tenant.warehouse, "acme", store.credentials, CLOCK)
        assert accepted(tenant) == store.ids()
        assert len(store.ids()) == len(NUMBERS)
        tenant.check_books()
    finally:
        ralph.kill()


def test_a_store_shows_how_it_differs(tenant: Tenant, store: Store) -> None:
    store.put(statements(NUMBERS, NOW - timedelta(minutes=5)))
    connect(tenant, store.endpoint)
    with tenant.warehouse.connect() as connection:
        report = lrs.try_out(
            connection,
            organization="acme",
            source=SOURCE,
            as_of=CLOCK,
            find_credentials=lrs.credentials_from({"LYCEUM_CREDENTIALS_CAMPUS_LRS": store.credentials}),
        )
    told = (report.about, report.version, report.filters_by, report.consistent_through is None, report.statements)

    assert told in (
        (None, "2.0.0", "timestamp", True, 10),  # ralph
        (("1.0.3",), "1.0.3", "stored", False, 10),  # the Node store
    )
    assert report.has_more
