"""Several processes that collect at once: nothing twice, nothing lost, nobody stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lyceum.collect.reports import CollectReport
from lyceum.records import Input
from tenants import Tenant, deliver, event, event_id, void


def at_once(*calls: Callable[[], CollectReport]) -> list[CollectReport]:
    """Run the calls in threads of their own, each with connections of its own, from one instant on."""
    barrier = threading.Barrier(len(calls))

    def begin(call: Callable[[], CollectReport]) -> CollectReport:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(begin, calls))


def test_two_runs_of_one_input_collect_each_batch_once(tenant: Tenant) -> None:
    entry = deliver(*(event(number, learner=f"learner {number}") for number in range(40)), chunk_records=3)

    reports = at_once(lambda: tenant.collect(entry), lambda: tenant.collect(entry), lambda: tenant.collect(entry))

    assert sum(report.records_read for report in reports) == 40
    assert sum(report.duplicates for report in reports) == 0
    assert tenant.accepted() == {event_id(number) for number in range(40)}
    assert tenant.query("select next_ordinal, completed_at is not null from ops.inputs") == [(41, True)]
    tenant.check_books()


def test_runs_of_overlapping_inputs_accept_each_event_once(tenant: Tenant) -> None:
    def entry(first: int, step: int) -> Input:
        numbers = [(first + step * index) % 60 for index in range(40)]
        return deliver(*(event(number, learner=f"learner {number % 7}") for number in numbers), chunk_records=4)

    reports = at_once(
        lambda: tenant.collect(entry(0, 1)),
        lambda: tenant.collect(entry(59, -1), source="second"),
        lambda: tenant.collect(entry(30, 1), source="third"),
    )

    assert sum(report.records_read for report in reports) == 120
    assert sum(report.events_accepted for report in reports) == len(tenant.accepted()) == 60
    assert sum(report.duplicates for report in reports) == 60
    assert tenant.query("select count(*), max(user_id) - min(user_id) from core.users") == [(7, 6)]
    tenant.check_books()


def test_of_conflicting_copies_in_two_runs_one_is_accepted(tenant: Tenant) -> None:
    reports = at_once(
        *(
            lambda content=content: tenant.collect(
                deliver(*(event(number, content=content) for number in range(20)), chunk_records=2), source=content
            )
            for content in ("one", "other")
        )
    )

    assert sum(report.events_accepted for report in reports) == 20
    assert sum(report.quarantined["conflict"] for report in reports) == 20
    tenant.check_books()


def test_a_void_and_its_target_may_come_at_once(tenant: Tenant) -> None:
    at_once(
        lambda: tenant.collect(deliver(*(event(number) for number in range(30)), chunk_records=2)),
        lambda: tenant.collect(
            deliver(*(void(100 + number, number) for number in range(30)), chunk_records=3), source="second"
        ),
    )

    assert tenant.query("select count(*) from stage_one.raw_data_collection where is_voided") == [(30,)]
    assert tenant.query("select count(*) from stage_one.void_tombstones") == [(0,)]
    tenant.check_books()


def test_organizations_do_not_wait_for_each_other(new_tenant: Callable[..., Tenant]) -> None:
    acme, beta = new_tenant("acme"), new_tenant("beta")
    with acme.warehouse.connect() as holder:
        holder.execute(
            "select pg_advisory_xact_lock(hashtext('lyceum.organization'), %s::int)",
            [acme.organization.organization_id],
        )
        report = beta.collect(deliver(*(event(number) for number in range(10)), chunk_records=3))

    assert report.events_accepted == 10


def test_many_organizations_collect_at_once(new_tenant: Callable[..., Tenant]) -> None:
    tenants = [new_tenant(f"tenant-{number}") for number in range(4)]
    entry = deliver(*(event(number, "2021-11-24 10:00") for number in range(12)), chunk_records=3)

    reports = at_once(*(lambda one=one: one.collect(entry, is_history=True) for one in tenants))

    assert [report.events_accepted for report in reports] == [12] * 4
    tenants[0].check_books()
