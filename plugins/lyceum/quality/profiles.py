"""Profiles: one row per organization that tells Great Expectations everything about millions of rows.

A relation of a suite is a query in `sql/queries/audits/<suite>/`. `<relation>.rows.sql` returns the audited rows with one
boolean column per clause that must not be true; the database counts them in one scan, and only where a row breaks any
clause does a second scan tell which. `<relation>.measures.sql` returns numbers, one row per organization.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

from psycopg import postgres, sql

from lyceum.database import Connection
from lyceum.quality.queries import read_query
from lyceum.quality.suites import Suite

Profile: TypeAlias = dict[int, dict[str, float | int | None]]
"""Organization id → column of the profile (`relation.column`) → value. A column that says nothing of an organization is absent."""

SAMPLE_SIZE = 20
_BOOLEAN = postgres.types["bool"].oid


def profile(connection: Connection, folder: Path, suite: Suite) -> Profile:
    """Return the profile of the running build for a suite whose queries are in `folder`."""
    found: defaultdict[int, dict[str, float | int | None]] = defaultdict(dict)
    for relation in suite.relations:
        columns = suite.columns(relation)
        rows = folder / f"{relation}.rows.sql"
        values = (
            _counts(connection, read_query(rows), columns)
            if rows.exists()
            else _measures(connection, read_query(folder / f"{relation}.measures.sql"), columns)
        )
        for organization_id, numbers in values.items():
            found[organization_id].update(
                {f"{relation}.{column}": number for column, number in zip(columns, numbers, strict=True)}
            )
    return dict(found)


def offending_keys(connection: Connection, folder: Path, relation: str, column: str) -> list[dict[str, Any]]:
    """Return the keys (pseudonymous ids, days) of up to 20 rows that break a clause, by key; none for a measure."""
    rows = folder / f"{relation}.rows.sql"
    if not rows.exists():
        return []
    statement = sql.SQL(
        "select to_jsonb(audited), audited.* from ({rows}) as audited where audited.{column} limit {size}"
    )
    found = connection.execute(
        statement.format(rows=read_query(rows), column=sql.Identifier(column), size=sql.Literal(SAMPLE_SIZE))
    )
    # By their type, because a clause that cannot be decided is null.
    clauses = {described.name for described in found.description or () if described.type_code == _BOOLEAN}
    keys = [{name: value for name, value in row.items() if name not in clauses} for row, *_ in found]
    return sorted(keys, key=str)


def _counts(connection: Connection, rows: sql.SQL, columns: tuple[str, ...]) -> dict[int, list[float | int | None]]:
    """Count the flagged rows per organization."""
    any_flag = sql.SQL(" or ").join(sql.SQL("audited.{}").format(sql.Identifier(column)) for column in columns)
    statement = sql.SQL(
        "select organization_id, count(*) filter (where {any_flag}) from ({rows}) as audited group by organization_id"
    )
    suspects = connection.execute(statement.format(any_flag=any_flag, rows=rows)).fetchall()
    counts: dict[int, list[float | int | None]] = {
        organization_id: [0] * len(columns) for organization_id, _ in suspects
    }
    if any(number for _, number in suspects):
        each = sql.SQL(", ").join(
            sql.SQL("count(*) filter (where audited.{})").format(sql.Identifier(column)) for column in columns
        )
        statement = sql.SQL(
            "select organization_id, {each} from ({rows}) as audited where {any_flag} group by organization_id"
        )
        for organization_id, *numbers in connection.execute(
            statement.format(each=each, rows=rows, any_flag=any_flag)
        ).fetchall():
            counts[organization_id] = list(numbers)
    return counts


def _measures(connection: Connection, query: sql.SQL, columns: tuple[str, ...]) -> dict[int, list[float | int | None]]:
    statement = sql.SQL("select organization_id, {columns} from ({query}) as measured")
    found = connection.execute(
        statement.format(columns=sql.SQL(", ").join(map(sql.Identifier, columns)), query=query)
    ).fetchall()
    return {organization_id: [_number(value) for value in values] for organization_id, *values in found}


def _number(value: Decimal | int | None) -> float | int | None:
    return float(value) if isinstance(value, Decimal) else value
