"""Events as arrays: nothing that an event says is lost or moved to another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from lyceum.collect.packing import NOBODY, pack, pack_events
from lyceum.records import Chunk
from tenants import digest, event, event_id, refusal, void

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

people = st.sampled_from(["ada", "grace", "alan"])


def test_instants_are_exact_to_the_microsecond() -> None:
    # Seconds as a double are a little too small for about one instant in a hundred.
    chance = Random(1)
    microseconds = [chance.randrange(4_102_444_800_000_000) for _ in range(5_000)]
    one = event(1)

    packed = pack_events([replace(one, occurred_at=EPOCH + timedelta(microseconds=value)) for value in microseconds])

    assert packed.occurred.tolist() == microseconds


@given(st.lists(st.tuples(people, st.none() | people, st.none() | st.sampled_from("xyz")), min_size=1, max_size=20))
def test_every_event_keeps_its_own_names(rows: list[tuple[str, str | None, str | None]]) -> None:
    events = [
        event(
            number,
            learner=learner,
            trainer=None if trainer is None else digest(trainer),
            course=course,
            verb=f"v{number % 3}",
        )
        for number, (learner, trainer, course) in enumerate(rows)
    ]

    packed = pack_events(events)

    assert [packed.people[code] for code in packed.learner_codes] == [one.learner for one in events]
    assert [None if code == NOBODY else packed.people[code] for code in packed.trainer_codes] == [
        one.trainer for one in events
    ]
    assert [packed.courses[code] for code in packed.course_codes] == [one.course for one in events]
    assert [packed.verbs[code] for code in packed.verb_codes] == [one.verb for one in events]
    assert len(set(packed.people)) == len(packed.people)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=20))
def test_payloads_are_found_again(payloads: list[bytes]) -> None:
    events = [event(number, payload=payload) for number, payload in enumerate(payloads)]

    packed = pack_events(events)

    assert [packed.payload(position) for position in range(len(packed))] == payloads
    assert packed.tail_borders[-1] == len(packed.tails)
    assert np.all(np.diff(packed.tail_borders) >= packed.payload_lengths)


def test_an_event_is_known_by_its_position() -> None:
    packed = pack_events([event(1), void(2, 1), event(1, content="other")])

    assert [packed.event_id(position) for position in range(3)] == [event_id(1), event_id(2), event_id(1)]
    assert packed.content_hash(2) == event(1, content="other").content_hash
    assert packed.voids == {1: event_id(1)}
    assert packed.has_repeated_ids


def test_an_object_has_the_last_type_that_is_stated() -> None:
    packed = pack_events(
        [event(1, object="a"), event(2, object="a", object_type="t"), event(3, object="a"), event(4, object="b")]
    )

    assert packed.objects == {"a": "t", "b": None}


def test_a_chunk_of_refusals_alone_holds_no_events() -> None:
    packed = pack(Chunk(5, 6, refusals=[refusal(), refusal()]))

    assert (packed.events, packed.columns, packed.records_read, packed.position) == (None, None, 2, 6)
