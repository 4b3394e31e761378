"""The metrics: what each says, in which unit, and whether it only grows. Names end in their unit, as Prometheus has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `kind` is Prometheus' word: a counter only grows until its server's statistics are reset."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


METRICS: tuple[Metric, ...] = (
    Metric("lyceum_records", "Records of the last 24 hours by what became of them.", ("organization", "outcome")),
    Metric(
        "lyceum_quarantine_rows",
        "Refused records of the last 24 hours that nobody has dealt with.",
        ("organization", "reason"),
    ),
    Metric("lyceum_published_age_seconds", "Age of what an organization's readers see.", ("organization",)),
    Metric("lyceum_pending_hours", "Collected hours that wait to be built.", ("organization",)),
    Metric("lyceum_oldest_pending_seconds", "Age of the oldest hour that waits to be built.", ("organization",)),
    Metric("lyceum_open_weeks", "Weeks that still take events.", ("organization",)),
    Metric("lyceum_view_age_seconds", "Time since a materialized view was last looked at.", ("view",)),
    Metric("lyceum_builds", "Builds of the last 24 hours.", ("state",)),
    Metric("lyceum_build_seconds", "How long the steps of the last build took.", ("step",)),
    Metric("lyceum_expectations_failed", "Expectations that the last build did not meet.", ("suite", "severity")),
    Metric("lyceum_reconciliation_mismatches", "Keys on which the last build's layers disagree.", ("check",)),
    Metric("lyceum_partition_holds", "Expired partitions that somebody still needs.", ("table",)),
    Metric("lyceum_overdue_partition_holds", "Those past their grace time.", ("table",)),
    Metric("lyceum_open_alerts", "Alerts that are open.", ("kind",)),
    Metric("lyceum_backup_age_seconds", "Time since the last one that succeeded.", ("kind",)),
    Metric("lyceum_audited_accesses", "Rows of the audit trail in the last hour.", ("action", "decision")),
    Metric("lyceum_failed_logins", "Refused log-ins in the last hour."),
    Metric("lyceum_changes_of_rights", "Changes of roles, grants and policies in the last 24 hours."),
    Metric("lyceum_unsealed_audit_rows", "Rows of the audit trail that are in no batch of the chain yet."),
    Metric("lyceum_audit_sealed_age_seconds", "Time since a batch was added to the chain."),
    Metric("lyceum_unacknowledged_audit_gaps", "Gaps of the audit trail that nobody has acknowledged."),
    Metric("lyceum_table_bytes", "Size of a table with its indexes and partitions.", ("table",)),
    Metric("lyceum_table_rows", "Rows of a table, as its statistics estimate them.", ("table",)),
    Metric("lyceum_table_dead_rows", "Dead rows that wait for vacuum.", ("table",)),
    Metric("lyceum_table_index_scans_total", "Scans that used an index.", ("table",), "counter"),
    Metric("lyceum_table_sequential_scans_total", "Scans that read the whole table.", ("table",), "counter"),
    Metric("lyceum_database_bytes", "Size of the warehouse's database."),
    Metric("lyceum_connections", "Sessions in the warehouse's database."),
    Metric("lyceum_transactions_committed_total", "Committed transactions.", kind="counter"),
    Metric("lyceum_transactions_rolled_back_total", "Rolled back transactions.", kind="counter"),
    Metric("lyceum_deadlocks_total", "Deadlocks.", kind="counter"),
    Metric("lyceum_temporary_bytes_total", "Bytes that queries wrote to temporary files.", kind="counter"),
    Metric("lyceum_blocks_hit_total", "Blocks found in the server's cache.", kind="counter"),
    Metric("lyceum_blocks_read_total", "Blocks that were not.", kind="counter"),
    Metric("lyceum_cache_hit_ratio", "Part of the blocks that the server found in its cache."),
    Metric("lyceum_sessions", "Sessions of the server.", ("state",)),
    Metric("lyceum_connections_used_ratio", "Part of the server's connections that is in use."),
    Metric("lyceum_waiting_locks", "Locks that somebody waits for."),
    Metric("lyceum_longest_lock_wait_seconds", "The longest wait for a lock now."),
    Metric("lyceum_longest_transaction_seconds", "Age of the oldest transaction."),
    Metric("lyceum_wal_archive_failing", "1 while the server cannot archive its log."),
    Metric("lyceum_replication_lag_bytes", "Log that a replica has not replayed yet.", ("replica",)),
    Metric("lyceum_statements_total", "Statements that ran.", ("login",), "counter"),
    Metric("lyceum_statement_seconds_total", "Time that statements took.", ("login",), "counter"),
    Metric("lyceum_slowest_statement_mean_seconds", "Mean time of the slowest statement.", ("login",)),
    Metric("lyceum_slow_statements", "Statements whose mean time is above one second.", ("login",)),
    Metric("lyceum_disk_free_bytes", "Free bytes of the file system of the home."),
    Metric("lyceum_disk_free_ratio", "Free part of the file system of the home."),
    Metric("lyceum_monitoring_seconds", "How long a query of monitoring took.", ("query",)),
    Metric("lyceum_monitoring_failed", "1 where a query of monitoring failed.", ("query",)),
)

BY_NAME = {metric.name: metric for metric in METRICS}
