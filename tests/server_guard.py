"""Clean up after a test run: wait until whoever holds our input is gone, then stop the server and remove its home.

python server_guard.py HOME < pipe
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def main(home: Path, database_url: str | None) -> None:
    """Return once nothing of the test run is left."""
    sys.stdin.buffer.read()
    # Only now: a run that needs no database does not pay for the imports.
    from psycopg import sql

    from lyceum import database
    from lyceum.settings import Settings
    from lyceum.supervisor import AirflowServices

    for candidate in [home, *home.glob("homes/*/home")]:
        AirflowServices(Settings(home=candidate)).stop()
        database.EmbeddedServer(Settings(home=candidate)).stop(immediately=True)
    if database_url is not None:
        prefix = home.name.replace("-", "_").lower()
        target = database.target(Settings(home=home, database_url=database_url))
        with database.connect(target.with_database("postgres"), autocommit=True) as connection:
            rows = connection.execute(
                "select datname from pg_database where starts_with(datname, %s)", [prefix]
            ).fetchall()
            for (name,) in rows:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    shutil.rmtree(home)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("LYCEUM_TEST_DATABASE_URL") or None)
