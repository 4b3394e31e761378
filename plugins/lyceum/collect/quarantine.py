"""The quarantine as a person works with it: see what was refused and why, try it again, or give it up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from lyceum import organizations
from lyceum.audit import IDS_AT_MOST, Access, prepare_trail, record_access
from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.records import Reason

DISCARDED = "quarantine_discarded"


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One refused record, without its payload. `input_name` is None when it was refused by no input."""

    quarantine_id: int
    quarantined_at: datetime
    source: str
    input_name: str | None
    batch_id: int
    ordinal: int
    reason: Reason
    detail: str
    event_id: UUID | None
    activity_date: date | None
    byte_length: int | None
    has_payload: bool
    resolution: str | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """How many refused records of one source wait for one reason, and since when."""

    source: str
    reason: Reason
    rows: int
    replayable: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """Which unresolved rows: those with these ids, or those with this reason, or all."""

    quarantine_ids: Sequence[int] | None = None
    reason: Reason | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the selection as query parameters."""
        ids = None if self.quarantine_ids is None else list(self.quarantine_ids)
        return {"ids": ids, "reason": self.reason}

    def told(self) -> dict[str, object]:
        """Return what the audit trail keeps of the selection."""
        if self.quarantine_ids is None:
            return {"reason": self.reason}
        return {"reason": self.reason, "quarantine_ids": list(self.quarantine_ids)[:IDS_AT_MOST]}


SELECTED = """
    quarantine.organization_id = %(organization_id)s
    and (%(ids)s::bigint[] is null or quarantine.quarantine_id = any(%(ids)s))
    and (%(reason)s::text is null or quarantine.reason = %(reason)s)
"""
"""The rows that a `Selection` means; its parameters and `organization_id` fill it."""

_ENTRIES = f"""
    select
        quarantine.quarantine_id, quarantine.quarantined_at, sources.name, inputs.name, quarantine.batch_id, quarantine.ordinal,
        quarantine.reason, quarantine.detail, quarantine.event_id, quarantine.activity_date, quarantine.byte_length,
        quarantine.payload is not null, quarantine.resolution, quarantine.resolved_at
    from stage_one.quarantine as quarantine
    inner join core.sources as sources
        on quarantine.organization_id = sources.organization_id and quarantine.source_id = sources.source_id
    left join ops.batches as batches
        on quarantine.organization_id = batches.organization_id and quarantine.batch_id = batches.batch_id
    left join ops.inputs as inputs
        on batches.organization_id = inputs.organization_id and batches.input_id = inputs.input_id
    where {SELECTED}
"""  # noqa: S608


def count_quarantine(connection: Connection, organization: str) -> list[QuarantineCount]:
    """Return how many unresolved rows the organization has, by source and reason, the most frequent first."""
    tenant = organizations.find_organization(connection, organization)
    rows = connection.execute(
        """
        select
            sources.name, quarantine.reason, count(*) as refused, count(quarantine.payload),
            min(quarantine.quarantined_at), max(quarantine.quarantined_at)
        from stage_one.quarantine as quarantine
        inner join core.sources as sources
            on quarantine.organization_id = sources.organization_id and quarantine.source_id = sources.source_id
        where quarantine.organization_id = %s and quarantine.resolution is null
        group by sources.name, quarantine.reason
        order by refused desc, sources.name, quarantine.reason
        """,
        [tenant.organization_id],
    ).fetchall()
    return [QuarantineCount(*row) for row in rows]


def list_quarantine(
    connection: Connection,
    organization: str,
    *,
    reason: Reason | None = None,
    include_resolved: bool = False,
    limit: int = 100,
) -> list[QuarantineEntry]:
    """Return refused records of the organization without their payloads, the newest first."""
    tenant = organizations.find_organization(connection, organization)
    rows = connection.execute(
        _ENTRIES
        + """
            and (%(include_resolved)s or quarantine.resolution is null)
        order by quarantine.quarantined_at desc, quarantine.quarantine_id desc
        limit %(limit)s
        """,
        {
            "organization_id": tenant.organization_id,
            "include_resolved": include_resolved,
            "limit": limit,
            **Selection(reason=reason).parameters(),
        },
    ).fetchall()
    return [QuarantineEntry(*row) for row in rows]


def show_quarantine(
    connection: Connection, organization: str, quarantine_id: int
) -> tuple[QuarantineEntry, dict[str, Any] | None]:
    """Return one refused record and its payload, which holds pseudonyms only; None where there is none.

    Raises `ConfigurationError` when the organization has no such row.
    """
    tenant = organizations.find_organization(connection, organization)
    parameters = {"organization_id": tenant.organization_id, **Selection([quarantine_id]).parameters()}
    row = connection.execute(_ENTRIES, parameters).fetchone()
    if row is None:
        raise _unknown(organization, [quarantine_id])
    payload = connection.execute(
        f"select quarantine.payload::text from stage_one.quarantine as quarantine where {SELECTED}",  # noqa: S608
        parameters,
    ).fetchone()
    assert payload is not None
    return QuarantineEntry(*row), None if payload[0] is None else json.loads(payload[0])


def discard(
    connection: Connection,
    organization: str,
    *,
    quarantine_ids: Sequence[int] | None = None,
    reason: Reason | None = None,
    as_of: datetime,
) -> int:
    """Mark unresolved rows, by id or by reason, as discarded; return their number. The rows stay to be seen.

    Commits, with the row of the audit trail. Raises `ConfigurationError` when neither is given, or an id is unknown.
    """
    prepare_trail(connection)
    tenant = organizations.find_organization(connection, organization)
    selection = require_selection(connection, tenant, quarantine_ids, reason)
    cursor = connection.execute(
        f"""
        update stage_one.quarantine as quarantine
        set resolution = 'discarded', resolved_at = %(as_of)s
        where {SELECTED} and quarantine.resolution is null
        """,  # noqa: S608
        {"organization_id": tenant.organization_id, "as_of": as_of, **selection.parameters()},
    )
    record_access(
        connection,
        Access(DISCARDED, f"quarantine of {organization}", tenant.organization_id, detail=selection.told()),
        row_count=cursor.rowcount,
    )
    connection.commit()
    return cursor.rowcount


def require_selection(
    connection: Connection,
    organization: organizations.Organization,
    quarantine_ids: Sequence[int] | None,
    reason: Reason | None,
) -> Selection:
    """Return the selection that a caller means.

    Raises `ConfigurationError` when neither ids nor a reason are given, or the organization has no row with one of the ids.
    """
    if quarantine_ids is None and reason is None:
        raise ConfigurationError("Neither ids nor a reason are given. Name the rows with their ids, or with --reason.")
    if quarantine_ids is not None:
        rows = connection.execute(
            "select quarantine_id from stage_one.quarantine where organization_id = %s and quarantine_id = any(%s)",
            [organization.organization_id, list(quarantine_ids)],
        ).fetchall()
        unknown = set(quarantine_ids) - {quarantine_id for (quarantine_id,) in rows}
        if unknown:
            raise _unknown(organization.slug, sorted(unknown))
    return Selection(quarantine_ids, reason)


def _unknown(organization: str, quarantine_ids: Sequence[int]) -> ConfigurationError:
    named = ", ".join(map(str, quarantine_ids[:10]))
    return ConfigurationError(
        f"{organization!r} has no quarantined row {named}. Expected ids as 'lyceum quarantine list' shows them."
    )
