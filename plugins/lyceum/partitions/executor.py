"""Makes and drops partitions without ever blocking a reader or a writer of the partitioned table.

A new partition is built on its own and attached at the end: LIKE takes ACCESS SHARE on the parent, ATTACH takes SHARE UPDATE
EXCLUSIVE, and neither conflicts with reading or writing. A partition goes with DETACH CONCURRENTLY. Whatever waits for a
lock waits under `lock_timeout` and is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from lyceum import faults
from lyceum.database import Connection
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.partitions.planner import (
    PARTITION_SCHEMA,
    Existing,
    Partition,
    Plan,
    Policy,
    Step,
    plan,
    steps_towards,
    wanted_partitions,
)

# Leaves made in one transaction: enough to share its commit, few enough to hold the parent's lock for milliseconds.
_LEAVES_PER_TRANSACTION = 32
_LOCK_CLASS = "lyceum.partitions"

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for locks: each attempt at most `lock_timeout_seconds`, between attempts pauses that double."""

    attempts: int = 10
    lock_timeout_seconds: float = 1.0
    first_pause_seconds: float = 0.05
    longest_pause_seconds: float = 2.0
    pause: Callable[[float], None] = time.sleep


_PATIENCE = Patience()


def ensure_ahead(connection: Connection, as_of: datetime, *, patience: Patience = _PATIENCE) -> Plan:
    """Create the partitions that hold `as_of` and those that every policy wants ahead of it; return what was done.

    `connection` must be in autocommit mode. Costs two queries when nothing is missing. Safe to call at any time from any
    number of sessions. Raises `RetryableError` when another session keeps a conflicting lock on a parent.
    """
    policies = read_policies(connection)
    return apply(connection, _plan(connection, policies, as_of, {}), patience=patience)


def plan_ahead(connection: Connection, as_of: datetime) -> Plan:
    """Return what `ensure_ahead` would do now. Changes nothing."""
    return _plan(connection, read_policies(connection), as_of, {})


def ensure_for_dates(
    connection: Connection, parent_table: str, dates: Iterable[date], *, patience: Patience = _PATIENCE
) -> Plan:
    """Create the partitions of `parent_table` for these days where absent; return what was done.

    `dates` are local days for keys of type `date`, UTC days for `timestamptz`. Otherwise as `ensure_ahead`.

    A partition of a week that no organization has open may be dropped at any moment. Whoever opens a week therefore writes
    its row of `ops.week_states` first, and calls this, on another connection, before that transaction commits: from then
    on until the week is sealed its partitions stay. That transaction should `let_go_of_snapshot` before.
    """
    days = set(dates)
    if not days:
        return Plan()
    policies = read_policies(connection, parent_table)
    return apply(connection, _plan(connection, policies, None, {parent_table: days}), patience=patience)


def let_go_of_snapshot(connection: Connection) -> None:
    """Make the open transaction of `connection` hold no snapshot, so that partitions can change on another connection.

    A query with parameters keeps its snapshot until the next statement, and finishing an interrupted detachment waits for
    every older snapshot: without this it would wait for the transaction that waits for it.
    """
    connection.execute("select")


def apply(connection: Connection, plan: Plan, *, patience: Patience = _PATIENCE) -> Plan:
    """Bring every partition of `plan` into being; return the steps that were taken.

    A group of partitions of one table is one transaction, so an interruption leaves nothing half done. Each group looks
    again under the table's advisory lock: what another session has done meanwhile is left alone.
    """
    _require_autocommit(connection)
    done: list[Step] = []
    for group in _groups(plan.partitions):
        attempt = partial(_apply_group, connection, group, patience)
        done.extend(_with_patience(attempt, group[0].root, connection, patience))
    return Plan(tuple(done), plan.partitions)


def drop_partition(
    connection: Connection,
    parent_table: str,
    name: str,
    *,
    only_without_partitions: bool = False,
    last_look: Callable[[], bool] | None = None,
    patience: Patience = _PATIENCE,
) -> bool:
    """Detach the partition concurrently and drop it with all its rows; return False when there is none of that name.

    `parent_table` is the table that people know, `name` the partition's name without schema (a week, a month or a day).
    An interrupted detachment is finished first, so calling again after any interruption ends in the same state. Whether the
    rows may go is for the caller to know. `connection` must be in autocommit mode. Raises `RetryableError` when readers of
    before keep the detachment from finishing; new ones do not see the partition any more.

    With `only_without_partitions` a month that has days stays, and False is returned. `last_look` is asked once nobody can
    write to the partition any more; unless it says True the partition stays detached, and False is returned.
    """
    _require_autocommit(connection)
    attempt = partial(_drop, connection, parent_table, name, patience, only_without_partitions, last_look)
    return _with_patience(attempt, parent_table, connection, patience)


def read_policies(connection: Connection, parent_table: str | None = None) -> tuple[Policy, ...]:
    """Return the policies of all tables, or of one, with the partition key that the catalogue says.

    Raises `ConfigurationError` when a policy names no table that is partitioned by range of one date or timestamptz column.
    """
    rows = connection.execute(
        """
        select
            policies.parent_table,
            policies.granularity,
            policies.create_ahead,
            policies.hash_modulus,
            key_column.attname,
            key_column.atttypid::regtype::text
        from ops.partition_policies as policies
        left join pg_partitioned_table as partitioned
            on partitioned.partrelid = to_regclass(policies.parent_table)
            and partitioned.partstrat = 'r'
            and partitioned.partnatts = 1
        left join pg_attribute as key_column
            on key_column.attrelid = partitioned.partrelid
            and key_column.attnum = partitioned.partattrs[0]
        where policies.parent_table = %(parent_table)s or %(parent_table)s is null
        order by policies.parent_table
        """,
        {"parent_table": parent_table},
    ).fetchall()
    if parent_table is not None and not rows:
        raise ConfigurationError(
            f"ops.partition_policies has no row for {parent_table}. Expected one for every partitioned table: insert it."
        )
    types = {"date": "date", "timestamp with time zone": "timestamptz"}
    policies = []
    for table, granularity, create_ahead, hash_modulus, key_column, key_type in rows:
        if key_type not in types:
            raise ConfigurationError(
                f"ops.partition_policies names {table}, which is not partitioned by range of one date or timestamptz column. "
                "Correct the name in parent_table, or create the table so."
            )
        policies.append(Policy(table, granularity, create_ahead, hash_modulus, key_column, types[key_type]))  # type: ignore[arg-type]
    return tuple(policies)


def read_existing(connection: Connection, names: Iterable[str]) -> dict[str, Existing]:
    """Return the state of the tables of these names in the schema `partitions`; those that do not exist are left out."""
    rows = connection.execute(
        """
        select relations.relname, inheritance.inhrelid is not null, coalesce(inheritance.inhdetachpending, false)
        from pg_class as relations
        left join pg_inherits as inheritance on inheritance.inhrelid = relations.oid
        where relations.relnamespace = to_regnamespace(%s) and relations.relname = any(%s) and relations.relkind in ('r', 'p')
        """,
        [PARTITION_SCHEMA, list(names)],
    ).fetchall()
    existing = {}
    for name, has_parent, is_detach_pending in rows:
        if has_parent and not is_detach_pending:
            existing[name] = Existing("attached")
            continue
        with suppress(psycopg.errors.UndefinedTable):  # another session drops it just now; under the lock none does
            existing[name] = Existing("detaching" if has_parent else "detached", has_rows=_has_rows(connection, name))
    return existing


def _plan(
    connection: Connection, policies: Sequence[Policy], as_of: datetime | None, needed: Mapping[str, Iterable[date]]
) -> Plan:
    wanted = wanted_partitions(policies, as_of, needed)
    return plan(read_existing(connection, _names(wanted)), policies, as_of, needed)


def _names(partitions: Iterable[Partition]) -> Iterator[str]:
    for partition in partitions:
        yield partition.name
        yield from _names(partition.days)


def _groups(partitions: Iterable[Partition]) -> Iterator[list[Partition]]:
    """Cut the partitions into groups of one table and a bounded number of leaves."""
    group: list[Partition] = []
    leaves = 0
    for partition in partitions:
        if group and (partition.root != group[0].root or leaves + partition.leaf_count > _LEAVES_PER_TRANSACTION):
            yield group
            group, leaves = [], 0
        group.append(partition)
        leaves += partition.leaf_count
    if group:
        yield group


def _apply_group(connection: Connection, group: Sequence[Partition], patience: Patience) -> list[Step]:
    with connection.transaction():
        _take_table_lock(connection, group[0].root, "pg_advisory_xact_lock", patience)
        existing = read_existing(connection, _names(group))
        steps = [step for partition in group for step in steps_towards(partition, existing)]
        if steps:
            # All that can be built aside comes first: the parent's lock is held from the first attachment to the commit.
            aside = [_aside(step) for step in steps]
            attachments = [_attachment(step) for step in steps]
            connection.execute(sql.SQL("; ").join(statement for part in (*aside, *attachments) for statement in part))
    return steps


def _aside(step: Step) -> list[sql.Composable]:
    """What a step does without touching the parent of its partition (but for finishing a detachment)."""
    partition = step.partition
    if step.action == "finalize":
        return [
            sql.SQL("alter table {} detach partition {} finalize").format(
                _identifier(partition.parent), _identifier(partition.qualified_name)
            )
        ]
    if step.action == "discard":
        return [sql.SQL("drop table {}").format(_identifier(partition.qualified_name))]
    if step.action == "attach":
        # ATTACH would otherwise look at every row while it holds the parent's lock.
        return [
            _closure(_identifier(partition.qualified_name)),
            sql.SQL("alter table {} add constraint {} check ({} >= {} and {} < {})").format(
                _identifier(partition.qualified_name),
                sql.Identifier(_bounds_constraint(partition)),
                sql.Identifier(partition.key_column),
                sql.Literal(partition.bounds[0]),
                sql.Identifier(partition.key_column),
                sql.Literal(partition.bounds[1]),
            ),
        ]
    return _creation(partition)


def _creation(partition: Partition) -> list[sql.Composable]:
    """Create a detached partition with everything below it. It is empty, so attaching it has nothing to scan."""
    name, like = _identifier(partition.qualified_name), _identifier(partition.root)
    key: sql.Composable = sql.SQL("")
    if partition.is_split_into_days:
        key = sql.SQL(" partition by range ({})").format(sql.Identifier(partition.key_column))
    elif partition.hash_modulus > 1:
        key = sql.SQL(" partition by hash (organization_id)")
    statements: list[sql.Composable] = [
        sql.SQL("create table {} (like {} including all){}").format(name, like, key),
        _closure(name),
    ]
    for day in partition.days:
        statements += [*_creation(day), _attach(day)]
    if not partition.is_split_into_days and partition.hash_modulus > 1:
        for remainder in range(partition.hash_modulus):
            leaf = _identifier(f"{partition.qualified_name}_h{remainder}")
            statements += [
                sql.SQL("create table {} (like {} including all)").format(leaf, like),
                _closure(leaf),
                sql.SQL("alter table {} attach partition {} for values with (modulus {}, remainder {})").format(
                    name, leaf, sql.Literal(partition.hash_modulus), sql.Literal(remainder)
                ),
            ]
    return statements


def _closure(name: sql.Identifier) -> sql.Composable:
    """Let nobody read a partition past its table: row level security without any policy, for its owner too."""
    return sql.SQL("alter table {} enable row level security, force row level security, owner to lyceum_owner").format(
        name
    )


def _attachment(step: Step) -> list[sql.Composable]:
    if step.action == "create":
        return [_attach(step.partition)]
    if step.action == "attach":
        return [
            _attach(step.partition),
            sql.SQL("alter table {} drop constraint {}").format(
                _identifier(step.partition.qualified_name), sql.Identifier(_bounds_constraint(step.partition))
            ),
        ]
    return []


def _attach(partition: Partition) -> sql.Composable:
    lower, upper = partition.bounds
    return sql.SQL("alter table {} attach partition {} for values from ({}) to ({})").format(
        _identifier(partition.parent), _identifier(partition.qualified_name), sql.Literal(lower), sql.Literal(upper)
    )


def _bounds_constraint(partition: Partition) -> str:
    return f"{partition.name}_bounds_check"


def _drop(
    connection: Connection,
    parent_table: str,
    name: str,
    patience: Patience,
    only_without_partitions: bool,
    last_look: Callable[[], bool] | None,
) -> bool:
    partition = _identifier(f"{PARTITION_SCHEMA}.{name}")
    with _session_lock(connection, parent_table, patience):
        found = read_existing(connection, [name]).get(name)
        if found is None or (only_without_partitions and _has_partitions(connection, name)):
            return False
        if found.state != "detached":
            parent = _parent(connection, name)
            # PostgreSQL refuses a second detachment while one is pending, whosever it is.
            for pending in _pending_detachments(connection, parent):
                connection.execute(
                    sql.SQL("alter table {} detach partition {} finalize").format(
                        _identifier(parent), _identifier(pending)
                    )
                )
        if found.state == "attached":
            connection.execute(
                sql.SQL("alter table {} detach partition {} concurrently").format(_identifier(parent), partition)
            )
        faults.reach("partitions.detached")
        if last_look is not None and not last_look():
            return False
        connection.execute(sql.SQL("drop table {}").format(partition))
    return True


def _has_partitions(connection: Connection, name: str) -> bool:
    row = connection.execute(
        "select exists (select from pg_inherits where inhparent = to_regclass(%s))", [f"{PARTITION_SCHEMA}.{name}"]
    ).fetchone()
    return row == (True,)


def _parent(connection: Connection, name: str) -> str:
    row = connection.execute(
        """
        select format('%%s.%%s', schemas.nspname, parents.relname)
        from pg_class as relations
        inner join pg_inherits as inheritance on inheritance.inhrelid = relations.oid
        inner join pg_class as parents on parents.oid = inheritance.inhparent
        inner join pg_namespace as schemas on schemas.oid = parents.relnamespace
        where relations.relnamespace = to_regnamespace(%s) and relations.relname = %s
        """,
        [PARTITION_SCHEMA, name],
    ).fetchone()
    assert row is not None
    return str(row[0])


def _pending_detachments(connection: Connection, parent: str) -> list[str]:
    rows = connection.execute(
        """
        select format('%%s.%%s', schemas.nspname, relations.relname)
        from pg_inherits as inheritance
        inner join pg_class as relations on relations.oid = inheritance.inhrelid
        inner join pg_namespace as schemas on schemas.oid = relations.relnamespace
        where inheritance.inhparent = to_regclass(%s) and inheritance.inhdetachpending
        """,
        [parent],
    ).fetchall()
    return [name for (name,) in rows]


def _has_rows(connection: Connection, name: str) -> bool:
    query = sql.SQL("select exists (select from {})").format(sql.Identifier(PARTITION_SCHEMA, name))
    row = connection.execute(query).fetchone()
    assert row is not None
    return bool(row[0])


@contextmanager
def _session_lock(connection: Connection, table: str, patience: Patience) -> Iterator[None]:
    """Hold the table's advisory lock for statements that cannot run in a transaction, with `lock_timeout` set for them."""
    row = connection.execute("select current_setting('lock_timeout')").fetchone()
    assert row is not None
    try:
        _take_table_lock(connection, table, "pg_advisory_lock", patience)
        try:
            yield
        finally:
            connection.execute("select pg_advisory_unlock(hashtext(%s), hashtext(%s))", [_LOCK_CLASS, table])
    finally:
        connection.execute("select set_config('lock_timeout', %s, false)", [row[0]])


def _take_table_lock(connection: Connection, table: str, function: str, patience: Patience) -> None:
    """Take the advisory lock under which the partitions of `table` change, and set `lock_timeout` for what follows."""
    is_local = function == "pg_advisory_xact_lock"
    # Another executor may be at work for a while, and waiting for it hinders nobody.
    connection.execute("select set_config('lock_timeout', '60s', %s)", [is_local])
    connection.execute(
        sql.SQL("select {}(hashtext(%s), hashtext(%s))").format(sql.Identifier(function)), [_LOCK_CLASS, table]
    )
    milliseconds = f"{max(1, round(patience.lock_timeout_seconds * 1000))}ms"
    connection.execute("select set_config('lock_timeout', %s, %s)", [milliseconds, is_local])


def _with_patience(attempt: Callable[[], _Result], table: str, connection: Connection, patience: Patience) -> _Result:
    pause = patience.first_pause_seconds
    for number in range(1, patience.attempts + 1):
        try:
            return attempt()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if number == patience.attempts:
                raise RetryableError(
                    f"The partitions of {table} could not be changed: {patience.attempts} attempts of "
                    f"{patience.lock_timeout_seconds:g} s each met a conflicting lock{_holders(connection, table)}. "
                    "Expected every session to let go of the table for a moment. Wait for those sessions or end them, and try again."
                ) from None
        except (
            psycopg.errors.InvalidObjectDefinition,
            psycopg.errors.CheckViolation,
            psycopg.errors.DatatypeMismatch,
        ) as error:
            raise ConfigurationError(
                f"A partition of {table} cannot be attached: {error.diag.message_primary}. Expected the tables of the schema "
                f"{PARTITION_SCHEMA} to be as this program made them. Move the table that stands in the way elsewhere, and try again."
            ) from None
        patience.pause(pause)
        pause = min(pause * 2, patience.longest_pause_seconds)
    raise AssertionError("the last attempt either returns or raises")


def _holders(connection: Connection, table: str) -> str:
    """Name the sessions that hold a lock on the table, for the message."""
    rows = connection.execute(
        """
        select distinct locks.pid, activity.application_name
        from pg_locks as locks
        inner join pg_stat_activity as activity on activity.pid = locks.pid
        where locks.relation = to_regclass(%s) and locks.granted and locks.pid <> pg_backend_pid()
        order by locks.pid
        limit 5
        """,
        [table],
    ).fetchall()
    if not rows:
        return ""
    return " (held by " + ", ".join(f"process {pid} {application!r}" for pid, application in rows) + ")"


def _require_autocommit(connection: Connection) -> None:
    if not connection.autocommit or connection.info.transaction_status != TransactionStatus.IDLE:
        raise ConfigurationError(
            "Partitions were to be changed on a connection that is not in autocommit mode or has a transaction open. "
            "Expected an idle autocommit connection, because a concurrent detachment cannot run inside a transaction."
        )


def _identifier(qualified_name: str) -> sql.Identifier:
    return sql.Identifier(*qualified_name.split("."))
