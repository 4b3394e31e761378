"""Where the tables of one OULAD delivery lie: members of a zip, or files of a folder. Nothing is ever extracted.

A zip comes from outside, so it is distrusted: unsafe names, encryption, unbounded compression methods and
compression ratios that no table reaches end in an `InputError` before a byte is read.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lyceum.errors import InputError

TABLES = (
    "courses",
    "assessments",
    "vle",
    "studentRegistration",
    "studentVle",
    "studentAssessment",
    "studentInfo",
)

MAXIMUM_COMPRESSION_RATIO = 200
"""Unpacked bytes to packed bytes. The published set reaches 12; deflate can reach 1,032."""
RATIO_FREE_BYTES = 1024 * 1024
"""Members up to this size are read whatever their ratio."""
MAXIMUM_DIRECTORY_BYTES = 1024 * 1024
"""Size of a zip's table of contents. A set of seven tables needs less than 1 KiB; zipfile loads all of it."""

_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IS_ENCRYPTED = 0x1
_DRIVE = re.compile(r"[A-Za-z]:")
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_ZIP64_END_RECORD = b"PK\x06\x06"
_LAYOUT = f"expected the OULAD layout: {', '.join(f'{table}.csv' for table in TABLES)}"


class TableStream:
    """Sequential reading of one table; whatever goes wrong underneath is an `InputError` that names the table."""

    def __init__(self, stream: IO[bytes], description: str) -> None:
        self._stream = stream
        self.description = description

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, empty at the end."""
        try:
            return self._stream.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(
                f"{self.description} is damaged: {error}. Expected a member that unpacks to its stated size and "
                "checksum. Nothing of it was collected; copy the zip again or make it anew."
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.description} cannot be read: {error.strerror}. Check the medium and its rights."
            ) from error


@dataclass(frozen=True, slots=True)
class Delivery:
    """One zip or folder that holds every table of `TABLES` exactly once."""

    path: Path
    _archive: zipfile.ZipFile | None
    _members: dict[str, str]

    @contextmanager
    def open(self, table: str) -> Iterator[TableStream]:
        """Open a table of `TABLES` for sequential reading from its start."""
        member = self._members[table]
        description = f"{member} of {self.path}"
        try:
            stream = self._archive.open(member) if self._archive else (self.path / member).open("rb")
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"{description} cannot be opened: {error}. Make the zip anew with deflate and no password."
            ) from error
        except OSError as error:
            raise InputError(
                f"{description} cannot be opened: {error.strerror}. Check that it exists and may be read."
            ) from error
        with closing(stream):
            yield TableStream(stream, description)


@contextmanager
def open_delivery(path: Path) -> Iterator[Delivery]:
    """Find the tables of the zip or folder at `path`; they may lie one folder deep, in any case of letters.

    Raises `InputError` when the path is neither, a table is missing or ambiguous, or the zip must not be trusted.
    """
    if path.is_dir():
        yield Delivery(path, None, _locate(path, _files_of(path)))
        return
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder. Expected a zip or a folder; {_LAYOUT}.")
    with _open_archive(path) as archive:
        yield Delivery(path, archive, _locate(path, _members_of(path, archive)))


def _files_of(folder: Path) -> Iterator[str]:
    for pattern in ("*", "*/*"):
        for found in sorted(folder.glob(pattern)):
            if found.is_file():
                yield found.relative_to(folder).as_posix()


def _open_archive(path: Path) -> zipfile.ZipFile:
    directory_bytes = _directory_bytes(path)
    if directory_bytes > MAXIMUM_DIRECTORY_BYTES:
        raise InputError(
            f"{path} has a table of contents of {directory_bytes:,} bytes. Expected at most {MAXIMUM_DIRECTORY_BYTES:,}, "
            "because a set has seven tables. Make a zip of the seven CSV files alone."
        )
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable zip ({error}). Expected a zip or a folder; {_LAYOUT}. Copy it again, or name the folder."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}. Check its rights.") from error


def _directory_bytes(path: Path) -> int:
    """Return the stated size of the central directory (APPNOTE.TXT 4.3.14, 4.3.16), 0 where the end record is missing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - _END_RECORD_BYTES - 0xFFFF - _ZIP64_LOCATOR_BYTES)
            file.seek(start)
            tail = file.read()
            end = tail.rfind(_END_RECORD)
            if end < 0:
                return 0
            locator = tail[max(0, end - _ZIP64_LOCATOR_BYTES) : end]
            if locator.startswith(_ZIP64_LOCATOR):
                file.seek(min(int.from_bytes(locator[8:16], "little"), size))
                record = file.read(48)
                if record.startswith(_ZIP64_END_RECORD):
                    return int.from_bytes(record[40:48], "little")
            return int.from_bytes(tail[end + 12 : end + 16], "little")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check that it exists and may be read.") from error


def _members_of(path: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name):
            raise InputError(
                f"{path} holds a member that points outside of it ({member.filename[:200]!r}). Expected plain names such as "
                "studentVle.csv. The zip may be hostile; ask its sender."
            )
        if not member.is_dir() and _table_of(name) is not None:
            _check_member(path, member)
            yield member.filename


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    found = f"{member.filename} of {path}"
    if member.flag_bits & _IS_ENCRYPTED:
        raise InputError(
            f"{found} is encrypted. Expected a zip without a password; unpack it and make it anew, or name the folder."
        )
    if member.compress_type not in _BOUNDED_METHODS:
        raise InputError(
            f"{found} uses compression method {member.compress_type}. Expected stored (0) or deflate (8), which can be "
            "read in bounded memory; make the zip anew with deflate, or unpack it and name the folder."
        )
    if member.file_size > max(RATIO_FREE_BYTES, member.compress_size * MAXIMUM_COMPRESSION_RATIO):
        raise InputError(
            f"{found} would unpack {member.compress_size:,} bytes to {member.file_size:,}. Expected at most "
            f"{MAXIMUM_COMPRESSION_RATIO} times its size. The zip may be hostile; if it is not, unpack it and name the folder."
        )


def _table_of(name: str) -> str | None:
    file_name = PurePosixPath(name).name.casefold()
    return next((table for table in TABLES if file_name == f"{table}.csv".casefold()), None)


def _locate(path: Path, names: Iterable[str]) -> dict[str, str]:
    members: dict[str, str] = {}
    for name in names:
        table = _table_of(name)
        if table is None:
            continue
        if table in members:
            raise InputError(
                f"{path} holds {table}.csv twice ({members[table]} and {name}). Expected each table once; {_LAYOUT}. "
                "Remove one, or deliver two sets."
            )
        members[table] = name
    missing = [f"{table}.csv" for table in TABLES if table not in members]
    if missing:
        raise InputError(f"{path} lacks {', '.join(missing)}; {_LAYOUT}. Add what is missing and deliver it again.")
    return members
