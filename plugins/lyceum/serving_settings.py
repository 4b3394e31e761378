"""How the analytics API serves: the part of the settings that is about its databases, its cache and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from lyceum.errors import ConfigurationError

_MEGABYTE = 1024 * 1024
_DATABASE_SCHEMES = ("postgresql", "postgres")
_CACHE_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """What the API reads from and how much it lets happen at once. The defaults suit one machine with two cores.

    `database_url` is the warehouse for the login `lyceum_authenticator`, directly or through a pooler; None means that login of the
    embedded server. Tasks read reports as the same login. `replica_urls` are streaming replicas for it. `cache_url` is a Redis that
    the processes share; None means that each has a cache of its own alone.

    `requests_per_minute` is what one person or service may ask of one process; `concurrent_requests` are worked on at a time in one
    process, `waiting_requests` more may wait, and others are asked to come again. `connections` are kept to each database by each
    process. `statement_seconds` bounds each statement, `cache_bytes` the process's own cache.
    """

    database_url: str | None = field(default=None, repr=False)
    replica_urls: tuple[str, ...] = field(default=(), repr=False)
    cache_url: str | None = field(default=None, repr=False)
    port: int = 8090
    requests_per_minute: int = 600
    concurrent_requests: int = 16
    waiting_requests: int = 256
    connections: int = 8
    statement_seconds: int = 10
    cache_bytes: int = 64 * _MEGABYTE

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ServingSettings:
        """Read the settings from variables; an empty variable counts as unset.

        LYCEUM_API_DATABASE_URL, LYCEUM_REPLICA_URLS (several with spaces between), LYCEUM_CACHE_URL (redis://, rediss:// or unix://),
        LYCEUM_API_PORT, LYCEUM_API_REQUESTS_PER_MINUTE, LYCEUM_API_CONCURRENT_REQUESTS, LYCEUM_API_WAITING_REQUESTS,
        LYCEUM_API_CONNECTIONS, LYCEUM_API_STATEMENT_SECONDS, LYCEUM_API_CACHE_BYTES.

        Raises `ConfigurationError` when a value cannot be used.
        """
        database_url = environ.get("LYCEUM_API_DATABASE_URL") or None
        replica_urls = tuple(environ.get("LYCEUM_REPLICA_URLS", "").split())
        if database_url is not None:
            _require_scheme("LYCEUM_API_DATABASE_URL", database_url, _DATABASE_SCHEMES)
        for url in replica_urls:
            _require_scheme("LYCEUM_REPLICA_URLS", url, _DATABASE_SCHEMES)
        cache_url = environ.get("LYCEUM_CACHE_URL") or None
        if cache_url is not None:
            _require_scheme("LYCEUM_CACHE_URL", cache_url, _CACHE_SCHEMES)
        numbers = {
            name: _number(environ, variable, lowest, highest)
            for name, (variable, lowest, highest) in _NUMBERS.items()
            if environ.get(variable)
        }
        return cls(database_url=database_url, replica_urls=replica_urls, cache_url=cache_url, **numbers)

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings; those at their default are left out."""
        defaults = {one.name: one.default for one in fields(self)}
        variables = {
            "LYCEUM_API_DATABASE_URL": self.database_url or "",
            "LYCEUM_REPLICA_URLS": " ".join(self.replica_urls),
            "LYCEUM_CACHE_URL": self.cache_url or "",
        }
        for name, (variable, _, _) in _NUMBERS.items():
            value = getattr(self, name)
            variables[variable] = "" if value == defaults[name] else str(value)
        return {name: value for name, value in variables.items() if value}


# Variable, least and greatest value of each number.
_NUMBERS = {
    "port": ("LYCEUM_API_PORT", 1, 65_535),
    "requests_per_minute": ("LYCEUM_API_REQUESTS_PER_MINUTE", 1, 10_000_000),
    "concurrent_requests": ("LYCEUM_API_CONCURRENT_REQUESTS", 1, 10_000),
    "waiting_requests": ("LYCEUM_API_WAITING_REQUESTS", 0, 100_000),
    "connections": ("LYCEUM_API_CONNECTIONS", 2, 1_000),
    "statement_seconds": ("LYCEUM_API_STATEMENT_SECONDS", 1, 60),
    "cache_bytes": ("LYCEUM_API_CACHE_BYTES", 0, 1 << 40),
}


def _require_scheme(variable: str, url: str, schemes: tuple[str, ...]) -> None:
    # The value holds a password: no message quotes it.
    if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ConfigurationError(
            f"{variable} is no address. Expected one that begins with {':// or '.join(schemes)}://."
        )


def _number(environ: Mapping[str, str], variable: str, lowest: int, highest: int) -> int:
    value = environ[variable]
    if value.isascii() and value.isdigit() and lowest <= int(value[:20]) <= highest:
        return int(value)
    raise ConfigurationError(f"{variable} is {value!r}. Expected a whole number from {lowest} to {highest}.")
