"""Erasing a person, step by step: whatever interrupts it, calling again goes on, and nothing is done halfway that can be seen.

begin     ids and hashes are written down, with fresh ids; the running build, if any, is abandoned
register  the register of erasures outside the databases, so that a restored backup erases again
keys      the data keys are destroyed: what they encrypt is unreadable from here on
tables    one transaction: every row goes to a fresh id, identities and users are removed, the version advances
archives  rewritten one by one, and proven
reports   whatever `REMOVALS` names
logins    dropped from the server
end       the certificate, and the link between the ids is gone, in one transaction
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from lyceum import faults
from lyceum.analytics.scope import build_lock
from lyceum.audit import Access, ensure_audit_partitions, record_access
from lyceum.audit.access import failures_recorded
from lyceum.backup import register_erasure
from lyceum.database import Connection, ConnectionTarget, administrator_target, connect
from lyceum.erasure import ledger
from lyceum.erasure.archives import ArchivedRows, count_in_archives, organization_lock, rewrite_archives
from lyceum.erasure.ledger import ErasureEntry, OpenErasure
from lyceum.erasure.people import find_person, require_impersonal
from lyceum.erasure.removals import REMOVALS
from lyceum.erasure.tables import count_rows, rekey_rows
from lyceum.errors import ConfigurationError, LyceumError, RetryableError
from lyceum.organizations import Organization, find_organization
from lyceum.roster.rekeying import rekey_merged_users
from lyceum.settings import Settings
from lyceum.vault import open_person_keys
from lyceum.views.catalogue import VIEWS
from lyceum.views.versions import refresh_lock

_log = logging.getLogger(__name__)

BEGUN = "person_erasure_begun"
ERASED = "person_erased"

_LOCK_TIMEOUT = "60s"
_REASON_CHARACTERS = 200
_APPLICATION = "lyceum erase"

Tell = Callable[[str], None]
"""Is told what begins, in a few words that name nobody."""


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What an erasure would change, in counts: how many ids the person has, rows by table, rows in archives."""

    organization: str
    ids: int
    rows: Mapping[str, int]
    archived_rows: Mapping[str, int]
    archives: int
    archives_read: int
    is_begun: bool

    @property
    def sentences(self) -> tuple[str, ...]:
        """The plan for people."""
        whose = "1 id" if self.ids == 1 else f"{self.ids} ids (merged users are the same person)"
        lines = [f"A person of {self.organization} with {whose}."]
        if self.is_begun:
            lines.append("The erasure has begun before and goes on.")
        lines += [f"{table}: {count:,} rows" for table, count in self.rows.items()]
        lines += [f"archives of {table}: {count:,} rows" for table, count in self.archived_rows.items()]
        lines.append(f"{self.archives:,} of {self.archives_read:,} archives are rewritten.")
        return tuple(lines)


def plan_erasure(target: ConnectionTarget, settings: Settings, organization: str, user_id: int) -> ErasurePlan:
    """Count what the erasure of a person would change. Changes nothing.

    Raises `UnknownPersonError` where there is nobody, `ArchiveError` when an archive cannot be read.
    """
    with connect(target, application_name=_APPLICATION) as connection:
        tenant = find_organization(connection, organization)
        begun = ledger.find_open(connection, tenant.organization_id, user_id)
        if begun is not None:
            user_ids, hashes = tuple(begun.ids), begun.identity_hashes
        else:
            person = find_person(connection, settings, tenant, user_id)
            user_ids, hashes = person.user_ids, person.identity_hashes
        rows = count_rows(connection, tenant.organization_id, user_ids, hashes)
        archived: ArchivedRows = count_in_archives(
            connection, settings, tenant.organization_id, dict.fromkeys(user_ids, 0)
        )
    return ErasurePlan(
        tenant.slug, len(user_ids), rows, archived.rows, archived.archives, archived.archives_read, begun is not None
    )


def erase_person(
    target: ConnectionTarget,
    settings: Settings,
    organization: str,
    user_id: int,
    *,
    as_of: datetime,
    approved_by: str,
    reason: str | None = None,
    tell: Tell = lambda what: None,
) -> ErasureEntry:
    """Erase a person, whichever of their ids is given; return what the certificate says. An interrupted erasure goes on.

    No total changes, and no reader waits; batches, rosters and seals of the organization do. `approved_by` and `reason` are kept
    for good. A build that is under way is abandoned: its hours stay pending. Raises `UnknownPersonError` where there is nobody,
    `ConfigurationError` for a reason that names the person, `RetryableError` while a build, a refresh or another erasure runs,
    `ArchiveError` when an archive is missing or damaged: the erasure then waits to be called again.
    """
    _require_words(approved_by, reason)
    access = Access(ERASED, f"organization {organization}")
    with failures_recorded(target, access, application_name=_APPLICATION) as attempt, build_lock(target):
        with connect(target, application_name=_APPLICATION) as connection:
            tenant = find_organization(connection, organization)
        attempt.organization_id = tenant.organization_id
        tell("looking the person up")
        erasure = _begin(target, settings, tenant, user_id, as_of, approved_by, reason)
        faults.reach("erasure.begun")
        tell("registering the erasure")
        for old_id in erasure.ids:
            register_erasure(settings, tenant.organization_id, old_id, erasure.begun_as_of)
        faults.reach("erasure.registered")
        tell("destroying the keys")
        _destroy_keys(target, settings, erasure)
        faults.reach("erasure.keys_destroyed")
        with connect(target, autocommit=True, application_name=_APPLICATION) as connection:
            with organization_lock(connection, tenant.organization_id):
                tell("giving the rows to a fresh id")
                _rekey(target, connection, erasure)
                tell("rewriting the archives of sealed weeks")
                _rewrite(connection, settings, erasure, as_of, of_partitions=False)
            tell("rewriting the archives of years")
            _rewrite(connection, settings, erasure, as_of, of_partitions=True)
            faults.reach("erasure.archives_rewritten")
            # What was restored from an archive before that was rewritten.
            _rekey(target, connection, erasure)
            tell("clearing reports")
            removed = {name: remove(connection, settings, erasure) for name, remove in REMOVALS.items()}
            faults.reach("erasure.reports_cleared")
            tell("dropping logins")
            kept = _drop_logins(connection, settings, erasure)
            faults.reach("erasure.logins_dropped")
            tell("writing the certificate")
            entry = _end(connection, tenant, erasure, removed, kept, as_of)
    faults.reach("erasure.committed")
    _log.info(
        "a person was erased",
        extra={
            "organization": tenant.slug,
            "erasure": entry.erasure_id,
            "rows": sum(entry.rows.values()),
            "archives": entry.archives_rewritten,
        },
    )
    return entry


def _require_words(approved_by: str, reason: str | None) -> None:
    if not approved_by.strip():
        raise ConfigurationError(
            "Nobody has approved the erasure. Expected who has: a name or an account of whoever decides."
        )
    for what, text in (("name of who approves", approved_by), ("reason", reason or "")):
        if len(text) > _REASON_CHARACTERS:
            raise ConfigurationError(
                f"The {what} has {len(text)} characters. Expected at most {_REASON_CHARACTERS}: name a ticket, and keep the rest there."
            )


def _begin(
    target: ConnectionTarget,
    settings: Settings,
    tenant: Organization,
    user_id: int,
    as_of: datetime,
    approved_by: str,
    reason: str | None,
) -> OpenErasure:
    """Take up the erasure of this person, or begin it."""
    with connect(target, application_name=_APPLICATION) as connection:
        begun = ledger.find_open(connection, tenant.organization_id, user_id)
        if begun is not None:
            _abandon_build(connection)
            return begun
        person = find_person(connection, settings, tenant, user_id)
        require_impersonal(reason or "", person.profiles)
        _abandon_build(connection)
    # Otherwise the next build would move rows to an id that is gone.
    rekey_merged_users(target)
    with connect(target, autocommit=True, application_name=_APPLICATION) as connection:
        ensure_audit_partitions(connection)
        with _transaction(connection), _identities(connection, tenant.organization_id):
            # Again, now that no roster can merge anybody.
            person = find_person(connection, settings, tenant, user_id)
            erasure = ledger.open_erasure(
                connection,
                tenant.organization_id,
                _fresh_ids(connection, person.user_ids),
                person.identity_hashes,
                as_of=as_of,
                approved_by=approved_by,
                reason=reason,
            )
            access = Access(
                BEGUN,
                f"erasure {erasure.erasure_id}",
                tenant.organization_id,
                request_id=_request(erasure),
                detail={"approved_by": approved_by, "reason": reason},
            )
            record_access(connection, access)
        return erasure


def _abandon_build(connection: Connection) -> None:
    """End a build that is between two of its steps: its candidates name the person."""
    connection.execute(
        """
        update ops.builds
        set state = 'abandoned', failure = 'a person was erased meanwhile; begin a new build'
        where state = 'running'
        """
    )
    connection.commit()


def _fresh_ids(connection: Connection, user_ids: tuple[int, ...]) -> dict[int, int]:
    rows = connection.execute(
        "select nextval(pg_get_serial_sequence('core.users', 'user_id')) from generate_series(1, %s)", [len(user_ids)]
    ).fetchall()
    fresh = [found for (found,) in rows]
    # In no order that says which is which.
    random.SystemRandom().shuffle(fresh)
    return dict(zip(user_ids, fresh, strict=True))


def _destroy_keys(target: ConnectionTarget, settings: Settings, erasure: OpenErasure) -> None:
    with (
        connect(target, application_name=_APPLICATION) as connection,
        open_person_keys(settings, connection) as keys,
    ):
        for old_id in erasure.ids:
            keys.destroy(erasure.organization_id, old_id, erasure.begun_as_of)


def _rekey(target: ConnectionTarget, connection: Connection, erasure: OpenErasure) -> None:
    """Give the rows to the fresh ids, in one transaction, while no refresh is under way."""
    with ExitStack() as refreshes:
        for view in VIEWS.values():
            refreshes.enter_context(refresh_lock(target, view))
        with _transaction(connection), _identities(connection, erasure.organization_id):
            ledger.forget_logins(connection, erasure)
            rows = rekey_rows(connection, erasure.organization_id, erasure.ids, erasure.identity_hashes)
            ledger.mark_rekeyed(connection, erasure, rows)
            faults.reach("erasure.rows_rekeyed")
    faults.reach("erasure.tables_committed")


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """Open a transaction that waits for nobody for long."""
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
            yield
    except psycopg.errors.LockNotAvailable:
        raise RetryableError(
            f"Another session has kept a table or the organization locked for {_LOCK_TIMEOUT}. Wait for it to end, and try again: "
            "the erasure goes on where it stopped."
        ) from None


@contextmanager
def _identities(connection: Connection, organization_id: int) -> Iterator[None]:
    """Keep batches, rosters and whoever looks identities up waiting until the transaction ends."""
    for lock in ("lyceum.organization", "lyceum.identities"):
        connection.execute("select pg_advisory_xact_lock(hashtext(%s), %s::int)", [lock, organization_id])
    yield


def _rewrite(
    connection: Connection, settings: Settings, erasure: OpenErasure, as_of: datetime, *, of_partitions: bool
) -> None:
    rewrite_archives(
        connection,
        settings,
        erasure.organization_id,
        erasure.ids,
        as_of,
        lambda recording, table, rows: ledger.add_archive(recording, erasure, table, rows),
        of_partitions=of_partitions,
    )


def _drop_logins(connection: Connection, settings: Settings, erasure: OpenErasure) -> int:
    """Drop the person's logins from the server; return how many stay because nobody here may, or because they are used elsewhere.

    Such a login reads nothing of the warehouse any more.
    """
    row = connection.execute(
        "select login_names from ops.erasures where organization_id = %s and erasure_id = %s", erasure.key
    ).fetchone()
    assert row is not None
    names: list[str] = row[0]
    if not names:
        return 0
    try:
        with connect(administrator_target(settings), autocommit=True, application_name=_APPLICATION) as administrator:
            return sum(not _drop_login(administrator, name) for name in names)
    except LyceumError:
        return len(names)


def _drop_login(administrator: Connection, name: str) -> bool:
    known = administrator.execute("select from pg_roles where rolname = %s", [name]).fetchone()
    if known is None:
        return True
    login, database = sql.Identifier(name), sql.Identifier(administrator.info.dbname)
    try:
        with administrator.transaction():
            administrator.execute(sql.SQL("revoke connect on database {} from {}").format(database, login))
            administrator.execute(sql.SQL("drop role {}").format(login))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DependentObjectsStillExist):
        return False
    return True


def _end(
    connection: Connection,
    tenant: Organization,
    erasure: OpenErasure,
    removed: Mapping[str, int],
    logins_kept: int,
    as_of: datetime,
) -> ErasureEntry:
    """Certify the erasure and forget whom it was about, in one transaction."""
    ensure_audit_partitions(connection)
    with _transaction(connection):
        (entry,) = ledger.list_erasures(connection, tenant.organization_id, erasure.erasure_id)
        detail: dict[str, object] = {
            "erasure_id": entry.erasure_id,
            "approved_by": entry.approved_by,
            "reason": entry.reason,
            "begun_as_of": entry.begun_as_of.isoformat(),
            "finished_as_of": as_of.isoformat(),
            "ids": entry.ids_erased,
            "rows": dict(entry.rows),
            "archived_rows": dict(entry.archived_rows),
            "archives_rewritten": entry.archives_rewritten,
            "reports": dict(removed),
            "logins_kept": logins_kept,
            "version_before": entry.version_before,
            "version_after": entry.version_after,
        }
        access = Access(
            ERASED,
            f"erasure {erasure.erasure_id}",
            tenant.organization_id,
            request_id=_request(erasure),
            detail=detail,
        )
        certificate_id = record_access(connection, access, row_count=sum(entry.rows.values()))
        ledger.close_erasure(connection, erasure, certificate_id, logins_kept, as_of)
        (entry,) = ledger.list_erasures(connection, tenant.organization_id, erasure.erasure_id)
        faults.reach("erasure.certified")
    return entry


def _request(erasure: OpenErasure) -> str:
    return f"erasure-{erasure.organization_id}-{erasure.erasure_id}"
