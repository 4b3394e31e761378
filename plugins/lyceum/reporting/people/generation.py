"""Writing a report: read as its owner, computed once, rendered in every format, encrypted, and put in place whole."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from lyceum import faults
from lyceum.audit import Access, prepare_trail, record_access
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError, LyceumError
from lyceum.key_files import KEY_BYTES
from lyceum.reporting.people.asking import (
    ROLES,
    NothingPublishedError,
    Question,
    asking_for,
    owner_claims,
    server_clock,
)
from lyceum.reporting.people.contents import Contents, Kind
from lyceum.reporting.people.learner import compose_learner
from lyceum.reporting.people.organization import compose_organization
from lyceum.reporting.people.periods import Period
from lyceum.reporting.people.removal import remove_report
from lyceum.reporting.people.sealed import FORMATS, Format, seal
from lyceum.reporting.people.shelf import ReportShelf, file_name
from lyceum.reporting.people.trainer import compose_trainer
from lyceum.security.tokens.internal import Clock, InternalTokens
from lyceum.settings import Settings
from lyceum.vault import PersonKeys, open_person_keys

_log = logging.getLogger("lyceum.reporting")

_COMPOSERS: Mapping[Kind, Callable[[Question, Period], Contents]] = {
    "learner": compose_learner,
    "trainer": compose_trainer,
    "organization": compose_organization,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which report: its kind, whose, and about which period. `owner_user_id` is None for that of the organization."""

    organization_id: int
    kind: Kind
    owner_user_id: int | None
    period: Period

    def __post_init__(self) -> None:
        owner_claims(self.kind, self.organization_id, self.owner_user_id)

    @property
    def key(self) -> dict[str, object]:
        """What names it in `reporting.reports`."""
        return {
            "organization_id": self.organization_id,
            "kind": self.kind,
            "owner_user_id": self.owner_user_id,
            "period_type": self.period.type,
            "period_start": self.period.start,
            "period_end": self.period.end,
        }


@dataclass(frozen=True, slots=True)
class Written:
    """A report that is ready. `is_new` is False where it was there already, told from the same published version."""

    organization_id: int
    report_id: int
    kind: Kind
    owner_user_id: int | None
    period_type: str
    period_start: date
    formats: tuple[Format, ...]
    data_version: int
    byte_length: int
    expires_at: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class ReportWriter:
    """What writing reports needs: two logins, the tokens by which the second becomes an owner, the keys and the place of files.

    Make it with `open_report_writer`. `clock` is the clock of tokens, the server's; `as_of` that of the reports.
    """

    target: ConnectionTarget
    reader: ConnectionTarget
    connection: Connection
    tokens: InternalTokens
    keys: PersonKeys
    shelf: ReportShelf
    clock: Clock
    as_of: datetime
    requested_by: str

    def write(self, wanted: Wanted, formats: Sequence[Format] = FORMATS, *, is_anew: bool = False) -> Written:
        """Write a report in these formats, unless it is there already, told from the version that is published now.

        A report of the same period that was told from an older version is replaced, at once. `is_anew` writes it in any case. When
        writing fails, the report is `failed` with its reason, one that was there before stays, and the error goes on.

        Raises `NothingPublishedError` when the organization has no numbers, `ConfigurationError` when the period has not begun.
        """
        with self._alone(wanted):
            _require_begun(self.connection, wanted)
            known = None if is_anew else self._known(wanted, formats)
            if known is not None:
                return known
            report_id = self._begin(wanted)
            faults.reach("reports.begun")
            try:
                contents = self.compose(wanted)
                return self._finish(wanted, report_id, contents, render(contents, formats, self.as_of))
            except Exception as error:
                self._fail(wanted, report_id, error)
                raise

    def compose(self, wanted: Wanted) -> Contents:
        """Return what a report says, read as its owner. Writes nothing."""
        claims = owner_claims(wanted.kind, wanted.organization_id, wanted.owner_user_id)
        with asking_for(self.reader, claims, self.tokens, self.clock) as question:
            return _COMPOSERS[wanted.kind](question, wanted.period)

    @contextmanager
    def _alone(self, wanted: Wanted) -> Iterator[None]:
        """Let nobody else write this very report meanwhile."""
        name = "lyceum.report:" + ":".join(str(part) for part in wanted.key.values())
        self.connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [name])
        try:
            yield
        finally:
            if not self.connection.closed:
                self.connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [name])

    def _known(self, wanted: Wanted, formats: Sequence[Format]) -> Written | None:
        row = self.connection.execute(
            f"""
            select reports.report_id, reports.formats, reports.data_version, reports.byte_length, reports.expires_at
            from reporting.reports as reports
            inner join ops.organization_watermarks as published on reports.organization_id = published.organization_id
            where
                {_THIS}
                and reports.status = 'ready'
                and reports.data_version = published.data_version
                and reports.expires_at > %(as_of)s
                and reports.formats @> %(formats)s
            """.encode(),  # noqa: S608
            wanted.key | {"as_of": self.as_of, "formats": list(formats)},
        ).fetchone()
        return _written(wanted, row, is_new=False) if row is not None else None

    def _begin(self, wanted: Wanted) -> int:
        """Make the row of a report before its file, so that no file is ever without one."""
        left = self.connection.execute(
            f"select report_id from reporting.reports as reports where {_THIS} and status not in ('ready')".encode(),  # noqa: S608
            wanted.key,
        ).fetchall()
        for (report_id,) in left:
            remove_report(self.connection, self.shelf, wanted.organization_id, report_id)
        row = self.connection.execute(
            """
            insert into reporting.reports (
                organization_id, kind, owner_user_id, period_type, period_start, period_end, status, requested_by, requested_at
            )
            values (
                %(organization_id)s, %(kind)s, %(owner_user_id)s, %(period_type)s, %(period_start)s, %(period_end)s, 'pending',
                %(requested_by)s, %(as_of)s
            )
            returning report_id
            """,
            wanted.key | {"requested_by": self.requested_by, "as_of": self.as_of},
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _finish(self, wanted: Wanted, report_id: int, contents: Contents, parts: Mapping[Format, bytes]) -> Written:
        key = os.urandom(KEY_BYTES)
        wrapped = self.keys.wrap_for(key_purpose(wanted.organization_id, report_id), key)
        file = seal(key, wanted.organization_id, report_id, parts)
        name = file_name(wanted.organization_id, report_id)
        self.shelf.put(name, file)
        faults.reach("reports.file_written")
        prepare_trail(self.connection)
        with self.connection.transaction():
            replaced = self.connection.execute(
                f"""
                update reporting.reports as reports
                set status = 'expired', key_provider = null, key_version = null, wrapped_key = null
                where {_THIS} and status = 'ready'
                returning report_id
                """.encode(),  # noqa: S608
                wanted.key,
            ).fetchall()
            row = self.connection.execute(
                """
                update reporting.reports
                set
                    status = 'ready',
                    formats = %(formats)s,
                    uri = %(uri)s,
                    byte_length = %(byte_length)s,
                    sha256 = %(sha256)s,
                    data_version = %(data_version)s,
                    told_through = %(told_through)s,
                    people = %(people)s,
                    key_provider = %(provider)s,
                    key_version = %(version)s,
                    wrapped_key = %(wrapped_key)s,
                    generated_at = %(as_of)s,
                    expires_at = %(as_of)s + (
                        select policies.retention
                        from ops.retention_policies as policies
                        where policies.subject = 'reporting.reports'
                    )
                where organization_id = %(organization_id)s and report_id = %(report_id)s and status = 'pending'
                returning report_id, formats, data_version, byte_length, expires_at
                """,
                {
                    "organization_id": wanted.organization_id,
                    "report_id": report_id,
                    "formats": list(parts),
                    "uri": name,
                    "byte_length": len(file),
                    "sha256": hashlib.sha256(file).digest(),
                    "data_version": contents.source.data_version,
                    "told_through": contents.source.closed_through,
                    "people": sorted(contents.people),
                    "provider": wrapped.provider,
                    "version": wrapped.version,
                    "wrapped_key": wrapped.content,
                    "as_of": self.as_of,
                },
            ).fetchone()
            if row is None:
                raise LyceumError(
                    f"Report {report_id} went while it was written: its person was erased, or it was cleaned up. Nothing is kept."
                )
            record_access(self.connection, self._access(wanted, report_id))
        faults.reach("reports.committed")
        for (old,) in replaced:
            remove_report(self.connection, self.shelf, wanted.organization_id, old)
        _log.info(
            "report written",
            extra={
                "organization_id": wanted.organization_id,
                "report_id": report_id,
                "kind": wanted.kind,
                "bytes": len(file),
                "version": contents.source.data_version,
            },
        )
        return _written(wanted, row, is_new=True)

    def _access(self, wanted: Wanted, report_id: int) -> Access:
        return Access(
            "report_generated",
            f"report {report_id}",
            organization_id=wanted.organization_id,
            user_id=wanted.owner_user_id,
            role=ROLES[wanted.kind],
            detail={
                "kind": wanted.kind,
                "period_type": wanted.period.type,
                "period_start": wanted.period.start.isoformat(),
                "requested_by": self.requested_by,
            },
        )

    def _fail(self, wanted: Wanted, report_id: int, error: Exception) -> None:
        if self.connection.closed or self.connection.broken:
            return
        self.shelf.remove(file_name(wanted.organization_id, report_id))
        # The kind of error alone: what an error says may quote a row.
        self.connection.execute(
            """
            update reporting.reports
            set status = 'failed', failure = %s
            where organization_id = %s and report_id = %s and status = 'pending'
            """,
            [type(error).__name__, wanted.organization_id, report_id],
        )


_THIS = """
reports.organization_id = %(organization_id)s
and reports.kind = %(kind)s
and reports.owner_user_id is not distinct from %(owner_user_id)s
and reports.period_type = %(period_type)s
and reports.period_start = %(period_start)s
"""


@contextmanager
def open_report_writer(
    target: ConnectionTarget,
    reader: ConnectionTarget,
    settings: Settings,
    *,
    as_of: datetime,
    requested_by: str,
) -> Iterator[ReportWriter]:
    """Lend what writes reports: `target` is the pipeline's login, `reader` one that may become a tenant role.

    Raises `ConfigurationError` when the clock has no time zone.
    """
    if as_of.tzinfo is None:
        raise ConfigurationError(
            f"The clock {as_of.isoformat()} has no time zone. Expected an instant such as 2026-11-22T12:00:00Z."
        )
    with (
        connect(target, autocommit=True, application_name="lyceum reports") as connection,
        open_person_keys(settings, connection) as keys,
    ):
        yield ReportWriter(
            target,
            reader,
            connection,
            InternalTokens.of_home(settings),
            keys,
            ReportShelf.of(settings),
            server_clock(connection),
            as_of.astimezone(UTC),
            requested_by,
        )


def render(contents: Contents, formats: Sequence[Format], at: datetime) -> dict[Format, bytes]:
    """Return a report in each of these formats; all of them say the same numbers."""
    rendered: dict[Format, bytes] = {}
    for name in dict.fromkeys(formats):
        match name:
            case "html":
                from lyceum.reporting.people.html import render_html

                rendered[name] = render_html(contents)
            case "pdf":
                from lyceum.reporting.people.pdf import render_pdf

                rendered[name] = render_pdf(contents, at)
            case "csv":
                from lyceum.reporting.people.export import render_csv

                rendered[name] = render_csv(contents)
            case "parquet":
                from lyceum.reporting.people.export import render_parquet

                rendered[name] = render_parquet(contents)
    return rendered


def key_purpose(organization_id: int, report_id: int) -> str:
    """Return what the data key of a report is bound to."""
    return f"report:{organization_id}:{report_id}"


def _require_begun(connection: Connection, wanted: Wanted) -> None:
    row = connection.execute(
        "select closed_through from ops.organization_watermarks where organization_id = %s", [wanted.organization_id]
    ).fetchone()
    if row is None or row[0] is None:
        raise NothingPublishedError(
            f"Organization {wanted.organization_id} has no published numbers, so there is nothing to report. Build first: lyceum build"
        )
    if wanted.period.start > row[0]:
        raise ConfigurationError(
            f"The {wanted.period.type} {wanted.period.start} has no closed day yet. Expected one that begins on {row[0]} at the latest, "
            "the last closed day."
        )


def _written(wanted: Wanted, row: tuple[Any, ...], *, is_new: bool) -> Written:
    report_id, formats, data_version, byte_length, expires_at = row
    return Written(
        wanted.organization_id,
        report_id,
        wanted.kind,
        wanted.owner_user_id,
        wanted.period.type,
        wanted.period.start,
        tuple(formats),
        data_version,
        byte_length,
        expires_at.astimezone(UTC),
        is_new,
    )
