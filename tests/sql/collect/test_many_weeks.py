"""History over many open weeks: repeats are found although most ids are never looked up."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from lyceum.collect import known_ids
from lyceum.collect.known_ids import KnownIds
from lyceum.collect.ledger import Ledger
from lyceum.collect.reports import silent
from lyceum.collect.runs import Collector, Run, open_run
from lyceum.records import Event, Input
from tenants import AS_OF, Tenant, deliver, event

WEEKS = 12


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many ids each batch had looked up in the ledger."""
    counts: list[int] = []
    look_up = Ledger.look_up

    def counting(self: Ledger, ids: object, weeks: object) -> object:
        counts.append(len(ids))  # type: ignore[arg-type]
        return look_up(self, ids, weeks)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "look_up", counting)
    return counts


def in_week(number: int, week: int, content: str = "") -> Event:
    return event(number, f"{(AS_OF - timedelta(weeks=week)).date()} 10:00", content=content)


def history(first: int, count: int, chunk_records: int = 24) -> Input:
    return deliver(
        *(in_week(number, number % WEEKS) for number in range(first, first + count)), chunk_records=chunk_records
    )


def open_history(tenant: Tenant) -> AbstractContextManager[Run]:
    return open_run(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        source="xapi",
        source_format="xapi",
        as_of=AS_OF,
        is_history=True,
        run_id="test",
    )


def test_new_ids_are_not_looked_up_once_the_filter_is_worth_it(tenant: Tenant, looked_up: list[int]) -> None:
    tenant.collect(history(0, 240), is_history=True)

    assert len(looked_up) == 10
    # The first batch opens all weeks, the second finds few keys; from then on the filter answers.
    assert looked_up[2:] == [0] * 8
    tenant.check_books()


def test_repeats_and_conflicts_are_found_through_the_filter(tenant: Tenant, looked_up: list[int]) -> None:
    tenant.collect(history(0, 48), is_history=True)
    report = tenant.collect(
        deliver(
            *(in_week(number, number % WEEKS) for number in range(100, 148)),
            in_week(5, 5),
            in_week(6, 6, content="other"),
            in_week(7, 11),
            in_week(101, 101 % WEEKS),
            in_week(102, 3),
            in_week(200, 4),
            chunk_records=24,
        ),
        is_history=True,
    )

    assert (report.events_accepted, report.duplicates, report.quarantined) == (49, 2, Counter(conflict=3))
    assert looked_up[-1] < 6
    tenant.check_books()


def test_what_another_run_adds_meanwhile_is_found(tenant: Tenant) -> None:
    with open_history(tenant) as run:
        with Collector(run, silent) as collector:
            collector.collect([history(0, 96)])
        assert run.writer.known_ids.bloom is not None
        tenant.collect(deliver(in_week(500, 5)), is_history=True, source="another")
        with Collector(run, silent) as collector:
            collector.collect([deliver(in_week(500, 5), in_week(501, 5), in_week(500, 6))])

        report = collector.report()

    assert (report.events_accepted, report.duplicates, report.quarantined) == (1, 1, Counter(conflict=1))
    tenant.check_books()


def test_a_batch_that_is_rolled_back_leaves_no_trace(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_history(tenant) as run:
        with Collector(run, silent) as collector:
            collector.collect([history(0, 96)])
        with monkeypatch.context() as patch:
            patch.setattr(type(run.writer), "_record", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError), Collector(run, silent) as collector:
                collector.collect([history(96, 24)])
        with Collector(run, silent) as collector:
            collector.collect([history(96, 24)])

        assert (collector.report().events_accepted, collector.report().duplicates) == (24, 0)
    tenant.check_books()


def test_few_weeks_need_no_filter(tenant: Tenant) -> None:
    with open_history(tenant) as run:
        with Collector(run, silent) as collector:
            collector.collect([deliver(*(in_week(number, number % 4) for number in range(60)), chunk_records=5)])
        assert run.writer.known_ids == KnownIds(tenant.organization.organization_id, batches=12)
    assert known_ids._FEW_WEEKS == 4
