"""Partitions with rows of every kind, and what tests of archives do with them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from psycopg import sql

from lyceum import partitions
from lyceum.archiving import StoredArchive, archive_files, archive_partition, is_archived, restore_partition
from lyceum.archiving.files import measure
from lyceum.archiving.partitions import KEEP, RestoredPartition
from lyceum.database import Connection, connect
from lyceum.settings import Settings
from warehouse import Warehouse

YEARS = "stage_three.aggregated_analytics"
YEAR = "aggregated_analytics_p2013"
TRAIL = "audit.audit_logs"
MONTH = "audit_logs_p2013m02"
AS_OF = datetime(2026, 11, 20, 6, tzinfo=UTC)
FORMAT_1 = Path(__file__).parent / "sql" / "archiving" / "format_1"


@dataclass(frozen=True, slots=True)
class Archiving:
    """A warehouse, a connection of the pipeline to it, and one of the administrator for looking on."""

    warehouse: Warehouse
    pipeline: Connection
    connection: Connection
    settings: Settings

    def at(self, archives_url: str) -> Archiving:
        """Return the same with another place for archives."""
        return replace(self, settings=replace(self.settings, archives_url=archives_url))

    def fill_year(self, organizations: tuple[int, ...] = (1, 2, 3)) -> None:
        partitions.ensure_for_dates(self.pipeline, YEARS, [date(2013, 1, 1)])
        for organization_id in organizations:
            self.connection.execute(_PERIODS, {"organization_id": organization_id})

    def fill_month(self) -> None:
        partitions.ensure_for_dates(self.pipeline, TRAIL, [date(2013, 2, 1)])
        self.connection.execute(_ACCESSES)

    def archive(self, table: str = YEARS, name: str = YEAR, as_of: datetime = AS_OF) -> StoredArchive:
        return archive_partition(self.pipeline, self.settings, table, name, as_of)

    def is_archived(self, table: str = YEARS, name: str = YEAR) -> bool:
        return is_archived(self.pipeline, self.settings, table, name)

    def restore(
        self, table: str = YEARS, name: str = YEAR, as_of: datetime = AS_OF, keep: timedelta = KEEP
    ) -> RestoredPartition:
        return restore_partition(self.pipeline, self.settings, table, name, as_of, keep)

    def drop(self, table: str = YEARS, name: str = YEAR) -> None:
        assert partitions.drop_partition(self.pipeline, table, name)

    def rows(self, table: str = YEARS, name: str = YEAR) -> list[str]:
        """Return the rows of the period as text: 1.0 is not 1.00."""
        column, lower, upper = (
            ("period_start", "2013-01-01", "2014-01-01")
            if table == YEARS
            else ("occurred_at", "2013-02-01 00:00+00", "2013-03-01 00:00+00")
        )
        found = self.connection.execute(
            sql.SQL("select t::text from {} as t where {} >= {} and {} < {} order by 1").format(
                sql.Identifier(*table.split(".")), sql.Identifier(column), lower, sql.Identifier(column), upper
            )
        ).fetchall()
        return [row for (row,) in found]

    def records(self) -> list[tuple[str, int]]:
        found = self.connection.execute(
            "select partition_name, row_count from ops.partition_archives order by 1"
        ).fetchall()
        return [(name, count) for name, count in found]

    def names(self, prefix: str = "aggregated_analytics/all/2013") -> list[str]:
        return archive_files(self.settings).find(prefix)

    def damage(self, name: str, change: Callable[[bytes], bytes | None]) -> None:
        """Change a file where it lies, or remove it."""
        files = archive_files(self.settings)
        with files.open(name) as source:
            content = change(source.read())
        files.remove([name])
        if content is not None:
            with files.stage(name) as sink:
                sink.write(content)
            files.publish(name, name, *measure(io.BytesIO(content)))


def open_archiving(warehouse: Warehouse) -> tuple[Connection, Connection]:
    pipeline = connect(warehouse.target, autocommit=True)
    administrator = warehouse.connect(autocommit=True)
    administrator.execute("set timezone = 'UTC'")
    return pipeline, administrator


def flip_a_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def keep_week_of_format_1(connection: Connection, archives: Path) -> list[str]:
    """Put the archives of organization 1's week 2026w45, and their records, where the version that wrote them had left them.

    Returns the names of the files.
    """
    shutil.copytree(FORMAT_1 / "archives", archives, dirs_exist_ok=True)
    records = json.loads((FORMAT_1 / "archives.json").read_text())
    for record in records:
        connection.execute(
            """
            insert into ops.archives values (
                %(organization_id)s, %(table_name)s, %(week_start)s, %(uri)s, %(row_count)s, %(byte_length)s,
                decode(%(sha256)s, 'hex'), %(manifest)s::jsonb, %(archived_at)s, %(archived_at)s
            )
            """,
            {**record, "manifest": json.dumps(record["manifest"])},
        )
    return [record["uri"] for record in records]


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def lose(_: bytes) -> None:
    return None


# The kinds of rows that a year has: with and without a course, numerics of every scale, nulls everywhere.
_PERIODS = """
insert into stage_three.aggregated_analytics (
    organization_id, subject_id, course_id, period_start, subject_type, period_type, scope, is_active, active_days, event_count,
    first_event_at, last_event_at, video_seconds_watched, score_sum, is_completed, completed_at, enrolled_on, completion_rate,
    stickiness
)
select
    %(organization_id)s,
    number,
    case when number %% 3 > 0 then number %% 3 end,
    date '2013-01-01' + number %% 365,
    (array['learner', 'trainer', 'organization'])[1 + number %% 3],
    (array['day', 'week', 'month', 'year'])[1 + number %% 4],
    case when number %% 3 > 0 then 'course' else 'all_courses' end,
    case when number %% 5 > 0 then number %% 2 = 0 end,
    number,
    case when number %% 7 > 0 then 9223372036854775807 - number end,
    timestamptz '2013-01-01 00:00+00' + number * interval '1.25 seconds',
    case when number %% 2 = 0 then timestamptz '2013-01-01 00:00+00' + number * interval '1 microsecond' end,
    (array[0, 0.10, 0.1, 1.000, -0.5, 12345678901234567890.123456789, 1e-20, 'NaN'])[1 + number %% 9],
    number / 7.0,
    number %% 2 = 0,
    case when number %% 4 = 0 then timestamptz '2013-06-01 12:00+00' end,
    case when number %% 4 = 0 then date '2012-02-29' end,
    number / 3.0,
    case when number %% 6 = 0 then 'Infinity'::numeric end
from generate_series(1, 60) as number
union all
-- The same subject with several courses and with none: the border of a segment may fall between them.
select
    %(organization_id)s, 1000, case when number < 8 then number end, date '2013-05-01', 'learner', 'month',
    case when number < 8 then 'course' else 'all_courses' end, true, number, number, null, null, null, null, null, null, null, null,
    null
from generate_series(1, 8) as number
"""

_ACCESSES = r"""
insert into audit.audit_logs (
    occurred_at, recorded_at, organization_id, actor_login, action, resource, row_count, decision, source, session_id, line_number,
    detail, server_id, transaction_id, nonce
)
select
    timestamptz '2013-02-01 00:00+00' + number * interval '1 hour',
    timestamptz '2013-02-01 00:00+00' + number * interval '1.000001 hours',
    case when number % 3 > 0 then number end,
    (array[
        '', ' blank ', 'O''Neil', 'a"b', 'a,b', '\N', '\.', E'two\nlines', E'back\\slash', '日本語 😀', E'tab\tand\rreturn'
    ])[1 + number % 12],
    'something_read',
    E'stage_three\n' || number,
    number,
    'allowed',
    (array['service', 'server_log'])[1 + number % 2],
    case when number % 2 = 1 then 's' || number end,
    case when number % 2 = 1 then number end,
    jsonb_build_object('n', number / 3.0, 'text', E'quote " newline \n backslash \\ ünï', 'list', '[1, 1.0, null, {}]'::jsonb),
    -number,
    number::text::xid8,
    md5(number::text)::uuid
from generate_series(1, 60) as number
"""
