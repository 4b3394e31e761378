"""What collection accepts, refuses and records, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from lyceum.collect.packing import pack
from lyceum.collect.runs import open_run
from lyceum.errors import ConfigurationError, InputError
from lyceum.records import Chunk, Input
from tenants import AS_OF, Tenant, at, deliver, digest, event, event_id, refusal


def test_an_event_is_stored_with_every_value(tenant: Tenant) -> None:
    full = event(
        1,
        "05-14 23:59:59.999999",
        learner="ada",
        trainer=digest("grace"),
        course="https://example.org/course",
        object_type="https://example.org/video-type",
        quantity=3,
        score_scaled=Decimal("-0.875"),
        is_success=False,
        is_course_object=True,
        is_video=True,
        video_length_seconds=Decimal("120.5"),
        played_segments=((Decimal(40), Decimal("60.25")), (Decimal(0), Decimal("42.608"))),
    )
    plain = event(2, "05-14 10:00")

    tenant.collect(deliver(full, plain))

    rows = tenant.query(
        """
        select
            raw.ordinal, raw.collected_at, raw.occurred_at, learners.identity_hash, trainers.identity_hash,
            aliases.activity_iri, courses.is_unassigned, objects.iri, objects.object_type, verbs.iri, raw.quantity,
            raw.activity_date, raw.active_minute, raw.is_course_object, raw.is_video, raw.is_void, raw.is_voided,
            raw.is_success, raw.occurred_at_precision, raw.score_scaled, raw.video_length_seconds, raw.played_segments,
            raw.payload
        from stage_one.raw_data_collection as raw
        join core.user_identities as learners on learners.user_id = raw.learner_id
        left join core.user_identities as trainers on trainers.user_id = raw.trainer_id
        join core.courses as courses on courses.course_id = raw.course_id
        left join core.course_aliases as aliases on aliases.course_id = raw.course_id
        join core.objects as objects on objects.object_id = raw.object_id
        join core.verbs as verbs on verbs.verb_id = raw.verb_id
        order by raw.ordinal
        """
    )
    segments = Multirange([Range(Decimal(0), Decimal("60.25"), "[)")])
    minute = int(full.occurred_at.timestamp()) // 60
    assert rows == [
        (
            1, AS_OF, full.occurred_at, digest("ada"), digest("grace"), "https://example.org/course", False,
            "https://example.org/page", "https://example.org/video-type", full.verb, 3, date(2024, 5, 14), minute, True, True,
            False, False, False, "instant", Decimal("-0.875"), Decimal("120.5"), segments, {"number": 1},
        ),
        (
            2, AS_OF, plain.occurred_at, digest("ada"), None, None, True, "https://example.org/page",
            "https://example.org/video-type", plain.verb, 1, date(2024, 5, 14), int(plain.occurred_at.timestamp()) // 60, False,
            False, False, False, None, "instant", None, None, None, {"number": 2},
        ),
    ]  # fmt: skip
    tenant.check_books()


def test_an_input_that_was_completed_is_skipped(tenant: Tenant) -> None:
    first = tenant.collect(deliver(event(1), event(2)))
    second = tenant.collect(deliver(event(1), event(2), name="the same under another name"))

    assert (first.records_read, first.events_accepted, first.inputs_known) == (2, 2, 0)
    assert (second.records_read, second.inputs_known) == (0, 1)
    assert tenant.query("select count(*), min(name) from ops.inputs") == [(1, "statements.ndjson")]


def test_records_that_overlap_an_earlier_input_are_duplicates(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1), event(2)))
    report = tenant.collect(deliver(event(3), event(2), event(1), event(3)))

    assert (report.events_accepted, report.duplicates, report.quarantined) == (1, 3, Counter())
    assert tenant.accepted() == {event_id(number) for number in (1, 2, 3)}
    tenant.check_books()


def test_a_duplicate_is_found_across_the_batches_of_one_input(tenant: Tenant) -> None:
    report = tenant.collect(deliver(*(event(number % 5) for number in range(20)), chunk_records=3))

    assert (report.batches, report.events_accepted, report.duplicates) == (7, 5, 15)
    tenant.check_books()


@pytest.mark.parametrize("batches", [1, 2])
def test_of_two_events_with_one_id_the_first_wins(tenant: Tenant, batches: int) -> None:
    report = tenant.collect(
        deliver(event(1, content="first"), event(1, content="second"), chunk_records=1 if batches == 2 else 2)
    )

    assert (report.events_accepted, report.quarantined) == (1, Counter(conflict=1))
    assert tenant.refused() == [(2, "conflict")]
    assert tenant.query("select content_hash from stage_one.event_keys") == [(event(1, content="first").content_hash,)]


@pytest.mark.parametrize("moved", ["05-14 10:01", "05-13 10:00", "05-07 10:00"])
def test_a_changed_timestamp_is_a_conflict_even_in_another_week(tenant: Tenant, moved: str) -> None:
    # Weeks before and after are open, too.
    tenant.collect(deliver(event(1, "05-14 10:00"), event(2, "05-07 10:00"), event(3, "05-09 10:00")))
    report = tenant.collect(deliver(event(1, moved), event(3, moved)))

    assert report.quarantined == Counter(conflict=2)
    tenant.check_books()


def test_a_refused_event_does_not_stand_in_the_way_of_a_later_copy(tenant: Tenant) -> None:
    too_early = event(1, "05-15 23:00", content="clock ahead")
    report = tenant.collect(deliver(too_early, event(1, content="clock right")))

    assert (report.events_accepted, report.quarantined) == (1, Counter(in_the_future=1))
    assert tenant.refused() == [(1, "in_the_future")]


def test_the_clock_tolerates_five_minutes(tenant: Tenant) -> None:
    report = tenant.collect(deliver(event(1, "05-15 12:35"), event(2, "05-15 12:35:00.000001")))

    assert tenant.accepted() == {event_id(1)}
    assert report.quarantined == Counter(in_the_future=1)


def test_events_are_kept_for_seven_years(tenant: Tenant) -> None:
    report = tenant.collect(
        deliver(event(1, "2017-05-15 12:30"), event(2, "2017-05-15 12:29:59"), event(3, "0001-01-02 00:00")),
        is_history=True,
    )

    assert tenant.accepted() == {event_id(1)}
    assert report.quarantined == Counter(older_than_retention=2)


def test_dates_of_the_far_future_are_refused_without_making_partitions(tenant: Tenant) -> None:
    report = tenant.collect(deliver(event(1, "9999-12-29 10:00"), event(2)), is_history=True)

    assert report.quarantined == Counter(in_the_future=1)
    assert tenant.query("select week_start from ops.week_states") == [(date(2024, 5, 13),)]


def test_a_week_takes_events_for_seven_days_after_its_local_end(new_tenant: Callable[..., Tenant]) -> None:
    tenant = new_tenant(time_zone="America/New_York")
    # The week of 29 April ended in New York on 6 May at 04:00 UTC.
    last, first_late = at("05-13 03:59:59"), at("05-13 04:00")

    in_time = tenant.collect(deliver(event(1, "05-04 10:00")), as_of=last)
    opened = tenant.query("select week_start, state from ops.week_states")
    with tenant.warehouse.connect() as connection:
        connection.execute("delete from ops.week_states")
    late = tenant.collect(deliver(event(2, "05-04 10:00")), as_of=first_late)

    assert in_time.events_accepted == 1
    assert opened == [(date(2024, 4, 29), "open")]
    assert late.quarantined == Counter(too_late=1)


def test_a_week_that_is_open_takes_events_however_late(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1, "04-30 10:00")), as_of=at("05-01 10:00"))
    report = tenant.collect(deliver(event(2, "04-30 10:00")), as_of=AS_OF + timedelta(days=30))

    assert report.events_accepted == 1


def test_a_sealed_week_takes_no_events(tenant: Tenant) -> None:
    tenant.set_week("2024-05-06", "sealed")
    report = tenant.collect(deliver(event(1, "05-12 23:59:59"), event(2, "05-13 00:00")))

    assert tenant.refused() == [(1, "too_late")]
    assert report.events_accepted == 1
    tenant.check_books()


def test_history_opens_weeks_that_were_never_built(tenant: Tenant) -> None:
    report = tenant.collect(deliver(event(1, "2020-12-31 10:00"), event(2, "2021-01-03 10:00")), is_history=True)

    assert report.events_accepted == 2
    assert tenant.query("select week_start, state, opened_at from ops.week_states") == [
        (date(2020, 12, 28), "open", AS_OF)
    ]
    assert tenant.query("select is_history from ops.batches") == [(True,)]


def test_a_week_stays_closed_when_all_its_events_are_refused(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1, "05-14 10:00")))
    tenant.collect(deliver(event(1, "2020-12-31 10:00")), is_history=True)

    assert tenant.refused() == [(1, "conflict")]
    assert tenant.query("select week_start from ops.week_states") == [(date(2024, 5, 13),)]


def test_a_day_is_the_organizations_own(new_tenant: Callable[..., Tenant]) -> None:
    auckland = new_tenant(time_zone="Pacific/Auckland")
    # Noon of Sunday in UTC is midnight of Monday in Auckland.
    auckland.collect(deliver(event(1, "05-12 11:59:59"), event(2, "05-12 12:00")))

    assert auckland.query("select ordinal, activity_date from stage_one.raw_data_collection order by 1") == [
        (1, date(2024, 5, 12)),
        (2, date(2024, 5, 13)),
    ]
    assert auckland.query("select week_start from ops.week_states order by 1") == [
        (date(2024, 5, 6),),
        (date(2024, 5, 13),),
    ]


def test_one_event_id_may_come_in_two_organizations(new_tenant: Callable[..., Tenant]) -> None:
    acme, beta = new_tenant("acme"), new_tenant("beta")

    reports = [
        acme.collect(deliver(event(1))),
        beta.collect(deliver(event(1))),
        beta.collect(deliver(event(1, content="other"))),
    ]

    assert [report.events_accepted for report in reports] == [1, 1, 0]
    assert reports[2].quarantined == Counter(conflict=1)
    for relation in ("core.users", "core.objects", "core.verbs", "stage_one.event_keys", "ops.inputs"):
        counts = acme.query(f"select organization_id, count(*) from {relation} group by 1 order by 1")
        assert [organization for organization, _ in counts] == [
            acme.organization.organization_id,
            beta.organization.organization_id,
        ]
    assert acme.query("select organization_id from stage_one.quarantine") == [(beta.organization.organization_id,)]


def test_what_the_adapter_refuses_goes_to_quarantine_with_its_reason(tenant: Tenant) -> None:
    report = tenant.collect(deliver(event(1), refusal("malformed"), event(2), refusal("missing_id")))

    assert (report.records_read, report.events_accepted) == (4, 2)
    assert report.quarantined == Counter(malformed=1, missing_id=1)
    assert tenant.query(
        "select quarantined_at, ordinal, reason, detail, event_id, byte_length, payload from stage_one.quarantine order by ordinal"
    ) == [
        (AS_OF, 2, "malformed", "Found something. Expected something else.", None, 17, None),
        (AS_OF, 4, "missing_id", "Found something. Expected something else.", None, 17, None),
    ]
    tenant.check_books()


def test_a_refused_event_keeps_what_a_person_needs(tenant: Tenant) -> None:
    late = event(1, "2024-01-03 10:00")
    tenant.collect(deliver(late))

    ((stored_id, day, content_hash, byte_length, payload, detail),) = tenant.query(
        "select event_id, activity_date, content_hash, byte_length, payload, detail from stage_one.quarantine"
    )
    assert (stored_id.bytes, day, content_hash) == (event_id(1), date(2024, 1, 3), late.content_hash)
    assert (byte_length, payload) == (len(late.payload), {"number": 1})
    assert "--history" in detail


def test_a_batch_leaves_its_hour_to_be_built_only_when_it_added_something(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    tenant.collect(deliver(event(1), refusal()), as_of=AS_OF + timedelta(hours=1))
    tenant.collect(deliver(event(2)), as_of=AS_OF + timedelta(hours=2, minutes=29))

    assert tenant.query("select collected_hour from ops.pending_hours order by 1") == [
        (datetime(2024, 5, 15, 12, tzinfo=UTC),),
        (datetime(2024, 5, 15, 14, tzinfo=UTC),),
    ]


def test_an_input_is_completed_with_its_last_batch(tenant: Tenant) -> None:
    report = tenant.collect(deliver(*(event(number) for number in range(5)), chunk_records=2))

    assert tenant.query("select next_ordinal, completed_at from ops.inputs") == [(6, AS_OF)]
    assert tenant.query(
        "select first_ordinal, last_ordinal, records_read, events_accepted, duplicates, quarantined, run_id "
        "from ops.batches order by first_ordinal"
    ) == [(1, 2, 2, 2, 0, 0, "test"), (3, 4, 2, 2, 0, 0, "test"), (5, 5, 1, 1, 0, 0, "test")]
    assert report.batches == 3


def test_an_empty_input_is_completed_without_a_batch(tenant: Tenant) -> None:
    report = tenant.collect(deliver())

    assert (report.records_read, report.batches) == (0, 0)
    assert tenant.query("select completed_at is not null from ops.inputs") == [(True,)]
    assert tenant.query("select count(*) from ops.batches") == [(0,)]


def test_an_input_that_breaks_off_keeps_what_came_before_and_goes_on_there(tenant: Tenant) -> None:
    whole = deliver(*(event(number) for number in range(6)), chunk_records=2)

    def broken(next_ordinal: int, hasher: object) -> object:
        chunks = whole.chunks(next_ordinal, hasher)  # type: ignore[arg-type]
        yield next(chunks)
        yield next(chunks)
        raise InputError("The disk is gone.")

    with pytest.raises(InputError, match="disk is gone"):
        tenant.collect(Input(whole.name, whole.fingerprint, 1, broken, 6))  # type: ignore[arg-type]
    before = tenant.query("select next_ordinal, completed_at from ops.inputs")
    report = tenant.collect(whole)

    assert before == [(5, None)]
    assert (report.records_read, report.events_accepted) == (2, 2)
    assert len(tenant.accepted()) == 6
    tenant.check_books()


def test_the_same_content_twice_in_one_run_counts_once(tenant: Tenant) -> None:
    records = [event(number) for number in range(4)]
    report = tenant.collect(
        deliver(*records, name="one", chunk_records=2), deliver(*records, name="two", chunk_records=2)
    )

    assert report.events_accepted == 4
    assert tenant.query("select count(*), sum(records_read) from ops.batches") == [(2, 4)]
    tenant.check_books()


def test_a_clock_too_far_behind_the_last_build_is_refused(tenant: Tenant) -> None:
    with tenant.warehouse.connect() as connection:
        connection.execute(
            "insert into ops.organization_watermarks (organization_id, data_as_of) values (%s, %s)",
            [tenant.organization.organization_id, AS_OF],
        )

    assert tenant.collect(deliver(event(1, "05-14 08:00")), as_of=AS_OF - timedelta(hours=24)).events_accepted == 1
    with pytest.raises(ConfigurationError, match="raw data of that day is gone"):
        tenant.collect(deliver(event(2, "05-14 08:00")), as_of=AS_OF - timedelta(hours=24, seconds=1))


def test_a_clock_without_zone_is_refused(tenant: Tenant) -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        tenant.collect(deliver(event(1)), as_of=AS_OF.replace(tzinfo=None))


def test_an_object_learns_its_type_when_a_later_event_states_it(tenant: Tenant) -> None:
    tenant.collect(deliver(event(1)))
    tenant.collect(deliver(event(2, object_type="https://example.org/type")))

    assert tenant.query("select iri, object_type from core.objects") == [
        ("https://example.org/page", "https://example.org/type")
    ]


def test_names_that_many_events_share_are_stored_once(tenant: Tenant) -> None:
    tenant.collect(deliver(*(event(number, learner=f"learner {number % 3}") for number in range(30)), chunk_records=4))
    tenant.collect(deliver(event(31, learner="learner 3", course="https://example.org/course")))

    assert tenant.query("select count(*), max(user_id) - min(user_id) from core.users") == [(4, 3)]
    assert tenant.query("select count(*) from core.courses") == [(2,)]


def test_a_partition_that_was_dropped_in_between_is_made_again(tenant: Tenant) -> None:
    with open_run(
        tenant.warehouse.target,
        tenant.warehouse.settings,
        organization="acme",
        source="xapi",
        source_format="xapi",
        as_of=AS_OF,
        is_history=False,
        run_id="test",
    ) as run:
        (chunk,) = deliver(event(1), event(2, "05-07 10:00")).chunks(1, run.hasher)
        run.names.execute(
            "insert into ops.inputs (organization_id, source_id, fingerprint, name, byte_length, first_seen_at) "
            "values (%s, %s, '', '', 0, %s)",
            [run.organization.organization_id, run.source.source_id, AS_OF],
        )
        batch = run.prepare(pack(Chunk(1, 2, events=chunk.events)), 1)
        run.names.execute("drop table partitions.event_keys_p2024w19, partitions.event_keys_p2024w20")
        run.names.execute("drop table partitions.raw_data_collection_p20240515")
        batch.is_last.set_result(True)
        outcome = run.write(batch)

    assert outcome is not None
    assert outcome.events_accepted == 2
    tenant.check_books()
