"""Where the files of one roster lie: members of a zip, or files of a folder. Nothing is ever extracted.

The standard puts the files at the top; one folder around them is tolerated, and so is any case of letters. A zip comes from
outside, so it is distrusted: unsafe names, encryption, unbounded compression methods and ratios that no roster reaches end
in an `InputError` before a byte is read.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lyceum.adapters.oneroster.csv_records import SourceStream
from lyceum.errors import InputError

MAXIMUM_COMPRESSION_RATIO = 200
"""Unpacked bytes to packed bytes. Rosters reach 30; deflate can reach 1,032."""
RATIO_FREE_BYTES = 1024 * 1024
"""Members up to this size are read whatever their ratio."""
MAXIMUM_DIRECTORY_BYTES = 1024 * 1024
"""Size of a zip's table of contents. The standard names 23 files; zipfile loads all of it."""

_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IS_ENCRYPTED = 0x1
_DRIVE = re.compile(r"[A-Za-z]:")
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_ZIP64_END_RECORD = b"PK\x06\x06"
_READ_BYTES = 1024 * 1024


class MemberStream(SourceStream):
    """Sequential reading of one file that hashes what it reads; what goes wrong is an `InputError` that names the file."""

    def __init__(self, stream: IO[bytes], description: str) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.description = description

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, empty at the end."""
        try:
            data = self._stream.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(
                f"{self.description} is damaged: {error}. Expected a member that unpacks to its stated size and "
                "checksum. Copy the zip again or make it anew."
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.description} cannot be read: {error.strerror}. Check the medium and its rights."
            ) from error
        self._digest.update(data)
        return data

    def digest(self) -> bytes:
        """Return the SHA-256 of what was read so far."""
        return self._digest.digest()


@dataclass(frozen=True, slots=True)
class Container:
    """A zip or folder and where in it each wanted file lies."""

    path: Path
    members: dict[str, str]

    @contextmanager
    def open(self, file_name: str) -> Iterator[MemberStream]:
        """Open a file of `members` for sequential reading from its start."""
        member = self.members[file_name]
        description = f"{member} of {self.path}"
        if self.path.is_dir():
            with closing(_open_file(self.path / member, description)) as stream:
                yield MemberStream(stream, description)
            return
        with _open_archive(self.path) as archive, closing(_open_member(archive, member, description)) as unpacked:
            yield MemberStream(unpacked, description)

    def digest(self, file_name: str) -> bytes:
        """Return the SHA-256 of a file's bytes."""
        with self.open(file_name) as stream:
            while stream.read(_READ_BYTES):
                pass
            return stream.digest()


def find_files(path: Path, wanted: Iterable[str]) -> Container:
    """Find the wanted files (such as `users.csv`) in the zip or folder at `path`; which of them are there `members` tells.

    Raises `InputError` when the path is neither, a file lies there twice, or the zip must not be trusted.
    """
    names = {name.casefold(): name for name in wanted}
    if path.is_dir():
        return Container(path, _locate(path, _files_of(path), names))
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder. Expected a zip or a folder of OneRoster CSV files.")
    with _open_archive(path) as archive:
        return Container(path, _locate(path, _members_of(path, archive, names), names))


def _open_file(path: Path, description: str) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(
            f"{description} cannot be opened: {error.strerror}. Check that it exists and may be read."
        ) from error


def _open_member(archive: zipfile.ZipFile, member: str, description: str) -> IO[bytes]:
    try:
        return archive.open(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError) as error:
        raise InputError(
            f"{description} cannot be opened: {error}. Make the zip anew with deflate and no password."
        ) from error


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
            "because a roster has at most 23 files. Make a zip of those files alone."
        )
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable zip ({error}). Expected a zip or a folder of OneRoster CSV files. Copy it again, or "
            "name the folder."
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


def _members_of(path: Path, archive: zipfile.ZipFile, names: dict[str, str]) -> Iterator[str]:
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name):
            raise InputError(
                f"{path} holds a member that points outside of it ({member.filename[:200]!r}). Expected plain names such as "
                "users.csv. The zip may be hostile; ask its sender."
            )
        if not member.is_dir() and PurePosixPath(name).name.casefold() in names:
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


def _locate(path: Path, found: Iterable[str], names: dict[str, str]) -> dict[str, str]:
    members: dict[str, str] = {}
    for member in found:
        location = PurePosixPath(member.replace("\\", "/"))
        name = names.get(location.name.casefold())
        # macOS adds a folder of resource forks, in which every file stands a second time.
        if name is None or len(location.parts) > 2 or location.parts[0] == "__MACOSX":
            continue
        if name in members:
            raise InputError(
                f"{path} holds {name} twice ({members[name]} and {member}). Expected each file once. Remove one, or deliver "
                "two rosters."
            )
        members[name] = member
    return members
