"""Audits concern the running build: the one whose candidates the schema `build` holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from lyceum.database import Connection
from lyceum.errors import ConfigurationError
from lyceum.quality.queries import read_query
from lyceum.settings import Settings

# From this many events on it pays to read whole tables, in parallel.
_BULK = 100_000


def require_running(connection: Connection, build_id: int) -> None:
    """Raise `ConfigurationError` unless the build is the running one."""
    row = connection.execute("select build_id from ops.current_build").fetchone()
    if row == (build_id,):
        return
    found = "no build is running" if row is None else f"build {row[0]} is running"
    raise ConfigurationError(
        f"Build {build_id} cannot be audited: {found}. Expected the running build, whose candidates the schema build holds. "
        "Begin a new build with 'lyceum build'."
    )


@contextmanager
def audited_batches(connection: Connection, settings: Settings) -> Iterator[None]:
    """Provide the table `build.audited_batches`, and planner settings that fit the build's size, while the block runs.

    Raw rows come in bulk and are audited at once, before the server has statistics of them; its guess would be nested loops
    over millions of rows. Settings and table end with the transaction.
    """
    query = read_query(settings.queries / "audits" / "audited_batches.sql")
    replace_table(connection, "audited_batches", query)
    row = connection.execute("select coalesce(sum(events_accepted), 0) from build.audited_batches").fetchone()
    assert row is not None
    connection.execute("set local jit = off")
    is_bulk = row[0] >= _BULK
    for parameter in ("enable_nestloop", "enable_mergejoin", "enable_sort"):
        connection.execute(sql.SQL("set local {} = {}").format(sql.Identifier(parameter), sql.Literal(not is_bulk)))
    if is_bulk:
        connection.execute("set local work_mem = '64MB'")
    yield
    connection.execute("drop table build.audited_batches")


def replace_table(connection: Connection, name: str, query: sql.SQL) -> None:
    """Make the table `name` in the schema `build` from a query, with statistics."""
    table = sql.Identifier("build", name)
    connection.execute(sql.SQL("drop table if exists {}").format(table))
    connection.execute(sql.SQL("create unlogged table {} as {}").format(table, query))
    connection.execute(sql.SQL("analyze {}").format(table))
