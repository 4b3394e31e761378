"""Zips that come from outside: looked at before a byte is read, and never extracted.

Unsafe names, encryption, unbounded compression methods, ratios that no table of text reaches and tables of contents that
fill the memory end in an `InputError`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lyceum.errors import InputError

MAXIMUM_COMPRESSION_RATIO = 200
"""Unpacked bytes to packed bytes. Rosters reach 30, the published OULAD set 12; deflate can reach 1,032."""
RATIO_FREE_BYTES = 1024 * 1024
"""Members up to this size are read whatever their ratio."""
MAXIMUM_DIRECTORY_BYTES = 1024 * 1024
"""Size of a zip's table of contents. A few dozen files need some KiB; zipfile loads all of it."""

_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_IS_ENCRYPTED = 0x1
_DRIVE = re.compile(r"[A-Za-z]:")
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_BYTES = 20
_ZIP64_END_RECORD = b"PK\x06\x06"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a delivery is made of, as messages say it.

    `layout` completes "Expected a zip or a folder", `few` the reason why a table of contents is small and what to do,
    `example` is the name of a file in it.
    """

    layout: str
    few: str
    example: str


def open_zip(path: Path, contents: Contents) -> zipfile.ZipFile:
    """Open a zip whose table of contents is small enough to load. Raises `InputError`."""
    directory_bytes = _directory_bytes(path)
    if directory_bytes > MAXIMUM_DIRECTORY_BYTES:
        raise InputError(
            f"{path} has a table of contents of {directory_bytes:,} bytes. Expected at most {MAXIMUM_DIRECTORY_BYTES:,}, "
            f"{contents.few}"
        )
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable zip ({error}). Expected a zip or a folder{contents.layout}. Copy it again, or name the "
            "folder."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}. Check its rights.") from error


def members_of(
    path: Path, archive: zipfile.ZipFile, is_wanted: Callable[[str], bool], contents: Contents
) -> Iterator[str]:
    """Yield the names of the members that are wanted, by their name with slashes. Raises `InputError`.

    A name that points outside is refused whoever wants it; what is wanted must also unpack in bounded memory.
    """
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or _DRIVE.match(name):
            raise InputError(
                f"{path} holds a member that points outside of it ({member.filename[:200]!r}). Expected plain names such as "
                f"{contents.example}. The zip may be hostile; ask its sender."
            )
        if not member.is_dir() and is_wanted(name):
            _check_member(path, member)
            yield member.filename


def files_of(folder: Path) -> Iterator[str]:
    """Yield the files of a folder, and of the folders in it, by their names with slashes: those at the top first."""
    for pattern in ("*", "*/*"):
        for found in sorted(folder.glob(pattern)):
            if found.is_file():
                yield found.relative_to(folder).as_posix()


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
