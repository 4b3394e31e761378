"""Which time partitions there are: what the catalogue has in the schema `partitions`, attached or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.lifecycle.planner import FoundPartition
from lyceum.lifecycle.policies import PartitionPolicy
from lyceum.partitions import Period, period_named
from lyceum.partitions.planner import PARTITION_SCHEMA


def read_partitions(connection: Connection, policies: Iterable[PartitionPolicy]) -> tuple[FoundPartition, ...]:
    """Return the time partitions of all tables that have a policy; hash leaves belong to theirs.

    One that an interrupted drop has left detached is among them. Raises `ConfigurationError` when an attached partition does
    not hold the period that its name says: its rows could be younger.
    """
    by_prefix = {policy.parent_table.partition(".")[2]: policy for policy in policies}
    rows = connection.execute(
        """
        select relations.relname, pg_get_expr(relations.relpartbound, relations.oid)
        from pg_class as relations
        where relations.relnamespace = to_regnamespace(%s) and relations.relkind in ('r', 'p')
        order by relations.relname
        """,
        [PARTITION_SCHEMA],
    ).fetchall()
    return tuple(_partitions(rows, by_prefix))


def _partitions(
    rows: Iterable[tuple[str, str | None]], by_prefix: dict[str, PartitionPolicy]
) -> Iterator[FoundPartition]:
    for name, bounds in rows:
        prefix, _, suffix = name.rpartition("_p")
        policy, period = by_prefix.get(prefix), period_named(suffix)
        if policy is None or period is None:
            continue
        is_month_of_days = policy.granularity == "day" and period.granularity == "month"
        if period.granularity != policy.granularity and not is_month_of_days:
            continue
        if bounds is not None and bounds != _bounds(policy, period):
            raise ConfigurationError(
                f"{PARTITION_SCHEMA}.{name} holds {bounds}. Expected {_bounds(policy, period)}, as its name says. "
                "Nothing was dropped: detach the table, move it elsewhere, and try again."
            )
        yield FoundPartition(policy.parent_table, name, period, is_month_of_days)


def _bounds(policy: PartitionPolicy, period: Period) -> str:
    midnight = " 00:00:00+00" if policy.key_type == "timestamptz" else ""
    return f"FOR VALUES FROM ('{period.lower.isoformat()}{midnight}') TO ('{period.upper.isoformat()}{midnight}')"
