"""Which refresh runs, which organizations it tells anew, and from which published version."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import RetryableError
from lyceum.views.catalogue import View

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A refresh that has begun: how many organizations it tells anew. None of them: the view is up to date."""

    refresh_id: int
    organizations: int


@contextlib.contextmanager
def refresh_lock(target: ConnectionTarget, view: View) -> Iterator[None]:
    """Keep every other refresh of this view out while the block runs; builds go on.

    Raises `RetryableError` when another process holds the lock. A killed process loses it with its connection.
    """
    with connect(target, autocommit=True, application_name="lyceum refresh lock") as connection:
        row = connection.execute(
            "select pg_try_advisory_lock(hashtextextended('lyceum.refresh.' || %s, 0))", (view.name,)
        ).fetchone()
        if row != (True,):
            raise RetryableError(
                f"The {view.title} is being refreshed by another process; one at a time is allowed. "
                "Wait for it to end, then try again."
            )
        yield


def definition(project: Path) -> str:
    """Return the SHA-256 of everything in the dbt project that decides what a view shows of a published version."""
    digest = hashlib.sha256()
    files = [project / "dbt_project.yml"]
    for folder in ("macros", "models/staging", "models/materialized_views"):
        files.extend((project / folder).glob("*.sql"))
    for path in sorted(files):
        digest.update(path.relative_to(project).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def begin(connection: Connection, view: View, as_of: datetime, run_id: str, defined_by: str) -> Begun:
    """Open a refresh for the organizations whose published version or whose definition is not the one shown; hold `refresh_lock`.

    Their versions are written down before anything is read. A refresh that a dead process left running is abandoned; it had
    shown nothing. Without such an organization the refresh ends at once.
    """
    with connection.transaction():
        abandon(connection, view, "its process ended before the view was refreshed")
        row = connection.execute(
            """
            insert into ops.view_refreshes (view_name, as_of, run_id, state, definition)
            values (%s, %s, %s, 'running', %s)
            returning refresh_id
            """,
            (view.name, as_of, run_id, defined_by),
        ).fetchone()
        assert row is not None
        (refresh_id,) = row
        organizations = connection.execute(
            """
            insert into ops.view_refresh_organizations (
                organization_id, refresh_id, data_version, window_ends_on, data_as_of
            )
            select
                watermarks.organization_id,
                %(refresh)s,
                watermarks.data_version,
                watermarks.closed_through,
                watermarks.data_as_of
            from ops.organization_watermarks as watermarks
            left join lateral (
                select
                    versions.data_version,
                    versions.definition
                from ops.view_versions as versions
                where
                    versions.organization_id = watermarks.organization_id
                    and versions.view_name = %(view)s
                order by versions.version desc
                limit 1
            ) as shown on true
            where
                watermarks.closed_through is not null
                and (watermarks.data_version, %(definition)s)
                is distinct from (shown.data_version, shown.definition)
            """,
            {"refresh": refresh_id, "view": view.name, "definition": defined_by},
        ).rowcount
        if not organizations:
            connection.execute("update ops.view_refreshes set state = 'unchanged' where refresh_id = %s", (refresh_id,))
    _log.info("refresh begun", extra={"refresh": refresh_id, "view": view.name, "organizations": organizations})
    return Begun(int(refresh_id), organizations)


def abandon(connection: Connection, view: View, reason: str) -> None:
    """End a running refresh of the view that will show nothing."""
    abandoned = connection.execute(
        """
        update ops.view_refreshes set state = 'abandoned', failure = %s
        where view_name = %s and state = 'running'
        returning refresh_id
        """,
        (reason, view.name),
    ).fetchall()
    for (refresh_id,) in abandoned:
        _log.warning("refresh abandoned", extra={"refresh": refresh_id, "view": view.name, "reason": reason})


def fail(connection: Connection, refresh_id: int, failure: str) -> None:
    """Mark a refresh failed, with the reason. The view shows what it showed."""
    connection.execute(
        "update ops.view_refreshes set state = 'failed', failure = %s where refresh_id = %s and state = 'running'",
        (failure, refresh_id),
    )
    _log.error("refresh failed", extra={"refresh": refresh_id})


def has_moved(connection: Connection, refresh_id: int) -> bool:
    """Tell whether a build has published for an organization of the refresh since it began.

    Versions only grow, and change in the transaction that publishes. So when this transaction sees the versions that were
    written down at the beginning, whatever was read in between was of those versions, too.
    """
    row = connection.execute(
        """
        select exists (
            select 1
            from ops.view_refresh_organizations as organizations
            left join ops.organization_watermarks as watermarks
                on organizations.organization_id = watermarks.organization_id
            where
                organizations.refresh_id = %s
                and organizations.data_version is distinct from watermarks.data_version
        )
        """,
        (refresh_id,),
    ).fetchone()
    return row == (True,)
