"""Show an audited candidate: one transaction replaces the audited rows, refreshes the view and moves its versions."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import LyceumError, RetryableError
from lyceum.faults import reach
from lyceum.views.catalogue import View

_LOCK_TIMEOUT = "10s"

_COLUMNS = """
    select attname, format_type(atttypid, atttypmod)
    from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped
    order by attnum
"""

_REMOVE = """
    delete from {audited} as audited
    using ops.view_refresh_organizations as organizations
    where
        organizations.refresh_id = {refresh}
        and organizations.organization_id = audited.organization_id
        and not exists (
            select 1
            from {candidate} as candidate
            where
                ({candidate_key}) = ({audited_key})
                and ({candidate_columns}) is not distinct from ({audited_columns})
        )
"""

_ADD = """
    insert into {audited} ({columns})
    select {columns}
    from {candidate} as candidate
    where
        not exists (
            select 1
            from {audited} as audited
            where ({candidate_key}) = ({audited_key})
        )
"""

_VERSIONS = """
    insert into ops.view_versions (
        organization_id, view_name, version, refresh_id, data_version, definition, window_ends_on, data_as_of, row_count
    )
    select
        organizations.organization_id,
        refreshes.view_name,
        coalesce(
            (
                select max(versions.version)
                from ops.view_versions as versions
                where
                    versions.organization_id = organizations.organization_id
                    and versions.view_name = refreshes.view_name
            ),
            0
        ) + 1,
        refreshes.refresh_id,
        organizations.data_version,
        refreshes.definition,
        organizations.window_ends_on,
        organizations.data_as_of,
        (select count(*) from {audited} as audited where audited.organization_id = organizations.organization_id)
    from ops.view_refreshes as refreshes
    inner join ops.view_refresh_organizations as organizations
        on refreshes.refresh_id = organizations.refresh_id
    where refreshes.refresh_id = {refresh}
"""


@dataclass(frozen=True, slots=True)
class Change:
    """Rows that the view lost and gained; a row that is told otherwise counts in both."""

    rows_removed: int
    rows_added: int


def show(connection: Connection, view: View, refresh_id: int) -> Change:
    """Replace the audited rows of the refresh's organizations by the candidate's, refresh the view, write its versions.

    `connection` is not in autocommit mode; everything happens in one transaction (a savepoint inside an open one). Readers
    go on: the refresh is concurrent and takes no lock that conflicts with reading. Raises `RetryableError` when the view is
    locked by somebody else, `LyceumError` when the refresh is no longer the running one or candidate and table are out of
    step.
    """
    try:
        with connection.transaction():
            running = connection.execute(
                "select 1 from ops.view_refreshes where refresh_id = %s and state = 'running' for update", (refresh_id,)
            ).fetchone()
            if running is None:
                raise LyceumError(
                    f"Refresh {refresh_id} is not running any more, so it shows nothing. Nothing is lost; refresh again."
                )
            connection.execute("set local work_mem = '64MB'")
            connection.execute("set local jit = off")
            connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
            change = _replace(connection, view, refresh_id)
            reach("refresh.rows_replaced")
            connection.execute("select stage_three.refresh_view(%s)", [view.name])
            reach("refresh.view_refreshed")
            connection.execute(
                sql.SQL(_VERSIONS).format(
                    audited=sql.Identifier("audited", view.audited), refresh=sql.Literal(refresh_id)
                )
            )
            connection.execute(
                """
                update ops.view_refreshes set state = 'published', rows_removed = %s, rows_added = %s
                where refresh_id = %s
                """,
                (change.rows_removed, change.rows_added, refresh_id),
            )
    except psycopg.errors.LockNotAvailable:
        raise RetryableError(
            f"stage_three.{view.name} has been locked by another session for {_LOCK_TIMEOUT} (a refresh by hand, a VACUUM "
            "FULL or a change of the view?). It shows what it showed before; try again when that has ended."
        ) from None
    return change


def _replace(connection: Connection, view: View, refresh_id: int) -> Change:
    """Remove the audited rows that the candidate does not have, add those that it has more."""
    columns = _columns(connection, view)

    def listed(relation: str, names: tuple[str, ...]) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(relation, name) for name in names)

    parts = {
        "audited": sql.Identifier("audited", view.audited),
        "candidate": sql.Identifier("build", view.name),
        "refresh": sql.Literal(refresh_id),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "candidate_key": listed("candidate", view.key),
        "audited_key": listed("audited", view.key),
        "candidate_columns": listed("candidate", columns),
        "audited_columns": listed("audited", columns),
    }
    removed = connection.execute(sql.SQL(_REMOVE).format(**parts)).rowcount
    added = connection.execute(sql.SQL(_ADD).format(**parts)).rowcount
    return Change(removed, added)


def _columns(connection: Connection, view: View) -> tuple[str, ...]:
    """Return the columns of the audited table, which must be those of the candidate."""
    audited = connection.execute(_COLUMNS, (f"audited.{view.audited}",)).fetchall()
    candidate = connection.execute(_COLUMNS, (f"build.{view.name}",)).fetchall()
    if sorted(audited) != sorted(candidate):
        different = ", ".join(sorted({name for name, _ in set(audited) ^ set(candidate)}))
        raise LyceumError(
            f"build.{view.name} and audited.{view.audited} do not have the same columns: {different}. "
            "Expected equal names and types: add a migration, or mend the model."
        )
    return tuple(name for name, _ in audited)
