"""The database: where it is, connecting to it, the embedded server, and its migrations."""

from lyceum.database.connection import Connection, connect, ensure_available, ensure_databases, target
from lyceum.database.connection_target import ConnectionTarget
from lyceum.database.migrations import MigrationPlan, MigrationReport, migrate, pending_migrations
from lyceum.database.server import EmbeddedServer, ServerStatus

__all__ = [
    "Connection",
    "ConnectionTarget",
    "EmbeddedServer",
    "MigrationPlan",
    "MigrationReport",
    "ServerStatus",
    "connect",
    "ensure_available",
    "ensure_databases",
    "migrate",
    "pending_migrations",
    "target",
]
