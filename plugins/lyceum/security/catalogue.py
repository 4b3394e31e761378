"""What the catalogue of a database says about rights: read once, as plain values that the gate compares.

Everything that PostgreSQL itself or an extension made is left out, and so are temporary objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from lyceum.database import Connection
from lyceum.quality.queries import read_query
from lyceum.security.generation import policy_statement, view_statement
from lyceum.security.rights import PRODUCT_ROLES, Grant, Relation


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as the server prints it back. Equal values mean equal policies, within one version of the server."""

    name: str
    roles: tuple[str, ...]
    command: str
    is_permissive: bool
    using: str | None
    with_check: str | None


@dataclass(frozen=True, slots=True)
class FoundRelation:
    """A relation: `kind` is the letter of `pg_class.relkind`, `definition` a view's query."""

    name: str
    kind: str
    owner: str
    options: tuple[str, ...]
    is_enabled: bool
    is_forced: bool
    columns: tuple[str, ...]
    policies: tuple[Policy, ...]
    definition: str | None

    @property
    def schema(self) -> str:
        """The schema's name."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class FoundFunction:
    """A function; `body` is its source text, `search_path` what it pins."""

    signature: str
    owner: str
    is_definer: bool
    search_path: str | None
    body: str


@dataclass(frozen=True, slots=True)
class FoundRole:
    """A role of the product, with the attributes that it has, as `create role` names them."""

    name: str
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Membership:
    """`member` is a member of `role`. A server's superusers and the owner of this database are `is_administrator`."""

    role: str
    member: str
    is_inherited: bool
    is_administrator: bool


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A unique index of a table and its key columns; an expression has no name and is left out."""

    table: str
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of it."""

    schemas: tuple[str, ...]
    relations: tuple[FoundRelation, ...]
    grants: frozenset[Grant]
    functions: tuple[FoundFunction, ...]
    roles: tuple[FoundRole, ...]
    memberships: tuple[Membership, ...]
    keys: tuple[UniqueKey, ...]


def read_catalogue(connection: Connection, queries: Path) -> Catalogue:
    """Read the catalogue, in a transaction of its own or a savepoint of the open one. Takes no lock on any table.

    `queries` is the checkout's folder of that name.
    """
    with connection.transaction():
        return Catalogue(
            schemas=tuple(name for (name,) in _rows(connection, queries, "schemas")),
            relations=_relations(connection, queries),
            grants=frozenset(Grant(*row) for row in _rows(connection, queries, "grants")),
            functions=tuple(FoundFunction(*row) for row in _rows(connection, queries, "functions")),
            roles=tuple(
                FoundRole(name, frozenset(attributes))
                for name, attributes in _rows(connection, queries, "roles")
                if name in PRODUCT_ROLES
            ),
            memberships=tuple(
                one
                for one in (Membership(*row) for row in _rows(connection, queries, "memberships"))
                if one.role in PRODUCT_ROLES or one.member in PRODUCT_ROLES
            ),
            keys=tuple(
                UniqueKey(table, name, tuple(columns))
                for table, name, columns in _rows(connection, queries, "unique_keys")
            ),
        )


def expected_policies(connection: Connection, queries: Path, relation: Relation) -> tuple[Policy, ...]:
    """Return the policies that the description gives a table, as this server prints them back.

    They are made on a temporary table of its columns, and undone. Raises `psycopg.errors.UndefinedColumn` and its like when
    the description does not fit the table.
    """
    if not relation.readers:
        return ()
    with connection.transaction(force_rollback=True):
        # The same name, because a condition may be printed with it.
        scratch = f"pg_temp.{relation.unqualified}"
        connection.execute(f"create temporary table {relation.unqualified} (like {relation.name})".encode())
        for reader in relation.readers:
            connection.execute(policy_statement(scratch, reader).encode())
        row = connection.execute("select pg_my_temp_schema()::regnamespace::text").fetchone()
        assert row is not None
        return _policies(connection, queries).get(f"{row[0]}.{relation.unqualified}", ())


def expected_definition(connection: Connection, view: Relation) -> str:
    """Return the query of a view of `api` as this server prints it back, by making a temporary one; otherwise as above."""
    with connection.transaction(force_rollback=True):
        scratch = f"pg_temp.{view.unqualified}"
        connection.execute(view_statement(scratch, view).encode())
        row = connection.execute("select pg_get_viewdef(to_regclass(%s))", [scratch]).fetchone()
    assert row is not None
    return str(row[0])


def _relations(connection: Connection, queries: Path) -> tuple[FoundRelation, ...]:
    policies = _policies(connection, queries)
    return tuple(
        FoundRelation(
            name,
            kind,
            owner,
            tuple(sorted(options)),
            is_enabled,
            is_forced,
            tuple(columns),
            policies.get(name, ()),
            definition,
        )
        for name, kind, owner, options, is_enabled, is_forced, columns, definition in _rows(
            connection, queries, "relations"
        )
    )


def _policies(connection: Connection, queries: Path) -> dict[str, tuple[Policy, ...]]:
    """Return the policies of every table that has any."""
    policies: dict[str, tuple[Policy, ...]] = {}
    for table, name, roles, *rest in _rows(connection, queries, "policies"):
        policies[table] = (*policies.get(table, ()), Policy(name, tuple(roles), *rest))
    return policies


def _rows(connection: Connection, queries: Path, name: str) -> list[TupleRow]:
    return connection.execute(read_query(queries / "catalogue" / f"{name}.sql")).fetchall()


UNFIT = (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction)
"""What `expected_policies` and `expected_definition` raise when the description does not fit the database."""
