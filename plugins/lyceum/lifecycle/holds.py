"""Who reads what partitions hold, and how far each has come: the one place where consumers are registered.

A partition goes only when every consumer has passed it. A consumer that gets along without the rows, because it says what
happens then, needs nothing and is registered all the same: a test finds every reader of raw rows that is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from lyceum.database import Connection
from lyceum.lifecycle.planner import Need

RAW = "stage_one.raw_data_collection"
QUARANTINE = "stage_one.quarantine"
STATES = (
    "stage_one.event_keys",
    "stage_two.learner_day_states",
    "stage_two.learner_video_day_states",
    "stage_two.trainer_day_states",
)
PUBLISHED_WEEKS = (
    "stage_two.learner_analytics",
    "stage_two.trainer_analytics",
    "stage_two.organization_analytics",
)
YEARS = "stage_three.aggregated_analytics"
AUDIT = "audit.audit_logs"


@dataclass(frozen=True, slots=True)
class Consumer:
    """One reader of some tables.

    `needs` is a query of the days of `table` that it has not passed at `as_of`: first day, day after the last or null for all
    later ones, reason. It is None where the consumer needs none, because `without` says what it does without the rows.
    `readers` are the sources, relative to the checkout, that read raw rows for it.
    """

    name: str
    tables: tuple[str, ...]
    needs: str | None
    without: str = ""
    may_be_forced: bool = False
    readers: tuple[str, ...] = ()


_PENDING_DAYS = """
    select
        (collected_hour at time zone 'UTC')::date,
        (collected_hour at time zone 'UTC')::date + 1,
        format(
            '%%s collected hours of %%s organizations wait to be built',
            count(*),
            count(distinct organization_id)
        )
    from ops.pending_hours
    group by 1, 2
"""

# Stage two takes what a build tells of a week until that is over for seven days, and one day for all time zones.
_RUNNING_BUILD = """
    select
        (as_of at time zone 'UTC')::date - 15,
        null::date,
        format('build %%s is running', build_id)
    from ops.builds
    where state = 'running'
"""

# Of years, too: a week belongs to the year of its Monday, its days to their own, and an open week keeps both.
_OPEN_WEEKS = """
    select
        weeks.week_start,
        weeks.week_start + 7,
        case
            when count(*) = 1 then format('%%s has the week of %%s open', min(organizations.slug), weeks.week_start)
            else format(
                '%%s organizations, such as %%s, have the week of %%s open',
                count(*),
                min(organizations.slug),
                weeks.week_start
            )
        end
    from ops.week_states as weeks
    inner join core.organizations as organizations on weeks.organization_id = organizations.organization_id
    where weeks.state = 'open'
    group by weeks.week_start
"""

_UNSEALED_AUDIT = """
    select
        (logs.occurred_at at time zone 'UTC')::date,
        (logs.occurred_at at time zone 'UTC')::date + 1,
        format('%%s rows of %%s are in no batch of the chain yet', count(*), (logs.occurred_at at time zone 'UTC')::date)
    from audit.audit_logs as logs
    where
        logs.transaction_id >= coalesce(
            (
                select max(batches.to_transaction)
                from audit.batches as batches
                where batches.server_id = logs.server_id
            ),
            '0'::xid8
        )
    group by 1, 2
"""

_RESTORED = """
    select
        period_lower,
        period_upper,
        format(
            'somebody asked for its rows, which stay until %%s UTC',
            to_char(restored_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
        )
    from ops.partition_archives
    where organization_id is null and table_name = %(table)s and restored_until > %(as_of)s
"""

CONSUMERS: tuple[Consumer, ...] = (
    Consumer(
        "build",
        (RAW,),
        _PENDING_DAYS,
        may_be_forced=True,
        readers=(
            "dbt_project/models/staging/stg_raw__events.sql",
            "plugins/lyceum/lineage/batch_days.py",
            "sql/queries/audits/raw_contract/events.rows.sql",
            "sql/queries/audits/raw_contract/vocabulary.measures.sql",
            "sql/queries/reconciliation/hours_equal_states.sql",
            "sql/queries/reconciliation/raw_rows.sql",
        ),
    ),
    # What a build refused is counted beside its raw rows, which are forced first.
    Consumer("build", (QUARANTINE,), _PENDING_DAYS),
    Consumer("build", PUBLISHED_WEEKS, _RUNNING_BUILD),
    Consumer(
        "collection",
        (RAW,),
        None,
        without="a void of an event whose raw row is gone is refused as void_too_late",
        readers=(
            "plugins/lyceum/collect/voids.py",
            "plugins/lyceum/collect/batches.py",
            "plugins/lyceum/collect/raw_days.py",
        ),
    ),
    Consumer(
        "rosters",
        (RAW,),
        None,
        without="what merged users did is moved in the states of open weeks, which hold all that was built",
        readers=("plugins/lyceum/roster/rekeying.py",),
    ),
    Consumer(
        "erasure",
        (RAW,),
        None,
        without="rows that are gone name nobody",
        readers=("plugins/lyceum/erasure/tables.py",),
    ),
    Consumer("replay", (QUARANTINE,), None, without="a refused record that has outlived its retention is not replayed"),
    Consumer("seal", (*STATES, *PUBLISHED_WEEKS, YEARS), _OPEN_WEEKS),
    Consumer("audit chain", (AUDIT,), _UNSEALED_AUDIT),
    Consumer("restore", (YEARS, AUDIT), _RESTORED, may_be_forced=True),
)


def read_needs(connection: Connection, as_of: datetime, tables: Iterable[str] | None = None) -> tuple[Need, ...]:
    """Return what the consumers still need of some tables, or of all, at `as_of`."""
    wanted = None if tables is None else set(tables)
    return tuple(
        Need(consumer.name, table, lower, upper, reason, consumer.may_be_forced)
        for consumer in CONSUMERS
        if consumer.needs is not None
        for table in consumer.tables
        if wanted is None or table in wanted
        for lower, upper, reason in connection.execute(
            consumer.needs.encode(), {"as_of": as_of, "table": table}
        ).fetchall()
    )
