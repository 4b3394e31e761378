"""Publish the audited candidates: one transaction replaces the touched keys in every table that people read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date

from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import LyceumError
from lyceum.faults import reach
from lyceum.lineage.batch_days import remember_batch_days

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publish changed: rows written per table, and the organizations whose data version grew."""

    rows: tuple[tuple[str, int], ...]
    organizations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """How one table takes over its candidates: `delete` removes the touched keys, `keep` says which candidates go in."""

    name: str
    candidate: str
    delete: str
    keep: str = "true"


# Stage two lives until seven days after its week; the candidates of older days concern stage three alone.
_WEEK_IS_KEPT = """
    exists (
        select 1
        from build.int_build__organizations as organizations
        where
            organizations.organization_id = candidate.organization_id
            and candidate.activity_date - mod(candidate.activity_date - date '1900-01-01', 7) + 13
            > organizations.closed_through
    )
"""

_DELETE_STATES = """
    delete from {table} as published
    using build.int_build__learner_days as days, build.int_build__hours as hours
    where
        published.organization_id = days.organization_id
        and published.learner_id = days.learner_id
        and published.activity_date = days.activity_date
        and published.organization_id = hours.organization_id
        and published.collected_hour = hours.collected_hour
"""

_DELETE_DIRTY_DAYS = """
    delete from {table} as published
    using build.int_build__organizations as organizations
    where
        published.organization_id = organizations.organization_id
        and published.activity_date >= organizations.dirty_from
"""

_TABLES = (
    _Table("stage_two.learner_day_states", "build.int_learner_day__states", _DELETE_STATES),
    _Table("stage_two.learner_video_day_states", "build.int_learner_video_day__states", _DELETE_STATES),
    _Table(
        "stage_two.trainer_day_states",
        "build.int_trainer_day__states",
        """
        delete from {table} as published
        using build.int_build__hours as hours
        where
            published.organization_id = hours.organization_id
            and published.collected_hour = hours.collected_hour
            and not exists (
                select 1
                from build.int_build__sealed_weeks as sealed_weeks
                where
                    sealed_weeks.organization_id = published.organization_id
                    and sealed_weeks.week_start
                    = published.activity_date - mod(published.activity_date - date '1900-01-01', 7)
            )
        """,
    ),
    _Table(
        "stage_two.learner_analytics",
        "build.learner_analytics",
        """
        delete from {table} as published
        using build.int_build__learners as learners
        where
            published.organization_id = learners.organization_id
            and published.learner_id = learners.learner_id
            and published.activity_date >= learners.touched_from
        """,
        _WEEK_IS_KEPT,
    ),
    _Table(
        "stage_two.trainer_analytics",
        "build.trainer_analytics",
        _DELETE_DIRTY_DAYS,
        _WEEK_IS_KEPT,
    ),
    _Table(
        "stage_two.organization_analytics",
        "build.organization_analytics",
        _DELETE_DIRTY_DAYS,
        _WEEK_IS_KEPT,
    ),
    _Table(
        "stage_three.learner_courses",
        "build.learner_courses",
        """
        delete from {table} as published
        using build.int_build__learners as learners
        where
            published.organization_id = learners.organization_id
            and published.learner_id = learners.learner_id
        """,
    ),
    _Table(
        "stage_three.aggregated_analytics",
        "build.aggregated_analytics",
        """
        with

        learner_rows as (
            delete from {table} as published
            using build.int_build__learners as learners
            where
                published.organization_id = learners.organization_id
                and published.subject_type = 'learner'
                and published.subject_id = learners.learner_id
                and published.period_start >= case published.period_type
                    when 'day' then learners.touched_from
                    else date_trunc(published.period_type, learners.touched_from::timestamp)::date
                end
        ),

        learner_periods as (
            delete from {table} as published
            using build.int_learner_periods as periods
            where
                published.organization_id = periods.organization_id
                and published.subject_type = 'learner'
                and published.subject_id = periods.learner_id
                and published.period_type = periods.period_type
                and published.period_start = periods.period_start
                and not exists (
                    select 1
                    from build.int_build__learners as learners
                    where
                        learners.organization_id = periods.organization_id
                        and learners.learner_id = periods.learner_id
                        and periods.period_start
                        >= date_trunc(periods.period_type, learners.touched_from::timestamp)::date
                )
        ),

        trainer_rows as (
            delete from {table} as published
            using build.int_build__organizations as organizations
            where
                published.organization_id = organizations.organization_id
                and published.subject_type = 'trainer'
                and published.period_start >= case published.period_type
                    when 'day' then organizations.dirty_from
                    else date_trunc(published.period_type, organizations.dirty_from::timestamp)::date
                end
                and organizations.dirty_from <= organizations.closed_through
        )

        delete from {table} as published
        using build.int_build__organizations as organizations
        where
            published.organization_id = organizations.organization_id
            and published.subject_type = 'organization'
            and published.period_start >= case published.period_type
                when 'day' then organizations.dirty_from
                when 'week' then date_trunc('week', organizations.dirty_from::timestamp)::date - 56
                else date_trunc(published.period_type, organizations.dirty_from::timestamp)::date
            end
            and organizations.dirty_from <= organizations.closed_through
        """,
    ),
)


def published_tables() -> tuple[tuple[str, str], ...]:
    """Return every model whose candidates are published, with the table that they are published to."""
    return tuple((table.candidate.removeprefix("build."), table.name) for table in _TABLES)


def written_tables(publication: Publication) -> tuple[tuple[str, str, int], ...]:
    """Return the candidate, the table and the rows written, of every table of a publication."""
    rows = dict(publication.rows)
    return tuple((table.candidate, table.name, rows[table.name]) for table in _TABLES)


def publish(connection: Connection, build_id: int) -> Publication:
    """Replace the touched keys in stage two and stage three, clear the pending hours and move the data versions.

    `connection` is not in autocommit mode; everything happens in one transaction, committed here. The partitions that the
    candidates need exist (`ensure_partitions`). Raises `LyceumError` when the build is no longer the running one.
    """
    with connection.transaction():
        row = connection.execute(
            "select as_of from ops.builds where build_id = %s and state = 'running' for update", (build_id,)
        ).fetchone()
        if row is None:
            raise LyceumError(
                f"Build {build_id} is not running any more, so it was not published. Nothing is lost; begin a new build."
            )
        (as_of,) = row
        connection.execute("set local work_mem = '64MB'")
        rows = tuple((table.name, _replace(connection, table)) for table in _TABLES)
        reach("build.rows_replaced")
        remember_batch_days(connection, build_id)
        organizations = _advance(connection, build_id, as_of)
        connection.execute(
            "update ops.builds set state = 'published', step = 'publish' where build_id = %s", (build_id,)
        )
    _log.info("published", extra={"build": build_id, "rows": dict(rows), "organizations": len(organizations)})
    return Publication(rows, organizations)


def needed_partitions(connection: Connection) -> list[tuple[str, list[date]]]:
    """Return, for each partitioned table that this build's candidates go to, one date of every partition needed."""
    weeks = sql.SQL(
        "select distinct activity_date - mod(activity_date - date '1900-01-01', 7) from {} as candidate where {} order by 1"
    )
    needed: list[tuple[str, list[date]]] = []
    for table in _TABLES:
        if table.name == "stage_three.learner_courses":
            continue
        if table.name == "stage_three.aggregated_analytics":
            years = connection.execute(
                """
                select distinct make_date(extract(year from period_start)::integer, 1, 1)
                from (
                    select activity_date as period_start from build.learner_analytics
                    union all
                    select period_start from build.int_learner_periods
                    union all
                    select activity_date from build.organization_analytics
                    union all
                    select period_start from build.int_organization_periods
                    union all
                    select activity_date from build.trainer_analytics
                    union all
                    select period_start from build.int_trainer_periods
                ) as periods
                order by 1
                """
            ).fetchall()
            needed.append((table.name, [day for (day,) in years]))
            continue
        statement = weeks.format(_identifier(table.candidate), sql.SQL(table.keep))
        needed.append((table.name, [day for (day,) in connection.execute(statement).fetchall()]))
    return needed


def _replace(connection: Connection, table: _Table) -> int:
    target = _identifier(table.name)
    connection.execute(sql.SQL(table.delete).format(table=target))
    columns = _columns(connection, table)
    statement = sql.SQL("insert into {target} ({columns}) select {columns} from {candidate} as candidate where {keep}")
    return connection.execute(
        statement.format(
            target=target,
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            candidate=_identifier(table.candidate),
            keep=sql.SQL(table.keep),
        )
    ).rowcount


def _columns(connection: Connection, table: _Table) -> list[str]:
    """Return the candidate's columns; each must exist in the table, or the project and the schema are out of step."""
    statement = """
        select attname
        from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped
        order by attnum
    """
    candidate = [name for (name,) in connection.execute(statement, (table.candidate,)).fetchall()]
    published = {name for (name,) in connection.execute(statement, (table.name,)).fetchall()}
    unknown = [name for name in candidate if name not in published]
    if unknown:
        raise LyceumError(
            f"The candidate {table.candidate} has columns that {table.name} lacks: {', '.join(unknown)}. "
            "Expected the same names: add a migration, or take them out of the model."
        )
    return candidate


def _advance(connection: Connection, build_id: int, as_of: object) -> tuple[int, ...]:
    """Clear what is told, and move watermark and version of every changed organization.

    An hour that a further batch has touched stays pending, and so do people whom a further roster has marked.
    """
    organizations = connection.execute(
        """
        select organization_id from ops.build_batches where build_id = %(build)s
        union
        select organization_id from ops.build_users where build_id = %(build)s
        order by 1
        """,
        {"build": build_id},
    ).fetchall()
    for (organization_id,) in organizations:
        # The lock that batches take: none can commit between the comparison and the delete.
        connection.execute(
            "select pg_advisory_xact_lock(hashtext('lyceum.organization'), %s::integer)", (organization_id,)
        )
    connection.execute(
        """
        delete from ops.pending_hours as hours
        where
            exists (
                select 1
                from ops.build_batches as scope
                where
                    scope.build_id = %(build)s
                    and scope.organization_id = hours.organization_id
                    and scope.collected_hour = hours.collected_hour
            )
            and not exists (
                select 1
                from ops.batches
                where
                    batches.organization_id = hours.organization_id
                    and batches.collected_hour = hours.collected_hour
                    and not exists (
                        select 1
                        from ops.build_batches as scope
                        where
                            scope.build_id = %(build)s
                            and scope.organization_id = batches.organization_id
                            and scope.batch_id = batches.batch_id
                    )
            )
            and (
                hours.marked_by is null
                or exists (
                    select 1
                    from ops.build_batches as scope
                    where
                        scope.build_id = %(build)s
                        and scope.organization_id = hours.organization_id
                        and scope.batch_id = hours.marked_by
                )
            )
        """,
        {"build": build_id},
    )
    connection.execute(
        """
        delete from ops.pending_users as pending
        using ops.build_users as scope
        where
            scope.build_id = %s
            and scope.organization_id = pending.organization_id
            and scope.user_id = pending.user_id
            and scope.marked_by = pending.marked_by
        """,
        (build_id,),
    )
    changed = connection.execute(
        """
        insert into ops.organization_watermarks as watermarks (
            organization_id, first_activity_on, closed_through, data_version, data_as_of, build_id
        )
        select organization_id, first_event_on, closed_through, 1, %(as_of)s, %(build)s
        from build.int_build__organizations
        where touched_from is not null or dirty_from <= closed_through
        on conflict (organization_id) do update
        set
            first_activity_on = excluded.first_activity_on,
            closed_through = greatest(watermarks.closed_through, excluded.closed_through),
            data_version = watermarks.data_version + 1,
            data_as_of = greatest(watermarks.data_as_of, excluded.data_as_of),
            build_id = excluded.build_id
        returning organization_id
        """,
        {"build": build_id, "as_of": as_of},
    ).fetchall()
    return tuple(organization_id for (organization_id,) in changed)


def _identifier(name: str) -> sql.Identifier:
    return sql.Identifier(*name.split("."))
