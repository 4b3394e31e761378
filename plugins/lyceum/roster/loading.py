"""Read a delivery into temporary tables of one transaction: pseudonyms and dates, nothing that names a person.

The tables live until the transaction ends: `delivered_people`, `delivered_identities`, `delivered_roles`,
`delivered_classes`, `delivered_activities`, `delivered_enrollments` and `refused_rows`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import psycopg

from lyceum.adapters.oneroster import (
    ClassRow,
    EnrollmentRow,
    RefusedRow,
    RosterDelivery,
    UserRow,
)
from lyceum.database import Connection
from lyceum.records import IdentityHasher
from lyceum.roster.options import AccountRule, RosterOptions

_TABLES = """
    create temporary table delivered_people (
        person_hash bytea not null, roles text[] not null, tells_all_roles boolean not null, is_deleted boolean not null,
        user_id bigint, is_new boolean not null default false
    ) on commit drop;
    create temporary table delivered_identities (person_hash bytea not null, identity_hash bytea not null) on commit drop;
    create temporary table delivered_roles (person_hash bytea not null, role text not null, is_deleted boolean not null) on commit drop;
    create temporary table delivered_classes (
        sourced_id text not null, title text, starts_on date, is_deleted boolean not null, line bigint not null,
        course_id bigint, is_new boolean not null default false
    ) on commit drop;
    create temporary table delivered_activities (sourced_id text not null, rank integer not null, activity_iri text not null)
    on commit drop;
    create temporary table delivered_enrollments (
        record_hash bytea not null, class_sourced_id text not null, person_hash bytea not null, role text,
        begin_on date, end_on date, is_deleted boolean not null, line bigint not null
    ) on commit drop;
    create temporary table refused_rows (file_name text not null, line bigint not null, reason text not null, detail text not null)
    on commit drop
"""

_Row = TypeVar("_Row")
Write = Callable[[tuple[object, ...]], None]


class Pseudonyms:
    """The keyed hashes of one source's people and records, and of the identities that its rules find."""

    def __init__(self, hasher: IdentityHasher, source_name: str, options: RosterOptions) -> None:
        self._hasher = hasher
        self._source_name = source_name
        self._options = options

    def of_person(self, sourced_id: str) -> bytes:
        """Return the hash by which a person's sourcedId is known."""
        return self._hasher.hash(f"oneroster:{self._source_name} {sourced_id}")

    def of_enrollment(self, sourced_id: str) -> bytes:
        """Return the hash by which an enrollment record is known."""
        return self._hasher.hash(f"oneroster-enrollment:{self._source_name} {sourced_id}")

    def identities(self, person: UserRow) -> set[bytes]:
        """Return the hashes of the activity identities that are the person's by the rules of the source."""
        return {self._hasher.hash(identifier) for identifier in self._identifiers(person)}

    def _identifiers(self, person: UserRow) -> Iterator[str]:
        for rule in self._options.identity_rules:
            if isinstance(rule, AccountRule):
                name = rule.name_of(person)
                if name:
                    yield f"account:{rule.home_page} {name}"
            elif person.email:
                for address in {person.email, person.email.lower()}:
                    yield f"mbox_sha1sum:{hashlib.sha1(f'mailto:{address}'.encode(), usedforsecurity=False).hexdigest()}"
                yield f"mbox:mailto:{person.email.lower()}"


def load(
    connection: Connection, delivery: RosterDelivery, pseudonyms: Pseudonyms, options: RosterOptions
) -> tuple[int, int]:
    """Read every file of the delivery once, in the open transaction; return how many rows were read and ignored.

    Raises `InputError` when a file as a whole cannot be read.
    """
    connection.execute(_TABLES)
    refusals: list[RefusedRow] = []
    _copy(
        connection,
        "delivered_people (person_hash, roles, tells_all_roles, is_deleted)",
        _accepted(delivery.users(), refusals),
        lambda row, write: write(
            (pseudonyms.of_person(row.sourced_id), sorted(row.roles), row.tells_all_roles, row.is_deleted)
        ),
    )
    _copy(
        connection,
        "delivered_identities (person_hash, identity_hash)",
        (row for row in delivery.users() if isinstance(row, UserRow) and not row.is_deleted),
        lambda row, write: _each(
            write,
            (
                (pseudonyms.of_person(row.sourced_id), identity)
                for identity in sorted(pseudonyms.identities(row) | {pseudonyms.of_person(row.sourced_id)})
            ),
        ),
    )
    _copy(
        connection,
        "delivered_roles (person_hash, role, is_deleted)",
        (row for row in _accepted(delivery.roles(), refusals) if row.role is not None),
        lambda row, write: write((pseudonyms.of_person(row.user_sourced_id), row.role, row.is_deleted)),
    )
    for rows in (delivery.academic_sessions(), delivery.orgs(), delivery.courses()):
        refusals.extend(row for row in rows if isinstance(row, RefusedRow))
    _copy(
        connection,
        "delivered_classes (sourced_id, title, starts_on, is_deleted, line)",
        _accepted(delivery.classes(), refusals),
        lambda row, write: write((row.sourced_id, row.title, row.starts_on, row.is_deleted, row.line)),
    )
    _copy(
        connection,
        "delivered_activities (sourced_id, rank, activity_iri)",
        (row for row in delivery.classes() if isinstance(row, ClassRow) and not row.is_deleted),
        lambda row, write: _each(
            write, ((row.sourced_id, rank, iri) for rank, iri in enumerate(options.activities_of(row)))
        ),
    )
    _copy(
        connection,
        "delivered_enrollments (record_hash, class_sourced_id, person_hash, role, begin_on, end_on, is_deleted, line)",
        _accepted(delivery.enrollments(), refusals),
        lambda row, write: write(_enrollment(row, pseudonyms)),
    )
    _copy(
        connection,
        "refused_rows (file_name, line, reason, detail)",
        refusals,
        lambda row, write: write((row.file_name, row.line, row.reason, row.detail)),
    )
    connection.execute(
        "analyze delivered_people; analyze delivered_identities; analyze delivered_classes; analyze delivered_enrollments"
    )
    counts = delivery.counts.values()
    return sum(count.rows_read for count in counts), sum(count.rows_ignored for count in counts)


def _enrollment(row: EnrollmentRow, pseudonyms: Pseudonyms) -> tuple[object, ...]:
    return (
        pseudonyms.of_enrollment(row.sourced_id),
        row.class_sourced_id,
        pseudonyms.of_person(row.user_sourced_id),
        row.role,
        row.begin_on,
        row.end_on,
        row.is_deleted,
        row.line,
    )


def _accepted(rows: Iterable[_Row | RefusedRow], refusals: list[RefusedRow]) -> Iterator[_Row]:
    for row in rows:
        if isinstance(row, RefusedRow):
            refusals.append(row)
        else:
            yield row


def _copy(connection: Connection, table: str, rows: Iterable[_Row], write_row: Callable[[_Row, Write], None]) -> None:
    statement = psycopg.sql.SQL("copy {} from stdin").format(psycopg.sql.SQL(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            write_row(row, copy.write_row)


def _each(write: Write, rows: Iterable[tuple[object, ...]]) -> None:
    for row in rows:
        write(row)
