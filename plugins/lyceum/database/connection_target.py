"""Which server and database to talk to: one value from which every client gets the form it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

# libpq's keywords that are their own fields here, or that we set ourselves.
_OWN_KEYWORDS = frozenset(
    {"host", "port", "user", "password", "dbname", "options", "application_name", "client_encoding"}
)

# The variable that libpq, psql, pg_dump and dbmate read for each further keyword of a URL.
_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "gssencmode": "PGGSSENCMODE",
}


@dataclass(frozen=True, slots=True)
class ConnectionTarget:
    """A server, an account and a default database. Printing it never shows the password.

    `parameters` are further libpq keywords, such as `sslmode`; `options` are the server settings that the URL asked for.
    """

    host: str
    port: int
    user: str
    dbname: str
    password: str | None = field(default=None, repr=False)
    options: str = ""
    parameters: tuple[tuple[str, str], ...] = ()

    def with_database(self, dbname: str) -> ConnectionTarget:
        """Return the same target with another default database."""
        return replace(self, dbname=dbname)

    def conninfo(self, dbname: str | None = None, *, application_name: str = "lyceum") -> str:
        """Return a libpq connection string, password included, that pins the session's time zone to UTC."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=dbname or self.dbname,
            application_name=application_name,
            # A database without an encoding of its own would send bytes.
            client_encoding="UTF8",
            options=f"{self.options} -c TimeZone=UTC".strip(),
            **dict(self.parameters),
        )

    def environment(self, dbname: str | None = None, *, application_name: str = "lyceum") -> dict[str, str]:
        """Return the PG* variables for psql, pg_dump, dbt and other children; the password never has to be an argument."""
        variables = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": dbname or self.dbname,
            "PGAPPNAME": application_name,
            "PGOPTIONS": f"{self.options} -c TimeZone=UTC".strip(),
        }
        if self.password is not None:
            variables["PGPASSWORD"] = self.password
        variables.update({_VARIABLES[name]: value for name, value in self.parameters if name in _VARIABLES})
        return variables

    def url(self, dbname: str | None = None, *, scheme: str = "postgresql") -> str:
        """Return a URL, password included, with the parameters of libpq."""
        return self._url(scheme, dbname or self.dbname, dict(self.parameters))

    def bare_url(self, parameters: Mapping[str, str]) -> str:
        """Return a URL, password included, with these parameters alone: for drivers that do not know libpq's."""
        return self._url("postgresql", self.dbname, dict(parameters))

    def _url(self, scheme: str, dbname: str, parameters: dict[str, str]) -> str:
        account = quote(self.user, safe="")
        if self.password is not None:
            account += ":" + quote(self.password, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.host.startswith("/"):
            # A socket's folder cannot stand between @ and /, so it travels as a parameter, which every driver understands.
            host, parameters = "", parameters | {"host": self.host}
        address = f"{scheme}://{account}@{host}:{self.port}/{quote(dbname, safe='')}"
        return f"{address}?{urlencode(parameters)}" if parameters else address

    def sqlalchemy_url(self, driver: str = "psycopg", dbname: str | None = None) -> str:
        """Return SQLAlchemy's URL, password included, for the driver `psycopg` or `psycopg2`."""
        return self.url(dbname, scheme=f"postgresql+{driver}")


def external_target(settings: Settings) -> ConnectionTarget:
    """Return the target that `settings.database_url` describes. Connects to nothing.

    Raises `ConfigurationError` when libpq cannot read the URL.
    """
    if settings.database_url is None:
        raise ConfigurationError("No external database is configured. Set LYCEUM_DATABASE_URL.")
    return _described("LYCEUM_DATABASE_URL", settings.database_url, settings)


def external_pipeline_target(settings: Settings) -> ConnectionTarget:
    """Return the target of the pipeline's login on an external server: that of `external_target` where none is configured.

    Raises `ConfigurationError` when libpq cannot read the URL.
    """
    if settings.pipeline_database_url is None:
        return external_target(settings)
    return _described("LYCEUM_PIPELINE_DATABASE_URL", settings.pipeline_database_url, settings)


def external_monitor_target(settings: Settings) -> ConnectionTarget:
    """Return the target of monitoring's login on an external server: the pipeline's where none is configured.

    Raises `ConfigurationError` when libpq cannot read the URL.
    """
    if settings.monitor_database_url is None:
        return external_pipeline_target(settings)
    return _described("LYCEUM_MONITOR_DATABASE_URL", settings.monitor_database_url, settings)


def target_of_url(variable: str, url: str, settings: Settings) -> ConnectionTarget:
    """Return the target of the URL that a variable holds. Connects to nothing.

    Raises `ConfigurationError` when libpq cannot read the URL.
    """
    return _described(variable, url, settings)


def _described(variable: str, url: str, settings: Settings) -> ConnectionTarget:
    try:
        keywords = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's own message may quote the URL, which holds the password.
        raise ConfigurationError(
            f"{variable} is not a URL that PostgreSQL's client library can read. Expected "
            "postgresql://user:password@host:5432/lyceum?sslmode=require, with special characters percent-encoded."
        ) from None
    if "user" not in keywords:
        raise ConfigurationError(f"{variable} names no user. Expected postgresql://user:password@host:5432/lyceum.")
    port = keywords.get("port", "5432")
    if not port.isdigit() or "," in keywords.get("host", ""):
        raise ConfigurationError(f"{variable} names several hosts or ports. Expected exactly one of each.")
    return ConnectionTarget(
        host=keywords.get("host", "localhost"),
        port=int(port),
        user=keywords["user"],
        password=keywords.get("password"),
        dbname=settings.warehouse_database,
        options=keywords.get("options", ""),
        parameters=tuple((name, value) for name, value in sorted(keywords.items()) if name not in _OWN_KEYWORDS),
    )
