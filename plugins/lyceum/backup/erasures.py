"""The register of erasures: who must stay erased when an older state of the databases is restored.

A base backup holds the wrapped keys of everybody who was there when it was made, also of people who were erased since. So each
erasure is a line outside the databases, in the home and in the backup folder, and a restore destroys those keys again before
anybody can ask. A line names ids, never a person: {"warehouse_id": "…", "organization_id": 3, "user_id": 7, "erased_at": "…"}.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from lyceum.database import connect, target
from lyceum.errors import ConfigurationError
from lyceum.settings import Settings

FILE = "erasures.jsonl"


class Erasure(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """One person who was erased: the ids that they had before, and when."""

    warehouse_id: str
    organization_id: int
    user_id: int
    erased_at: datetime

    @property
    def who(self) -> tuple[str, int, int]:
        """The person, whenever it was."""
        return self.warehouse_id, self.organization_id, self.user_id


def register_erasure(settings: Settings, organization_id: int, user_id: int, at: datetime) -> None:
    """Remember that a person of the running warehouse was erased; on the disk, in the home and in the backup folder, when this
    returns.

    Call it before anything is erased: a person who is registered and not erased is erased by calling again, one who is erased and
    not registered would come back with a backup. Registering twice is registering once. `user_id` is the id before the erasure.
    Raises `ConfigurationError` where a register cannot be written.
    """
    with connect(target(settings), autocommit=True, application_name="lyceum backup") as connection:
        row = connection.execute("select warehouse_id::text from ops.warehouse_identity").fetchone()
    assert row is not None
    erasure = Erasure(warehouse_id=row[0], organization_id=organization_id, user_id=user_id, erased_at=at)
    for path in _registers(settings):
        add_to_register(path, [erasure])


def registered_erasures(settings: Settings, warehouse_id: str | None = None) -> list[Erasure]:
    """Return everybody who was erased, of one warehouse or of all that share the backup folder.

    Raises `ConfigurationError` at a line that is none.
    """
    found: dict[tuple[str, int, int], Erasure] = {}
    for path in (settings.home / FILE, settings.backups / FILE):
        for erasure in read_register(path):
            if warehouse_id is None or erasure.warehouse_id == warehouse_id:
                found.setdefault(erasure.who, erasure)
    return sorted(found.values())


def copy_erasures(settings: Settings) -> int:
    """Bring the registers of the home and of the backup folder to the same state; return how many people they name."""
    known = registered_erasures(settings)
    for path in _registers(settings):
        add_to_register(path, known)
    return len(known)


def read_register(path: Path) -> list[Erasure]:
    """Read a register; none is an empty one. A last line without an end was cut by a crash before its erasure began."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    erasures = []
    for number, line in enumerate(lines[:-1], 1):
        if not line:
            continue
        try:
            erasures.append(msgspec.json.decode(line, type=Erasure))
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"Line {number} of {path} is no erasure: {error}. Expected one person a line. Bring the file back from its copy in "
                "the home or the backup folder: whoever is missing from it would come back with a restored backup."
            ) from None
    return erasures


def _registers(settings: Settings) -> tuple[Path, ...]:
    copy = (settings.backups / FILE,) if settings.backups.is_dir() else ()
    return (settings.home / FILE, *copy)


def add_to_register(path: Path, erasures: Sequence[Erasure]) -> None:
    """Add those who are not in a register yet, durably. Raises `ConfigurationError` where it cannot be written."""
    if not erasures:
        return
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                file.truncate(len(whole))
            known = {one.who for one in read_register(path)}
            new = [one for one in erasures if one.who not in known]
            file.write(b"".join(msgspec.json.encode(one) + b"\n" for one in new))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(
            f"The register of erasures {path} cannot be written: {error.strerror}. Expected a place that this account may write "
            "to, with room on its disk. Mend that and try again: nothing was erased."
        ) from None
