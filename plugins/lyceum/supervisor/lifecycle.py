"""Bringing a warehouse up, taking it down, and saying what runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lyceum.alerts import Alert, open_alerts
from lyceum.analytics.models import ensure_models_prepared
from lyceum.database import (
    Connection,
    ConnectionTarget,
    EmbeddedServer,
    MigrationReport,
    airflow_target,
    connect,
    ensure_available,
    migrate,
    target,
)
from lyceum.errors import LyceumError
from lyceum.monitoring.store import latest
from lyceum.monitoring.summary import Fact, summarize
from lyceum.security.tokens.signing_keys import ensure_signing_key
from lyceum.settings import Settings
from lyceum.supervisor.airflow_services import AirflowServices, ServiceState
from lyceum.supervisor.api_service import ApiService
from lyceum.supervisor.narration import Narrator
from lyceum.vault import ensure_key_database

if TYPE_CHECKING:
    from lyceum.lifecycle import Hold


@dataclass(frozen=True, slots=True)
class Running:
    """A warehouse that is up, and what this call started of it."""

    target: ConnectionTarget
    airflow: str | None
    started_database: bool
    started_airflow: bool


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Where the database is and what it holds; `problem` says why it cannot be asked."""

    place: str
    is_running: bool
    server_version: str | None
    organizations: int | None
    pending_hours: int | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class BuildState:
    """The latest build: `state` is running, published, failed or abandoned."""

    build_id: int
    state: str
    step: str
    as_of: datetime
    failure: str | None


@dataclass(frozen=True, slots=True)
class WarehouseState:
    """Everything that `lyceum status` tells. `facts` are those of the newest measurements, `needs` what needs a person."""

    home: str
    database: DatabaseState
    build: BuildState | None
    alerts: tuple[Alert, ...]
    holds: tuple[Hold, ...]
    airflow: str | None
    services: tuple[ServiceState, ...]
    api: str | None = None
    measured_at: datetime | None = None
    facts: tuple[Fact, ...] = ()
    needs: tuple[str, ...] = ()


def up(settings: Settings, narrator: Narrator, *, is_database_only: bool = False) -> Running:
    """Start what is missing: the database, its schema, Airflow. Returns once all of it is healthy.

    Safe to call at any time, by several processes too. Raises the error of the step that failed; what had been started by
    then keeps running.
    """
    begun = start(settings, narrator, is_database_only=is_database_only)
    if begun.airflow is not None:
        wait_for_airflow(settings, narrator)
    return begun


def start(settings: Settings, narrator: Narrator, *, is_database_only: bool = False) -> Running:
    """Do as `up` does, without waiting for Airflow to become healthy."""
    settings.create_directories()
    was_running = settings.database_url is not None or EmbeddedServer(settings).status().is_running
    with narrator.step("Database") as step:
        found = ensure_available(settings)
        step.detail(f"{_server_version(found)} at {found.host}:{found.port}")
    services, api = AirflowServices(settings), ApiService(settings)
    with narrator.step("Schema") as step, ThreadPoolExecutor(max_workers=1) as background:
        # Airflow's own migration is another program that works for seconds.
        prepared = None if is_database_only else background.submit(services.prepare, airflow_target(settings))
        step.detail("migrating the warehouse and Airflow's database" if prepared else "migrating the warehouse")
        report = migrate(found, settings)
        ensure_key_database(settings)
        ensure_signing_key(found, settings)
        if prepared is not None:
            # The first build would do this; here it costs nothing, because one core of two would only wait.
            ensure_models_prepared(target(settings), settings)
        is_fresh = prepared.result() if prepared else False
        step.detail(_told(report, is_airflow_migrated=is_fresh))
    if is_database_only:
        return Running(target(settings), None, not was_running, started_airflow=False)
    started = services.start(airflow_target(settings))
    api.start()
    return Running(target(settings), services.address, not was_running, started_airflow=bool(started))


def wait_for_airflow(settings: Settings, narrator: Narrator) -> None:
    """Return once Airflow is healthy and has read every DAG.

    Raises `RetryableError` when a process ends or time runs out, `ConfigurationError` when a DAG cannot be read.
    """
    services = AirflowServices(settings)
    with narrator.step("Airflow") as step:
        step.detail("starting the scheduler, the DAG processor, the triggerer and the API server")
        services.wait_until_healthy()
        services.ensure_pools()
        services.wait_until_parsed()
        outdated = "; it runs an older library, restart it: lyceum down" if services.is_outdated() else ""
        step.detail(f"{services.address}{outdated}")
    wait_for_api(settings, narrator)


def wait_for_api(settings: Settings, narrator: Narrator) -> None:
    """Return once the API can answer, where one is possible. Raises `RetryableError` when it ends or time runs out."""
    api = ApiService(settings)
    with narrator.step("API") as step:
        api.wait_until_ready()
        step.detail(api.address or "not started: LYCEUM_API_DATABASE_URL does not say what it reads")


def down(settings: Settings, narrator: Narrator) -> list[str]:
    """Stop everything that runs in this home, and return what ran. An external server stays as it is."""
    stopped = []
    services = AirflowServices(settings)
    if settings.home.exists():
        with narrator.step("API") as step:
            is_stopped = ApiService(settings).stop()
            stopped += ["api"] if is_stopped else []
            step.detail("stopped" if is_stopped else "was not running")
        with narrator.step("Airflow") as step:
            of_airflow = services.stop()
            stopped += of_airflow
            step.detail("stopped" if of_airflow else "was not running")
        if settings.database_url is None:
            with narrator.step("Database") as step:
                is_stopped = EmbeddedServer(settings).stop()
                stopped += ["database"] if is_stopped else []
                step.detail("stopped" if is_stopped else "was not running")
    return stopped


def status(settings: Settings) -> WarehouseState:
    """Say what runs and how it is. Changes nothing, and tells a problem rather than raising it."""
    services = AirflowServices(settings)
    try:
        found = target(settings)
        with connect(found, autocommit=True) as connection:
            database = _database_state(found, connection.info.server_version, settings)
            build = _latest_build(found)
            alerts = _open_alerts(connection)
            holds = _holds(connection)
            measured_at, facts = _measured(connection)
    except LyceumError as error:
        place = "external" if settings.database_url else str(settings.server_data)
        database, build = DatabaseState(place, False, None, None, None, str(error)), None
        alerts, holds, measured_at, facts = (), (), None, ()
    states = tuple(services.states())
    address = services.address if any(state.pid for state in states) else None
    api = ApiService(settings)
    services_and_api = (*states, api.state())
    return WarehouseState(
        str(settings.home),
        database,
        build,
        alerts,
        holds,
        address,
        services_and_api,
        api.address,
        measured_at,
        facts,
        tuple(_needs(database, services_and_api, alerts, holds)),
    )


def _needs(
    database: DatabaseState, services: Sequence[ServiceState], alerts: Sequence[Alert], holds: Sequence[Hold]
) -> Iterator[str]:
    if database.problem is not None:
        yield "the database"
    for service in services:
        if service.pid is not None and service.health != "healthy":
            yield service.name
    if alerts:
        yield f"{len(alerts)} alert{'s' if len(alerts) > 1 else ''}"
    stuck = sum(hold.needs_attention for hold in holds)
    if stuck:
        yield f"{stuck} expired partition{'s' if stuck > 1 else ''} on hold"


def _database_state(found: ConnectionTarget, version: int, settings: Settings) -> DatabaseState:
    place = f"{found.host}:{found.port}/{found.dbname}"
    with connect(found, autocommit=True) as connection:
        if not _has(connection.execute("select to_regclass('ops.builds')").fetchone()):
            return DatabaseState(
                place, True, _version(version), None, None, "It has no schema yet. Run `lyceum migrate`."
            )
        row = connection.execute(
            "select (select count(*) from core.organizations), (select count(*) from ops.pending_hours)"
        ).fetchone()
    organizations, pending = row or (0, 0)
    return DatabaseState(place, True, _version(version), organizations, pending, None)


def _latest_build(found: ConnectionTarget) -> BuildState | None:
    with connect(found, autocommit=True) as connection:
        if not _has(connection.execute("select to_regclass('ops.builds')").fetchone()):
            return None
        row = connection.execute(
            "select build_id, state, step, as_of, failure from ops.builds order by build_id desc limit 1"
        ).fetchone()
    return BuildState(*row) if row else None


def _open_alerts(connection: Connection) -> tuple[Alert, ...]:
    if not _has(connection.execute("select to_regclass('ops.alerts')").fetchone()):
        return ()
    return tuple(open_alerts(connection))


def _holds(connection: Connection) -> tuple[Hold, ...]:
    if not _has(connection.execute("select to_regclass('ops.partition_holds')").fetchone()):
        return ()
    # What drops partitions reads and writes archives, which takes long to import.
    from lyceum.lifecycle.hold_store import read_holds

    return read_holds(connection)


def _measured(connection: Connection) -> tuple[datetime | None, tuple[Fact, ...]]:
    if not _has(connection.execute("select to_regclass('ops.metrics')").fetchone()):
        return None, ()
    measured_at, samples = latest(connection)
    return measured_at, summarize(samples) if measured_at is not None else ()


def _has(row: tuple[object, ...] | None) -> bool:
    return row is not None and row[0] is not None


def _server_version(found: ConnectionTarget) -> str:
    # The maintenance database exists before ours do, but an external account may not see it.
    with connect(found, autocommit=True) as connection:
        return f"PostgreSQL {_version(connection.info.server_version)}"


def _version(number: int) -> str:
    return f"{number // 10_000}.{number % 10_000}"


def _told(report: MigrationReport, *, is_airflow_migrated: bool) -> str:
    new = len(report.migrations) + len(report.repeatable)
    warehouse = f"{new} SQL files applied" if new else "up to date"
    return f"{warehouse}, Airflow's database migrated" if is_airflow_migrated else warehouse
