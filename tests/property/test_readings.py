"""The xAPI adapter and the oracle read every generated statement alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyceum.adapters.xapi import StatementReader
from lyceum.identity import OrganizationHasher
from lyceum.records import Event, Refusal
from oracle.calendars import Calendar
from oracle.statements import Record, RefusedError, content, read_statement
from property.histories import GARBAGE, UNUSABLE, Told, moments, sittings, voids
from property.population import ZONES
from property.spelling import decode, encode, exact, respell

HASHER = OrganizationHasher(bytes(32))
NOW = datetime(2026, 3, 9, 5, tzinfo=UTC)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

calendars = st.sampled_from(ZONES).map(lambda zone: Calendar(((ALWAYS, zone),)))
told = calendars.flatmap(
    lambda calendar: sittings(calendar, NOW, 10) | st.lists(voids([], moments(calendar, NOW, 5)), min_size=1)
)


def read(line: bytes) -> Event | Refusal:
    return StatementReader(HASHER).read(line, 1)


def as_read(event: Event | Refusal) -> dict[str, Any]:
    assert isinstance(event, Event), event
    return {
        "event_id": str(UUID(bytes=event.event_id)),
        "occurred_at": event.occurred_at,
        "learner": event.learner,
        "trainer": event.trainer,
        "course": event.course,
        "score": None if event.score_scaled is None else Fraction(event.score_scaled),
        "is_success": event.is_success,
        "is_course_object": event.is_course_object,
        "is_video": event.is_video,
        "length": None if event.video_length_seconds is None else Fraction(event.video_length_seconds),
        "segments": sorted((Fraction(start), Fraction(end)) for start, end in event.played_segments),
        "voids": None if event.voids is None else str(UUID(bytes=event.voids)),
        "quantity": event.quantity,
    }


def as_expected(record: Record) -> dict[str, Any]:
    return {
        "event_id": record.event_id,
        "occurred_at": record.occurred_at,
        "learner": HASHER.hash(record.learner),
        "trainer": None if record.trainer is None else HASHER.hash(record.trainer),
        "course": record.course,
        "score": record.score,
        "is_success": record.is_success,
        "is_course_object": record.is_course_object,
        "is_video": record.is_video,
        "length": record.length,
        "segments": sorted(record.segments),
        "voids": record.voids,
        "quantity": record.quantity,
    }


@given(told)
def test_the_adapter_reads_what_the_oracle_reads(statements: list[Told]) -> None:
    for one in statements:
        record = read_statement(decode(one.line))
        assert record.occurred_at == one.instant
        assert as_read(read(one.line)) == as_expected(record)


@given(told, st.sampled_from([0, 345, -300]))
def test_another_spelling_is_the_same_content(statements: list[Told], offset: int) -> None:
    for one in statements:
        respelled = respell(one.line, one.instant, offset)
        first, second = read(one.line), read(respelled)
        assert isinstance(first, Event)
        assert isinstance(second, Event)
        assert first.content_hash == second.content_hash
        assert content(read_statement(decode(one.line))) == content(read_statement(decode(respelled)))


@given(told, told)
def test_hashes_differ_exactly_where_contents_differ(first: list[Told], second: list[Told]) -> None:
    lines = [one.line for one in (*first, *second)]
    events, records = [read(line) for line in lines], [read_statement(decode(line)) for line in lines]
    for event, record in zip(events, records, strict=True):
        for other, other_record in zip(events, records, strict=True):
            assert isinstance(event, Event)
            assert isinstance(other, Event)
            assert (event.content_hash == other.content_hash) == (content(record) == content(other_record))


@given(told, st.sampled_from(UNUSABLE))
def test_what_the_oracle_refuses_the_adapter_refuses_with_the_same_reason(
    statements: list[Told], change: tuple[str, Any]
) -> None:
    name, value = change
    for one in statements:
        statement = json.loads(one.line, parse_float=exact)
        del statement[name]
        line = encode(statement if value is None else statement | {name: value})
        refusal = read(line)
        assert isinstance(refusal, Refusal)
        with pytest.raises(RefusedError) as refused:
            read_statement(decode(line))
        assert refusal.reason == refused.value.reason


def test_garbage_is_malformed_for_both() -> None:
    for line in GARBAGE:
        refusal = read(line)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == decode(line).reason
