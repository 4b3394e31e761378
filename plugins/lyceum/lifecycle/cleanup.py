"""One clean-up: look at what there is, plan, carry out, keep what is on hold, and tell what is on hold for too long."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from lyceum import faults, partitions
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError
from lyceum.lifecycle.catalogue import read_partitions
from lyceum.lifecycle.executor import PATIENCE, Done, Executor, merged_holds
from lyceum.lifecycle.hold_store import keep_holds, tell_overdue_holds
from lyceum.lifecycle.holds import read_needs
from lyceum.lifecycle.planner import CleanupPlan, DropPartition, Hold, plan_partitions, plan_rows
from lyceum.lifecycle.policies import PartitionPolicy, Schedule, read_partition_policies, read_row_policies
from lyceum.lifecycle.rows import oldest_rows
from lyceum.partitions import Patience
from lyceum.sealing import ARCHIVED_TABLES
from lyceum.settings import Settings

_LOG = logging.getLogger("lyceum.lifecycle")


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """What a clean-up did, or would do: `made` ahead, `done` in order, `holds` of what has expired and stays.

    `planned` are the steps as they were planned; a dry run takes none of them. `overdue` are the tables that alerts tell of.
    """

    schedule: Schedule
    as_of: datetime
    is_dry_run: bool
    made: tuple[str, ...]
    planned: tuple[str, ...]
    done: tuple[str, ...]
    holds: tuple[Hold, ...]
    partitions_dropped: int
    bytes_freed: int
    overdue: tuple[str, ...]


def run_cleanup(
    target: ConnectionTarget,
    settings: Settings,
    schedule: Schedule,
    as_of: datetime,
    *,
    is_dry_run: bool = False,
    force_reason: str | None = None,
    patience: Patience = PATIENCE,
) -> CleanupReport:
    """Make partitions ahead, archive and drop what the schedule says has expired at `as_of`, remove old rows, keep the holds.

    A dry run changes nothing. With `force_reason` the holds that somebody may overrule are, and the audit trail says why before
    anything is dropped. Safe to repeat, to interrupt and to run twice at once. What cannot be dropped now is a hold, not an error.

    Raises `ConfigurationError` when the clock has no time zone, a policy fits no table, the reason is empty, or a partition is
    not what its name says.
    """
    if as_of.tzinfo is None:
        raise ConfigurationError(
            f"The clock {as_of.isoformat()} has no time zone. Expected an instant such as 2026-11-22T12:00:00Z."
        )
    is_forced = force_reason is not None
    if force_reason is not None and not force_reason.strip():
        raise ConfigurationError(
            "The reason for the force is empty. Expected what an auditor should read: give --reason TEXT."
        )
    with (
        connect(target, autocommit=True, application_name="lyceum cleanup") as connection,
        connect(target, autocommit=True, application_name="lyceum cleanup guard") as guard,
    ):
        policies = read_partition_policies(connection)
        plan = plan_cleanup(connection, policies, schedule, as_of, is_forced=is_forced)
        if is_dry_run:
            ahead = partitions.plan_ahead(connection, as_of)
            return _report(schedule, as_of, plan, ahead.sentences, is_dry_run=True)
        if force_reason is not None:
            _audit_force(target, schedule, as_of, force_reason, plan)
        ahead = partitions.ensure_ahead(connection, as_of)
        executor = Executor(
            connection, guard, target, settings, policies, as_of, is_forced=is_forced, patience=patience
        )
        executor.carry_out(plan)
        if schedule == "monthly":
            _tell_planner(connection, policies)
        holds = merged_holds(plan.holds, executor.holds)
        worked_on = [
            policy.parent_table for policy in policies if policy.cleanup == schedule or _archives(policy, schedule)
        ]
        keep_holds(connection, holds, worked_on, as_of)
        faults.reach("cleanup.holds_kept")
        overdue = tell_overdue_holds(target, settings.alerts, holds, as_of)
    report = _report(schedule, as_of, plan, ahead.sentences, done=executor.done, holds=holds, overdue=overdue)
    _LOG.info(
        "%s clean-up: %d partitions dropped, %d on hold",
        schedule,
        report.partitions_dropped,
        len(holds),
        extra={"schedule": schedule, "bytes": report.bytes_freed, "made": len(ahead.steps)},
    )
    return report


def plan_cleanup(
    connection: Connection,
    policies: tuple[PartitionPolicy, ...],
    schedule: Schedule,
    as_of: datetime,
    *,
    is_forced: bool = False,
) -> CleanupPlan:
    """Return the plan of one schedule for what the database holds now. Changes nothing."""
    row_policies = read_row_policies(connection)
    of_partitions = plan_partitions(
        read_partitions(connection, policies),
        policies,
        read_needs(connection, as_of),
        _archived(connection),
        frozenset(ARCHIVED_TABLES),
        as_of,
        schedule,
        is_forced=is_forced,
    )
    of_rows = plan_rows(oldest_rows(connection, row_policies), row_policies, as_of, schedule)
    return CleanupPlan((*of_partitions.steps, *of_rows), of_partitions.holds)


def _archived(connection: Connection) -> frozenset[str]:
    """Return the partitions that have an archive on record; whether it is whole is looked at before one is dropped."""
    rows = connection.execute(
        "select partition_name from ops.partition_archives where organization_id is null"
    ).fetchall()
    return frozenset(name for (name,) in rows)


def _archives(policy: PartitionPolicy, schedule: Schedule) -> bool:
    return policy.is_archived and schedule in ("monthly", "yearly")


def _audit_force(target: ConnectionTarget, schedule: Schedule, as_of: datetime, reason: str, plan: CleanupPlan) -> None:
    """Record the force before it is used, so that no interruption can leave a forced drop without its reason."""
    from lyceum.audit import Access, audited_transaction

    overruled = [step.name for step in plan.steps if isinstance(step, DropPartition) and step.forced_over]
    detail = {"reason": reason[:500], "as_of": as_of.isoformat(), "partitions": overruled[:50], "count": len(overruled)}
    with audited_transaction(
        target, Access("cleanup_forced", f"cleanup {schedule}", detail=detail), application_name="lyceum cleanup"
    ):
        pass


def _tell_planner(connection: Connection, policies: tuple[PartitionPolicy, ...]) -> None:
    """Give the planner statistics of whole tables: autovacuum sees leaves alone, never the table above them."""
    for policy in policies:
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(*policy.parent_table.split("."))))


def _report(
    schedule: Schedule,
    as_of: datetime,
    plan: CleanupPlan,
    made: tuple[str, ...],
    *,
    is_dry_run: bool = False,
    done: list[Done] | None = None,
    holds: tuple[Hold, ...] | None = None,
    overdue: tuple[str, ...] = (),
) -> CleanupReport:
    dropped = [one for one in done or [] if isinstance(one.step, DropPartition)]
    return CleanupReport(
        schedule=schedule,
        as_of=as_of,
        is_dry_run=is_dry_run,
        made=made,
        planned=tuple(step.sentence for step in plan.steps),
        done=tuple(one.sentence for one in done or []),
        holds=plan.holds if holds is None else holds,
        partitions_dropped=len(dropped),
        bytes_freed=sum(one.byte_length for one in dropped),
        overdue=overdue,
    )
