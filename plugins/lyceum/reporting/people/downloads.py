"""Listing and reading reports: by the rights of whoever asks, and audited before a byte is given away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

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
from lyceum.vault import open_keyring, unwrap_for

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


@dataclass(frozen=True, slots=True)
class ReportFile:
    """Where the file of a report lies, and the wrapped key to it: a row of `api.report_files`."""

    organization_id: int
    report_id: int
    kind: str
    owner_user_id: int | None
    period_type: str
    period_start: date
    uri: str
    sha256: bytes
    key_provider: str
    key_version: int
    wrapped_key: bytes = field(repr=False)
    warehouse_id: UUID

    def read(self, settings: Settings, wanted: Format) -> Download:
        """Return one format of it, decrypted. Needs the place of reports and the key provider, and no database.

        Raises `DamagedReportError` when the file is gone or not what was written, `WrongKeyError` when the provider's key is not
        the one that wrapped its own, `RetryableError` when either cannot be reached.
        """
        with open_keyring(settings) as keyring:
            key = unwrap_for(
                keyring,
                self.warehouse_id,
                key_purpose(self.organization_id, self.report_id),
                self.key_provider,
                self.key_version,
                self.wrapped_key,
            )
        file = ReportShelf.of(settings).get(self.uri, self.report_id)
        content = unseal(key, self.organization_id, self.report_id, wanted, file, self.sha256)
        return Download(self.report_id, self.name(wanted), MEDIA_TYPES[wanted], content)

    def name(self, wanted: Format) -> str:
        """Return the name under which a format of it is saved. It tells no person."""
        return f"{self.kind}-{self.period_type}-{self.period_start}.{wanted}"


FILE_COLUMNS = (
    "organization_id",
    "report_id",
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
"""The columns of a `ReportFile`, which the warehouse's id (`auth.warehouse_id()`) makes whole."""


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
    assert claims.organization_id is not None
    tokens = InternalTokens.of_home(settings)
    with asking_as(reader, claims, tokens, clock) as asking:
        file = _find(asking, "api.report_files", claims.organization_id, report_id, wanted, as_of)
    access = Access(
        "report_downloaded",
        f"report {report_id}",
        organization_id=claims.organization_id,
        user_id=claims.user_id,
        role=claims.role,
        request_id=claims.request_id,
        detail={"format": wanted},
    )
    with _recording(target) as connection:
        return _hand_out(connection, settings, access, file, report_id, wanted)


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
    with _recording(target) as connection:
        file = _find(connection, "reporting.reports", organization_id, report_id, wanted, as_of)
        return _hand_out(connection, settings, access, file, report_id, wanted)


@contextmanager
def _recording(target: ConnectionTarget) -> Iterator[Connection]:
    with connect(target, autocommit=True, application_name="lyceum reports") as connection:
        prepare_trail(connection)
        yield connection


def _hand_out(
    connection: Connection,
    settings: Settings,
    access: Access,
    file: ReportFile | None,
    report_id: int,
    wanted: Format,
) -> Download:
    if file is None:
        record_access(connection, access, decision="denied")
        raise NoSuchReportError(
            f"There is no report {report_id} to be read as {wanted}. Expected one that is listed, ready and not expired: "
            "lyceum report list"
        )
    download = file.read(settings, wanted)
    owner = {} if file.owner_user_id is None else {"owner_user_id": file.owner_user_id}
    told = replace(access, detail={**access.detail, "kind": file.kind, **owner})
    record_access(connection, told, row_count=1)
    return download


def _find(
    connection: Connection, relation: str, organization_id: int, report_id: int, wanted: Format, as_of: datetime
) -> ReportFile | None:
    row = connection.execute(
        f"""
        select {", ".join(FILE_COLUMNS)}, auth.warehouse_id()
        from {relation}
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
    return ReportFile(*row) if row is not None else None


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
