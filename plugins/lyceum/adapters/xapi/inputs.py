"""Files of statements as inputs: found, fingerprinted, and read in chunks whose boundaries the content alone decides."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lyceum.adapters.xapi.blocks import read_blocks
from lyceum.adapters.xapi.reader import StatementReader
from lyceum.adapters.xapi.splitting import Record, Unreadable, split
from lyceum.errors import InputError
from lyceum.records import Chunk, Event, IdentityHasher, Input, Refusal

CHUNK_RECORDS = 20_000
CHUNK_BYTES = 32 * 1024 * 1024
"""A chunk ends with the record that fills either."""
_UNFINISHED = (".part", ".tmp")


@dataclass(frozen=True, slots=True)
class _Version:
    """What tells one content of a file from a later one without reading it."""

    byte_length: int
    modified_ns: int
    inode: int


def open_inputs(path: Path) -> list[Input]:
    """Return the inputs at a path: the file itself, or all files below the folder, sorted by their relative path.

    Hidden files and folders, `*.part` and `*.tmp` are left out: they are still being delivered. Each file is read once for
    its fingerprint, the SHA-256 of its bytes; nothing else is read before its chunks are asked for.
    Raises `InputError` where the path is missing or cannot be read.
    """
    if path.is_dir():
        return [_input(path / name, name) for name in sorted(_names_below(path))]
    if not path.exists():
        raise InputError(f"{path} does not exist. Expected a file of xAPI statements or a folder of such files.")
    return [_input(path, path.name)]


def _names_below(folder: Path) -> Iterator[str]:
    for directory, directories, files in os.walk(folder, onerror=_refuse_folder):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in files:
            path = Path(directory, name)
            if not name.startswith(".") and not name.lower().endswith(_UNFINISHED) and path.is_file():
                yield path.relative_to(folder).as_posix()


def _refuse_folder(error: OSError) -> None:
    raise InputError(f"The folder {error.filename} cannot be read: {error.strerror}. Grant access to it.") from error


def _input(path: Path, name: str) -> Input:
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder. Expected xAPI statements.")
    try:
        with path.open("rb") as stream:
            version = _version(stream.fileno())
            fingerprint = hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Grant access to it, or deliver it again."
        ) from error
    return Input(
        name=name,
        fingerprint=fingerprint,
        byte_length=version.byte_length,
        chunks=partial(_chunks, path, version),
        progress_total=version.byte_length,
        chunks_in_parts=partial(_chunks, path, version),
    )


def _version(file: int) -> _Version:
    status = os.fstat(file)
    return _Version(status.st_size, status.st_mtime_ns, status.st_ino)


def _chunks(
    path: Path, version: _Version, next_ordinal: int, hasher: IdentityHasher, part: int = 0, parts: int = 1
) -> Iterator[Chunk]:
    turns = itertools.cycle(range(parts))
    try:
        with path.open("rb", buffering=0) as stream:
            _require_unchanged(path, version, stream.fileno())
            reader = StatementReader(hasher)
            for first_ordinal, records in in_chunks(split(read_blocks(stream))):
                if first_ordinal >= next_ordinal:
                    if next(turns) == part:
                        yield _chunk(reader, first_ordinal, records, stream.tell())
                elif first_ordinal + len(records) > next_ordinal:
                    raise InputError(
                        f"Record {next_ordinal} of {path} does not begin a chunk; the one around it begins with "
                        f"{first_ordinal}. Continue with the ordinal after a chunk, or from 1."
                    )
            _require_unchanged(path, version, stream.fileno())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Deliver it again.") from error


def _require_unchanged(path: Path, version: _Version, file: int) -> None:
    if _version(file) != version:
        raise InputError(
            f"{path} has changed since its fingerprint was taken. Deliver files complete, then collect again."
        )


def in_chunks(
    lists: Iterator[list[Record]], chunk_records: int = CHUNK_RECORDS, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[int, list[Record]]]:
    """Yield the records in chunks, each with the ordinal of its first one. Only the records decide where a chunk ends."""
    first_ordinal = 1
    chunk: list[Record] = []
    held = 0
    for records in lists:
        for record in records:
            chunk.append(record)
            if type(record) is bytes:
                held += len(record)
            if len(chunk) >= chunk_records or held >= chunk_bytes:
                yield first_ordinal, chunk
                first_ordinal += len(chunk)
                chunk, held = [], 0
    if chunk:
        yield first_ordinal, chunk


def _chunk(reader: StatementReader, first_ordinal: int, records: list[Record], position: int) -> Chunk:
    events: list[Event] = []
    refusals: list[Refusal] = []
    for ordinal, record in enumerate(records, first_ordinal):
        outcome = _refusal_of(record, ordinal) if isinstance(record, Unreadable) else reader.read(record, ordinal)
        if isinstance(outcome, Event):
            events.append(outcome)
        else:
            refusals.append(outcome)
    return Chunk(
        first_ordinal=first_ordinal,
        last_ordinal=first_ordinal + len(records) - 1,
        events=events,
        refusals=refusals,
        position=position,
    )


def _refusal_of(record: Unreadable, ordinal: int) -> Refusal:
    return Refusal(ordinal=ordinal, reason=record.reason, detail=record.detail, byte_length=record.byte_length)


def event_from_payload(payload: bytes, ordinal: int, hasher: IdentityHasher) -> Event | Refusal:
    """Return the event that a payload of this adapter describes, the same as when it was first read but for its ordinal.

    The payload's pseudonyms are taken as they are, so it must come from the organization's own tables, never from outside.
    """
    return StatementReader(hasher, is_replay=True).read(payload, ordinal)
