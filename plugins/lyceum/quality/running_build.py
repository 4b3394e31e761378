"""Audits concern the running build: the one whose candidates the schema `build` holds."""

from __future__ import annotations

from lyceum.database import Connection
from lyceum.errors import ConfigurationError


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
