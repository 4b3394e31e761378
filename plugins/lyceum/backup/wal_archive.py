"""The archived log: which segments there are, where one is missing, and waiting for the newest."""

from __future__ import annotations

import gzip
import re
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lyceum.backup.catalogue import BaseBackup, following, position, segment_name
from lyceum.database import Connection, ConnectionTarget, connect
from lyceum.errors import ConfigurationError

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_BLOCK = 1 << 20
_POLL_SECONDS = 0.1
_BEHIND = "The server's archiver has not failed: it is behind. Try again later."


@dataclass(frozen=True, slots=True)
class Gap:
    """A segment that is missing although later ones are there. `until` is when the one before it was last written."""

    missing: str
    next_found: str
    until: datetime | None


def segments(archive: Path) -> list[str]:
    """Return the names of the archived segments in the order of the log."""
    try:
        names = (path.name.removesuffix(".gz") for path in archive.iterdir() if path.name.endswith(".gz"))
        return sorted(name for name in names if _SEGMENT.fullmatch(name))
    except FileNotFoundError:
        return []


def find_gap(names: Sequence[str], backup: BaseBackup) -> tuple[str, str] | None:
    """Return the first segment that is missing although later ones are there, and the next that is; None when none is.

    The backup itself has all that it needs up to its end, in the middle of its last segment; the rest of that one is the archive's.
    """
    expected = backup.last_segment
    for name in names:
        if name < expected or name[:8] != expected[:8]:
            continue
        if name != expected:
            return expected, name
        expected = following(expected, backup.segment_bytes)
    return None


def gap_of(archive: Path, backup: BaseBackup, more: Sequence[str] = ()) -> Gap | None:
    """Return where the log after a backup has a gap in the archive and `more` segments that are found elsewhere, if anywhere."""
    found = find_gap(sorted({*segments(archive), *more}), backup)
    if found is None:
        return None
    missing, next_found = found
    before = [name for name in segments(archive) if name < missing]
    return Gap(missing, next_found, archived_at(archive, before[-1]) if before else None)


def archived_at(archive: Path, name: str) -> datetime | None:
    """Return when an archived segment was last written: nothing in it is later. The instant is in the file, so copies keep it."""
    try:
        with (archive / f"{name}.gz").open("rb") as file:
            header = file.read(8)
    except FileNotFoundError:
        return None
    if len(header) < 8 or header[:2] != b"\x1f\x8b":
        return None
    (seconds,) = struct.unpack("<I", header[4:8])
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def check_segments(archive: Path, backup: BaseBackup) -> int:
    """Read every archived segment from the backup on; return how many. Raises `ConfigurationError` at one that is damaged."""
    needed = [name for name in segments(archive) if name >= backup.last_segment]
    for name in needed:
        length = 0
        try:
            with gzip.open(archive / f"{name}.gz", "rb") as segment:
                while block := segment.read(_BLOCK):
                    length += len(block)
        except (EOFError, zlib.error, OSError) as error:
            raise ConfigurationError(
                f"The archived log {archive / name}.gz is damaged: {error}. Bring it back from a copy; without it nothing after "
                "it can be restored. Make a new base backup now: lyceum backup create"
            ) from None
        if length != backup.segment_bytes:
            raise ConfigurationError(
                f"The archived log {archive / name}.gz has {length} bytes. Expected {backup.segment_bytes}: bring it back from "
                "a copy, and make a new base backup now: lyceum backup create"
            )
    return len(needed)


def archive_up_to_now(administrator: ConnectionTarget, archive: Path, seconds: float) -> str | None:
    """Have everything that is committed archived; return what keeps the server from it, None when nothing does.

    Commits an empty transaction first: a point in time is reached only by one that comes after it.
    """
    with connect(administrator, autocommit=True, application_name="lyceum backup") as connection:
        connection.execute("set synchronous_commit to on")
        connection.execute("select pg_current_xact_id()")
        row = connection.execute(
            "select (pg_control_checkpoint()).timeline_id, pg_switch_wal()::text, setting::bigint from pg_settings "
            "where name = 'wal_segment_size'"
        ).fetchone()
        assert row is not None
        timeline, switched, segment_bytes = row
        name = segment_name(timeline, position(switched), segment_bytes)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (archive / f"{name}.gz").exists() and not _is_waiting(connection, name):
                return None
            time.sleep(_POLL_SECONDS)
        return f"The segment {name} of the log is not in {archive} after {seconds:.0f} seconds. {_failure(connection) or _BEHIND}"


def _is_waiting(connection: Connection, name: str) -> bool:
    """Say whether the server has still to archive a segment: a file of its name in the archive may be somebody else's."""
    waiting = connection.execute("select from pg_ls_archive_statusdir() where name = %s", [f"{name}.ready"]).fetchone()
    return waiting is not None


def failing_archiver(administrator: ConnectionTarget) -> str | None:
    """Return a sentence about the server's archiver when its last attempt failed."""
    with connect(administrator, autocommit=True, application_name="lyceum backup") as connection:
        return _failure(connection)


def _failure(connection: Connection) -> str | None:
    row = connection.execute(
        "select failed_count, last_failed_wal, last_failed_time from pg_stat_archiver "
        "where last_failed_time > coalesce(last_archived_time, '-infinity')"
    ).fetchone()
    if row is None:
        return None
    return (
        f"The server's archiver has failed {row[0]} times, last with {row[1]}: the server's log says why. Until it is "
        "mended the log stays in the server's folder and fills that disk."
    )
