"""The numbers that stand for names: users, objects, verbs and courses of one organization, looked up and made in bulk.

Each resolution is its own short transaction on a connection in autocommit mode, before the batch that needs it, so a batch
holds no lock on a dictionary. What is made stays made when the batch fails: the next attempt finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from lyceum import identity
from lyceum.database import Connection

_REMEMBERED = 300_000
"""Names of one kind that a run remembers, about 60 MB; beyond that it asks the server again."""

Key = TypeVar("Key")


class Dictionaries:
    """The dictionaries of one organization as one run knows them."""

    def __init__(self, connection: Connection, organization_id: int, as_of: datetime) -> None:
        """Take a connection in autocommit mode that nobody else uses at the same time."""
        self._connection = connection
        self._organization_id = organization_id
        self._as_of = as_of
        self._users: dict[bytes, int] = {}
        self._objects: dict[str, int] = {}
        self._verbs: dict[str, int] = {}
        self._courses: dict[str | None, int] = {}

    def users(self, hashes: Iterable[bytes]) -> Mapping[bytes, int]:
        """Return user ids by identity hash, at least of those asked for; unknown ones become provisional users."""
        missing = _missing(self._users, hashes)
        if missing:
            ids = identity.resolve_users(self._connection, self._organization_id, missing, self._as_of)
            self._users.update(zip(missing, ids, strict=True))
        return self._users

    def objects(self, types: Mapping[str, str | None]) -> Mapping[str, int]:
        """Return object ids by IRI, at least of the keys of `types`; a type that is stated fills one that was unknown."""
        missing = _missing(self._objects, types)
        if missing:
            self._objects.update(self._resolve_objects({iri: types[iri] for iri in missing}))
        return self._objects

    def verbs(self, iris: Iterable[str]) -> Mapping[str, int]:
        """Return verb ids by IRI, at least of those asked for."""
        missing = _missing(self._verbs, iris)
        if missing:
            self._verbs.update(self._resolve_verbs(missing))
        return self._verbs

    def courses(self, activities: Iterable[str | None]) -> Mapping[str | None, int]:
        """Return course ids by activity IRI, at least of those asked for; None stands for the unassigned course."""
        missing = _missing(self._courses, activities)
        if missing:
            self._courses.update(self._resolve_courses([iri for iri in missing if iri is not None], None in missing))
        return self._courses

    def _resolve_objects(self, types: Mapping[str, str | None]) -> dict[str, int]:
        with self._connection.transaction():
            known = self._known_objects(list(types))
            if any(iri not in known for iri in types):
                self._lock()
                known = self._known_objects(list(types))
                new = [iri for iri in types if iri not in known]
                rows = self._connection.execute(
                    """
                    insert into core.objects (organization_id, iri, object_type)
                    select %s, new.iri, new.object_type
                    from unnest(%s::text[], %s::text[]) as new (iri, object_type)
                    returning iri, object_type, object_id
                    """,
                    [self._organization_id, new, [types[iri] for iri in new]],
                ).fetchall()
                known.update({iri: (object_type, object_id) for iri, object_type, object_id in rows})
            untyped = [iri for iri, (object_type, _) in known.items() if object_type is None and types[iri] is not None]
            if untyped:
                self._connection.execute(
                    """
                    update core.objects as objects
                    set object_type = stated.object_type
                    from unnest(%s::text[], %s::text[]) as stated (iri, object_type)
                    where objects.organization_id = %s and objects.iri = stated.iri and objects.object_type is null
                    """,
                    [sorted(untyped), [types[iri] for iri in sorted(untyped)], self._organization_id],
                )
        return {iri: object_id for iri, (_, object_id) in known.items()}

    def _known_objects(self, iris: list[str]) -> dict[str, tuple[str | None, int]]:
        rows = self._connection.execute(
            "select iri, object_type, object_id from core.objects where organization_id = %s and iri = any(%s)",
            [self._organization_id, iris],
        ).fetchall()
        return {iri: (object_type, object_id) for iri, object_type, object_id in rows}

    def _resolve_verbs(self, iris: list[str]) -> dict[str, int]:
        with self._connection.transaction():
            known = self._known_verbs(iris)
            if any(iri not in known for iri in iris):
                self._lock()
                known = self._known_verbs(iris)
                rows = self._connection.execute(
                    """
                    insert into core.verbs (organization_id, iri)
                    select %s, new.iri from unnest(%s::text[]) as new (iri)
                    returning iri, verb_id
                    """,
                    [self._organization_id, [iri for iri in iris if iri not in known]],
                ).fetchall()
                known.update(dict(rows))
        return known

    def _known_verbs(self, iris: list[str]) -> dict[str, int]:
        rows = self._connection.execute(
            "select iri, verb_id from core.verbs where organization_id = %s and iri = any(%s)",
            [self._organization_id, iris],
        ).fetchall()
        return dict(rows)

    def _resolve_courses(self, iris: list[str], has_unassigned: bool) -> dict[str | None, int]:
        with self._connection.transaction():
            known = self._known_courses(iris, has_unassigned)
            if len(known) < len(iris) + has_unassigned:
                self._lock()
                known = self._known_courses(iris, has_unassigned)
                if has_unassigned and None not in known:
                    known[None] = self._new_courses(1, is_unassigned=True)[0]
                new = [iri for iri in iris if iri not in known]
                ids = self._new_courses(len(new), is_unassigned=False)
                self._connection.execute(
                    """
                    insert into core.course_aliases (organization_id, activity_iri, course_id)
                    select %s, new.activity_iri, new.course_id
                    from unnest(%s::text[], %s::bigint[]) as new (activity_iri, course_id)
                    """,
                    [self._organization_id, new, ids],
                )
                known.update(zip(new, ids, strict=True))
        return known

    def _known_courses(self, iris: list[str], has_unassigned: bool) -> dict[str | None, int]:
        rows = self._connection.execute(
            """
            select activity_iri, course_id from core.course_aliases
            where organization_id = %(organization_id)s and activity_iri = any(%(iris)s)
            union all
            select null, course_id from core.courses
            where organization_id = %(organization_id)s and is_unassigned and %(has_unassigned)s
            """,
            {"organization_id": self._organization_id, "iris": iris, "has_unassigned": has_unassigned},
        ).fetchall()
        return dict(rows)

    def _new_courses(self, count: int, *, is_unassigned: bool) -> list[int]:
        rows = self._connection.execute(
            """
            insert into core.courses (organization_id, is_unassigned, created_at)
            select %s, %s, %s from generate_series(1, %s)
            returning course_id
            """,
            [self._organization_id, is_unassigned, self._as_of, count],
        ).fetchall()
        return [course_id for (course_id,) in rows]

    def _lock(self) -> None:
        """Let one session at a time add names, so that no name is added twice and no id is drawn in vain."""
        self._connection.execute(
            "select pg_advisory_xact_lock(hashtext('lyceum.dictionaries'), %s::int)", [self._organization_id]
        )


def _missing(known: dict[Key, int], wanted: Iterable[Key]) -> list[Key]:
    """Return what is not known yet, each once, in a fixed order. Forgets everything known when it has become too much."""
    missing = [name for name in dict.fromkeys(wanted) if name not in known]
    if missing and len(known) > _REMEMBERED:
        known.clear()
        return list(dict.fromkeys(wanted))
    return missing
