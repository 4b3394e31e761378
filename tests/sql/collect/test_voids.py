"""What a voiding statement does to the event that it names, in whatever order they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from lyceum.collect.reports import CollectReport
from tenants import AS_OF, Tenant, deliver, event, event_id, void

HOUR = timedelta(hours=1)


def voided(tenant: Tenant) -> set[bytes]:
    rows = tenant.query(
        "select event_id from stage_one.raw_data_collection where organization_id = {organization} and is_voided"
    )
    return {value.bytes for (value,) in rows}


def tombstones(tenant: Tenant) -> set[bytes]:
    rows = tenant.query("select target_event_id from stage_one.void_tombstones where organization_id = {organization}")
    return {value.bytes for (value,) in rows}


def pending(tenant: Tenant) -> list[int]:
    return [hour.hour for (hour,) in tenant.query("select collected_hour from ops.pending_hours order by 1")]


@pytest.mark.parametrize("chunk_records", [1, 4])
def test_the_order_of_a_void_and_its_target_does_not_matter(
    new_tenant: Callable[..., Tenant], chunk_records: int
) -> None:
    for number, records in enumerate(permutations([event(1), event(2), void(3, 1), void(4, 1)])):
        tenant = new_tenant(f"order-{number}")

        report = tenant.collect(deliver(*records, chunk_records=chunk_records))

        assert report.events_accepted == 4
        assert voided(tenant) == {event_id(1)}
        assert tombstones(tenant) == set()
    tenant.check_books()


def test_a_void_is_stored_and_marked_as_one(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1), void(2, 1)))

    assert tenant.query("select ordinal, is_void, is_voided from stage_one.raw_data_collection order by 1") == [
        (1, False, True),
        (2, True, False),
    ]


def test_the_hour_of_an_event_that_is_voided_is_built_again(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)), as_of=AS_OF)
    with tenant.warehouse.connect() as connection:
        connection.execute("delete from ops.pending_hours")
    report = tenant.collect(deliver(void(2, 1)), as_of=AS_OF + 3 * HOUR)

    assert report.events_voided == 1
    assert pending(tenant) == [12, 15]


def test_voiding_twice_builds_nothing_twice(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1), void(2, 1)))
    with tenant.warehouse.connect() as connection:
        connection.execute("delete from ops.pending_hours")
    tenant.collect(deliver(void(3, 1)), as_of=AS_OF + 3 * HOUR)

    assert pending(tenant) == [15]
    assert voided(tenant) == {event_id(1)}


@pytest.mark.parametrize("chunk_records", [1, 3])
def test_a_void_of_a_void_has_no_effect(new_tenant: Callable[..., Tenant], chunk_records: int) -> None:
    for number, records in enumerate(permutations([event(1), void(2, 1), void(3, 2)])):
        tenant = new_tenant(f"order-{number}")

        report = tenant.collect(deliver(*records, chunk_records=chunk_records))

        assert report.events_accepted == 3
        assert voided(tenant) == {event_id(1)}
        assert tombstones(tenant) == set()


def test_a_void_of_itself_has_no_effect(tenant: Tenant) -> None:
    assert tenant.collect(deliver(void(1, 1))).events_accepted == 1
    assert voided(tenant) == set()
    assert tombstones(tenant) == set()


def test_a_void_leaves_a_tombstone_until_its_target_comes(tenant: Tenant) -> None:
    tenant.collect(deliver(void(2, 1)))
    before = tombstones(tenant)
    tenant.collect(deliver(event(1)))

    assert before == {event_id(1)}
    assert tombstones(tenant) == set()
    assert voided(tenant) == {event_id(1)}


def test_a_refused_target_keeps_its_tombstone(tenant: Tenant) -> None:
    tenant.collect(deliver(void(2, 1), event(1, "05-20 10:00")))
    before = tombstones(tenant)
    tenant.collect(deliver(event(1, "05-20 10:00"), name="again"), as_of=AS_OF + timedelta(days=7))

    assert before == {event_id(1)}
    assert voided(tenant) == {event_id(1)}


def test_a_void_comes_too_late_for_a_week_that_is_sealed(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1, "05-07 10:00")))
    tenant.set_week("2024-05-06", "sealed")

    report = tenant.collect(deliver(void(2, 1)))

    assert report.quarantined == Counter(void_too_late=1)
    assert voided(tenant) == set()
    tenant.check_books()


def test_a_void_comes_too_late_when_the_raw_row_is_gone(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    with tenant.warehouse.connect() as connection:
        connection.execute("drop table partitions.raw_data_collection_p20240515")

    report = tenant.collect(deliver(void(2, 1)), as_of=datetime(2024, 5, 17, 12, tzinfo=UTC))

    assert report.quarantined == Counter(void_too_late=1)
    assert tombstones(tenant) == set()


def test_a_refused_void_can_be_sent_again(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1, "05-07 10:00")))
    tenant.set_week("2024-05-06", "sealed")
    tenant.collect(deliver(void(2, 1)))
    tenant.set_week("2024-05-06", "open")

    report: CollectReport = tenant.collect(deliver(void(2, 1), event(3)))

    assert report.events_accepted == 2
    assert voided(tenant) == {event_id(1)}


def test_only_the_first_of_two_voids_with_one_id_has_an_effect(tenant: Tenant) -> None:
    report = tenant.collect(deliver(event(1), event(2), void(3, 1), void(3, 2)))

    assert (report.events_accepted, report.quarantined) == (3, Counter(conflict=1))
    assert voided(tenant) == {event_id(1)}
    assert tombstones(tenant) == set()


def test_a_void_that_is_in_conflict_with_an_event_has_no_effect(tenant: Tenant) -> None:
    report = tenant.collect(deliver(event(1), event(2), void(2, 1)))

    assert (report.events_accepted, report.quarantined) == (2, Counter(conflict=1))
    assert voided(tenant) == set()


def test_a_void_reaches_no_other_organization(new_tenant: Callable[..., Tenant]) -> None:
    acme, beta = new_tenant("acme"), new_tenant("beta")
    acme.collect(deliver(event(1)))
    beta.collect(deliver(void(2, 1)))
    acme.collect(deliver(event(3)))

    assert voided(acme) == set()
    assert tombstones(beta) == {event_id(1)}
