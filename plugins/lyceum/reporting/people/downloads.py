"""Listing and reading reports: by the rights of whoever asks, and audited before a byte is given away."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from lyceum.audit import Access, prepare_trail, record_access
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import LyceumError, RefusedAccess
from lyceum.reporting.people.asking import asking_as
from lyceum.reporting.people.generation import key_purpose
from lyceum.reporting.people.sealed import Format, unseal
from lyceum.reporting.people.shelf import ReportShelf
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.internal import Clock, InternalTokens
from lyceum.settings import Settings
from lyceum.vault import open_person_keys

MEDIA_TYPES: dict[Format, str] = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
}

_LISTED = (
    "organization_id, report_id, kind, owner_user_id, period_type, period_start, period_end, status, formats, data_version, "
    "told_through, requested_at, generated_at, expires_at"
)


class NoSuchReportError(LyceumError, RefusedAccess):
    """There is no such report for whoever asks: none at all, somebody else's, one that is not ready or has expired.

    The message does not tell which: whether somebody else has a report is not theirs to know.
    """


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A report as its readers see it in `api.reports`."""

    organization_id: int
    report_id: int
    kind: str
    owner_user_id: int | None
    period_type: str
    period_start: date
    period_end: date
    status: str
    formats: tuple[str, ...]
    data_version: int | None
    told_through: date | None
    requested_at: datetime
    generated_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Download:
    """One format of a report, decrypted. Printing it shows nothing."""

    report_id: int
    file_name: str
    media_type: str
    content: bytes = field(repr=False)


def list_own_reports(connection: Connection, organization_id: int, *, limit: int = 200) -> list[ListedReport]:
    """Return the reports that whoever asks may see, the newest first. `connection` is in a transaction of theirs (`as_tenant`)."""
    return _listed(connection, "api.reports", organization_id, limit)


def list_reports(connection: Connection, organization_id: int, *, limit: int = 1000) -> list[ListedReport]:
    """Return the reports of an organization and its people, the newest first, for the operator."""
    return _listed(connection, "reporting.reports", organization_id, limit)


def download_own(
    target: ConnectionTarget,
    reader: ConnectionTarget,
    settings: Settings,
    claims: TenantClaims,
    report_id: int,
    wanted: Format,
    *,
    as_of: datetime,
    clock: Clock,
) -> Download:
    """Return one format of a report to somebody with these verified claims, if row level security shows it to them.

    The row of the audit trail is committed before this returns, also for a refusal. Raises `NoSuchReportError` when there is none for
    them, `DamagedReportError` when its file is not what was written.
    """
    tokens = InternalTokens.of_home(settings)
    with asking_as(reader, claims, tokens, clock) as asking:
        seen = asking.execute(
            "select 1 from api.reports where organization_id = %s and report_id = %s",
            [claims.organization_id, report_id],
        ).fetchone()
    access = Access(
        "report_downloaded",
        f"report {report_id}",
        organization_id=claims.organization_id,
        user_id=claims.user_id,
        role=claims.role,
        request_id=claims.request_id,
        detail={"format": wanted},
    )
    return _download(target, settings, access, report_id, wanted, as_of, is_theirs=seen is not None)


def download_for_operator(
    target: ConnectionTarget,
    settings: Settings,
    organization_id: int,
    report_id: int,
    wanted: Format,
    *,
    as_of: datetime,
) -> Download:
    """Return one format of any report of an organization, for the operator; audited and raising as `download_own`."""
    access = Access(
        "report_downloaded", f"report {report_id}", organization_id=organization_id, detail={"format": wanted}
    )
    return _download(target, settings, access, report_id, wanted, as_of, is_theirs=True)


def _download(
    target: ConnectionTarget,
    settings: Settings,
    access: Access,
    report_id: int,
    wanted: Format,
    as_of: datetime,
    *,
    is_theirs: bool,
) -> Download:
    with connect(target, autocommit=True, application_name="lyceum reports") as connection:
        prepare_trail(connection)
        row = _ready(connection, access.organization_id, report_id, wanted, as_of) if is_theirs else None
        if row is None:
            record_access(connection, access, decision="denied")
            raise NoSuchReportError(
                f"There is no report {report_id} to be read as {wanted}. Expected one that is listed, ready and not expired: "
                "lyceum report list"
            )
        with open_person_keys(settings, connection) as keys:
            organization_id = int(row["organization_id"])
            key = keys.unwrap_for(
                key_purpose(organization_id, report_id), row["key_provider"], row["key_version"], row["wrapped_key"]
            )
        file = ReportShelf.of(settings).get(row["uri"], report_id)
        content = unseal(key, organization_id, report_id, wanted, file, row["sha256"])
        owner = {} if row["owner_user_id"] is None else {"owner_user_id": row["owner_user_id"]}
        told = Access(
            access.action,
            access.resource,
            access.organization_id,
            access.user_id,
            access.role,
            access.request_id,
            {**access.detail, "kind": row["kind"], **owner},
        )
        record_access(connection, told, row_count=1)
    return Download(
        report_id, f"{row['kind']}-{row['period_type']}-{row['period_start']}.{wanted}", MEDIA_TYPES[wanted], content
    )


def _ready(
    connection: Connection, organization_id: int | None, report_id: int, wanted: Format, as_of: datetime
) -> dict[str, Any] | None:
    names = (
        "organization_id",
        "kind",
        "owner_user_id",
        "period_type",
        "period_start",
        "uri",
        "sha256",
        "key_provider",
        "key_version",
        "wrapped_key",
    )
    row = connection.execute(
        f"""
        select {", ".join(names)}
        from reporting.reports
        where
            organization_id = %s
            and report_id = %s
            and status = 'ready'
            and expires_at > %s
            and %s = any(formats)
        """.encode(),  # noqa: S608
        [organization_id, report_id, as_of, wanted],
        binary=True,
    ).fetchone()
    return dict(zip(names, row, strict=True)) if row is not None else None


def _listed(connection: Connection, relation: str, organization_id: int, limit: int) -> list[ListedReport]:
    rows = connection.execute(
        f"""
        select {_LISTED}
        from {relation}
        where organization_id = %s
        order by requested_at desc, report_id desc
        limit %s
        """.encode(),  # noqa: S608
        [organization_id, limit],
    ).fetchall()
    return [ListedReport(*map(_in_python, row)) for row in rows]


def _in_python(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return tuple(value) if isinstance(value, list) else value
