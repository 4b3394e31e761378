"""The databases that the API reads: a pool of connections for the primary and for each replica.

A connection that a restart has broken is found when it is used: then every idle one is looked at, and the request, which has only
read, is tried again. Behind a pooler that gives each transaction another server nothing is prepared, because prepared statements
stay behind; such a pooler is known by telling another process id than its server does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from lyceum.database import ConnectionTarget, EmbeddedServer, Login, login_target
from lyceum.errors import ConfigurationError
from lyceum.serving.problems import unavailable
from lyceum.serving.transactions import AsyncConnection
from lyceum.settings import Settings

_CONNECT_SECONDS = 3
_PATIENCE_SECONDS = 4.0
_WAITING_FOR_A_CONNECTION = 512


class Database:
    """One server: its pool, which opens and mends itself in the background."""

    def __init__(self, name: str, conninfo: str, connections: int) -> None:
        """Take where it is. Connects to nothing."""
        self.name = name
        self._pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            conninfo,
            kwargs={"autocommit": True},
            configure=_configure,
            min_size=min(2, connections),
            max_size=connections,
            max_waiting=_WAITING_FOR_A_CONNECTION,
            timeout=_PATIENCE_SECONDS,
            reconnect_timeout=10.0,
            name=f"lyceum {name}",
            open=False,
        )

    async def open(self) -> None:
        """Begin to connect; does not wait, so that the API can say that a database is away."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Lend an idle connection in autocommit mode. Raises `Problem` (503) when there is none in time."""
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, TooManyRequests):
            raise unavailable("The database does not answer, or is busy. Try again in a moment.") from None
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    async def drop_broken(self) -> None:
        """Look at every idle connection and put a new one in the place of each that is broken."""
        await self._pool.check()


async def _configure(connection: AsyncConnection) -> None:
    row = await (await connection.execute("select pg_backend_pid()", prepare=False)).fetchone()
    if row != (connection.info.backend_pid,):
        connection.prepare_threshold = None


def primary_conninfo(settings: Settings) -> str:
    """Return where the primary is, for the login of the API.

    Raises `ConfigurationError` when the embedded server does not run or was never migrated, or when a server of one's own is named
    without an address for this login: the account that migrates is above every policy.
    """
    url = settings.serving.database_url
    if url is not None:
        return conninfo_of_url("LYCEUM_API_DATABASE_URL", url)
    if settings.database_url is not None:
        raise ConfigurationError(
            "LYCEUM_API_DATABASE_URL is not set, and the other accounts are above row level security. Set it to the address of the "
            f"warehouse for the login {Login.API}."
        )
    return conninfo_of(login_target(EmbeddedServer(settings).target(), settings, Login.API))


def conninfo_of(target: ConnectionTarget) -> str:
    """Return a target's connection string without session settings, which poolers refuse."""
    return make_conninfo(
        host=target.host,
        port=target.port,
        user=target.user,
        password=target.password,
        dbname=target.dbname,
        **(_OURS | dict(target.parameters)),
    )


def conninfo_of_url(variable: str, url: str) -> str:
    """Return a URL's connection string. Raises `ConfigurationError` when libpq cannot read it."""
    try:
        named = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's own message may quote the URL, which holds the password.
        raise ConfigurationError(
            f"{variable} is no URL that PostgreSQL's client library can read. Expected "
            "postgresql://lyceum_authenticator:password@host:5432/lyceum?sslmode=verify-full."
        ) from None
    return make_conninfo(**(_OURS | named))


_OURS: dict[str, Any] = {
    "application_name": "lyceum api",
    "connect_timeout": _CONNECT_SECONDS,
    "client_encoding": "UTF8",
    "keepalives_idle": 30,
    "tcp_user_timeout": 20_000,
}
