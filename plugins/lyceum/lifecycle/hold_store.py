"""The holds as the last clean-up saw them: kept for `lyceum status` and metrics, and told when a grace time has passed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from lyceum.alert_settings import AlertSettings
from lyceum.alerts import Kind, raise_alert, resolve_other_alerts
from lyceum.database import Connection, ConnectionTarget
from lyceum.lifecycle.planner import Hold

_INSTANT = "%Y-%m-%d %H:%M UTC"
_KIND: Kind = "partition_held"


def keep_holds(connection: Connection, holds: Sequence[Hold], worked_on: Iterable[str], as_of: datetime) -> None:
    """Replace the holds that are kept, in one transaction.

    What an earlier clean-up met while it worked stays for tables that are not in `worked_on`, as long as the partition is there.
    """
    with connection.transaction():
        connection.execute("lock table ops.partition_holds in share row exclusive mode")
        connection.execute(
            """
            delete from ops.partition_holds
            where
                found_by = 'plan'
                or parent_table = any(%s)
                or to_regclass('partitions.' || quote_ident(partition_name)) is null
            """,
            [list(worked_on)],
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                """
                insert into ops.partition_holds (
                    parent_table, partition_name, held_by, reason, expired_at, grace_ends_at, needs_attention, found_by, seen_as_of
                ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                on conflict (parent_table, partition_name, held_by) do update set
                    reason = excluded.reason, seen_as_of = excluded.seen_as_of
                """,
                [
                    (
                        hold.parent_table,
                        hold.name,
                        hold.held_by,
                        hold.reason,
                        hold.expired_at,
                        hold.grace_ends_at,
                        hold.needs_attention,
                        hold.found_by,
                        as_of,
                    )
                    for hold in holds
                ],
            )


def read_holds(connection: Connection) -> tuple[Hold, ...]:
    """Return the holds that the last clean-up saw, by table and name."""
    rows = connection.execute(
        """
        select parent_table, partition_name, held_by, reason, expired_at, grace_ends_at, needs_attention, found_by
        from ops.partition_holds
        order by parent_table, partition_name, held_by
        """
    ).fetchall()
    return tuple(Hold(*row) for row in rows)


def tell_overdue_holds(
    target: ConnectionTarget, channels: AlertSettings, holds: Iterable[Hold], as_of: datetime
) -> tuple[str, ...]:
    """Open an alert for each table with a hold that is past its grace time, or that only a person can end; resolve the others.

    Returns the tables that are told of.
    """
    overdue: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds:
        if hold.needs_attention or hold.grace_ends_at <= as_of:
            overdue[hold.parent_table].append(hold)
    for table, held in sorted(overdue.items()):
        oldest = min(held, key=lambda hold: (hold.expired_at, hold.name))
        count = len({hold.name for hold in held})
        waiting = (
            f"An expired partition of {table} waits" if count == 1 else f"{count} expired partitions of {table} wait"
        )
        raise_alert(
            target,
            channels,
            _KIND,
            table,
            f"{waiting} longer than they should; the oldest, {oldest.name}, since "
            f"{oldest.expired_at:{_INSTANT}}, held by {oldest.held_by}, because {oldest.reason}. "
            "Expected whoever needs them to be done by now: see to it; `lyceum status` lists them.",
        )
    resolve_other_alerts(target, channels, _KIND, overdue.keys())
    return tuple(sorted(overdue))
