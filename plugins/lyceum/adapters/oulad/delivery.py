"""Where the tables of one OULAD delivery lie: members of a zip, or files of a folder. Nothing is ever extracted.

A zip comes from outside, so it is distrusted (`untrusted_zip`).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from lyceum.adapters.untrusted_zip import Contents, files_of, members_of, open_zip
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

_LAYOUT = f"expected the OULAD layout: {', '.join(f'{table}.csv' for table in TABLES)}"
_CONTENTS = Contents(
    layout=f"; {_LAYOUT}",
    few="because a set has seven tables. Make a zip of the seven CSV files alone.",
    example="studentVle.csv",
)


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
        yield Delivery(path, None, _locate(path, files_of(path)))
        return
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder. Expected a zip or a folder; {_LAYOUT}.")
    with open_zip(path, _CONTENTS) as archive:
        found = members_of(path, archive, lambda name: _table_of(name) is not None, _CONTENTS)
        yield Delivery(path, archive, _locate(path, found))


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
