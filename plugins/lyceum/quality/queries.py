"""The queries of the audits are files of the checkout; they take no parameters, so they can be tried in psql."""

from __future__ import annotations

from pathlib import Path

from psycopg import sql

from lyceum.errors import ConfigurationError


def read_query(file: Path) -> sql.SQL:
    """Return the query in a file, to be composed into a statement.

    Raises `ConfigurationError` when the file cannot be read.
    """
    try:
        return sql.SQL(file.read_text())
    except OSError as error:
        raise ConfigurationError(
            f"The query {file.name} cannot be read: {error}. Expected the file of the checkout; restore it."
        ) from None
