"""Measure what row level security costs: `make bench-rls`, or `python bench/row_level_security.py --help`.

Fills a warehouse of its own (an embedded server with the settings that Lyceum gives it) with the day rows of learners, trainers
and organizations; the first organization is the largest, the hundredth a tenth of it. Then each role asks its typical
questions as the API's login with a token through the views of `api`, and the pipeline, which bypasses row security, asks
the same with a hand-written WHERE: in turns, in one run, each time about somebody else. The answers of the first time are
compared. Services send the organization and a range of days besides, so both ways do; `--without-literals` leaves the
organization to the policies.

Three ways to send a question: `text` is one statement with literals, planned each time. `prepared` is a prepared statement
that is planned each time for its parameters (plan_cache_mode = force_custom_plan). `kept` is a prepared statement whose plan is
kept. Figures are milliseconds within the server: its clock is read there before and after a statement, so parsing, rewriting,
planning and execution are in them, and the way to the client is not. What part of it planning is comes from EXPLAIN ANALYZE of the
same statement afterwards.

The warehouse lies in a temporary folder and is removed. `--keep FOLDER` leaves it there, stopped; a later run with the same
sizes takes it up again, one with other sizes fills it anew.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

from psycopg import sql

from lyceum import database
from lyceum.database import Connection, EmbeddedServer, Login
from lyceum.partitions import ensure_for_dates
from lyceum.security.tokens.claims import Role, TenantClaims
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.signing_keys import register
from lyceum.settings import Settings
from lyceum.views import VIEWS

LAST_DAY = date(2026, 11, 20)
COURSES, COURSES_OF_A_LEARNER, TRAINERS, COURSES_OF_A_TRAINER = 20, 2, 10, 5
AUDITED_DAYS, AUDIT_LOGS_A_DAY = 20, 200
WARM_UP = 20
PERIODS = "stage_three.aggregated_analytics"
SUMMARY = "stage_three.mv_learner_analytics_summary"
METRICS = "stage_three.mv_organization_metrics"
VIEW_OF = {
    PERIODS: "api.aggregated_analytics",
    SUMMARY: "api.learner_analytics_summary",
    METRICS: "api.organization_metrics",
    "audit.audit_logs": "api.audit_logs",
}

Side: TypeAlias = Literal["policies", "by hand"]
Way: TypeAlias = Literal["text", "prepared", "kept"]
SIDES: tuple[Side, ...] = ("policies", "by hand")
WAYS: tuple[Way, ...] = ("text", "prepared", "kept")
PARAMETERS = {
    "organization": "bigint",
    "user": "bigint",
    "course": "bigint",
    "courses": "bigint[]",
    "first": "date",
    "last": "date",
    "since": "timestamptz",
    "until": "timestamptz",
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is of what: `learners` of an organization on average."""

    organizations: int
    learners: int
    days: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a question is about."""

    organization: int
    learner: int
    trainer: int
    course: int
    courses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A role's question. `{relation}` becomes the view or the table, `{rows}` the condition.

    `sent` is what a service sends besides the organization, `by_hand` what the policy adds to that. The days are the last
    `days`. The first question of a role is its typical one.
    """

    role: Role
    what: str
    days: int
    source: str
    query: str
    sent: str
    by_hand: str = "true"


_LEARNERS = "subject_type = 'learner' and period_type = 'day' and period_start between {first} and {last}"
_TAUGHT = (
    "((subject_type in ('learner', 'trainer') and subject_id = {user})"
    " or (scope = 'course' and subject_type = 'learner' and is_enrolled and course_id = any({courses})))"
)
QUESTIONS = (
    Question(
        "learner",
        "own 90 days in all courses",
        90,
        PERIODS,
        "select course_id, period_start, is_active, event_count, active_minutes, time_on_task_seconds, session_count,"
        " resources_viewed, videos_completed, assessments_passed, score_mean from {relation} where {rows}"
        " order by course_id, period_start",
        f"{_LEARNERS} and subject_id = {{user}}",
        "subject_id = {user}",
    ),
    Question(
        "trainer",
        "learners of their 5 courses, 30 days",
        30,
        PERIODS,
        "select course_id, subject_id, sum(event_count), sum(active_minutes), count(*) filter (where is_active)"
        " from {relation} where {rows} group by course_id, subject_id",
        f"{_LEARNERS} and scope = 'course'",
        _TAUGHT,
    ),
    Question(
        "org_admin",
        "the organization's year by day",
        365,
        PERIODS,
        "select period_start, learners_active, event_count, active_minutes from {relation} where {rows} order by period_start",
        "subject_type = 'organization' and period_type = 'day' and scope = 'all_courses'"
        " and period_start between {first} and {last}",
    ),
    Question(
        "service",
        "a page of 500 learner days",
        1,
        PERIODS,
        "select subject_id, course_id, period_start, event_count, active_minutes, time_on_task_seconds from {relation}"
        " where {rows} order by subject_id, course_id limit 500",
        _LEARNERS,
    ),
    Question(
        "analyst",
        "active learners by week, a quarter",
        91,
        PERIODS,
        "select date_trunc('week', period_start), count(distinct subject_id), sum(event_count) from {relation}"
        " where {rows} and is_active group by 1",
        f"{_LEARNERS} and scope = 'all_courses'",
    ),
    Question(
        "auditor",
        "a day's last 100 entries",
        1,
        "audit.audit_logs",
        "select audit_id, occurred_at, actor_login, action, resource, decision, row_count from {relation} where {rows}"
        " order by occurred_at desc limit 100",
        "occurred_at >= {since} and occurred_at < {until}",
    ),
    Question(
        "trainer",
        "one of their courses, 30 days",
        30,
        PERIODS,
        "select subject_id, sum(event_count), sum(active_minutes) from {relation} where {rows} group by subject_id",
        f"{_LEARNERS} and course_id = {{course}}",
        _TAUGHT,
    ),
    Question(
        "org_admin",
        "top courses of the week",
        7,
        PERIODS,
        "select course_id, sum(event_count) from {relation} where {rows} group by course_id order by 2 desc limit 10",
        f"{_LEARNERS} and scope = 'course'",
    ),
    Question(
        "learner",
        "own summary",
        1,
        SUMMARY,
        "select course_id, lifetime_event_count, current_streak_days, is_at_risk from {relation} where {rows}",
        "learner_id = {user}",
        "learner_id = {user}",
    ),
    Question(
        "org_admin",
        "a course's summaries",
        1,
        SUMMARY,
        "select learner_id, engagement_band, is_at_risk, lifetime_active_minutes from {relation} where {rows} order by learner_id",
        "course_id = {course}",
    ),
    Question("org_admin", "the organization's metrics", 1, METRICS, "select * from {relation} where {rows}", "true"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A question sent one way: medians of both sides and the 99th percentile with policies, in milliseconds."""

    role: str
    question: str
    way: Way
    planning: float
    planning_by_hand: float
    total: float
    total_by_hand: float
    p99: float
    p99_by_hand: float

    @property
    def ratio(self) -> float:
        """How much longer it takes with policies."""
        return self.total / self.total_by_hand


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurement and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organizations", type=int, default=100)
    parser.add_argument("--learners", type=int, default=50, help="of an organization, on average")
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--times", type=int, default=300, help="how often each question is asked in each way")
    parser.add_argument("--without-literals", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there, too")
    parser.add_argument("--only", help="the questions that hold one of these texts, with commas")
    asked = parser.parse_args(arguments)
    sizes = Sizes(asked.organizations, asked.learners, asked.days)
    with warehouse(asked.keep, sizes) as (settings, target):
        login = database.login_target
        with (
            database.connect(login(target, settings, Login.API), autocommit=True) as api,
            database.connect(login(target, settings, Login.PIPELINE), autocommit=True) as bypassing,
        ):
            _say(f"load {os.getloadavg()[0]:.2f} before, {_facts(bypassing)}")
            _say(_HEADER)
            bench = _Bench(api, bypassing, InternalTokens.of_home(settings), not asked.without_literals)
            people = people_of(bypassing, asked.times + WARM_UP)
            cells = []
            for question in QUESTIONS:
                if asked.only is None or any(
                    part in f"{question.role} {question.what}" for part in asked.only.split(",")
                ):
                    for cell in bench.measure(question, people):
                        cells.append(cell)
                        _say(_row(cell))
            _say(f"load {os.getloadavg()[0]:.2f} after")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(cell) | {"ratio": cell.ratio} for cell in cells], indent=1))


class _Bench:
    def __init__(self, api: Connection, bypassing: Connection, tokens: InternalTokens, has_literals: bool) -> None:
        self._api = api
        self._bypassing = bypassing
        self._tokens = tokens
        self._has_literals = has_literals

    def measure(self, question: Question, people: Sequence[Asked]) -> Iterator[Cell]:
        """Ask in every way, with policies and by hand in turns."""
        for connection in (self._api, self._bypassing):
            connection.execute("deallocate all")
        elapsed: dict[tuple[Way, Side], list[float]] = {(way, side): [] for way in WAYS for side in SIDES}
        planning: dict[tuple[Way, Side], list[float]] = {(way, side): [] for way in WAYS for side in SIDES}
        for number, who in enumerate(people):
            answers: dict[Side, list[str]] = {}
            for side in SIDES if number % 2 else reversed(SIDES):
                with self._asking(question, who, side) as connection:
                    for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
                        statement = self._statement(question, who, side, way, connection, is_first=number == 0)
                        spent, planned = _elapsed(connection, statement), _planning(connection, statement)
                        if number >= WARM_UP:
                            elapsed[way, side].append(spent)
                            planning[way, side].append(planned)
                    answers[side] = sorted(map(repr, connection.execute(statement.encode(), prepare=False).fetchall()))
            if answers["policies"] != answers["by hand"] or (number == 0 and not answers["policies"]):
                raise SystemExit(
                    f"{question.role}, {question.what}: {len(answers['policies'])} rows by policies,"
                    f" {len(answers['by hand'])} by hand. Expected the same, and some."
                )
        for way in WAYS:
            yield Cell(
                question.role,
                question.what,
                way,
                planning=statistics.median(planning[way, "policies"]),
                planning_by_hand=statistics.median(planning[way, "by hand"]),
                total=statistics.median(elapsed[way, "policies"]),
                total_by_hand=statistics.median(elapsed[way, "by hand"]),
                p99=_p99(elapsed[way, "policies"]),
                p99_by_hand=_p99(elapsed[way, "by hand"]),
            )

    @contextmanager
    def _asking(self, question: Question, who: Asked, side: Side) -> Iterator[Connection]:
        """Open the transaction of a request, as services do."""
        connection = self._api if side == "policies" else self._bypassing
        with connection.transaction():
            if side == "policies":
                people = {"learner": who.learner, "trainer": who.trainer}
                scopes = ("analytics.read",) if question.role == "service" else ()
                claims = TenantClaims(question.role, who.organization, people.get(question.role), scopes)
                connection.execute(
                    "select set_config('lyceum.token', %s, true), set_config('role', %s, true)",
                    [self._tokens.mint(claims, lambda: datetime.now(UTC)), f"lyceum_{question.role}"],
                )
                connection.execute("select auth.claims() is not null")
            yield connection

    def _statement(
        self, question: Question, who: Asked, side: Side, way: Way, connection: Connection, *, is_first: bool
    ) -> str:
        """Return the statement that asks, after preparing it if it is the first."""
        values = {
            "organization": f"{who.organization}",
            "user": f"{who.trainer if question.role == 'trainer' else who.learner}",
            "course": f"{who.course}",
            "courses": f"'{{{','.join(map(str, who.courses))}}}'::bigint[]",
            "first": f"date '{LAST_DAY - timedelta(days=question.days - 1)}'",
            "last": f"date '{LAST_DAY}'",
            "since": f"timestamptz '{LAST_DAY - timedelta(days=question.days - 1)} 00:00:00+00'",
            "until": f"timestamptz '{LAST_DAY + timedelta(days=1)} 00:00:00+00'",
        }
        if way == "text":
            return self._text(question, side, values)
        mode = "force_custom_plan" if way == "prepared" else "force_generic_plan"
        connection.execute(f"set local plan_cache_mode = {mode}".encode())
        if is_first:
            text = self._text(question, side, {name: f"${number}" for number, name in enumerate(PARAMETERS, 1)})
            connection.execute(f"prepare {way} ({', '.join(PARAMETERS.values())}) as {text}".encode())
        return f"execute {way} ({', '.join(values.values())})"

    def _text(self, question: Question, side: Side, values: dict[str, str]) -> str:
        conditions = [question.sent]
        if self._has_literals or side == "by hand":
            conditions.insert(0, "organization_id = {organization}")
        if side == "by hand" and question.by_hand not in question.sent:
            conditions.append(question.by_hand)
        relation = VIEW_OF[question.source] if side == "policies" else question.source
        return question.query.format(relation=relation, rows=" and ".join(conditions).format(**values))


_HEADER = (
    f"{'role':<10}{'question':<38}{'way':<9}{'policies':>9}{'by hand':>9}{'more':>7}{'ratio':>7}"
    f"{'p99':>8}{'by hand':>9}{'planning':>10}{'by hand':>9}"
)


def _row(cell: Cell) -> str:
    return (
        f"{cell.role:<10}{cell.question:<38}{cell.way:<9}{cell.total:>9.2f}{cell.total_by_hand:>9.2f}"
        f"{cell.total - cell.total_by_hand:>7.2f}{cell.ratio:>7.2f}{cell.p99:>8.2f}{cell.p99_by_hand:>9.2f}"
        f"{cell.planning:>10.2f}{cell.planning_by_hand:>9.2f}"
    )


_CLOCK = """
do $clock$
declare
    began constant timestamptz := clock_timestamp();
begin
    execute {};
    perform set_config('bench.elapsed', extract(epoch from clock_timestamp() - began)::text, true);
end;
$clock$
"""


def _elapsed(connection: Connection, statement: str) -> float:
    """Return the milliseconds that the server spends on a statement, from its text to its last row."""
    connection.execute(sql.SQL(_CLOCK).format(sql.Literal(statement)))
    row = connection.execute("select current_setting('bench.elapsed')::float8 * 1000").fetchone()
    assert row is not None
    return float(row[0])


def _planning(connection: Connection, statement: str) -> float:
    row = connection.execute(f"explain (analyze, timing off, format json) {statement}".encode()).fetchone()
    assert row is not None
    return float(row[0][0]["Planning Time"])


def _p99(milliseconds: list[float]) -> float:
    return sorted(milliseconds)[int(0.99 * (len(milliseconds) - 1))]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _facts(connection: Connection) -> str:
    row = connection.execute(
        f"""
        select
            count(*) filter (where subject_type = 'learner' and period_type = 'day'), count(distinct organization_id),
            current_setting('server_version')
        from {PERIODS}
        """.encode()
    ).fetchone()
    assert row is not None
    return f"{row[0]:,} learner-day rows of {row[1]} organizations, PostgreSQL {row[2]}"


@contextmanager
def warehouse(keep: Path | None, sizes: Sizes) -> Iterator[tuple[Settings, database.ConnectionTarget]]:
    """Start the filled warehouse; at the end it is stopped, and removed unless it is kept."""
    home = keep.resolve() if keep else Path(tempfile.mkdtemp(prefix="lyceum-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    # The server refuses root, and runs as an account that has to pass through.
    home.chmod(0o711)
    settings, filled = Settings(home=home), home / "filled.json"
    wanted = json.dumps(asdict(sizes))
    try:
        if filled.exists() and filled.read_text("utf-8") != wanted:
            filled.unlink()
            with database.connect(
                database.ensure_available(settings).with_database("postgres"), autocommit=True
            ) as server:
                server.execute(f"drop database {settings.warehouse_database} with (force)".encode())
        target = database.ensure_available(settings)
        database.migrate(target, settings)
        with database.connect(target, autocommit=True) as connection:
            register(connection, settings, datetime.now(UTC))
            if not filled.exists():
                began = time.perf_counter()
                _fill(connection, sizes)
                filled.write_text(wanted, "utf-8")
                _say(f"filled in {time.perf_counter() - began:.0f} s")
        yield settings, target
    finally:
        EmbeddedServer(settings).stop(immediately=keep is None)
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)


def people_of(connection: Connection, times: int) -> list[Asked]:
    """Return about whom is asked: each organization as often as its learners are many."""
    learners_of: dict[int, int] = dict(
        connection.execute(
            "select organization_id, count(distinct user_id) from core.enrollments where role = 'learner' group by 1 order by 1"
        ).fetchall()
    )
    chance = random.Random(1)
    found = []
    for organization in chance.choices(list(learners_of), weights=list(learners_of.values()), k=times):
        learners, trainer = learners_of[organization], chance.randint(1, TRAINERS)
        courses = tuple(1 + (trainer * 2 + taught) % COURSES for taught in range(COURSES_OF_A_TRAINER))
        found.append(Asked(organization, chance.randint(1, learners), learners + trainer, courses[0], courses))
    return found


_PEOPLE = """
create temporary table sizes as
select number, greatest(20, (%(learners)s * 5.4 / sqrt(number))::integer) as learners
from generate_series(1, %(organizations)s) as number;

insert into core.organizations (organization_id, slug, name, created_at) overriding system value
select number, 'school-' || number, 'School', now() from sizes;

insert into core.users (organization_id, user_id, created_at) overriding system value
select number, person, now() from sizes, generate_series(1, learners + %(trainers)s) as person;

insert into core.courses (organization_id, course_id, created_at) overriding system value
select number, course, now() from sizes, generate_series(1, %(courses)s) as course;

insert into core.sources (organization_id, source_id, name, format, created_at) overriding system value
select number, 1, 'roster', 'oneroster', now() from sizes;

insert into core.enrollments
select
    number, 1, 1 + (trainer * 2 + taught) %% %(courses)s, learners + trainer, 'trainer', 1, now(),
    '{[2020-01-01,9999-12-31)}', '{[2020-01-01,9999-12-31)}'
from sizes, generate_series(1, %(trainers)s) as trainer, generate_series(0, %(taught)s - 1) as taught;

insert into core.enrollments
select
    number, 1, 1 + (learner + part) %% %(courses)s, learner, 'learner', 1, now(),
    '{[2020-01-01,9999-12-31)}', '{[2020-01-01,9999-12-31)}'
from sizes, generate_series(1, learners) as learner, generate_series(0, %(each)s - 1) as part;

insert into ops.organization_watermarks (organization_id, first_activity_on, closed_through, data_version, data_as_of)
select number, %(first)s, %(last)s, 1, now() from sizes;

insert into audit.audit_logs
    (occurred_at, organization_id, actor_login, action, resource, row_count, decision, source, server_id)
select
    %(last)s::timestamptz - make_interval(days => day) + make_interval(secs => entry * 86400.0 / %(entries)s),
    number, 'lyceum_authenticator', 'read', 'api.aggregated_analytics', entry, 'allowed', 'service', 1
from generate_series(%(audited)s - 1, 0, -1) as day, generate_series(0, %(entries)s - 1) as entry, sizes
"""

# As builds publish them: day after day, each organization's rows together.
_LEARNER_DAYS = f"""
insert into {PERIODS}
    (organization_id, subject_type, subject_id, course_id, period_type, period_start, scope, is_active, active_days, event_count,
    active_minutes, time_on_task_seconds, session_count, is_enrolled, is_completed)
select
    number, 'learner', learner, case when part > 0 then 1 + (learner + part - 1) %% %(courses)s end, 'day',
    %(first)s::date + number_of_day, case when part > 0 then 'course' else 'all_courses' end,
    active, active::integer, active::integer * (1 + (learner * 7 + number_of_day) %% 40),
    active::integer * (3 + (learner + number_of_day) %% 60), active::integer * 60 * (3 + (learner + number_of_day) %% 60),
    active::integer, true, false
from generate_series(%(day)s, %(until)s - 1) as number_of_day, sizes, generate_series(1, learners) as learner,
    generate_series(0, %(each)s) as part,
    lateral (select (learner * 31 + number_of_day * 17 + part) %% 7 < 3 as active) as activity
"""

_OTHER_DAYS = f"""
insert into {PERIODS}
    (organization_id, subject_type, subject_id, period_type, period_start, scope, event_count, active_minutes, learners_active)
select number, 'organization', number, 'day', %(first)s::date + number_of_day, 'all_courses', 1000, 5000, 10
from generate_series(0, %(days)s - 1) as number_of_day, sizes;

insert into {PERIODS}
    (organization_id, subject_type, subject_id, course_id, period_type, period_start, scope, learners_assigned)
select
    number, 'trainer', learners + trainer, 1 + (trainer * 2 + taught) %% %(courses)s, 'day', %(first)s::date + number_of_day,
    'course', 10
from generate_series(0, %(days)s - 1) as number_of_day, sizes, generate_series(1, %(trainers)s) as trainer,
    generate_series(0, %(taught)s - 1) as taught
"""


def _fill(connection: Connection, sizes: Sizes) -> None:
    """Make the rows. Organization n has learners in proportion to 1 / square root of n; three in seven days are active."""
    first = LAST_DAY - timedelta(days=sizes.days - 1)
    ensure_for_dates(connection, PERIODS, [date(year, 1, 1) for year in range(first.year, LAST_DAY.year + 1)])
    ensure_for_dates(
        connection, "audit.audit_logs", [LAST_DAY - timedelta(days=day) for day in range(-1, AUDITED_DAYS + 1)]
    )
    named = asdict(sizes) | {
        "courses": COURSES,
        "trainers": TRAINERS,
        "each": COURSES_OF_A_LEARNER,
        "taught": COURSES_OF_A_TRAINER,
        "first": first,
        "last": LAST_DAY,
        "audited": AUDITED_DAYS,
        "entries": AUDIT_LOGS_A_DAY,
    }

    def run(statements: str, **more: Any) -> None:
        for statement in statements.split(";\n"):
            connection.execute(statement.encode(), named | more)

    run(_PEOPLE)
    for day in range(0, sizes.days, 50):
        run(_LEARNER_DAYS, day=day, until=min(day + 50, sizes.days))
    run(_OTHER_DAYS)
    for table in ("learner_analytics_summary", "organization_metrics"):
        wanted: dict[str, str] = dict(
            connection.execute(
                """
                select attname, format_type(atttypid, null) from pg_attribute
                where attrelid = %s::regclass and attnum > 0 and attnotnull order by attnum
                """,
                [f"audited.{table}"],
            ).fetchall()
        )
        told = {
            "organization_id": "number",
            "learner_id": "learner",
            "course_id": "1 + (learner + part) %% %(courses)s",
        }
        of_kind = {"boolean": "true", "text": "'high'", "date": "%(last)s::date", "timestamp with time zone": "now()"}
        values = ", ".join(
            told.get(name) or of_kind.get(kind, "'{}'" if kind.endswith("[]") else "0") for name, kind in wanted.items()
        )
        rows = (
            ", generate_series(1, learners) as learner, generate_series(0, %(each)s - 1) as part"
            if "learner_id" in wanted
            else ""
        )
        run(f"insert into audited.{table} ({', '.join(wanted)}) select {values} from sizes{rows}")
    for view in VIEWS.values():
        run(f"refresh materialized view stage_three.{view.name}")
    connection.execute("vacuum (analyze)")


if __name__ == "__main__":
    main()
