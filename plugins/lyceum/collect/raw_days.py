"""Raw days that a clean-up may be dropping: whoever adds to one, or decides by it, keeps it, and adds to none that is gone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.partitions import keep_partitions, period_of

_RAW = "stage_one.raw_data_collection"
_QUARANTINE = "stage_one.quarantine"


def keep_days(connection: Connection, instants: Iterable[datetime]) -> None:
    """Keep the raw rows that were collected on the days of these instants until the open transaction ends."""
    keep_partitions(connection, _RAW, {instant.astimezone(UTC).date() for instant in instants})


def keep_own_partitions(connection: Connection, as_of: datetime) -> None:
    """Keep the raw day and the month of quarantine to which a batch of this clock adds."""
    keep_days(connection, [as_of])
    keep_partitions(connection, _QUARANTINE, [period_of("month", as_of.astimezone(UTC).date()).lower])


def require_whole_hour(connection: Connection, organization_id: int, as_of: datetime) -> None:
    """Refuse a clock in an hour of which the organization's raw rows are gone: a build of the hour would lose what they told.

    Raises `ConfigurationError`.
    """
    parameters = {"organization_id": organization_id, "as_of": as_of, "table": _RAW}
    # Nearly always the answer is no, and the raw table has not been touched.
    dropped = connection.execute(
        """
        select batches.batch_id
        from ops.partition_drops as drops
        inner join ops.batches as batches
            on
                batches.organization_id = %(organization_id)s
                and batches.collected_hour = date_trunc('hour', %(as_of)s::timestamptz)
                and batches.events_accepted > 0
        where drops.parent_table = %(table)s and drops.period_lower = (%(as_of)s::timestamptz at time zone 'UTC')::date
        """,
        parameters,
    ).fetchall()
    if not dropped:
        return
    batch_ids = {batch_id for (batch_id,) in dropped}
    present = connection.execute(
        """
        select distinct raw.batch_id
        from stage_one.raw_data_collection as raw
        where
            raw.organization_id = %(organization_id)s
            and raw.batch_id = any(%(batch_ids)s)
            and raw.collected_at >= date_trunc('hour', %(as_of)s::timestamptz)
            and raw.collected_at < date_trunc('hour', %(as_of)s::timestamptz) + interval '1 hour'
        """,
        {**parameters, "batch_ids": sorted(batch_ids)},
    ).fetchall()
    if batch_ids - {batch_id for (batch_id,) in present}:
        raise ConfigurationError(
            f"In the hour of {as_of.astimezone(UTC):%Y-%m-%d %H}:00 UTC the organization has collected before, and the raw data "
            "of that day is gone: its numbers could not be built again. Expected a clock whose day is still there: give a later "
            "--as-of; old events are loaded with --history."
        )
