"""Making a base backup, and turning on the archiving of the log with the first one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lyceum.backup.catalogue import (
    PART_SUFFIX,
    RECORD,
    BackupFolder,
    BaseBackup,
    Compression,
    StoredPart,
    backup_folder,
    new_name,
    sync_folder,
)
from lyceum.backup.erasures import copy_erasures
from lyceum.backup.manifest import read_manifest
from lyceum.backup.programs import compression_of, find_program, run_program
from lyceum.backup.stored_files import digest_of, store_files
from lyceum.backup.wal_archive import archive_up_to_now
from lyceum.database import ConnectionTarget, EmbeddedServer, administrator_target, connect
from lyceum.database.connection_target import external_target
from lyceum.database.logins import provision_backup
from lyceum.errors import ConfigurationError, RetryableError
from lyceum.settings import Settings

_ARCHIVE_SECONDS = 120.0

_SERVER = """
select
    current_setting('server_version_num')::integer as version,
    (select system_identifier::text from pg_control_system()) as system_identifier,
    (select setting::integer from pg_settings where name = 'wal_segment_size') as segment_bytes,
    array(select spcname::text from pg_tablespace where spcname not in ('pg_default', 'pg_global')) as tablespaces,
    clock_timestamp() as now
"""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was made. `wal_problem` says why the log is not archived up to the backup's end: then it restores no later point."""

    backup: BaseBackup
    seconds: float
    erasures: int
    wal_problem: str | None


@dataclass(frozen=True, slots=True)
class _Server:
    version: int
    system_identifier: str
    segment_bytes: int
    now: datetime

    @property
    def major(self) -> int:
        return self.version // 10_000


def create_backup(settings: Settings, tell: Callable[[str], None] = lambda _: None) -> BackupReport:
    """Make a base backup of the server that the settings mean, with what of the home belongs to it.

    The first one of an embedded server begins the archiving of its log. Nobody waits for it but other backups. Raises
    `RetryableError` while another one is made, `ConfigurationError` when the server cannot be backed up from here.
    """
    folder = backup_folder(settings)
    folder.create()
    with folder.locked():
        administrator = administrator_target(settings)
        server = _ask(administrator)
        copier = _copier(settings, administrator)
        program = find_program("pg_basebackup", server.major)
        archive = _ensure_archiving(settings, folder, tell)
        erasures = copy_erasures(settings)
        name = new_name(server.now.astimezone(UTC))
        unfinished = folder.bases / f"{name}{PART_SUFFIX}"
        try:
            tell("copying the server")
            compression = compression_of(program)
            _copy(program, copier, unfinished, name, compression)
            # What the copied server says is archived was archived before: so its archives are looked at after it.
            tell("copying the home's files")
            files = store_files(settings, folder)
            ended = _ask(administrator)
            problem = None
            if archive is not None:
                tell("waiting for the archived log")
                problem = archive_up_to_now(administrator, folder.wal(archive), _ARCHIVE_SECONDS)
            manifest = read_manifest(unfinished)
            (log,) = manifest.log
            backup = BaseBackup(
                name=name,
                server_version=server.version,
                system_identifier=server.system_identifier,
                warehouse_database=administrator.dbname,
                airflow_database=settings.airflow_database,
                warehouse_id=_warehouse_id(administrator),
                wal_archive=archive,
                segment_bytes=server.segment_bytes,
                timeline=log.timeline,
                start_position=log.start,
                end_position=log.end,
                begun_at=server.now,
                ended_at=ended.now,
                data_bytes=sum(file.size for file in manifest.files),
                compression=compression,
                parts=_parts(unfinished),
                files=files,
            )
            _finish(folder, unfinished, backup)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        seconds = (_ask(administrator).now - server.now).total_seconds()
    return BackupReport(backup, seconds, erasures, problem)


def _ask(administrator: ConnectionTarget) -> _Server:
    with connect(administrator, autocommit=True, application_name="lyceum backup") as connection:
        row: Any = connection.execute(_SERVER).fetchone()
    version, system_identifier, segment_bytes, tablespaces, now = row
    if tablespaces:
        raise ConfigurationError(
            f"The server has tablespaces of its own ({', '.join(sorted(tablespaces))}), which this does not back up. Expected "
            "none: back the server up with its operator's own means."
        )
    return _Server(version, system_identifier, segment_bytes, now)


def _copier(settings: Settings, administrator: ConnectionTarget) -> ConnectionTarget:
    """Return the login that copies the server."""
    if settings.database_url is None:
        return provision_backup(administrator, settings)
    if settings.backup_database_url is None:
        return administrator
    try:
        found = external_target(replace(settings, database_url=settings.backup_database_url))
    except ConfigurationError as error:
        raise ConfigurationError(str(error).replace("LYCEUM_DATABASE_URL", "LYCEUM_BACKUP_DATABASE_URL")) from None
    if (found.host, found.port) != (administrator.host, administrator.port):
        raise ConfigurationError(
            "LYCEUM_BACKUP_DATABASE_URL names another server than LYCEUM_DATABASE_URL. Expected the same host and port."
        )
    return found


def _ensure_archiving(settings: Settings, folder: BackupFolder, tell: Callable[[str], None]) -> str | None:
    """Have the embedded server archive its log into the folder; return the archive's id, None for a server of one's own."""
    if settings.database_url is not None:
        return None
    server = EmbeddedServer(settings)
    current = server.wal_archive
    if current is not None and current.parent == folder.root / "wal" and current.is_dir():
        # Also after a crash in the middle of beginning: the same call brings it to its end.
        server.archive_into(current)
        return current.name
    tell("beginning to archive the log")
    # A home's archive is its own: a restored server goes on with the same names and other contents.
    archive = folder.wal(secrets.token_hex(4))
    server.archive_into(archive)
    sync_folder(archive.parent)
    return archive.name


def _copy(program: str, copier: ConnectionTarget, into: Path, name: str, compression: Compression) -> None:
    command = [
        program,
        f"--pgdata={into}",
        f"--label=lyceum {name}",
        "--format=tar",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--manifest-checksums=SHA256",
        f"--compress=client-{compression}",
        "--no-password",
    ]
    environment = copier.environment(application_name="lyceum backup")
    # libpq would hand it to the server, which a connection for replication refuses on some versions.
    environment.pop("PGOPTIONS")
    outcome = run_program(command, environment)
    if outcome.returncode == 0:
        return
    said = " / ".join(line.strip() for line in outcome.stdout.splitlines()[-4:])
    if "pg_hba.conf" in said or "permission denied" in said or "must be superuser or replication role" in said:
        raise ConfigurationError(
            f"The server lets {copier.user!r} copy nothing: {said}. Expected a login with REPLICATION, and a line for it in "
            "pg_hba.conf (`host replication …`); name it in LYCEUM_BACKUP_DATABASE_URL. A managed service does not allow this: "
            "use its own backups."
        )
    raise RetryableError(f"pg_basebackup failed: {said}. See to it, then try again.")


def _warehouse_id(administrator: ConnectionTarget) -> str | None:
    with connect(administrator, autocommit=True, application_name="lyceum backup") as connection:
        if connection.execute("select to_regclass('ops.warehouse_identity')").fetchone() == (None,):
            return None
        row = connection.execute("select warehouse_id::text from ops.warehouse_identity").fetchone()
    return str(row[0]) if row is not None else None


def _parts(unfinished: Path) -> tuple[StoredPart, ...]:
    return tuple(
        StoredPart(name=path.name, byte_length=path.stat().st_size, sha256=digest_of(path))
        for path in sorted(unfinished.iterdir())
    )


def _finish(folder: BackupFolder, unfinished: Path, backup: BaseBackup) -> None:
    record = unfinished / RECORD
    with record.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(backup), indent=2) + b"\n")
        file.flush()
        # What pg_basebackup wrote it has synced itself.
        os.fsync(file.fileno())
    sync_folder(unfinished)
    unfinished.rename(folder.base(backup.name))
    sync_folder(folder.bases)
