"""Day-precise events in bulk: no event keys, no payload, and yet nothing lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from lyceum import collect
from lyceum.collect.reports import CollectReport, silent
from lyceum.collect.runs import Collector, open_run
from lyceum.errors import ConfigurationError, InputError
from lyceum.records import Chunk, EventColumns, IdentityHasher, Input, Refusal
from tenants import AS_OF, Tenant, digest

OPEN, CLOSED = "2024-05-14", "2024-04-02"


def clicks(
    days: Sequence[str], *, refused: Sequence[int] = (), chunk_records: int = 100, name: str = "studentVle AAA-2013J"
) -> Input:
    """Return an input with one click a day by learners in turn; records with the ordinals in `refused` are unreadable."""

    def chunks(next_ordinal: int, hasher: IdentityHasher) -> Iterator[Chunk]:
        for first in range(0, len(days), chunk_records):
            part = list(enumerate(days[first : first + chunk_records], first + 1))
            if first + 1 < next_ordinal:
                continue
            read = [(ordinal, day) for ordinal, day in part if ordinal not in refused]
            columns = EventColumns(
                event_id_high=digest(name)[:8],
                ordinals=np.array([ordinal for ordinal, _ in read], dtype=np.int64),
                activity_dates=np.array([day for _, day in read], dtype="datetime64[D]"),
                learner_codes=np.array([ordinal % 2 for ordinal, _ in read], dtype=np.int32),
                learners=[hasher.hash("oulad:1"), hasher.hash("oulad:2")],
                object_codes=np.zeros(len(read), dtype=np.int32),
                objects=[("urn:oulad:site:7", "forumng")],
                verb="http://adlnet.gov/expapi/verbs/interacted",
                course="urn:oulad:course:AAA-2013J",
                quantity=np.array([10 * ordinal for ordinal, _ in read], dtype=np.int32),
                score_hundredths=np.array([50 if ordinal % 2 else -128 for ordinal, _ in read], dtype=np.int8),
            )
            refusals = [
                Refusal(ordinal=ordinal, reason="invalid", detail="Found x. Expected y.", byte_length=9)
                for ordinal, _ in part
                if ordinal in refused
            ]
            yield Chunk(part[0][0], part[-1][0], columns=columns, refusals=refusals)

    return Input(name, digest(f"{name} {days}"), 9 * len(days), chunks, len(days))


def load(tenant: Tenant, *inputs: Input, as_of: datetime = AS_OF, is_history: bool = False) -> CollectReport:
    with open_run(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization=tenant.organization.slug,
        source="oulad",
        source_format="oulad",
        as_of=as_of,
        is_history=is_history,
        run_id="test",
    ) as run:
        with Collector(run, silent) as collector:
            collector.collect(inputs)
        return collector.report()


def test_days_become_events_at_local_midnight(new_tenant: Callable[..., Tenant]) -> None:
    tenant = new_tenant(time_zone="Asia/Kathmandu")

    report = load(tenant, clicks([OPEN, "2024-05-06"]))

    assert report.events_accepted == 2
    assert tenant.query(
        """
        select ordinal, activity_date, occurred_at, quantity, occurred_at_precision, active_minute, score_scaled, payload
        from stage_one.raw_data_collection order by ordinal
        """
    ) == [
        (1, date(2024, 5, 14), datetime(2024, 5, 13, 18, 15, tzinfo=UTC), 10, "day", None, Decimal("0.50"), None),
        (2, date(2024, 5, 6), datetime(2024, 5, 5, 18, 15, tzinfo=UTC), 20, "day", None, None, None),
    ]
    assert tenant.query("select has_event_keys from ops.batches") == [(False,)]
    assert tenant.query("select count(*) from stage_one.event_keys") == [(0,)]
    tenant.check_books()


def test_an_input_in_bulk_is_collected_once(tenant: Tenant) -> None:
    load(tenant, clicks([OPEN] * 250))
    report = load(tenant, clicks([OPEN] * 250))

    assert (report.inputs_known, report.records_read) == (1, 0)
    assert tenant.query("select count(*), count(distinct event_id) from stage_one.raw_data_collection") == [(250, 250)]
    tenant.check_books()


def test_unreadable_and_late_rows_go_to_quarantine_and_the_rest_is_accepted(tenant: Tenant) -> None:
    report = load(tenant, clicks([OPEN, OPEN, CLOSED, "2024-05-16", "2016-01-01"], refused=[2]))

    assert report.events_accepted == 1
    assert report.quarantined == Counter(invalid=1, too_late=1, in_the_future=1, older_than_retention=1)
    assert sorted(tenant.refused()) == [
        (2, "invalid"),
        (3, "too_late"),
        (4, "in_the_future"),
        (5, "older_than_retention"),
    ]
    assert all(
        "--history" in detail
        for (detail,) in tenant.query("select detail from stage_one.quarantine where reason <> 'invalid'")
    )
    tenant.check_books()


def test_an_input_that_is_late_as_a_whole_is_refused_before_anything_is_written(tenant: Tenant) -> None:
    with pytest.raises(InputError, match=r"studentVle AAA-2013J begins in weeks that are closed .* --history"):
        load(tenant, clicks([CLOSED, CLOSED]))

    assert tenant.query("select count(*) from stage_one.quarantine") == [(0,)]
    assert load(tenant, clicks([CLOSED, CLOSED]), is_history=True).events_accepted == 2


def test_collecting_an_input_again_as_history_takes_up_what_was_late(tenant: Tenant) -> None:
    entry = clicks([OPEN, CLOSED, OPEN, CLOSED, CLOSED], refused=[4], chunk_records=2)
    load(tenant, entry)
    before = tenant.accepted()

    first = load(tenant, entry, is_history=True)
    second = load(tenant, entry, is_history=True)

    assert len(before) == 2
    assert (first.inputs_known, first.records_read, first.events_accepted) == (1, 2, 2)
    assert (second.inputs_known, second.records_read) == (1, 0)
    assert tenant.query("select ordinal, quantity from stage_one.raw_data_collection order by 1") == [
        (1, 10), (2, 20), (3, 30), (5, 50),
    ]  # fmt: skip
    assert tenant.query("select count(distinct event_id) from stage_one.raw_data_collection") == [(4,)]
    assert tenant.refused() == [(4, "invalid")]
    assert tenant.query("select count(*) from ops.batches where input_id is null") == [(2,)]
    tenant.check_books()


def test_what_lies_in_the_future_can_be_taken_up_when_its_day_has_come(tenant: Tenant) -> None:
    entry = clicks([OPEN, "2024-05-16"])
    load(tenant, entry)

    early = load(tenant, entry, is_history=True)
    on_time = load(tenant, entry, as_of=AS_OF + timedelta(days=1), is_history=True)

    assert (early.events_accepted, early.quarantined) == (0, Counter(in_the_future=1))
    assert on_time.events_accepted == 1
    assert tenant.refused() == []
    tenant.check_books()


def test_rows_without_payload_are_named_by_a_replay_and_left_alone(tenant: Tenant) -> None:
    load(tenant, clicks([OPEN, CLOSED]))

    report = collect.replay(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization="acme",
        reason="too_late",
        as_of=AS_OF,
        run_id="replay",
    )

    assert (report.rows_considered, report.without_payload) == (0, 1)
    assert tenant.refused() == [(2, "too_late")]


def test_a_source_delivers_one_format(tenant: Tenant) -> None:
    load(tenant, clicks([OPEN]))
    with pytest.raises(ConfigurationError, match="delivers oulad, not xapi"):
        tenant.collect(source="oulad")
