"""The collector: takes what concerns the trail from the server's JSON log, once, however often it is interrupted.

Rows and the offset of a file move in one transaction. A file is known by its first line, whatever it is called by now. The
server numbers the lines of a session, so a line that is missing is noticed, as are a file that vanished before it had been read to
its end, one that was cut, and a line that cannot be read: each is a row of the trail with the action `gap`, and an alert that
stays until somebody acknowledges it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from psycopg.types.json import Jsonb

from lyceum import faults
from lyceum.alert_settings import AlertSettings
from lyceum.alerts import raise_alert, resolve_alerts
from lyceum.audit.access import TABLE, Access, ensure_audit_partitions, record_access
from lyceum.audit.log_lines import LogEntry, LogLine, interpret, parse_line
from lyceum.database import Connection, ConnectionTarget
from lyceum.errors import ConfigurationError, InputError
from lyceum.partitions import ensure_for_dates
from lyceum.settings import Settings

_LINES_AT_ONCE = 5_000
_BYTES_AT_ONCE = 8 * 1024 * 1024
_LOCK = "lyceum.audit.collect"
ALERT_SUBJECT = "audit"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of the log that nobody can read any more. `kind`: `file_lost`, `file_cut`, `lines_missing`, `line_unreadable`."""

    kind: str
    file: str
    session_id: str | None = None
    first_line: int | None = None
    last_line: int | None = None


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """What one call did: files that were looked at, lines that were read, rows that are new, gaps that are new."""

    files: int = 0
    lines: int = 0
    rows: int = 0
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """A file as `audit.log_files` remembers it."""

    head_hash: bytes
    name: str
    read_bytes: int
    is_completed: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """A file as it lies in the folder."""

    head_hash: bytes
    path: Path
    first_line_at: datetime
    size: int


@dataclass(slots=True)
class _Chunk:
    """What a piece of a file holds."""

    lines: list[LogLine] = field(default_factory=list)
    unreadable: int = 0
    byte_length: int = 0


def log_folder(settings: Settings) -> Path | None:
    """Return the folder of the server's log: the embedded server's, or the one that LYCEUM_SERVER_LOG_FOLDER names, if any."""
    if settings.server_log_folder is not None:
        return settings.server_log_folder
    return settings.server_logs if settings.database_url is None else None


def collect_server_logs(connection: Connection, folder: Path) -> CollectionReport:
    """Collect what the folder's `*.json` files hold beyond what was collected before.

    `connection` must be in autocommit mode; its database is the one whose log-ins and statements count. Callers take turns. A last
    line without line feed waits. Raises `ConfigurationError` when the folder cannot be read.
    """
    with _turns(connection):
        found = sorted(_find(folder), key=lambda file: (file.first_line_at, file.path.name))
        known = _read_known(connection)
        gaps = list(_lost(connection, found, known))
        report = CollectionReport(files=len(found))
        lines = rows = 0
        for position, file in enumerate(found):
            memory = known.get(file.head_hash)
            if memory is not None and file.size < memory.read_bytes:
                gaps += _cut(connection, file)
                continue
            read = _collect_file(connection, file, memory, is_last=position == len(found) - 1)
            lines, rows = lines + read.lines, rows + read.rows
            gaps += read.gaps
        return CollectionReport(report.files, lines, rows, tuple(gaps))


def tell_gaps(connection: Connection, target: ConnectionTarget, channels: AlertSettings) -> int:
    """Raise an alert as long as the trail has gaps that nobody has acknowledged; return their number."""
    row = connection.execute(
        """
        select count(*)
        from audit.audit_logs as gaps
        where
            gaps.action = 'gap'
            and gaps.audit_id > coalesce(
                (select max(done.audit_id) from audit.audit_logs as done where done.action = 'gaps_acknowledged'), 0
            )
        """
    ).fetchone()
    assert row is not None
    count = int(row[0])
    if count:
        raise_alert(
            target,
            channels,
            "audit_gap",
            ALERT_SUBJECT,
            f"The audit trail has {count:,} gaps: parts of the server's log were gone or unreadable before they were collected. "
            "See them: lyceum audit list --action gap. When you know why: lyceum audit acknowledge.",
        )
    return count


def acknowledge_gaps(connection: Connection, target: ConnectionTarget, channels: AlertSettings, reason: str) -> int:
    """Write into the trail that somebody knows of all gaps so far, and resolve their alert; return their number.

    `connection` must be in autocommit mode. The gaps stay in the trail.
    """
    ensure_audit_partitions(connection)
    with connection.transaction():
        row = connection.execute("select count(*) from audit.audit_logs where action = 'gap'").fetchone()
        assert row is not None
        count = int(row[0])
        record_access(
            connection, Access("gaps_acknowledged", "server log", detail={"reason": reason[:500]}), row_count=count
        )
    resolve_alerts(target, channels, ALERT_SUBJECT)
    return count


def _find(folder: Path) -> Iterator[_Found]:
    try:
        paths = [path for path in folder.iterdir() if path.suffix == ".json"]
    except OSError as error:
        raise ConfigurationError(
            f"The folder of the server's log, {folder}, cannot be read: {error.strerror}. Expected a folder that this account may "
            "read; for a server of your own, LYCEUM_SERVER_LOG_FOLDER names it."
        ) from None
    for path in paths:
        try:
            with path.open("rb") as file:
                first = file.readline(_BYTES_AT_ONCE)
                size = file.seek(0, 2)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error.strerror}. Expected the server's log to be readable for this account."
            ) from None
        if not first.endswith(b"\n"):
            continue
        yield _Found(hashlib.sha256(first).digest(), path, _first_instant(first, path), size)


def _first_instant(line: bytes, path: Path) -> datetime:
    try:
        return parse_line(json.loads(line)).occurred_at
    except (ValueError, TypeError, InputError):
        raise ConfigurationError(
            f"{path} does not begin with a line of a server's JSON log in UTC. Expected log_destination = 'jsonlog' and "
            "log_timezone = 'UTC'; move other files out of the folder."
        ) from None


def _read_known(connection: Connection) -> dict[bytes, _Known]:
    rows = connection.execute(
        "select head_hash, file_name, read_bytes, completed_at is not null from audit.log_files where lost_at is null"
    ).fetchall()
    return {row[0]: _Known(*row) for row in rows}


def _lost(connection: Connection, found: Sequence[_Found], known: dict[bytes, _Known]) -> Iterator[Gap]:
    present = {file.head_hash for file in found}
    for memory in known.values():
        if memory.is_completed or memory.head_hash in present:
            continue
        gap = Gap("file_lost", memory.name)
        with connection.transaction():
            _write_gaps(connection, [gap])
            connection.execute(
                "update audit.log_files set lost_at = clock_timestamp() where head_hash = %s", [memory.head_hash]
            )
        yield gap


def _cut(connection: Connection, file: _Found) -> list[Gap]:
    gap = Gap("file_cut", file.path.name)
    with connection.transaction():
        _write_gaps(connection, [gap])
        # What is left was read before; what the server adds from now on is read from here.
        connection.execute(
            "update audit.log_files set read_bytes = %s, completed_at = null where head_hash = %s",
            [file.size, file.head_hash],
        )
    return [gap]


def _collect_file(connection: Connection, file: _Found, memory: _Known | None, *, is_last: bool) -> CollectionReport:
    """Read one file from its offset to the end of its last whole line, a piece a transaction."""
    offset = memory.read_bytes if memory is not None else 0
    if memory is not None and memory.is_completed and offset == file.size:
        return CollectionReport()
    lines = rows = 0
    gaps: list[Gap] = []
    with file.path.open("rb") as stream:
        while True:
            stream.seek(offset)
            # Whole lines, however long the last one is.
            chunk = _read_chunk(stream.read(_BYTES_AT_ONCE) + stream.readline())
            offset += chunk.byte_length
            # A later file exists, so the server will never finish the last line of this one.
            is_torn = chunk.byte_length == 0 and not is_last and offset < file.size
            is_completed = not is_last and (chunk.byte_length == 0 or offset >= file.size)
            _ensure_partitions(connection, chunk.lines)
            with connection.transaction():
                new_gaps = _session_gaps(connection, chunk.lines, file.path.name)
                new_gaps += [Gap("line_unreadable", file.path.name)] * (chunk.unreadable + is_torn)
                rows += _write_entries(connection, chunk.lines)
                _write_gaps(connection, new_gaps)
                faults.reach("audit.rows_written")
                _remember(connection, file, file.size if is_torn else offset, is_completed=is_completed)
                faults.reach("audit.offset_moved")
            faults.reach("audit.lines_committed")
            lines += len(chunk.lines)
            gaps += new_gaps
            if chunk.byte_length == 0 or offset >= file.size:
                return CollectionReport(1, lines, rows, tuple(gaps))


def _read_chunk(data: bytes) -> _Chunk:
    chunk = _Chunk()
    for raw in data.splitlines(keepends=True):
        if not raw.endswith(b"\n") or len(chunk.lines) == _LINES_AT_ONCE:
            break
        chunk.byte_length += len(raw)
        try:
            chunk.lines.append(parse_line(json.loads(raw)))
        except (ValueError, TypeError, InputError):
            chunk.unreadable += 1
    return chunk


def _session_gaps(connection: Connection, lines: Sequence[LogLine], name: str) -> list[Gap]:
    """Compare the numbers of lines with those seen before, and remember the last of each session."""
    if not lines:
        return []
    sessions = sorted({line.session_id for line in lines})
    seen: dict[str, int] = dict(
        connection.execute(
            "select session_id, last_line_number from audit.log_sessions where session_id = any(%s)", [sessions]
        ).fetchall()
    )
    row = connection.execute("select min(first_line_at) from audit.log_files").fetchone()
    begun = row[0] if row is not None and row[0] is not None else lines[0].occurred_at
    gaps = []
    begins: dict[str, datetime] = {}
    for line in lines:
        last = seen.get(line.session_id)
        # A session that began before the oldest log we ever saw has lines that were never ours to collect.
        is_older = last is None and line.session_begun_at < begun.replace(microsecond=0)
        expected = line.line_number if is_older else (last or 0) + 1
        if line.line_number > expected:
            gaps.append(Gap("lines_missing", name, line.session_id, expected, line.line_number - 1))
        seen[line.session_id] = max(line.line_number, last or 0)
        begins.setdefault(line.session_id, line.session_begun_at)
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into audit.log_sessions (session_id, last_line_number, begun_at) values (%s, %s, %s)
            on conflict (session_id) do update set last_line_number = excluded.last_line_number
            """,
            [(session, seen[session], begins[session]) for session in sessions],
        )
    _forget_ended(connection, lines)
    return gaps


def _forget_ended(connection: Connection, lines: Sequence[LogLine]) -> None:
    """Forget sessions that have said good-bye, and all that began before a server that has started since."""
    ended = [
        line.session_id
        for line in lines
        if str(line.content.get("message", "")).startswith("disconnection: session time:")
    ]
    starts = [
        line.session_begun_at
        for line in lines
        if line.content.get("backend_type") == "postmaster"
        and str(line.content.get("message", "")).startswith("starting PostgreSQL")
    ]
    connection.execute(
        "delete from audit.log_sessions where session_id = any(%s) or begun_at < %s",
        [ended, max(starts, default=None)],
    )


def _write_entries(connection: Connection, lines: Sequence[LogLine]) -> int:
    logins = {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}
    database = connection.info.dbname
    entries = [entry for line in lines if (entry := interpret(line, database, logins)) is not None]
    return _record(connection, [_values(entry) for entry in entries])


def _write_gaps(connection: Connection, gaps: Sequence[Gap]) -> None:
    if not gaps:
        return
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    now = row[0].isoformat()
    _record(
        connection,
        [
            {
                "occurred_at": now,
                "action": "gap",
                "resource": f"server log {gap.file}"[:256],
                "decision": "failed",
                "source": "collector",
                "detail": {name: value for name, value in asdict(gap).items() if name != "file" and value is not None},
            }
            for gap in gaps
        ],
    )


def _values(entry: LogEntry) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(entry).items()}


def _record(connection: Connection, entries: Sequence[dict[str, object]]) -> int:
    if not entries:
        return 0
    row = connection.execute("select audit.record_collected(%s)", [Jsonb(list(entries))]).fetchone()
    assert row is not None
    return int(row[0])


def _remember(connection: Connection, file: _Found, offset: int, *, is_completed: bool) -> None:
    connection.execute(
        """
        insert into audit.log_files (head_hash, file_name, read_bytes, first_line_at, completed_at)
        values (%(hash)s, %(name)s, %(offset)s, %(first)s, case when %(completed)s then clock_timestamp() end)
        on conflict (head_hash) do update
        set
            file_name = excluded.file_name,
            read_bytes = excluded.read_bytes,
            completed_at = excluded.completed_at,
            lost_at = null
        """,
        {
            "hash": file.head_hash,
            "name": file.path.name,
            "offset": offset,
            "first": file.first_line_at,
            "completed": is_completed,
        },
    )


def _ensure_partitions(connection: Connection, lines: Sequence[LogLine]) -> None:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    ensure_for_dates(connection, TABLE, {row[0].date(), *(line.occurred_at.date() for line in lines)})


@contextmanager
def _turns(connection: Connection) -> Iterator[None]:
    connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [_LOCK])
    try:
        yield
    finally:
        connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [_LOCK])
