"""Where the files of one roster lie: members of a zip, or files of a folder. Nothing is ever extracted.

The standard puts the files at the top; one folder around them is tolerated, and so is any case of letters. A zip comes from
outside, so it is distrusted (`untrusted_zip`).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lyceum.adapters.oneroster.csv_records import SourceStream
from lyceum.adapters.untrusted_zip import Contents, files_of, members_of, open_zip
from lyceum.errors import InputError

_CONTENTS = Contents(
    layout=" of OneRoster CSV files",
    few="because a roster has at most 23 files. Make a zip of those files alone.",
    example="users.csv",
)
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
        with open_zip(self.path, _CONTENTS) as archive, closing(_open_member(archive, member, description)) as unpacked:
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
        return Container(path, _locate(path, files_of(path), names))
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder. Expected a zip or a folder of OneRoster CSV files.")
    with open_zip(path, _CONTENTS) as archive:
        found = members_of(path, archive, lambda name: PurePosixPath(name).name.casefold() in names, _CONTENTS)
        return Container(path, _locate(path, found, names))


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
