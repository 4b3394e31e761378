"""The settings of one run: read once at the edge (command line or task), validated, and passed down.

Importing this module reads nothing; `Settings.from_environment` is the only place that knows the names of variables.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lyceum.alert_settings import AlertSettings
from lyceum.errors import ConfigurationError
from lyceum.key_settings import KeySettings
from lyceum.report_settings import ReportSettings
from lyceum.serving_settings import ServingSettings
from lyceum.store_urls import path_of, store_url
from lyceum.token_settings import IssuerSettings

_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_SERVER_OPTION = re.compile(r"([a-z_][a-z0-9_.]*)=(.*)", re.DOTALL)
_PRIVATE = 0o700
_BACKUPS_KEPT = 7


@dataclass(frozen=True, slots=True)
class Settings:
    """Where one warehouse lives. Every path and name that is derived from these is derived here, once.

    `home` holds everything that Lyceum writes, so two homes run side by side. `database_url` points at a PostgreSQL >= 15
    of one's own; None means the embedded server in `home`. `pipeline_database_url` is the same database for the login that
    collects, builds and audits; None means `database_url`, or that login of the embedded server. `server_options` override
    the embedded server's configuration, `server_user` names the account it runs as when Lyceum itself runs as root. `alerts` says where
    they are told. `archives_url` is where archives lie; None means a folder in `home`. Backups go
    to `backup_folder`, None means a folder of the home; of a server of one's own they are made as the login of
    `backup_database_url`, and the schedule keeps the newest `backups_kept`. Its statistics are read as the login of
    `monitor_database_url`; None means the pipeline's. `statsd` is host and port that Airflow sends its own metrics to, over UDP;
    None means that it keeps them to itself. `openlineage_url` is where lineage is told, a file or an address; None means nowhere.
    """

    home: Path
    project_root: Path = field(default_factory=lambda: Path(__file__).parents[2])
    database_url: str | None = field(default=None, repr=False)
    warehouse_database: str = "lyceum"
    airflow_database: str = "airflow"
    server_user: str | None = None
    server_options: tuple[tuple[str, str], ...] = ()
    alerts: AlertSettings = field(default_factory=AlertSettings)
    pipeline_database_url: str | None = field(default=None, repr=False)
    server_log_folder: Path | None = None
    archives_url: str | None = field(default=None, repr=False)
    key_settings: KeySettings = field(default_factory=KeySettings)
    token_issuer: IssuerSettings | None = None
    backup_folder: Path | None = None
    backup_database_url: str | None = field(default=None, repr=False)
    monitor_database_url: str | None = field(default=None, repr=False)
    backups_kept: int = _BACKUPS_KEPT
    statsd: tuple[str, int] | None = None
    openlineage_url: str | None = field(default=None, repr=False)
    serving: ServingSettings = field(default_factory=ServingSettings)
    report_settings: ReportSettings = field(default_factory=ReportSettings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], cwd: Path) -> Settings:
        """Read the settings from variables; a relative `LYCEUM_HOME` is taken from `cwd`. An empty variable counts as unset.

        LYCEUM_HOME: default `.lyceum` in the checkout. LYCEUM_DATABASE_URL: an external PostgreSQL.
        LYCEUM_PIPELINE_DATABASE_URL: the same for the login `lyceum_pipeline`.
        LYCEUM_WAREHOUSE_DATABASE, LYCEUM_AIRFLOW_DATABASE: names of the two databases; without them the warehouse is
        the database that the URL names, else `lyceum`, and Airflow's metadata are in `airflow`.
        LYCEUM_SERVER_USER: the embedded server's account under root. LYCEUM_SERVER_OPTIONS: `name=value` pairs
        separated by spaces, quoted as in a shell, for the embedded server.
        LYCEUM_SERVER_LOG_FOLDER: where a server of one's own writes its log in JSON lines, if it can be read from here.
        LYCEUM_ARCHIVES_URL: where archives lie, a folder or any URL that fsspec knows; its secrets belong elsewhere.
        LYCEUM_BACKUP_FOLDER: where backups go, best on another disk; default `backups` in the home. LYCEUM_BACKUP_DATABASE_URL: a
        server of one's own, for a login with REPLICATION. LYCEUM_BACKUPS_KEPT: how many the schedule keeps, default 7.
        LYCEUM_MONITOR_DATABASE_URL: a server of one's own, for the login `lyceum_monitor`; without it the pipeline measures.
        LYCEUM_STATSD: host:port of a StatsD exporter for Airflow's own metrics. LYCEUM_OPENLINEAGE_URL: where OpenLineage events go, a
        `file://` that they are appended to, or the `http://` or `https://` address of a backend.
        Those of `AlertSettings`, `KeySettings`, `IssuerSettings`, `ReportSettings` and `ServingSettings`, too.

        Raises `ConfigurationError` when a value cannot be used.
        """
        project_root = Path(__file__).parents[2]
        home = environ.get("LYCEUM_HOME")
        database_url = _database_url(environ.get("LYCEUM_DATABASE_URL"))
        return cls(
            home=(cwd / Path(home).expanduser()).absolute() if home else project_root / ".lyceum",
            project_root=project_root,
            database_url=database_url,
            warehouse_database=_database_name(
                environ, "LYCEUM_WAREHOUSE_DATABASE", _database_in(database_url) or "lyceum"
            ),
            airflow_database=_database_name(environ, "LYCEUM_AIRFLOW_DATABASE", "airflow"),
            server_user=environ.get("LYCEUM_SERVER_USER") or None,
            server_options=_server_options(environ.get("LYCEUM_SERVER_OPTIONS", "")),
            alerts=AlertSettings.from_environment(environ),
            pipeline_database_url=_database_url(
                environ.get("LYCEUM_PIPELINE_DATABASE_URL"), "LYCEUM_PIPELINE_DATABASE_URL"
            ),
            server_log_folder=_folder(environ.get("LYCEUM_SERVER_LOG_FOLDER"), cwd),
            archives_url=store_url(environ.get("LYCEUM_ARCHIVES_URL"), cwd),
            key_settings=KeySettings.from_environment(environ),
            token_issuer=IssuerSettings.from_environment(environ, cwd),
            backup_folder=_folder(environ.get("LYCEUM_BACKUP_FOLDER"), cwd),
            backup_database_url=_database_url(environ.get("LYCEUM_BACKUP_DATABASE_URL"), "LYCEUM_BACKUP_DATABASE_URL"),
            monitor_database_url=_database_url(
                environ.get("LYCEUM_MONITOR_DATABASE_URL"), "LYCEUM_MONITOR_DATABASE_URL"
            ),
            backups_kept=_backups_kept(environ.get("LYCEUM_BACKUPS_KEPT")),
            statsd=_statsd(environ.get("LYCEUM_STATSD")),
            openlineage_url=_openlineage_url(environ.get("LYCEUM_OPENLINEAGE_URL"), cwd),
            serving=ServingSettings.from_environment(environ),
            report_settings=ReportSettings.from_environment(environ, cwd),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings. Holds the URLs' secrets, if any."""
        variables = {
            "LYCEUM_HOME": str(self.home),
            "LYCEUM_DATABASE_URL": self.database_url or "",
            "LYCEUM_WAREHOUSE_DATABASE": self.warehouse_database,
            "LYCEUM_AIRFLOW_DATABASE": self.airflow_database,
            "LYCEUM_SERVER_USER": self.server_user or "",
            "LYCEUM_SERVER_OPTIONS": shlex.join(f"{name}={value}" for name, value in self.server_options),
            "LYCEUM_PIPELINE_DATABASE_URL": self.pipeline_database_url or "",
            "LYCEUM_SERVER_LOG_FOLDER": str(self.server_log_folder or ""),
            "LYCEUM_ARCHIVES_URL": self.archives_url or "",
            "LYCEUM_BACKUP_FOLDER": str(self.backup_folder or ""),
            "LYCEUM_BACKUP_DATABASE_URL": self.backup_database_url or "",
            "LYCEUM_MONITOR_DATABASE_URL": self.monitor_database_url or "",
            "LYCEUM_BACKUPS_KEPT": str(self.backups_kept) if self.backups_kept != _BACKUPS_KEPT else "",
            **self.alerts.environment(),
            "LYCEUM_STATSD": f"{self.statsd[0]}:{self.statsd[1]}" if self.statsd is not None else "",
            "LYCEUM_OPENLINEAGE_URL": self.openlineage_url or "",
            **self.key_settings.environment(),
            **self.report_settings.environment(),
            **(self.token_issuer.environment() if self.token_issuer is not None else {}),
            **self.serving.environment(),
        }
        return {name: value for name, value in variables.items() if value}

    def for_tasks(self) -> Settings:
        """Return the settings that Airflow's tasks need: on a server of one's own the pipeline's address, and that of the login as
        which reports are read.
        """
        of_tasks = replace(self, serving=ServingSettings(database_url=self.serving.database_url))
        if self.database_url is None or self.pipeline_database_url is None:
            return of_tasks
        return replace(of_tasks, database_url=self.pipeline_database_url, pipeline_database_url=None)

    def for_serving(self) -> Settings:
        """Return the settings that the API needs: of several logins on a server of one's own its own alone, and the key provider
        that unwraps the keys of reports.
        """
        return replace(
            self,
            database_url=None,
            pipeline_database_url=None,
            backup_database_url=None,
            monitor_database_url=None,
            alerts=AlertSettings(),
            openlineage_url=None,
            key_settings=replace(self.key_settings, database_url=None),
        )

    # What a person or another system puts in or takes out.

    @property
    def landing(self) -> Path:
        """Inputs of file sources, one folder an organization."""
        return self.home / "landing"

    @property
    def archives(self) -> Path:
        """Parquet archives and their manifests, unless `archives_url` names a store that is no folder."""
        return path_of(self.archives_url) or self.home / "archives"

    @property
    def reports(self) -> Path:
        """Rendered reports and data-quality pages."""
        return self.home / "reports"

    @property
    def backups(self) -> Path:
        """Base backups, the archived log, and what of the home belongs to them."""
        return self.backup_folder or self.home / "backups"

    # What must stay private.

    @property
    def keys(self) -> Path:
        """Key-encryption and signing keys of the file `KeyProvider`."""
        return self.home / "keys"

    @property
    def secrets(self) -> Path:
        """Generated passwords."""
        return self.home / "secrets"

    @property
    def server_password_file(self) -> Path:
        """The embedded server's password, readable by the owner of the home alone."""
        return self.secrets / "server_password"

    @property
    def spool(self) -> Path:
        """Statements that were pulled and are not yet collected; empty when no pull runs."""
        return self.home / "spool"

    # What the running system needs.

    @property
    def logs(self) -> Path:
        """Logs of our own processes."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process ids and locks; empty when nothing runs."""
        return self.home / "run"

    @property
    def airflow_home(self) -> Path:
        """`AIRFLOW_HOME`."""
        return self.home / "airflow"

    @property
    def dbt(self) -> Path:
        """dbt's target folder, logs and profiles."""
        return self.home / "dbt"

    @property
    def server(self) -> Path:
        """The embedded server's folder; belongs to the account that the server runs as."""
        return self.home / "server"

    @property
    def server_data(self) -> Path:
        """The embedded server's data directory."""
        return self.server / "data"

    @property
    def server_logs(self) -> Path:
        """The embedded server's logs in JSON lines, and what it said while starting (`startup.log`)."""
        return self.server / "logs"

    @property
    def server_port_file(self) -> Path:
        """The loopback port that the embedded server was given once."""
        return self.server / "port"

    @property
    def server_archive_file(self) -> Path:
        """Where the embedded server archives its log, once a backup was made."""
        return self.server / "wal_archive"

    # What the checkout holds.

    @property
    def dags(self) -> Path:
        """Airflow's dags folder."""
        return self.project_root / "dags"

    @property
    def plugins(self) -> Path:
        """Airflow's plugins folder, which holds the library too."""
        return self.project_root / "plugins"

    @property
    def bootstrap(self) -> Path:
        """SQL for the whole server: roles."""
        return self.project_root / "sql" / "bootstrap"

    @property
    def migrations(self) -> Path:
        """SQL that is applied once, in the order of its version."""
        return self.project_root / "sql" / "migrations"

    @property
    def key_migrations(self) -> Path:
        """SQL of the key database, applied once, in the order of its names."""
        return self.project_root / "sql" / "keys"

    @property
    def repeatable(self) -> Path:
        """SQL that is applied whenever its content changes."""
        return self.project_root / "sql" / "repeatable"

    @property
    def handover(self) -> Path:
        """SQL that gives what was made to the roles that own it."""
        return self.project_root / "sql" / "handover"

    @property
    def queries(self) -> Path:
        """SQL that the library reads and runs."""
        return self.project_root / "sql" / "queries"

    @property
    def dbt_project(self) -> Path:
        """The dbt project."""
        return self.project_root / "dbt_project"

    @property
    def expectations(self) -> Path:
        """Great Expectations suites, one JSON file a guarded edge."""
        return self.project_root / "expectations"

    def create_directories(self) -> None:
        """Create the home and its folders where absent; all but the home itself are closed to others.

        The embedded server makes its own folder, because another account owns it.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        for directory in (
            self.landing,
            self.archives,
            self.reports,
            self.keys,
            self.secrets,
            self.logs,
            self.run,
            self.airflow_home,
            self.dbt,
        ):
            directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)


def _database_url(value: str | None, variable: str = "LYCEUM_DATABASE_URL") -> str | None:
    if not value:
        return None
    if value.startswith(("postgresql://", "postgres://")):
        return value
    raise ConfigurationError(
        f"{variable} does not start with postgresql:// or postgres://. "
        "Expected a URL such as postgresql://user:password@host:5432/lyceum; unset it to use the embedded server."
    )


def _folder(value: str | None, cwd: Path) -> Path | None:
    return (cwd / Path(value).expanduser()).absolute() if value else None


def _backups_kept(value: str | None) -> int:
    if not value:
        return _BACKUPS_KEPT
    if value.isdigit() and int(value) >= 1:
        return int(value)
    raise ConfigurationError(
        f"LYCEUM_BACKUPS_KEPT is {value!r}. Expected a number of at least 1; unset it to keep {_BACKUPS_KEPT}."
    )


def _statsd(value: str | None) -> tuple[str, int] | None:
    if not value:
        return None
    host, _, port = value.rpartition(":")
    if host and ":" not in host and port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65_535:
        return host, int(port)
    raise ConfigurationError(
        f"LYCEUM_STATSD is {value!r}. Expected host:port of a StatsD exporter, such as 127.0.0.1:9125; unset it to send nothing."
    )


def _openlineage_url(value: str | None, cwd: Path) -> str | None:
    """Return the address; a `file://` one of an absolute path."""
    if not value:
        return None
    if value.startswith("file://"):
        return store_url(value, cwd)
    if value.startswith(("https://", "http://")) and urlsplit(value).hostname:
        return value
    # The value may hold a key: no message quotes it.
    raise ConfigurationError(
        "LYCEUM_OPENLINEAGE_URL is no address that lineage could be told to. Expected file:///path/lineage.ndjson or one such as "
        "https://marquez.example; unset it to tell nobody."
    )


def _database_in(url: str | None) -> str | None:
    return unquote(urlsplit(url).path.strip("/")) if url else None


def _database_name(environ: Mapping[str, str], variable: str, default: str) -> str:
    name = environ.get(variable) or default
    if _DATABASE_NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"{variable} is {name!r}. Expected a name of at most 63 lower-case letters, digits and underscores "
        "that does not start with a digit."
    )


def _server_options(text: str) -> tuple[tuple[str, str], ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(
            f"LYCEUM_SERVER_OPTIONS cannot be split into words: {error}. Balance its quotes."
        ) from None
    options = []
    for word in words:
        match = _SERVER_OPTION.fullmatch(word)
        if match is None:
            raise ConfigurationError(
                f"LYCEUM_SERVER_OPTIONS holds {word!r}. Expected name=value, for example shared_buffers=1GB."
            )
        options.append((match[1], match[2]))
    return tuple(options)
