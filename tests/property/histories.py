"""Hypothesis strategies: small histories that crowd around the borders where numbers go wrong."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from oracle.calendars import Calendar, period_last_day, week_of
from property.population import (
    ADL,
    COURSES,
    LEARNERS,
    MODULE,
    PAGES,
    QUIZZES,
    TEACHER,
    TIN_CAN,
    VIDEO,
    VIDEO_TYPE,
    VIDEOS,
)
from property.spelling import encode, exact, timestamp

LENGTH = VIDEO + "extensions/length"
PLAYED_SEGMENTS = VIDEO + "extensions/played-segments"

BEGINNINGS = (
    date(2020, 12, 24),  # a leap year ends in week 53, which lies in two years
    date(2024, 2, 23),  # the leap day
    date(2024, 12, 27),  # 30 December is in week 1 of 2025
    date(2025, 3, 24),  # clocks go forward in London, a week later back at Lord Howe
    date(2025, 10, 20),  # clocks go back in London, and in New York a week later
    date(2026, 3, 2),  # clocks go forward in New York
    date(2021, 9, 20),  # clocks go forward for the last time in Apia
)
"""Where clocks start."""

GAPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 1, 59, 60, 61, 20 * 60, 30 * 60 - 1, 30 * 60, 30 * 60 + 59, 31 * 60, 61 * 60)
)
NUDGES = tuple(
    timedelta(microseconds=number) for number in (0, -1, 1, -1_000_000, 59_999_999, -1_860_000_000, 90_000_000)
)
SCORES = ("0", "1", "-1", "0.5", "0.1", "0.3", "1.0", "0.333333333333333333333", "1e-7", "-0.25", "1.5", "100")
LENGTHS = ("10", "12.5", "100", "263.24", "0.1", "0", "-5", "1e9", "99.999999999999999999")
SEGMENTS = (
    "0[.]10",
    "0[.]9.5",
    "0[.]9.499",
    "5[.]12.5[,]0[.]6",
    "0[.]42.608[,]43.168[.]100[,]176.4",
    "0[.]0.1[,]0.1[.]0.3",
    "7[.]7[,]8[.]3",
    "0[.]NaN[,]0[.]1e400[,]1[.]2[.]3[,]2[.]3",
    "-5[.]5",
    "99.5[.]263.24",
    "",
    "0[.]95",
)


@dataclass(frozen=True)
class Told:
    """One statement as it was delivered first."""

    event_id: str
    instant: datetime
    line: bytes

    def __repr__(self) -> str:
        return self.event_id


def moments(calendar: Calendar, now: datetime, days_back: int) -> st.SearchStrategy[datetime]:
    """Instants up to `days_back` days before `now`, mostly at borders of local days, weeks, months and hours."""
    today = calendar.local_date(now)
    days = [today - timedelta(days=back) for back in range(days_back + 1)]
    borders = [calendar.day_start(day) for day in days]
    special = [
        calendar.day_start(day)
        for day in days
        if day == week_of(day) or day.day == 1 or calendar.day_end(day) - calendar.day_start(day) != timedelta(days=1)
    ] or borders
    hours = st.builds(lambda border, hour: border + timedelta(hours=hour), st.sampled_from(borders), st.integers(0, 24))
    anywhere = st.builds(
        lambda border, seconds: border + timedelta(seconds=seconds), st.sampled_from(borders), st.integers(0, 90_000)
    )
    anchors = st.one_of(
        st.sampled_from(special), st.sampled_from(borders), hours, anywhere, st.just(now.replace(microsecond=0))
    )
    return st.builds(
        lambda anchor, nudge: min(anchor + nudge, now + timedelta(minutes=5)), anchors, st.sampled_from(NUDGES)
    )


_numbers = st.integers(0, 2**48)

_verb = {
    "experienced": ADL + "experienced",
    "interacted": ADL + "interacted",
    "launched": ADL + "launched",
    "initialized": ADL + "initialized",
    "terminated": ADL + "terminated",
    "asked": ADL + "asked",
    "answered": ADL + "answered",
    "passed": ADL + "passed",
    "failed": ADL + "failed",
    "completed": ADL + "completed",
    "registered": ADL + "registered",
    "unregistered": TIN_CAN + "unregistered",
    "earned": TIN_CAN + "earned",
    "downloaded": TIN_CAN + "downloaded",
    "viewed": TIN_CAN + "viewed",
    "submitted": "http://activitystrea.ms/schema/1.0/submit",
    "transferred": "https://w3id.org/lyceum/verbs/transferred",
    "navigated": "https://w3id.org/xapi/dod-isd/verbs/navigated",
    "evaluated": "https://w3id.org/xapi/acrossx/verbs/evaluated",
    "played": VIDEO + "verbs/played",
    "paused": VIDEO + "verbs/paused",
    "seeked": VIDEO + "verbs/seeked",
    "unknown": "https://example.org/verbs/juggled",
}

_results = st.fixed_dictionaries(
    {},
    optional={
        "success": st.booleans(),
        "score": st.sampled_from(SCORES).map(lambda number: {"scaled": exact(number)}),
    },
)


@st.composite
def _pages(draw: st.DrawFn) -> dict[str, Any]:
    verbs = (
        "experienced",
        "viewed",
        "navigated",
        "interacted",
        "launched",
        "initialized",
        "terminated",
        "asked",
        "downloaded",
        "unknown",
    )
    return {"verb": {"id": _verb[draw(st.sampled_from(verbs))]}, "object": {"id": draw(st.sampled_from(PAGES))}}


@st.composite
def _quizzes(draw: st.DrawFn) -> dict[str, Any]:
    verbs = ("answered", "answered", "passed", "failed", "submitted", "transferred", "completed", "evaluated")
    return {
        "verb": {"id": _verb[draw(st.sampled_from(verbs))], "display": {"en": "did"}},
        "object": {"id": draw(st.sampled_from(QUIZZES))},
        "result": draw(_results),
    }


@st.composite
def _evaluations(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "actor": TEACHER,
        "verb": {"id": _verb["evaluated"]},
        "object": {"objectType": "Agent", **draw(st.sampled_from(LEARNERS))},
        "result": draw(_results),
    }


@st.composite
def _videos(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(st.sampled_from(("played", "paused", "seeked", "completed", "terminated", "experienced")))
    target: dict[str, Any] = {"id": draw(st.sampled_from(VIDEOS))}
    if draw(st.booleans()):
        target["definition"] = VIDEO_TYPE
    extensions = st.fixed_dictionaries(
        {},
        optional={
            LENGTH: st.sampled_from(LENGTHS).map(exact) | st.just("10"),
            PLAYED_SEGMENTS: st.sampled_from(SEGMENTS),
        },
    )
    statement = {"verb": {"id": _verb[verb]}, "object": target, "result": {"extensions": draw(extensions)}}
    if draw(st.integers(0, 3)) == 0:
        statement["context"] = {"extensions": {LENGTH: exact(draw(st.sampled_from(LENGTHS)))}}
    return statement


@st.composite
def _courses(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(
        st.sampled_from(
            ("registered", "registered", "unregistered", "completed", "passed", "failed", "earned", "experienced")
        )
    )
    return {"verb": {"id": _verb[verb]}, "object": draw(st.sampled_from(COURSES)), "result": draw(_results)}


_activities = st.one_of(_pages(), _quizzes(), _videos(), _courses(), _evaluations())


@st.composite
def _placements(draw: st.DrawFn) -> dict[str, Any]:
    """`contextActivities` that lead to a course in every way the rule knows, or to none."""
    course = draw(st.sampled_from(COURSES))
    return draw(
        st.sampled_from(
            [
                {"parent": [course]},
                {"parent": [course]},
                {"parent": [MODULE, course]},
                {"parent": [MODULE], "grouping": [course]},
                {"parent": course},
                {"grouping": [MODULE, course]},
                {"parent": [MODULE]},
                {"grouping": [MODULE]},
                {},
            ]
        )
    )


@st.composite
def sittings(draw: st.DrawFn, calendar: Calendar, now: datetime, days_back: int) -> list[Told]:
    """What one learner does in one go: statements a few seconds to an hour apart, from a border on."""
    at = draw(moments(calendar, now, days_back))
    learner = draw(st.sampled_from(LEARNERS))
    placement = draw(_placements())
    told = []
    for activity in draw(st.lists(_activities, min_size=1, max_size=6)):
        event_id = str(uuid.UUID(int=draw(_numbers) << 32, version=4))
        context = activity.get("context", {}) | ({"contextActivities": placement} if placement else {})
        if draw(st.integers(0, 4)) == 0:
            context["instructor"] = TEACHER
        statement = {"id": event_id, "actor": learner, **activity, "timestamp": timestamp(at)}
        if context:
            statement["context"] = context
        told.append(Told(event_id, at, encode(statement)))
        at = min(at + draw(st.sampled_from(GAPS)), now + timedelta(minutes=5))
    return told


def voids(target_ids: Sequence[str], instants: st.SearchStrategy[datetime]) -> st.SearchStrategy[Told]:
    """A statement that voids one of the targets, or one that nobody has told."""

    def tell(number: int, target: str, at: datetime) -> Told:
        event_id = str(uuid.UUID(int=number << 32, version=4))
        statement = {
            "id": event_id,
            "actor": TEACHER,
            "verb": {"id": ADL + "voided"},
            "object": {"objectType": "StatementRef", "id": target},
            "timestamp": timestamp(at),
        }
        return Told(event_id, at, encode(statement))

    unknown = _numbers.map(lambda number: str(uuid.UUID(int=number << 32, version=4)))
    targets = st.sampled_from(target_ids) | unknown if target_ids else unknown
    return st.builds(tell, _numbers, targets, instants)


UNUSABLE: tuple[tuple[str, Any], ...] = (
    ("id", None),
    ("id", "not a uuid"),
    ("timestamp", None),
    ("timestamp", "2026-01-01T00:00:00"),
    ("timestamp", "2025-02-29T00:00:00Z"),
    ("timestamp", "2016-12-31T23:59:60Z"),
    ("actor", None),
    ("actor", {"name": "Nobody"}),
    ("actor", {"objectType": "Group", "member": [{"mbox": "mailto:ann@example.org"}]}),
    ("verb", None),
    ("object", None),
    ("object", {"id": "x" * 2001}),
)
"""Changes (None removes) each of which makes a statement unusable."""

GARBAGE = (b'{"id": ', b"plain text", b'{"a": 1} trailing', b"\xff\xfe\x00", b"[1, 2")


def last_day_of_week(day: date) -> date:
    """The Sunday of the ISO week."""
    return period_last_day("week", week_of(day))
