"""`ops.erasures`: who is being erased, as long as it goes on, and afterwards that somebody was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from psycopg.types.json import Jsonb

from lyceum.data_versions import advance_versions
from lyceum.database import Connection


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """One erasure as anybody may see it. `finished_as_of` is None while it goes on, or where it was interrupted."""

    organization: str
    erasure_id: int
    begun_as_of: datetime
    finished_as_of: datetime | None
    approved_by: str
    reason: str | None
    ids_erased: int
    rows: Mapping[str, int]
    archived_rows: Mapping[str, int]
    archives_rewritten: int
    logins_kept: int | None
    version_before: int | None
    version_after: int | None
    certificate_id: int | None


@dataclass(frozen=True, slots=True)
class OpenErasure:
    """One that has begun: `ids` lead from each id of the person to the fresh one. Printing it shows none of them."""

    organization_id: int
    erasure_id: int
    begun_as_of: datetime
    ids: Mapping[int, int] = field(repr=False)
    identity_hashes: tuple[bytes, ...] = field(repr=False)
    login_names: tuple[str, ...] = field(repr=False)

    @property
    def key(self) -> list[int]:
        """Its key in the table."""
        return [self.organization_id, self.erasure_id]


_ENTRIES = """
    select
        organizations.slug, erasures.erasure_id, erasures.begun_as_of, erasures.finished_as_of, erasures.approved_by,
        erasures.reason, erasures.ids_erased, erasures.row_counts, erasures.archive_counts, erasures.archives_rewritten,
        erasures.logins_kept, erasures.version_before, erasures.version_after, erasures.certificate_id
    from ops.erasures as erasures
    inner join core.organizations as organizations on erasures.organization_id = organizations.organization_id
    where
        (%(organization)s::bigint is null or erasures.organization_id = %(organization)s)
        and (%(erasure)s::bigint is null or erasures.erasure_id = %(erasure)s)
    order by erasures.erasure_id
"""


def list_erasures(
    connection: Connection, organization_id: int | None = None, erasure_id: int | None = None
) -> list[ErasureEntry]:
    """Return the erasures of one organization or of all, the earliest first."""
    rows = connection.execute(_ENTRIES, {"organization": organization_id, "erasure": erasure_id}).fetchall()
    return [ErasureEntry(*row) for row in rows]


def find_open(connection: Connection, organization_id: int, user_id: int) -> OpenErasure | None:
    """Return the erasure of a person that has begun and has not come to its end."""
    row = connection.execute(
        """
        select erasure_id, begun_as_of, user_ids, fresh_user_ids, identity_hashes, login_names
        from ops.erasures
        where organization_id = %s and finished_as_of is null and %s = any(user_ids)
        """,
        [organization_id, user_id],
    ).fetchone()
    if row is None:
        return None
    erasure_id, begun_as_of, old, fresh, hashes, logins = row
    return OpenErasure(
        organization_id,
        erasure_id,
        begun_as_of,
        dict(zip(old, fresh, strict=True)),
        tuple(hashes),
        tuple(logins),
    )


def open_erasure(
    connection: Connection,
    organization_id: int,
    ids: Mapping[int, int],
    identity_hashes: tuple[bytes, ...],
    *,
    as_of: datetime,
    approved_by: str,
    reason: str | None,
) -> OpenErasure:
    """Write down that an erasure begins, in the open transaction."""
    row = connection.execute(
        """
        insert into ops.erasures (
            organization_id, begun_as_of, approved_by, reason, user_ids, fresh_user_ids, identity_hashes, login_names,
            ids_erased, version_before
        )
        values (
            %(organization)s, %(as_of)s, %(approved_by)s, %(reason)s, %(old)s, %(fresh)s, %(hashes)s::bytea[], '{}',
            cardinality(%(old)s::bigint[]),
            (select data_version from ops.organization_watermarks where organization_id = %(organization)s)
        )
        returning erasure_id
        """,
        {
            "organization": organization_id,
            "as_of": as_of,
            "approved_by": approved_by,
            "reason": reason,
            "old": list(ids),
            "fresh": list(ids.values()),
            "hashes": list(identity_hashes),
        },
    ).fetchone()
    assert row is not None
    return OpenErasure(organization_id, row[0], as_of, ids, identity_hashes, ())


def forget_logins(connection: Connection, erasure: OpenErasure) -> None:
    """Take the person's logins out of the list of who may read what, and keep their names until they are dropped."""
    connection.execute(
        """
        with

        forgotten as (
            select array_agg(login_name) as names
            from auth.forget_people(%(organization)s, %(old)s) as login_name
        )

        update ops.erasures
        set login_names = login_names || forgotten.names
        from forgotten
        where organization_id = %(organization)s and erasure_id = %(erasure)s and forgotten.names is not null
        """,
        {"organization": erasure.organization_id, "erasure": erasure.erasure_id, "old": list(erasure.ids)},
    )


def mark_rekeyed(connection: Connection, erasure: OpenErasure, rows: Mapping[str, int]) -> None:
    """Add up what has changed, in the transaction that changed it, and let the organization's version grow if anything has."""
    _add(connection, erasure, "row_counts", rows)
    if rows:
        advance_versions(connection, erasure.organization_id)
    connection.execute(
        """
        update ops.erasures
        set
            is_rekeyed = true,
            version_after = (
                select data_version from ops.organization_watermarks as watermarks
                where watermarks.organization_id = erasures.organization_id
            )
        where organization_id = %s and erasure_id = %s
        """,
        erasure.key,
    )


def add_archive(connection: Connection, erasure: OpenErasure, table: str, rows: int) -> None:
    """Add one rewritten archive, in the transaction that records it."""
    _add(connection, erasure, "archive_counts", {table: rows})
    connection.execute(
        "update ops.erasures set archives_rewritten = archives_rewritten + 1 where organization_id = %s and erasure_id = %s",
        erasure.key,
    )


def close_erasure(
    connection: Connection, erasure: OpenErasure, certificate_id: int, logins_kept: int, as_of: datetime
) -> None:
    """Forget who it was, in the transaction that certifies it."""
    connection.execute(
        """
        update ops.erasures
        set
            finished_as_of = %s, certificate_id = %s, logins_kept = %s,
            user_ids = null, fresh_user_ids = null, identity_hashes = null, login_names = null
        where organization_id = %s and erasure_id = %s
        """,
        [as_of, certificate_id, logins_kept, *erasure.key],
    )


def _add(connection: Connection, erasure: OpenErasure, column: str, counts: Mapping[str, int]) -> None:
    assert column in ("row_counts", "archive_counts")
    row = connection.execute(
        f"select {column} from ops.erasures where organization_id = %s and erasure_id = %s for update".encode(),  # noqa: S608
        erasure.key,
    ).fetchone()
    assert row is not None
    total: Counter[str] = Counter(row[0])
    total.update(counts)
    connection.execute(
        f"update ops.erasures set {column} = %s where organization_id = %s and erasure_id = %s".encode(),  # noqa: S608
        [Jsonb(dict(sorted(total.items()))), *erasure.key],
    )
