"""Landing folders: which files of a source are new. A folder's notes spare unchanged files from being read again.

The notes are a memory aid and no truth: an entry counts only while size and time of every file agree *and* the warehouse
says that what was found in them is completed. Whoever deletes the notes loses a little time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lyceum.collect.inputs import completed_fingerprints
from lyceum.database import Connection
from lyceum.organizations import Format

NOTES_FILE = ".collected.json"
_VERSION = 1
_UNFINISHED = (".part", ".tmp")
# A folder of tables is known by one that it must have.
_TABLES: Mapping[Format, frozenset[str]] = {
    "oulad": frozenset({"studentInfo.csv"}),
    "oneroster": frozenset({"manifest.csv", "users.csv", "enrollments.csv"}),
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is collected as one: a file, or a folder of tables. `stamp` changes when any of its files does."""

    name: str
    path: Path
    stamp: tuple[tuple[str, int, int], ...]

    @property
    def landed_at(self) -> datetime:
        """When the last of its files was changed, in UTC."""
        return datetime.fromtimestamp(max(modified for _, _, modified in self.stamp) / 1_000_000_000, UTC)


@dataclass(frozen=True, slots=True)
class Note:
    """What a delivery looked like when it was completed, and the fingerprints of the inputs found in it."""

    stamp: tuple[tuple[str, int, int], ...]
    fingerprints: frozenset[bytes]


def find_deliveries(folder: Path, source_format: Format) -> list[Delivery]:
    """Return what lies in a landing folder, sorted by name. Hidden and unfinished files (*.part, *.tmp) do not count."""
    if source_format == "xapi":
        paths = list(_files(folder))
    else:
        paths = [path for path in _files(folder) if path.suffix.lower() == ".zip"]
        paths += sorted({path.parent for path in _files(folder) if path.name in _TABLES[source_format]})
    deliveries = []
    for path in paths:
        stamp = _stamp(path)
        if stamp:
            deliveries.append(Delivery(str(path.relative_to(folder)), path, stamp))
    return deliveries


def is_unchanged(delivery: Delivery) -> bool:
    """Return whether the delivery still looks as it did when it was found."""
    return _stamp(delivery.path) == delivery.stamp


def read_notes(folder: Path) -> dict[str, Note]:
    """Return the folder's notes by delivery; none when there are none that can be read."""
    try:
        content: Any = json.loads((folder / NOTES_FILE).read_bytes())
        if content["version"] != _VERSION:
            return {}
        return {
            name: Note(
                tuple((str(file), int(size), int(time)) for file, size, time in entry["files"]),
                frozenset(bytes.fromhex(fingerprint) for fingerprint in entry["fingerprints"]),
            )
            for name, entry in content["deliveries"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_notes(folder: Path, notes: Mapping[str, Note]) -> None:
    """Replace the folder's notes at once."""
    content = {
        "version": _VERSION,
        "deliveries": {
            name: {"files": note.stamp, "fingerprints": sorted(value.hex() for value in note.fingerprints)}
            for name, note in sorted(notes.items())
        },
    }
    unfinished = folder / f"{NOTES_FILE}.{os.getpid()}.tmp"
    unfinished.write_text(json.dumps(content))
    unfinished.replace(folder / NOTES_FILE)


def known_deliveries(
    connection: Connection, organization_id: int, deliveries: list[Delivery], notes: Mapping[str, Note]
) -> set[str]:
    """Return the names of the deliveries that are unchanged and completed."""
    unchanged = {
        delivery.name: notes[delivery.name].fingerprints
        for delivery in deliveries
        if delivery.name in notes and notes[delivery.name].stamp == delivery.stamp
    }
    noted = frozenset[bytes]().union(*unchanged.values())
    completed = completed_fingerprints(connection, organization_id, noted)
    return {name for name, fingerprints in unchanged.items() if fingerprints <= completed}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or path.suffix in _UNFINISHED:
            continue
        if path.is_file():
            yield path


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of the file, or of every file of the folder; nothing when it has gone."""
    try:
        files = [path] if path.is_file() else list(_files(path))
        stats = [(file.name, file.stat()) for file in files]
    except FileNotFoundError:
        return ()
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
