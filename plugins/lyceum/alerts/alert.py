"""What an alert is. It names tasks, runs and sources, and never carries a payload or anything of a learner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "task_failed",
    "run_late",
    "audit_gap",
    "audit_heads",
    "partition_held",
    "build_behind",
    "view_stale",
    "records_refused",
    "expectation_failed",
    "reconciliation_failed",
    "backup_old",
    "log_not_archived",
    "trail_unsealed",
    "server_busy",
    "disk_filling",
    "monitoring_failed",
]
"""`task_failed`: a task failed for good. `run_late`: a run was not over when it should have been. `audit_gap`: parts of the
server's log were gone before they were collected. `audit_heads`: heads of the audit trail are gone. `partition_held`: expired
partitions of a table are on hold for too long. The others are what monitoring found: docs/operations.md has a section a kind."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; `resolved_at` is None while it is open. `subject` is a DAG, a task as dag.task, or dag.task[source].

    `raised_at` is None where it could not be stored.
    """

    kind: Kind
    subject: str
    message: str
    raised_at: datetime | None
    resolved_at: datetime | None
