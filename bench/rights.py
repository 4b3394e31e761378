"""What row level security costs a reader: each role's queries under its policies beside the owner's with the same rows named.

    python bench/rights.py [--organizations 20] [--learners 1000]

Makes a database of its own on the server that the settings mean, which must run, and drops it at the end. A learner has a
day row for each of 20 days in two courses and across all: by default 1.2 million rows of stage three.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from lyceum import database
from lyceum.database import Connection
from lyceum.partitions import ensure_for_dates
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.signing_keys import register
from lyceum.settings import Settings

NAME = "lyceum_bench_rights"
REPEATS = 15
PERIOD = "period_type = 'day' and period_start between '2026-11-02' and '2026-11-21'"
FIGURES = "count(*), sum(event_count), max(period_start)"

FILL = """
insert into stage_three.aggregated_analytics
    (organization_id, subject_id, course_id, period_start, subject_type, period_type, scope, is_enrolled, event_count)
select
    organization_id, learner_id, nullif(course_id, 0), date '2026-11-02' + day_number, 'learner', 'day',
    case course_id when 0 then 'all_courses' else 'course' end, true, 1
from generate_series(1, %(organizations)s) as organization_id
cross join generate_series(1, %(learners)s) as learner_id
cross join lateral (values (0), (1 + learner_id %% 50), (51 + learner_id %% 50)) as courses (course_id)
cross join generate_series(0, 19) as day_number
"""

# One trainer of five courses in each organization, and as many enrollments as a roster would tell.
PEOPLE = """
insert into core.organizations (organization_id, slug, name, created_at) overriding system value
select number, 'bench-' || number, 'Bench', now() from generate_series(1, %(organizations)s) as number;
insert into core.users (organization_id, user_id, created_at) overriding system value
select organization_id, number, now()
from generate_series(1, %(organizations)s) as organization_id, generate_series(1, %(learners)s + 1) as number;
insert into core.courses (organization_id, course_id, created_at) overriding system value
select organization_id, number, now()
from generate_series(1, %(organizations)s) as organization_id, generate_series(1, 100) as number;
insert into core.sources (organization_id, source_id, name, format, created_at) overriding system value
select number, 1, 'roster', 'oneroster', now() from generate_series(1, %(organizations)s) as number;
insert into core.enrollments (organization_id, source_id, course_id, user_id, role, roster_id, known_at, valid_days, speaks_for)
select
    organization_id, 1, 1 + user_id %% 50, user_id, 'learner', 1, now(),
    '{[2026-11-01,2027-01-01)}'::datemultirange, '{(,)}'::datemultirange
from generate_series(1, %(organizations)s) as organization_id, generate_series(1, %(learners)s) as user_id
union all
select
    organization_id, 1, course_id, %(learners)s + 1, 'trainer', 1, now(),
    '{[2026-11-01,2027-01-01)}'::datemultirange, '{(,)}'::datemultirange
from generate_series(1, %(organizations)s) as organization_id, generate_series(1, 5) as course_id;
insert into ops.organization_watermarks (organization_id, closed_through)
select number, '2026-11-20' from generate_series(1, %(organizations)s) as number;
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--organizations", type=int, default=20)
    parser.add_argument("--learners", type=int, default=1000)
    sizes = vars(parser.parse_args())
    settings = replace(Settings.from_environment(os.environ, Path.cwd()), warehouse_database=NAME)
    with _database(settings) as connection:
        register(connection, settings, datetime.now(UTC))
        for statement in PEOPLE.split(";\n")[:-1]:
            connection.execute(statement.encode(), sizes)
        ensure_for_dates(connection, "stage_three.aggregated_analytics", [date(2026, 11, 2)])
        connection.execute(FILL.encode(), sizes)
        connection.execute("vacuum analyze")
        _measure(connection, InternalTokens.of_home(settings), sizes["learners"])


def _measure(connection: Connection, tokens: InternalTokens, learners: int) -> None:
    trainer = learners + 1
    taught = "subject_type = 'learner' and scope = 'course' and is_enrolled and course_id = any(array[1, 2, 3, 4, 5])"
    cases = (
        ("learner, own days", TenantClaims("learner", 7, 7), "subject_type = 'learner' and subject_id = 7"),
        ("trainer, five courses", TenantClaims("trainer", 7, trainer), taught),
        ("org_admin, everything", TenantClaims("org_admin", 7), "true"),
        ("service, everything", TenantClaims("service", 7, scopes=("analytics.read",)), "true"),
    )
    sys.stdout.write(f"{'who':<24}{'rows':>8}{'ms, by policy':>16}{'ms, by hand':>14}\n")
    for name, claims, condition in cases:
        literal = f"organization_id = 7 and {PERIOD}"
        asked = f"select {FIGURES} from api.aggregated_analytics where {literal}"
        by_hand = f"select {FIGURES} from stage_three.aggregated_analytics where {literal} and {condition}"
        shown, by_policy = _time(connection, asked, claims, tokens)
        told, plain = _time(connection, by_hand, None, tokens)
        if shown != told:
            raise SystemExit(f"{name}: {shown} rows by policy, {told} by hand. Expected the same.")
        sys.stdout.write(f"{name:<24}{shown:>8}{by_policy:>16.1f}{plain:>14.1f}\n")


def _time(connection: Connection, query: str, claims: TenantClaims | None, tokens: InternalTokens) -> tuple[int, float]:
    """Return the number of rows and the median milliseconds, planning included, each time in a transaction of its own."""
    seconds = []
    rows = 0
    for _ in range(REPEATS):
        with connection.transaction():
            if claims is not None:
                connection.execute(
                    "select set_config('lyceum.token', %s, true), set_config('role', %s, true)",
                    [tokens.mint(claims, lambda: datetime.now(UTC)), f"lyceum_{claims.role}"],
                )
            began = time.perf_counter()
            row = connection.execute(query.encode(), prepare=False).fetchone()
            seconds.append(time.perf_counter() - began)
            assert row is not None
            rows = row[0]
    return rows, statistics.median(seconds) * 1000


@contextmanager
def _database(settings: Settings) -> Iterator[Connection]:
    database.ensure_available(settings)
    target = database.administrator_target(settings)
    try:
        database.migrate(target, settings)
        with database.connect(target, autocommit=True) as connection:
            yield connection
    finally:
        with database.connect(target.with_database("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database {NAME} with (force)".encode())


if __name__ == "__main__":
    main()
