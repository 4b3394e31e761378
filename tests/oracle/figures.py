"""Records of one organization → every row of `stage_three.aggregated_analytics` and of the day tables of stage two.

A row is a dictionary of the columns that its definition names; a column that is not there is null. Quantities are exact:
`int`, `Fraction`, `datetime` (UTC), `date`, `bool` or None.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

from oracle.calendars import Calendar, period_last_day, period_start, week_of
from oracle.enrollment import EventDay, Membership, membership
from oracle.rosters import NO_ROSTERS, RosterDays
from oracle.statements import Record

Row = dict[str, Any]

SESSION_GAP_MINUTES = 30
WATCHED_SHARE = Fraction(95, 100)
WEEKLY_DAYS = 7
MONTHLY_DAYS = 28
COHORT_WEEKS = (1, 2, 4, 8)

INACTIVE = {"evaluated", "completed", "passed", "failed", "earned", "registered", "unregistered", "transferred"}
WITHOUT_INTERACTION = INACTIVE | {"submitted"}
VIEWING = {"viewed", "interacted"}
ATTEMPTING = {"answered", "submitted", "evaluated"}

LEARNER_SUMS = (
    "event_count",
    "interaction_count",
    "resources_viewed",
    "videos_started",
    "videos_completed",
    "video_seconds_watched",
    "assessments_attempted",
    "assessments_passed",
    "attempt_count",
    "score_sum",
    "score_count",
    "contributions",
    "completions",
)
LEARNER_SUMS_OF_KNOWN = ("active_minutes", "session_count", "time_on_task_seconds")
TRAINER_SUMS_OVER_LEARNERS = ("completions", "score_sum", "score_count")
TRAINER_SUMS = (*TRAINER_SUMS_OVER_LEARNERS, "contributions", "attempts_reviewed")
STAGE_TWO_LEARNER_OMITS = ("active_days", "score_mean", "is_at_risk")


class Scope(NamedTuple):
    """`course` None with `is_all` False is the unassigned course."""

    is_all: bool
    course: str | None


ALL_COURSES = Scope(True, None)


class Key(NamedTuple):
    """Natural key of a stage-three row. `subject` is the user, or None for the organization."""

    subject: str | None
    scope: Scope
    period_type: str
    start: date
    is_trainer: bool = False


@dataclass(frozen=True)
class Figures:
    """`stage_three` by key; the others are the rows of stage two, those of trainers by trainer, course and day, and who is
    enrolled in which course when, up to the last closed day at least."""

    stage_three: dict[Key, Row]
    learner_days: dict[tuple[str, Scope, date], Row]
    organization_days: dict[date, Row]
    trainer_days: dict[tuple[str, str, date], Row]
    memberships: Mapping[tuple[str, str], Membership] = field(default_factory=dict)


def compute(
    records: Iterable[Record],
    calendar: Calendar,
    closed_through: date,
    roster: RosterDays = NO_ROSTERS,
) -> Figures:
    """All figures that follow from the records that count (accepted, no void, not voided).

    `roster` decides every day up to the last closed day and to the last day of a record.
    """
    records = list(records)
    by_day: dict[tuple[str, Scope], dict[date, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        day = record.day or calendar.local_date(record.occurred_at)
        by_day[record.learner, Scope(False, record.course)][day].append(record)
        by_day[record.learner, ALL_COURSES][day].append(record)
    if not by_day:
        return Figures({}, {}, {}, {})

    flow = {
        (learner, scope): {day: measure(events) for day, events in days.items()}
        for (learner, scope), days in by_day.items()
    }
    through = max(closed_through, *(day for days in by_day.values() for day in days))
    told = {(learner, scope.course) for learner, scope in flow if scope.course is not None}
    memberships = {
        (learner, course): membership(
            {day: _event_day(row) for day, row in flow.get((learner, Scope(False, course)), {}).items()},
            through,
            roster.learning.get((learner, course), frozenset()),
            partial(roster.is_rostered, course),
            roster.merged.get(learner),
        )
        for learner, course in told | set(roster.learning)
    }
    courses_of: dict[str, list[Membership]] = defaultdict(list)
    for (learner, _), found in memberships.items():
        courses_of[learner].append(found)
    _add_completions(flow, memberships)

    stage_three: dict[Key, Row] = {}
    learner_days: dict[tuple[str, Scope, date], Row] = {}
    for (learner, scope), days in flow.items():
        stock = Stock(scope, memberships.get((learner, scope.course or "")), courses_of[learner])
        for day, row in days.items():
            full = row | stock.on(day) | {"active_days": int(row["is_active"]), "score_mean": _mean(row)}
            del full["is_at_risk"]
            stage_three[Key(learner, scope, "day", day)] = full
            learner_days[learner, scope, day] = _without(full, STAGE_TWO_LEARNER_OMITS)
        for period_type in ("week", "month", "year"):
            for start, rows in _periods(days, period_type).items():
                last_closed = min(period_last_day(period_type, start), closed_through)
                period_row = roll_up_learner(rows)
                if last_closed >= start:
                    period_row |= stock.on(last_closed)
                stage_three[Key(learner, scope, period_type, start)] = period_row

    organization = Organization(flow, memberships, closed_through, roster)
    organization_days = {day: organization.day_row(day) for day in organization.closed_days}
    for day, row in organization_days.items():
        full = row | {"active_days": int(row["learners_active"] > 0), "is_active": row["learners_active"] > 0}
        stage_three[Key(None, ALL_COURSES, "day", day)] = full
    for period_type in ("week", "month", "year"):
        for start, rows in _periods(organization_days, period_type).items():
            stage_three[Key(None, ALL_COURSES, period_type, start)] = organization.period_row(period_type, start, rows)

    trainers = Trainers(records, calendar, flow, memberships)
    trainer_days: dict[tuple[str, str, date], Row] = {}
    for (trainer, course), teaching in roster.teaching.items():
        scope = Scope(False, course)
        taught = {day: trainers.day_row(trainer, course, day) for day in organization.closed_days if day in teaching}
        for day, row in taught.items():
            trainer_days[trainer, course, day] = row
            full = row | {"active_days": int(row["learners_active"] > 0), "is_active": row["learners_active"] > 0}
            stage_three[Key(trainer, scope, "day", day, is_trainer=True)] = full
        for period_type in ("week", "month", "year"):
            for start, rows in _periods(taught, period_type).items():
                taught_days = [day for day in taught if period_start(period_type, day) == start]
                key = Key(trainer, scope, period_type, start, is_trainer=True)
                stage_three[key] = trainers.period_row(course, taught_days, rows)
    return Figures(stage_three, learner_days, organization_days, trainer_days, memberships)


def measure(events: Sequence[Record]) -> Row:
    """The flow columns of the events of one learner on one day, in one course or in all."""
    minutes = sorted({_minute(event.occurred_at) for event in events if event.day is None})
    sessions = list(_sessions(minutes))
    scores = [event.score for event in events if event.score is not None]
    watched = {
        video: _union_length(event.segments for event in events if event.object == video)
        for video in {event.object for event in events if event.segments}
    }
    return {
        "is_active": any(event.kind not in INACTIVE for event in events),
        "event_count": len(events),
        "interaction_count": sum(event.quantity for event in events if event.kind not in WITHOUT_INTERACTION),
        "active_minutes": len(minutes) or None,
        "session_count": len(sessions) or None,
        "time_on_task_seconds": sum((last - first + 1) * 60 for first, last in sessions) or None,
        "first_event_at": min(event.occurred_at for event in events),
        "last_event_at": max(event.occurred_at for event in events),
        "resources_viewed": len({event.object for event in events if event.kind in VIEWING}),
        "videos_started": len({event.object for event in events if event.kind == "played"}),
        "videos_completed": len(_completed_videos(events, watched)),
        "video_seconds_watched": sum(watched.values(), Fraction(0)),
        "assessments_attempted": len({event.object for event in events if event.kind in ATTEMPTING}),
        "assessments_passed": len({event.object for event in events if _passes_an_assessment(event)}),
        "attempt_count": sum(event.kind in ATTEMPTING for event in events),
        "score_sum": sum(scores, Fraction(0)),
        "score_count": len(scores),
        "contributions": sum(event.kind == "posted" for event in events),
        "course_completed_at": min(
            (event.occurred_at for event in events if _completes_the_course(event)), default=None
        ),
        "last_registered_at": max((event.occurred_at for event in events if event.kind == "registered"), default=None),
        "last_unregistered_at": max(
            (event.occurred_at for event in events if event.kind == "unregistered"), default=None
        ),
    }


def _minute(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(minutes=1)


def _sessions(minutes: Sequence[int]) -> Iterable[tuple[int, int]]:
    """(first, last) of the maximal runs in which each minute is at most 30 after the one before it."""
    first = last = None
    for minute in minutes:
        if first is not None and last is not None and minute - last > SESSION_GAP_MINUTES:
            yield first, last
            first = None
        first = minute if first is None else first
        last = minute
    if first is not None and last is not None:
        yield first, last


def _union_length(segment_lists: Iterable[Sequence[tuple[Fraction, Fraction]]]) -> Fraction:
    """Length of what at least one of the segments covers."""
    covered_to: Fraction | None = None
    length = Fraction(0)
    for start, end in sorted(segment for segments in segment_lists for segment in segments):
        if covered_to is None or start > covered_to:
            covered_to = start
        if end > covered_to:
            length += end - covered_to
            covered_to = end
    return length


def _completed_videos(events: Sequence[Record], watched: Mapping[str, Fraction]) -> set[str]:
    """Videos with a `completed` event, or of whose greatest stated length at least 95 % was watched."""
    completed = set()
    video_events = [event for event in events if event.is_video]
    for video in {event.object for event in video_events}:
        said = [event for event in video_events if event.object == video]
        length = max((event.length for event in said if event.length is not None), default=None)
        if any(event.kind == "completed" for event in said) or (
            length is not None and watched.get(video, Fraction(0)) >= WATCHED_SHARE * length
        ):
            completed.add(video)
    return completed


def _passes_an_assessment(event: Record) -> bool:
    has_passed = event.kind == "passed" or (event.is_success is True and event.kind in ATTEMPTING)
    return has_passed and not event.is_course_object


def _completes_the_course(event: Record) -> bool:
    return event.kind in ("passed", "completed") and event.is_course_object


def _event_day(row: Row) -> EventDay:
    return EventDay(
        row["is_active"], row["course_completed_at"], row["last_registered_at"], row["last_unregistered_at"]
    )


def _add_completions(
    flow: Mapping[tuple[str, Scope], Mapping[date, Row]], memberships: Mapping[tuple[str, str], Membership]
) -> None:
    """Set `completions`, and clear the helper columns across courses, where they have no meaning."""
    completed_days: dict[str, list[date]] = defaultdict(list)
    for (learner, _), found in memberships.items():
        if found.completed_on is not None:
            completed_days[learner].append(found.completed_on)
    for (learner, scope), days in flow.items():
        for day, row in days.items():
            if scope.is_all:
                row["completions"] = completed_days[learner].count(day)
                row["course_completed_at"] = row["last_registered_at"] = row["last_unregistered_at"] = None
            elif scope.course is None:
                row["completions"] = 0
            else:
                row["completions"] = int(memberships[learner, scope.course].completed_on == day)


@dataclass(frozen=True)
class Stock:
    """The stock columns of one learner in one course, in no course, or across all."""

    scope: Scope
    course: Membership | None
    courses: Sequence[Membership]

    def on(self, day: date) -> Row:
        if self.scope.is_all:
            runs = [found.enrolled_on[day] for found in self.courses if day in found.enrolled_on]
            is_at_risk = any(day in found.at_risk_on for found in self.courses)
            completion: Row = {"is_completed": None, "completed_at": None}
        elif self.course is None:
            runs, is_at_risk = [], False
            completion = {"is_completed": False, "completed_at": None}
        else:
            runs = [self.course.enrolled_on[day]] if day in self.course.enrolled_on else []
            is_at_risk = day in self.course.at_risk_on
            is_completed = self.course.is_completed(day)
            completion = {
                "is_completed": is_completed,
                "completed_at": self.course.completed_at if is_completed else None,
            }
        return completion | {
            "is_enrolled": bool(runs),
            "enrolled_on": min(runs, default=None),
            "is_at_risk": is_at_risk,
        }


def roll_up_learner(rows: Sequence[Row]) -> Row:
    """A learner's week, month or year from the day rows in it, but for the stock columns."""
    total: Row = {column: sum((row[column] for row in rows), Fraction(0)) for column in LEARNER_SUMS}
    for column in LEARNER_SUMS_OF_KNOWN:
        total[column] = sum(row[column] for row in rows if row[column] is not None) or None
    active_days = sum(row["is_active"] for row in rows)
    return total | {
        "first_event_at": min(row["first_event_at"] for row in rows),
        "last_event_at": max(row["last_event_at"] for row in rows),
        "active_days": active_days,
        "is_active": active_days > 0,
        "score_mean": _mean(total),
    }


class Organization:
    """The organization's rows, looked at day by day."""

    def __init__(
        self,
        flow: Mapping[tuple[str, Scope], Mapping[date, Row]],
        memberships: Mapping[tuple[str, str], Membership],
        closed_through: date,
        roster: RosterDays,
    ) -> None:
        self._closed_through = closed_through
        self._teachers: dict[date, set[str]] = defaultdict(set)
        for (trainer, _), taught in roster.teaching.items():
            for day in taught:
                self._teachers[day].add(trainer)
        self._course_rows: dict[date, list[Row]] = defaultdict(list)
        self._across_rows: dict[date, list[Row]] = defaultdict(list)
        self._active_learners: dict[date, set[str]] = defaultdict(set)
        self._active_courses: dict[date, set[str]] = defaultdict(set)
        for (learner, scope), days in flow.items():
            for day, row in days.items():
                (self._across_rows if scope.is_all else self._course_rows)[day].append(row)
                if row["is_active"]:
                    self._active_learners[day].add(learner)
                    if scope.course is not None:
                        self._active_courses[day].add(scope.course)

        self._enrolled: dict[date, int] = defaultdict(int)
        self._begun: dict[date, int] = defaultdict(int)
        self._enrolled_and_completed: dict[date, int] = defaultdict(int)
        self._at_risk: dict[date, set[str]] = defaultdict(set)
        for (learner, _), found in memberships.items():
            for day, first_day in found.enrolled_on.items():
                self._enrolled[day] += 1
                self._begun[day] += first_day == day
                self._enrolled_and_completed[day] += found.is_completed(day)
            for day in found.at_risk_on:
                self._at_risk[day].add(learner)

        first_day = min(self._course_rows)
        self.closed_days = [
            first_day + timedelta(days=number) for number in range((closed_through - first_day).days + 1)
        ]
        self._cohorts: dict[date, set[str]] = defaultdict(set)
        for learner in set().union(*self._active_learners.values()):
            first_active = min(day for day, active in self._active_learners.items() if learner in active)
            if first_active <= closed_through:
                self._cohorts[week_of(first_active)].add(learner)

    def day_row(self, day: date) -> Row:
        row = _organization_sums(self._course_rows[day])
        row |= {
            "learners_active": len(self._active_learners[day]),
            "trainers_active": len(self._active_teachers([day])),
            "courses_active": len(self._active_courses[day]),
            "time_on_task_seconds": _sum_of_known(self._across_rows[day], "time_on_task_seconds"),
            "enrollments_open": self._enrolled[day],
            "enrollments_new": self._begun[day],
            "enrollments_completed": self._enrolled_and_completed[day],
            "completion_rate": quotient(self._enrolled_and_completed[day], self._enrolled[day]),
            "learners_at_risk": len(self._at_risk[day]),
            "weekly_active_learners": len(self._active_in(_last_days(day, WEEKLY_DAYS))),
            "monthly_active_learners": len(self._active_in(_last_days(day, MONTHLY_DAYS))),
        }
        return row | {"stickiness": quotient(row["learners_active"], row["monthly_active_learners"])}

    def period_row(self, period_type: str, start: date, rows: Sequence[Row]) -> Row:
        """From the rows of the closed days of the period, in order."""
        last_day = min(period_last_day(period_type, start), self._closed_through)
        first_day = max(start, self.closed_days[0])
        days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
        last = rows[-1]
        active_days = sum(row["learners_active"] > 0 for row in rows)
        period_row = _organization_sums(rows) | {
            "enrollments_new": sum(row["enrollments_new"] for row in rows),
            "time_on_task_seconds": _sum_of_known(rows, "time_on_task_seconds"),
            "learners_active": len(self._active_in(days)),
            "trainers_active": len(self._active_teachers(days)),
            "courses_active": len(set().union(*(self._active_courses[day] for day in days))),
            "active_days": active_days,
            "is_active": active_days > 0,
            "stickiness": quotient(
                Fraction(sum(row["learners_active"] for row in rows), len(rows)), last["monthly_active_learners"]
            ),
        }
        for column in (
            "enrollments_open",
            "enrollments_completed",
            "completion_rate",
            "learners_at_risk",
            "weekly_active_learners",
            "monthly_active_learners",
        ):
            period_row[column] = last[column]
        return period_row | self._cohort(start) if period_type == "week" else period_row

    def _cohort(self, week: date) -> Row:
        cohort = self._cohorts[week]
        row: Row = {"cohort_size": len(cohort)}
        for later in COHORT_WEEKS:
            monday = week + timedelta(weeks=later)
            days = [monday + timedelta(days=number) for number in range(7)]
            if days[-1] <= self._closed_through:
                row[f"retained_{later}"] = quotient(len(cohort & self._active_in(days)), len(cohort))
        return row

    def _active_in(self, days: Iterable[date]) -> set[str]:
        return {learner for day in days for learner in self._active_learners.get(day, ())}

    def _active_teachers(self, days: Iterable[date]) -> set[str]:
        return {
            trainer
            for day in days
            for trainer in self._active_learners.get(day, set()) & self._teachers.get(day, set())
        }


class Trainers:
    """The rows of those who teach: what the learners of a course do, and what the trainer does in it."""

    def __init__(
        self,
        records: Iterable[Record],
        calendar: Calendar,
        flow: Mapping[tuple[str, Scope], Mapping[date, Row]],
        memberships: Mapping[tuple[str, str], Membership],
    ) -> None:
        self._flow = flow
        self._learners: dict[str, dict[str, Membership]] = defaultdict(dict)
        for (learner, course), found in memberships.items():
            self._learners[course][learner] = found
        self._reviewed: Counter[tuple[str, str, date]] = Counter(
            (record.trainer, record.course, record.day or calendar.local_date(record.occurred_at))
            for record in records
            if record.kind == "evaluated" and record.trainer is not None and record.course is not None
        )

    def day_row(self, trainer: str, course: str, day: date) -> Row:
        rows = list(self._rows_of_assigned(course, day).values())
        assigned = sum(day in found.enrolled_on for found in self._learners[course].values())
        totals = {column: sum((row[column] for row in rows), Fraction(0)) for column in TRAINER_SUMS_OVER_LEARNERS}
        own = self._flow.get((trainer, Scope(False, course)), {}).get(day)
        return _trainer_rates(
            totals
            | {
                "learners_assigned": assigned,
                "learners_active": len(self._active(course, day)),
                "learners_at_risk": sum(day in found.at_risk_on for found in self._learners[course].values()),
                "time_on_task_seconds": _sum_of_known(rows, "time_on_task_seconds"),
                "contributions": own["contributions"] if own is not None else 0,
                "attempts_reviewed": self._reviewed[trainer, course, day],
            }
        )

    def period_row(self, course: str, days: Sequence[date], rows: Sequence[Row]) -> Row:
        """From the trainer's day rows in the period, in order."""
        active_days = sum(row["learners_active"] > 0 for row in rows)
        return _trainer_rates(
            {column: sum((row[column] for row in rows), Fraction(0)) for column in TRAINER_SUMS}
            | {
                "learners_assigned": rows[-1]["learners_assigned"],
                "learners_active": len(set().union(*(self._active(course, day) for day in days))),
                "learners_at_risk": rows[-1]["learners_at_risk"],
                "time_on_task_seconds": _sum_of_known(rows, "time_on_task_seconds"),
                "active_days": active_days,
                "is_active": active_days > 0,
            }
        )

    def _rows_of_assigned(self, course: str, day: date) -> dict[str, Row]:
        rows = {}
        for learner, found in self._learners[course].items():
            row = self._flow.get((learner, Scope(False, course)), {}).get(day)
            if row is not None and day in found.enrolled_on:
                rows[learner] = row
        return rows

    def _active(self, course: str, day: date) -> set[str]:
        return {learner for learner, row in self._rows_of_assigned(course, day).items() if row["is_active"]}


def _trainer_rates(row: Row) -> Row:
    time, active = row["time_on_task_seconds"], row["learners_active"]
    return row | {
        "activity_rate": quotient(active, row["learners_assigned"]),
        "score_mean": _mean(row),
        "time_on_task_seconds_per_active_learner": None if time is None else quotient(time, active),
    }


def _organization_sums(rows: Sequence[Row]) -> Row:
    sums: Row = {
        column: sum((row[column] for row in rows), Fraction(0))
        for column in ("event_count", "interaction_count", "attempt_count", "score_sum", "score_count", "completions")
    }
    return sums | {"score_mean": _mean(sums)}


def _sum_of_known(rows: Iterable[Row], column: str) -> int | None:
    known = [row[column] for row in rows if row[column] is not None]
    return sum(known) if known else None


def _last_days(day: date, number: int) -> list[date]:
    return [day - timedelta(days=back) for back in range(number)]


def _periods(days: Mapping[date, Row], period_type: str) -> dict[date, list[Row]]:
    """Day rows by the period that holds them, in order of days."""
    periods: dict[date, list[Row]] = defaultdict(list)
    for day in sorted(days):
        periods[period_start(period_type, day)].append(days[day])
    return periods


def _mean(row: Row) -> Fraction | None:
    return quotient(row["score_sum"], row["score_count"])


def quotient(numerator: Fraction | int, denominator: Fraction | int) -> Fraction | None:
    """Rounded to six digits, half away from zero; None over zero."""
    if denominator == 0:
        return None
    millionths = abs(Fraction(numerator) / Fraction(denominator)) * 10**6
    rounded = int(millionths + Fraction(1, 2))
    sign = -1 if Fraction(numerator) / Fraction(denominator) < 0 else 1
    return Fraction(sign * rounded, 10**6)


def _without(row: Row, columns: Iterable[str]) -> Row:
    return {column: value for column, value in row.items() if column not in columns}
