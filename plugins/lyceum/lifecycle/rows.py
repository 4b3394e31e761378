"""What goes row by row: small tables of results, and the pages of reports. Removed in bounded transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lyceum import faults
from lyceum.database import Connection, ConnectionTarget
from lyceum.errors import ConfigurationError
from lyceum.lifecycle.policies import RowPolicy
from lyceum.settings import Settings

QUALITY_PAGES = "reporting.quality_pages"
REPORTS = "reporting.reports"

_ROWS_PER_TRANSACTION = 10_000


@dataclass(frozen=True, slots=True)
class _RowStore:
    """One table: the instant that a row's age counts from, the tables that say so, and which rows may go at all."""

    age: str
    joined: str = ""
    may_go: str = "true"


_BUILD = "inner join ops.builds as builds on builds.build_id = stored.build_id"
# What the last build found is what people look at, however old it is.
_NOT_THE_LAST_BUILD = "builds.build_id < (select max(latest.build_id) from ops.builds as latest)"
_REFRESH = "inner join ops.view_refreshes as refreshes on refreshes.refresh_id = stored.refresh_id"
_NOT_THE_LAST_REFRESH = """
    refreshes.refresh_id < (
        select max(latest.refresh_id) from ops.view_refreshes as latest where latest.view_name = refreshes.view_name
    )
"""

_STORES: Mapping[str, _RowStore] = {
    "stage_one.roster_quarantine": _RowStore("stored.quarantined_at"),
    "ops.expectation_results": _RowStore("builds.as_of", _BUILD, _NOT_THE_LAST_BUILD),
    "ops.reconciliation_results": _RowStore("builds.as_of", _BUILD, _NOT_THE_LAST_BUILD),
    "ops.build_batches": _RowStore("builds.as_of", _BUILD, _NOT_THE_LAST_BUILD),
    "ops.build_users": _RowStore("builds.as_of", _BUILD, _NOT_THE_LAST_BUILD),
    "ops.view_expectation_results": _RowStore("refreshes.as_of", _REFRESH, _NOT_THE_LAST_REFRESH),
    "ops.view_reconciliation_results": _RowStore("refreshes.as_of", _REFRESH, _NOT_THE_LAST_REFRESH),
    "ops.alerts": _RowStore("stored.resolved_at", may_go="stored.resolved_at is not null"),
    "ops.metrics": _RowStore("stored.measured_at"),
    QUALITY_PAGES: _RowStore("stored.as_of"),
    REPORTS: _RowStore("coalesce(stored.generated_at, stored.requested_at)"),
}


def oldest_rows(connection: Connection, policies: Iterable[RowPolicy]) -> dict[str, datetime]:
    """Return the age of the oldest row that may go, by subject; subjects without any are left out.

    Raises `ConfigurationError` for a policy of a subject that nobody knows how to remove.
    """
    found: dict[str, datetime] = {}
    for policy in policies:
        store = _STORES.get(policy.subject)
        if store is None:
            raise ConfigurationError(
                f"ops.retention_policies names {policy.subject!r}. Expected one of {', '.join(sorted(_STORES))}: correct it."
            )
        row = connection.execute(
            f"select min({store.age}) from {policy.subject} as stored {store.joined} where {store.may_go}".encode()  # noqa: S608
        ).fetchone()
        if row is not None and row[0] is not None:
            found[policy.subject] = row[0]
    return found


def remove_rows(
    connection: Connection, target: ConnectionTarget, settings: Settings, subject: str, as_of: datetime
) -> int:
    """Remove what has outlived its policy at `as_of`; return how much. `connection` must be in autocommit mode.

    Each 10,000 rows are a transaction, so an interruption costs nothing and nobody waits for long.
    """
    if subject == QUALITY_PAGES:
        from lyceum.reporting.quality import remove_old_pages

        return remove_old_pages(target, settings, as_of)
    if subject == REPORTS:
        from lyceum.reporting.people.removal import remove_expired

        return remove_expired(connection, settings, as_of)
    store = _STORES[subject]
    statement = f"""
        delete from {subject}
        where ctid = any(array(
            select stored.ctid
            from {subject} as stored
            {store.joined}
            inner join ops.retention_policies as policies on policies.subject = %(subject)s
            where {store.may_go} and {store.age} + policies.retention <= %(as_of)s
            limit {_ROWS_PER_TRANSACTION}
        ))
    """  # noqa: S608
    removed = 0
    while count := connection.execute(statement.encode(), {"subject": subject, "as_of": as_of}).rowcount:
        removed += count
        faults.reach("cleanup.rows_removed")
    return removed
