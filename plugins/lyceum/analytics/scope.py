"""Which build runs and what it covers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError, LyceumError, RetryableError

_log = logging.getLogger(__name__)

_LOCK = "select pg_try_advisory_lock(hashtextextended('lyceum.build', 0))"


@dataclass(frozen=True, slots=True)
class BuildScope:
    """A running build: its clock, and how much it covers (`pending_hours` hours of `batches` batches, `events` events)."""

    build_id: int
    as_of: datetime
    pending_hours: int
    batches: int
    events: int


@contextlib.contextmanager
def build_lock(target: ConnectionTarget) -> Iterator[None]:
    """Keep every other build and seal of this warehouse out while the block runs.

    Raises `RetryableError` when another process holds the lock. A killed process loses it with its connection.
    """
    with connect(target, autocommit=True, application_name="lyceum build lock") as connection:
        row = connection.execute(_LOCK).fetchone()
        if row != (True,):
            raise RetryableError(
                "Another build or seal of this warehouse is running; one at a time is allowed. "
                "Wait for it to end ('lyceum status' shows it), then try again."
            )
        yield


def begin(connection: Connection, as_of: datetime, run_id: str) -> BuildScope:
    """Open a build for every hour that is pending now; hold `build_lock`.

    The batches of those hours, and the people whom a roster has marked, are written down in one snapshot: what comes later
    waits for the next build.
    A build that was left running by a dead process is marked abandoned; it had published nothing.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        abandoned = connection.execute(
            """
            update ops.builds
            set state = 'abandoned', failure = 'its process ended before it published'
            where state = 'running'
            returning build_id
            """
        ).fetchall()
        (build_id,) = _row(
            connection,
            "insert into ops.builds (as_of, run_id, state, step) values (%s, %s, 'running', 'begin') returning build_id",
            (as_of, run_id),
        )
        connection.execute(
            """
            insert into ops.build_batches (build_id, organization_id, batch_id, collected_hour)
            select %s, batches.organization_id, batches.batch_id, batches.collected_hour
            from ops.pending_hours as hours
            inner join ops.batches as batches
                on hours.organization_id = batches.organization_id
                and hours.collected_hour = batches.collected_hour
            """,
            (build_id,),
        )
        connection.execute(
            """
            insert into ops.build_users (build_id, organization_id, user_id, told_from, is_rekeyed, marked_by)
            select %s, organization_id, user_id, told_from, is_rekeyed, marked_by
            from ops.pending_users
            """,
            (build_id,),
        )
        batches, hours, events = _row(
            connection,
            """
            select
                count(*),
                count(distinct (scope.organization_id, scope.collected_hour)),
                coalesce(sum(batches.events_accepted), 0)
            from ops.build_batches as scope
            inner join ops.batches as batches
                on scope.organization_id = batches.organization_id
                and scope.batch_id = batches.batch_id
            where scope.build_id = %s
            """,
            (build_id,),
        )
    for (dead,) in abandoned:
        _log.warning("build abandoned", extra={"build": dead, "by_build": build_id})
    _log.info("build begun", extra={"build": build_id, "batches": batches, "hours": hours, "events": int(events)})
    return BuildScope(int(build_id), as_of, int(hours), int(batches), int(events))


def running_build(connection: Connection, build_id: int) -> BuildScope:
    """Return the scope of a build that is still running.

    Raises `LyceumError` when it was published, failed or was abandoned in favour of a later one: begin a new build then.
    """
    row = connection.execute("select as_of, state from ops.builds where build_id = %s", (build_id,)).fetchone()
    if row is None:
        raise ConfigurationError(f"There is no build {build_id}. Begin one with 'lyceum build'.")
    as_of, state = row
    if state != "running":
        raise LyceumError(
            f"Build {build_id} is {state}, expected it to be running: a later build has taken over, or it has ended. "
            "Nothing is lost; begin a new build."
        )
    return BuildScope(build_id, as_of, 0, 0, 0)


def enter_step(connection: Connection, build_id: int, step: str) -> None:
    """Write down which step a running build is in, for `lyceum status`."""
    connection.execute("update ops.builds set step = %s where build_id = %s and state = 'running'", (step, build_id))


def fail(connection: Connection, build_id: int, failure: str) -> None:
    """Mark a running build failed, with the reason. Its pending hours stay pending; the last version stays up."""
    connection.execute(
        "update ops.builds set state = 'failed', failure = %s where build_id = %s and state = 'running'",
        (failure, build_id),
    )
    _log.error("build failed", extra={"build": build_id})


def abandon(connection: Connection, build_id: int, reason: str) -> None:
    """End a running build without publishing it. Its pending hours stay pending."""
    connection.execute(
        "update ops.builds set state = 'abandoned', failure = %s where build_id = %s and state = 'running'",
        (reason, build_id),
    )


def _row(connection: Connection, statement: LiteralString, parameters: tuple[object, ...]) -> tuple[Any, ...]:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    return row
