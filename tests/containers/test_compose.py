"""docker-compose.yml follows the specification, says what the code and Airflow understand, and opens nothing by accident."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import psycopg
import pytest
import yaml

from containers.topology import DOCKER, PROJECT, compose, environment, mounted, services
from lyceum.cli.serving import serve
from lyceum.database import ConnectionTarget
from lyceum.settings import Settings
from lyceum.supervisor.airflow_services import SERVICES, AirflowServices

AIRFLOW = ("prepare", *SERVICES)
MONITORING = {"metrics", "statsd-exporter", "prometheus", "grafana"}

# Where the containers differ from `lyceum up`, and why no value can be the same.
DIFFERENT = {
    "AIRFLOW_HOME": "a folder of the image",
    "AIRFLOW__CORE__DAGS_FOLDER": "a folder of the image",
    "AIRFLOW__CORE__PLUGINS_FOLDER": "a folder of the image",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "another container",
    "AIRFLOW__CORE__FERNET_KEY_CMD": "a secret that is mounted",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": "a file of the volume",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "a secret that is mounted",
    "AIRFLOW__API__HOST": "a port is published, on loopback",
    "AIRFLOW__API__PORT": "chosen for the machine by `lyceum up`",
    "AIRFLOW__API__BASE_URL": "the published port",
    "AIRFLOW__API__SECRET_KEY_CMD": "a secret that is mounted",
    "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "a secret that is mounted",
    "AIRFLOW__METRICS__STATSD_ON": "asked of the machine: the exporter is in a profile",
    "AIRFLOW__METRICS__STATSD_HOST": "another container",
    "AIRFLOW__METRICS__STATSD_PORT": "the port of another container",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "a folder of the volume",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": "a folder of the volume",
}
# Only a machine with other homes, proxies or another configuration needs these.
NOT_IN_CONTAINERS = {"AIRFLOW_CONFIG", "NO_PROXY", "no_proxy", "PYTHONUNBUFFERED", "PYTHONWARNINGS"}
ALREADY_IN_THE_IMAGE = {"PYTHONUNBUFFERED"}
# Options of packages that are not installed, set in case they will be.
OF_OTHER_PACKAGES = {"AIRFLOW__COSMOS__ENABLE_TELEMETRY"}


class Asked(Mapping[str, str]):
    """An environment that holds nothing and remembers what was looked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def airflow_options() -> dict[str, bool]:
    """Return every option of the installed Airflow by its variable, and whether a command may give it."""
    found = importlib.util.find_spec("airflow")
    assert found is not None
    assert found.submodule_search_locations
    [folder] = found.submodule_search_locations
    description = yaml.safe_load((Path(folder) / "config_templates" / "config.yml").read_text())
    return {
        f"AIRFLOW__{section}__{option}".upper(): bool(about.get("sensitive"))
        for section, content in description.items()
        for option, about in content["options"].items()
    }


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)

    assert [error.message for error in validator.iter_errors(compose())] == []
    broken = compose()
    broken["services"]["primary"]["healthchek"] = {}
    assert not validator.is_valid(broken)


def test_every_variable_of_lyceum_is_one_that_the_settings_read() -> None:
    asked = Asked()
    Settings.from_environment(asked, Path())
    used = {name for service in services() for name in environment(service) if name.startswith("LYCEUM_")}
    exported = set(re.findall(r"export (LYCEUM_\w+)=", (DOCKER / "start").read_text()))

    mail = {"LYCEUM_ALERT_EMAIL", "LYCEUM_ALERT_EMAIL_FROM", "LYCEUM_RUNBOOK_URL"}
    assert used == {"LYCEUM_HOME", "LYCEUM_WAREHOUSE_DATABASE", "LYCEUM_AIRFLOW_DATABASE", *mail}
    assert exported == {"LYCEUM_DATABASE_URL", "LYCEUM_API_DATABASE_URL", "LYCEUM_ALERT_URL", "LYCEUM_SMTP_URL"}
    exported |= set(re.findall(r"export (LYCEUM_\w+)=", (DOCKER / "start-api").read_text()))
    assert used | exported <= asked.names


def test_every_variable_of_airflow_is_an_option_of_the_installed_airflow() -> None:
    options = airflow_options()
    for service in AIRFLOW:
        for name in set(environment(service)) - OF_OTHER_PACKAGES:
            if name.startswith("AIRFLOW__"):
                assert name.removesuffix("_CMD") in options, name
                assert not name.endswith("_CMD") or options[name.removesuffix("_CMD")], f"{name} may not be a command"


@pytest.mark.parametrize("service", AIRFLOW)
def test_airflow_is_set_up_as_lyceum_up_does_it(service: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://lyceum@127.0.0.1/lyceum")
    supervised = AirflowServices(settings).environment(ConnectionTarget("127.0.0.1", 5432, "lyceum", "lyceum"))
    ours = environment(service)
    theirs = {
        name: value
        for name, value in supervised.items()
        if name.startswith("AIRFLOW") or name in ours or name in NOT_IN_CONTAINERS
    }

    assert {name for name in ours if name.startswith("AIRFLOW")} == {n for n in theirs if n.startswith("AIRFLOW")} - (
        NOT_IN_CONTAINERS
    )
    same = set(ours) & set(theirs) - set(DIFFERENT) - {"LYCEUM_HOME"}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert len(same) > 20
    assert set(DIFFERENT) <= set(ours)


def test_no_variable_holds_a_secret_and_every_secret_is_mounted_where_it_is_read() -> None:
    declared = compose()["secrets"]
    scripts = {
        "primary": DOCKER / "postgres" / "create-databases",
        "replica": DOCKER / "postgres" / "start-replica",
        "pgbouncer": DOCKER / "pgbouncer" / "start",
        "prepare": DOCKER / "prepare.py",
        "metrics": DOCKER / "start",
        "prometheus": DOCKER / "prometheus" / "prometheus.yml",
        "api": DOCKER / "start-api",
    }
    for name in services():
        text = "\n".join([*environment(name).values(), *services()[name].get("command", "")])
        if name in AIRFLOW:
            text += (DOCKER / "start").read_text() + (DOCKER / "airflow-database-url").read_text()
        if name in scripts:
            text += scripts[name].read_text()
        read = {secret for secret in declared if re.search(rf"/{secret}\b|\"{secret}\"", text)}
        # Whoever only measures writes no reports.
        assert read - set(mounted(name)) == ({"api_password"} if name == "metrics" else set()), name
        assert set(mounted(name)) <= read, name
        assert set(mounted(name).values()) <= set(declared)
        for variable, value in environment(name).items():
            assert not re.search("PASSWORD|SECRET|KEY|TOKEN|CONN", variable) or variable.endswith(("_CMD", "_FILE")), (
                variable
            )
            assert not re.fullmatch(r"[0-9a-f]{32,}", value)
    assert {secret["file"] for secret in declared.values()} == {f"docker/secrets/{name}" for name in declared}


def test_the_password_of_the_account_that_migrates_is_not_where_tasks_run() -> None:
    for name in AIRFLOW:
        login = "lyceum" if name == "prepare" else "lyceum_pipeline"
        secret = "database_password" if name == "prepare" else "pipeline_password"
        assert environment(name)["DATABASE_LOGIN"] == login
        assert mounted(name)["database_password"] == secret
        assert "postgres_password" not in mounted(name).values()


def test_the_api_has_its_own_login_and_nothing_else_to_log_in_with() -> None:
    service = services()["api"]

    assert mounted("api") == {"api_password": "api_password"}
    assert service["entrypoint"] == ["/opt/lyceum/docker/start-api"]
    assert set(environment("api")) == {"DATABASE_ADDRESS", "LYCEUM_HOME"}
    said = (DOCKER / "start-api").read_text()
    assert set(re.findall(r"postgresql://(\w+):", said)) == {"lyceum_authenticator"}
    bouncer = configparser.ConfigParser(inline_comment_prefixes=(";",))
    bouncer.read(DOCKER / "pgbouncer" / "pgbouncer.ini")
    used = set(re.findall(r"\$DATABASE_ADDRESS/(\w+)", said))
    assert used == {"lyceum_api", "lyceum_api_replica"}
    for name in used:
        assert {"dbname=lyceum", "pool_mode=transaction"} <= set(bouncer["databases"][name].split())


def test_the_api_listens_where_its_port_is_published_and_is_watched_there() -> None:
    service = services()["api"]
    arguments = service["command"][1:]
    chosen = serve.make_context("serve", arguments[1:], resilient_parsing=True).params

    assert service["command"][0] == "lyceum"
    assert (chosen["host"], chosen["port"], chosen["workers"]) == ("0.0.0.0", 8090, 2)
    assert service["ports"][0].endswith(f":{chosen['port']}")
    assert f"http://127.0.0.1:{chosen['port']}/health/ready" in service["healthcheck"]["test"][-1]
    assert service["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}
    # Its own time to finish, and some to spare.
    assert int(service["stop_grace_period"].removesuffix("s")) > 15


def test_ports_are_published_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}

    assert published == {
        "pgbouncer": ["127.0.0.1:${DATABASE_PORT:-6432}:6432"],
        "api-server": ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"],
        "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
        "api": ["127.0.0.1:${API_PORT:-8090}:8090"],
    }
    networks = compose()["networks"]
    assert networks["databases"]["internal"] is True
    assert all("databases" in service["networks"] for service in services().values())


@pytest.mark.parametrize("name", sorted(services()))
def test_each_service_is_watched_and_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = services()[name]

    assert ("healthcheck" in service) == (name != "prepare")
    assert service["user"].split(":")[0] not in ("root", "0")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")
    assert not service.get("privileged")


def test_what_is_kept_lies_in_volumes_and_what_is_mounted_exists() -> None:
    volumes = set(compose()["volumes"])
    used = set()
    for service in services().values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (PROJECT / source).is_file(), source
                assert mount.endswith(":ro")
            else:
                used.add(source)
    assert used == volumes
    assert environment("scheduler")["LYCEUM_HOME"] == "/var/lib/lyceum"
    assert all("home:/var/lib/lyceum" in services()[name]["volumes"] for name in AIRFLOW)


def test_everything_waits_for_what_it_needs() -> None:
    for name in SERVICES:
        needs = services()[name]["depends_on"]
        assert needs["prepare"] == {"condition": "service_completed_successfully"}
        assert needs["pgbouncer"] == {"condition": "service_healthy"}
        assert ("api-server" in needs) == (name != "api-server")
    assert services()["prepare"]["depends_on"] == {"primary": {"condition": "service_healthy"}}


def test_monitoring_is_a_profile_that_nothing_else_waits_for() -> None:
    profiles = {name: service["profiles"] for name, service in services().items() if "profiles" in service}

    assert set(profiles) == MONITORING
    assert all(named == ["monitoring"] for named in profiles.values())
    for name, service in services().items():
        assert name in MONITORING or not set(service.get("depends_on", {})) & MONITORING


def test_prometheus_scrapes_where_the_containers_answer() -> None:
    configuration = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in configuration["scrape_configs"]}
    command = services()["metrics"]["command"]
    [source] = yaml.safe_load((DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    [token_file] = [
        job["authorization"]["credentials_file"] for job in configuration["scrape_configs"] if "authorization" in job
    ]

    assert targets["lyceum"] == ["metrics:9464"]
    assert command[command.index("--serve") + 1] == "0.0.0.0:9464"
    assert command[command.index("--token-file") + 1] == token_file == "/run/secrets/metrics_token"
    assert targets["airflow"] == ["statsd-exporter:9102"]
    for service in SERVICES:
        assert environment(service)["AIRFLOW__METRICS__STATSD_HOST"] == "statsd-exporter"
        port = environment(service)["AIRFLOW__METRICS__STATSD_PORT"]
        assert f"--statsd.listen-udp=:{port}" in services()["statsd-exporter"]["command"]
    assert source["url"] == "http://prometheus:9090"
    rules = {f"./docker/prometheus/{name}:/etc/prometheus/{name}:ro" for name in configuration["rule_files"]}
    assert rules <= set(services()["prometheus"]["volumes"])
    dashboards = {
        f"./docker/grafana/dashboards/{file.name}:/etc/grafana/dashboards/{file.name}:ro"
        for file in (DOCKER / "grafana" / "dashboards").iterdir()
    }
    assert dashboards <= set(services()["grafana"]["volumes"])


def test_pgbouncer_knows_the_databases_and_never_asks_for_more_connections_than_there_are() -> None:
    bouncer = configparser.ConfigParser(inline_comment_prefixes=(";",))
    bouncer.read(DOCKER / "pgbouncer" / "pgbouncer.ini")
    databases = {name: dict(word.split("=") for word in text.split()) for name, text in bouncer["databases"].items()}
    variables = environment("scheduler")

    assert {variables["LYCEUM_WAREHOUSE_DATABASE"], variables["LYCEUM_AIRFLOW_DATABASE"]} <= set(databases)
    assert {target["host"] for target in databases.values()} == {"primary", "replica"}
    # A build holds advisory locks of its session.
    assert databases["lyceum"]["pool_mode"] == "session"
    assert variables["DATABASE_ADDRESS"] == f"pgbouncer:{bouncer['pgbouncer']['listen_port']}"
    assert environment("prepare")["DATABASE_ADDRESS"] == "primary:5432"
    reserve = int(bouncer["pgbouncer"]["reserve_pool_size"])
    # Reports are read through the pipeline's way, as another login: a pool of its own.
    logins = {"lyceum": 2}
    for host in ("primary", "replica"):
        asked = sum(
            (int(target["pool_size"]) + reserve) * logins.get(name, 1)
            for name, target in databases.items()
            if target["host"] == host
        )
        stated = re.search(r"max_connections=(\d+)", services()[host]["command"])
        assert stated is not None
        # Three are the superuser's, some are migrations'.
        assert asked + 10 <= int(stated[1])


def test_prepared_statements_survive_a_pool_of_transactions() -> None:
    """The driver prepares what it repeats. The pooler follows that since 1.21, given that the driver closes by the protocol."""
    bouncer = configparser.ConfigParser(inline_comment_prefixes=(";",))
    bouncer.read(DOCKER / "pgbouncer" / "pgbouncer.ini")

    assert "pool_mode=transaction" in bouncer["databases"]["airflow"]
    assert int(bouncer["pgbouncer"]["max_prepared_statements"]) > 0
    assert psycopg.capabilities.has_send_close_prepared()


def test_a_replica_is_no_smaller_than_its_primary_where_recovery_demands_it() -> None:
    def settings(name: str) -> dict[str, str]:
        return dict(re.findall(r"-c (\w+)=(\S+)", services()[name]["command"]))

    primary, replica = settings("primary"), settings("replica")
    for parameter in ("max_connections", "max_wal_senders"):
        assert int(replica[parameter]) >= int(primary[parameter])
    assert primary["wal_level"] == "replica"


def test_the_image_copies_what_exists_and_what_the_ignore_file_lets_through() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    allowed = {
        line.removeprefix("!") for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }

    assert {source.split("/")[0] for source in copied} == allowed
    assert [source for source in copied if not (PROJECT / source).exists()] == []
    assert "docker/secrets" in (PROJECT / ".dockerignore").read_text().splitlines()
    assert "USER 10001:10001" in dockerfile
    assert {services()[name]["user"] for name in (*AIRFLOW, "api")} == {"10001:10001"}
    # What `Settings` finds beside the library.
    settings = Settings(home=Path("/var/lib/lyceum"))
    needed = (
        settings.dags,
        settings.plugins,
        settings.bootstrap,
        settings.queries,
        settings.dbt_project,
        settings.expectations,
    )
    assert {folder.relative_to(PROJECT).parts[0] for folder in needed} <= copied
