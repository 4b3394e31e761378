"""Eleven years of schedules keep every promise: nothing stays too long, nothing goes too early, and no number changes."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lyceum.database import ConnectionTarget
from lyceum.lifecycle import SCHEDULES, Schedule
from property.comparison import Organization
from replay.happenings import DAY, HOUR, clock_change
from replay.kept_sessions import kept_sessions
from replay.replay import Replay
from replay.schedules import due_on, expression, next_due
from warehouse import SharedServer

# Winter and summer on both hemispheres, furthest ahead and furthest behind; Samoa gave summer time up in 2021, Jordan in 2022.
ZONES = ("America/New_York", "Pacific/Apia", "Pacific/Pago_Pago", "Asia/Amman")

BEGIN = date(2014, 12, 29)
END = date(2026, 1, 5)

DAGS: dict[Schedule, str] = {
    "daily": "cleanup_daily",
    "weekly": "cleanup_weekly",
    "monthly": "maintain_monthly",
    "yearly": "archive_yearly",
}

# Nothing runs: the scheduler is down, once over the end of a year.
SILENT = (
    (date(2018, 10, 30), date(2018, 11, 5)),
    (date(2022, 12, 29), date(2023, 1, 4)),
)
# Builds fail, everything else goes on.
STUCK = ((date(2021, 3, 24), date(2021, 3, 28)),)

LATE_IN_YEAR_THREE = date(2017, 5, 9)
HISTORY = date(2018, 6, 12)
MOVE = date(2019, 9, 3)

# A few days around everything that is special; between them time jumps, as if nobody had switched the machine on.
STRETCHES = (
    (date(2014, 12, 29), date(2015, 1, 2)),
    (date(2015, 12, 31), date(2016, 1, 4)),
    (date(2016, 11, 6), date(2016, 11, 7)),
    (date(2017, 5, 8), date(2017, 5, 9)),
    (date(2018, 6, 12), date(2018, 6, 12)),
    (date(2018, 10, 29), date(2018, 11, 6)),
    (date(2019, 9, 3), date(2019, 9, 3)),
    (date(2020, 12, 31), date(2021, 1, 5)),
    (date(2021, 3, 23), date(2021, 3, 29)),
    (date(2022, 1, 2), date(2022, 1, 2)),
    (date(2022, 10, 28), date(2022, 10, 28)),
    (date(2022, 12, 28), date(2023, 1, 5)),
    (date(2024, 1, 2), date(2024, 1, 2)),
    (date(2024, 12, 30), date(2025, 1, 3)),
    (date(2025, 12, 31), date(2026, 1, 5)),
)


@dataclass(frozen=True)
class Timetable:
    """Which days are played, which of them are built, and how often everything is compared."""

    days: tuple[date, ...]
    builds_on: frozenset[date]
    dbt_builds_on: frozenset[date]
    compares_all_on: frozenset[date]
    compares_one_on: frozenset[date]


@pytest.fixture
def replay(shared_server: SharedServer, template: ConnectionTarget, tmp_path: Path) -> Iterator[Replay]:
    with (
        shared_server.database(tmp_path / "home", template) as lent,
        kept_sessions(),
        closing(Replay(lent, ZONES, BEGIN)) as replay,
    ):
        yield replay


def test_stretches_of_eleven_years_keep_every_promise(replay: Replay) -> None:
    days = tuple(day for begin, end in STRETCHES for day in _days(begin, end))
    ends = frozenset(end for _, end in STRETCHES if end.year % 2)
    play(
        replay,
        Timetable(
            days,
            builds_on=frozenset(days),
            dbt_builds_on=frozenset({date(2020, 12, 31)}),
            compares_all_on=frozenset({END}),
            compares_one_on=ends,
        ),
    )
    assert replay.tally.steps.total() > 200
    assert replay.tally.checks["archives restore to identical rows"] >= 5


@pytest.mark.exhaustive
@pytest.mark.timeout(4 * 3600)
def test_every_day_of_eleven_years_keeps_every_promise(replay: Replay) -> None:
    days = tuple(_days(BEGIN, END))
    play(
        replay,
        Timetable(
            days,
            builds_on=frozenset(day for day in days if _is_special(day) or day.toordinal() % 3 == 0),
            dbt_builds_on=frozenset(day for day in days if day.day == 28 and day.month % 3 == 0),
            compares_all_on=frozenset(day for day in days if (day.month, day.day) == (1, 5)),
            compares_one_on=frozenset(day for day in days if day.day == 3 and day.month % 2),
        ),
    )
    assert replay.tally.steps["clean-up daily"] > 4000


def test_the_schedules_are_those_that_are_played() -> None:
    assert {dag: expression(dag) for dag in (*DAGS.values(), "collect_raw_data")} == {
        "cleanup_daily": "25 0 * * *",
        "cleanup_weekly": "50 0 * * 2",
        "maintain_monthly": "20 1 1 * *",
        "archive_yearly": "35 1 2 1 *",
        "collect_raw_data": "*/15 * * * *",
    }


def test_the_zones_are_what_they_are_played_for() -> None:
    noon = datetime(2015, 1, 15, 12, tzinfo=UTC)
    offsets = {zone: noon.astimezone(ZoneInfo(zone)).utcoffset() for zone in ZONES}
    assert max(offset or DAY for offset in offsets.values()) == 14 * HOUR
    assert min(offset or DAY for offset in offsets.values()) == -11 * HOUR
    assert clock_change("America/New_York", date(2016, 11, 6)) == datetime(2016, 11, 6, 6, tzinfo=UTC)
    assert clock_change("Asia/Amman", date(2022, 10, 27)) is None
    assert clock_change("Asia/Amman", date(2023, 10, 26)) is None


def play(replay: Replay, timetable: Timetable) -> None:
    """Run everything that is due on every day of the timetable, and print what was done."""
    missed: set[Schedule] = set()
    before = BEGIN - DAY
    for day in timetable.days:
        missed |= _due_between(before + DAY, day)
        before = day
        if _is_within(day, SILENT):
            missed |= _due_between(day, day + DAY)
            continue
        _clean_up(replay, day, missed)
        missed = set()
        _collect_and_build(replay, timetable, day)
        if day.month % 3 == 1 and day.day == 5:
            _tell(f"{day}: {replay.tally.steps.total():,} steps, {replay.tally.checks.total():,} checks")
        if (day + DAY).day == 1:
            replay.access_something(datetime(day.year, day.month, day.day, 23, 50, tzinfo=UTC))
    replay.verify_trail()
    _tell(str(replay.tally))


def _tell(line: str) -> None:
    """For whoever runs this with `pytest -s`: eleven years take a while."""
    sys.stdout.write(f"\n{line}")
    sys.stdout.flush()


def _clean_up(replay: Replay, day: date, missed: Collection[Schedule]) -> None:
    """What is due on the day; of what was missed the scheduler runs the latest as soon as it can."""
    runs = [(at, schedule) for schedule in SCHEDULES for at in due_on(DAGS[schedule], day)]
    due_today = {schedule for _, schedule in runs}
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for schedule in SCHEDULES:
        if schedule in missed and schedule not in due_today:
            replay.clean_up(schedule, max(replay.now, midnight))
    for at, schedule in sorted(runs):
        replay.clean_up(schedule, at)
        if day.day == 2 and schedule in ("daily", "weekly"):
            replay.clean_up_again(schedule, at + timedelta(minutes=5))
    if day.day == 1:
        replay.tidy()
    if (day.month, day.day) == (1, 25):
        replay.let_restored_go(midnight + 3 * HOUR)


def _collect_and_build(replay: Replay, timetable: Timetable, day: date) -> None:
    number = day.toordinal()
    slots = due_on("collect_raw_data", day)
    slot = slots[20 + number * 7 % 60]
    ones = replay.organizations
    collecting = ones if day.weekday() == 0 or day in timetable.compares_all_on else [ones[number % len(ones)]]
    for one in collecting:
        replay.collect(one, slot)
    slot = _special(replay, day, slot)
    if day.day == 4:
        replay.replay_refused(ones[day.month % len(ones)], "too_late", slot + HOUR / 12)
    if day not in timetable.builds_on or _is_within(day, STUCK):
        return
    built_at = slot + HOUR / 6
    replay.build_all(built_at, by_dbt=day in timetable.dbt_builds_on)
    compared = ones if day in timetable.compares_all_on else []
    if day in timetable.compares_one_on and not compared:
        compared = [ones[(day.year + day.month) % len(ones)]]
    if day in timetable.dbt_builds_on:
        replay.refresh_by_dbt(next_due("refresh_learner_summary", built_at))
    elif day.weekday() == 6 or compared:
        replay.refresh(next_due("refresh_learner_summary", built_at))
    for one in compared:
        replay.compare_organization(one, replay.now, with_views=True)


def _special(replay: Replay, day: date, slot: datetime) -> datetime:
    """What happens once in eleven years; returns the clock after it."""
    first, _, third, fourth = replay.organizations
    if day == LATE_IN_YEAR_THREE:
        late = [replay.happenings(first).event(slot - days * DAY) for days in (180, 182, 183)]
        assert replay.collect(first, slot, *late)["too_late"] >= 3
        assert replay.replay_refused(first, "too_late", slot + HOUR / 12) >= 3
        assert len(first.expected.open_weeks) > 2
        return slot + HOUR / 12
    if day == HISTORY:
        past = [replay.happenings(third).event(slot - days * DAY) for days in range(700, 760, 9)]
        replay.collect(third, slot, *past, is_history=True)
    if day == MOVE:
        _move(replay, fourth, day + 4 * DAY)
    return slot


def _move(replay: Replay, one: Organization, on: date) -> None:
    replay.move(one, "Europe/Lisbon", on, replay.now)


def _due_between(begin: date, end: date) -> set[Schedule]:
    """What was due on the days from `begin` to before `end`."""
    return {schedule for schedule, dag in DAGS.items() if any(due_on(dag, day) for day in _days(begin, end - DAY))}


def _is_special(day: date) -> bool:
    near = any(clock_change(zone, day + number * DAY) is not None for zone in ZONES for number in (-1, 0, 1))
    return (
        near
        or (day.month == 1 and day.day < 8)
        or (day.month == 12 and day.day > 25)
        or (day.day, day.month % 2) == (3, 1)
        or (day.day, day.month % 3) == (28, 0)
    )


def _is_within(day: date, ranges: Collection[tuple[date, date]]) -> bool:
    return any(begin <= day <= end for begin, end in ranges)


def _days(begin: date, end: date) -> Iterator[date]:
    while begin <= end:
        yield begin
        begin += DAY
