"""What partitions there must be after a clean-up and which may not be there any more, told by walking over days."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache

from lyceum.database import Connection
from lyceum.lifecycle import Schedule
from oracle.retention import days_of, may_go

DAY = timedelta(days=1)
RAW = "raw_data_collection"
STATES = ("event_keys", "learner_day_states", "learner_video_day_states", "trainer_day_states")
PUBLISHED_WEEKS = ("learner_analytics", "trainer_analytics", "organization_analytics")
YEARS = "aggregated_analytics"
TRAIL = "audit_logs"
_NAME = re.compile(r"(?P<table>[a-z_]+)_p(?P<period>\d{8}|\d{4}w\d\d|\d{4}m\d\d|\d{4})(?P<leaf>_h\d+)?")


@dataclass(frozen=True)
class Keeping:
    """What is kept of one table: by which of its days, for how long, which clean-up drops it, how far ahead it is made."""

    is_local: bool
    retention: tuple[str, int]
    cleanup: Schedule
    leaves: int = 1


KEPT: Mapping[str, Keeping] = {
    RAW: Keeping(False, ("hours", 24), "daily"),
    "quarantine": Keeping(False, ("days", 90), "weekly"),
    "event_keys": Keeping(True, ("days", 7), "weekly"),
    **{table: Keeping(True, ("days", 7), "weekly", leaves=2) for table in (*STATES[1:], *PUBLISHED_WEEKS)},
    YEARS: Keeping(True, ("years", 7), "yearly", leaves=2),
    TRAIL: Keeping(False, ("years", 10), "yearly"),
}


@dataclass
class Catalogue:
    """The partitions that there are: by table the ends of their names, and which of them are not whole."""

    periods: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    months_of_days: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


def read_catalogue(connection: Connection) -> Catalogue:
    """Read every table of the schema `partitions`, and hold its bounds against the days that its name says."""
    found = Catalogue()
    leaves: dict[str, int] = defaultdict(int)
    for name, bounds, is_pending in connection.execute(
        """
        select relations.relname, pg_get_expr(relations.relpartbound, relations.oid), coalesce(inheritance.inhdetachpending, false)
        from pg_class as relations
        left join pg_inherits as inheritance on inheritance.inhrelid = relations.oid
        where relations.relnamespace = 'partitions'::regnamespace and relations.relkind in ('r', 'p')
        """
    ).fetchall():
        match = _NAME.fullmatch(name)
        if match is None or match["table"] not in KEPT or bounds is None or is_pending:
            found.wrong.append(f"{name} {bounds}")
            continue
        if match["leaf"]:
            leaves[f"{match['table']}_p{match['period']}"] += 1
            continue
        if bounds != _bounds(match["period"], is_instant=not KEPT[match["table"]].is_local):
            found.wrong.append(f"{name} {bounds}")
        if match["table"] == RAW and "m" in match["period"]:
            found.months_of_days.add(match["period"])
            continue
        found.periods[match["table"]].add(match["period"])
    for table, periods in found.periods.items():
        if KEPT[table].leaves > 1:
            found.wrong += [
                f"{table}_p{period} has {leaves[f'{table}_p{period}']} leaves"
                for period in periods
                if leaves[f"{table}_p{period}"] != KEPT[table].leaves
            ]
    return found


_days_of = cache(days_of)


@cache
def _bounds(period: str, *, is_instant: bool) -> str:
    days = days_of(period)
    suffix = " 00:00:00+00" if is_instant else ""
    return f"FOR VALUES FROM ('{min(days)}{suffix}') TO ('{max(days) + DAY}{suffix}')"


def ahead(as_of: datetime) -> dict[str, set[str]]:
    """The partitions that must exist at an instant: this week and 8 more, this month and 3, this year and 2."""
    today = as_of.astimezone(UTC).date()
    weeks = {week_name(today + number * 7 * DAY) for number in range(9)}
    first = today.replace(day=1)
    months = []
    for _ in range(4):
        months.append(first)
        first = (first + 31 * DAY).replace(day=1)
    days = {f"{today + number * DAY:%Y%m%d}" for number in range((first - today).days)}
    return {
        RAW: days,
        "quarantine": {f"{month:%Ym%m}" for month in months},
        TRAIL: {f"{month:%Ym%m}" for month in months},
        YEARS: {str(today.year + number) for number in range(3)},
        **dict.fromkeys((*STATES, *PUBLISHED_WEEKS), weeks),
    }


def week_name(day: date) -> str:
    """The name of the ISO week of a day."""
    year, week, _ = day.isocalendar()
    return f"{year}w{week:02}"


def expired(table: str, periods: Iterable[str], as_of: datetime) -> Iterator[str]:
    """The periods that have outlived the retention of their table."""
    kept = KEPT[table]
    for period in periods:
        if may_go(period, is_local=kept.is_local, retention=kept.retention, as_of=as_of):
            yield period


def too_old(found: Catalogue, schedule: Schedule, as_of: datetime, is_needed: Callable[[str, str], bool]) -> list[str]:
    """What the clean-up of a schedule has left although nobody needs it."""
    return [
        f"{table}_p{period}"
        for table, kept in KEPT.items()
        if kept.cleanup == schedule
        for period in expired(table, found.periods[table], as_of)
        if not is_needed(table, period)
    ]


def held(found: Catalogue, as_of: datetime, is_needed: Callable[[str, str], bool]) -> set[str]:
    """What has expired and is needed: the holds."""
    return {
        f"{table}_p{period}"
        for table in KEPT
        for period in expired(table, found.periods[table], as_of)
        if is_needed(table, period)
    }
