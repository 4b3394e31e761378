"""The database: where it is, connecting to it, the embedded server, and its migrations."""

from lyceum.database.connection import (
    Connection,
    administrator_target,
    airflow_target,
    connect,
    ensure_available,
    ensure_databases,
    monitor_target,
    target,
)
from lyceum.database.connection_target import ConnectionTarget
from lyceum.database.logins import Login, login_target
from lyceum.database.migrations import MigrationPlan, MigrationReport, migrate, pending_migrations
from lyceum.database.server import EmbeddedServer, ServerStatus

__all__ = [
    "Connection",
    "ConnectionTarget",
    "EmbeddedServer",
    "Login",
    "MigrationPlan",
    "MigrationReport",
    "ServerStatus",
    "administrator_target",
    "airflow_target",
    "connect",
    "ensure_available",
    "ensure_databases",
    "login_target",
    "migrate",
    "monitor_target",
    "pending_migrations",
    "target",
]
