"""What `manifest.csv` says: the version of the standard and how each file is to be read.

A delivery without a manifest is read as complete: every file that lies there is bulk, and its headers tell the version.
"""

from __future__ import annotations

from dataclasses import dataclass

from lyceum.adapters.oneroster.container import Container
from lyceum.adapters.oneroster.csv_records import CsvRecords
from lyceum.adapters.oneroster.rows import FileMode
from lyceum.errors import InputError

MANIFEST = "manifest.csv"
KINDS = ("academicSessions", "orgs", "courses", "classes", "users", "roles", "enrollments")
"""The files that are read, each named `<kind>.csv`. The standard's other files are never opened."""

_MODES: dict[str, FileMode] = {"bulk": "bulk", "delta": "delta", "absent": "absent"}
_ONLY_IN_1_2 = ("userMasterIdentifier", "primaryOrgSourcedId", "preferredGivenName")


@dataclass(frozen=True, slots=True)
class Manifest:
    """`version` is `1.1` or `1.2`; `files` has the mode of every kind of `KINDS`."""

    version: str
    files: dict[str, FileMode]


def read_manifest(container: Container) -> Manifest:
    """Return what the delivery says of itself.

    Raises `InputError` when the manifest cannot be understood, names a file that is not there, or does not mention one that is.
    """
    if MANIFEST not in container.members:
        return _without_manifest(container)
    properties = _properties(container)
    return Manifest(_version(container, properties), {kind: _mode(container, properties, kind) for kind in KINDS})


def _properties(container: Container) -> dict[str, str]:
    properties: dict[str, str] = {}
    with container.open(MANIFEST) as stream:
        records = CsvRecords(stream)
        for line, fields in (1, list(records.header)), *records.records():
            if isinstance(fields, str) or len(fields) < 2:
                raise InputError(
                    f"Line {line} of {stream.description} cannot be read. Expected two columns, propertyName and value. "
                    "Correct the manifest and deliver the roster again."
                )
            properties[fields[0].strip().rstrip("*").casefold()] = fields[1].strip().casefold()
    return properties


def _version(container: Container, properties: dict[str, str]) -> str:
    stated = properties.get("oneroster.version", "")
    for version in ("1.2", "1.1"):
        if stated == version or stated.startswith(f"{version}."):
            return version
    raise InputError(
        f"{MANIFEST} of {container.path} states oneroster.version {stated[:20]!r}. Expected 1.2 or 1.1. Export the roster in "
        "one of these versions."
    )


def _mode(container: Container, properties: dict[str, str], kind: str) -> FileMode:
    stated = properties.get(f"file.{kind}".casefold())
    is_there = f"{kind}.csv" in container.members
    if stated is None:
        if not is_there:
            return "absent"
        raise InputError(
            f"{container.path} holds {kind}.csv, but {MANIFEST} has no file.{kind}. Expected it to say bulk, delta or absent. "
            "Complete the manifest and deliver the roster again."
        )
    if stated not in _MODES:
        raise InputError(
            f"{MANIFEST} of {container.path} states an unknown mode for file.{kind}. Expected bulk, delta or absent. Correct "
            "the manifest and deliver the roster again."
        )
    if stated != "absent" and not is_there:
        raise InputError(
            f"{MANIFEST} of {container.path} says that {kind}.csv is {stated}, but the file is not there. Expected it beside "
            "the manifest. Add it, or say absent, and deliver the roster again."
        )
    return _MODES[stated]


def _without_manifest(container: Container) -> Manifest:
    files: dict[str, FileMode] = {kind: "bulk" if f"{kind}.csv" in container.members else "absent" for kind in KINDS}
    if all(mode == "absent" for mode in files.values()):
        raise InputError(
            f"{container.path} holds none of {', '.join(f'{kind}.csv' for kind in KINDS)}. Expected a OneRoster 1.2 or 1.1 "
            "delivery with these files and a manifest.csv. Check that it is the right zip or folder."
        )
    return Manifest("1.2" if _has_columns_of_1_2(container, files) else "1.1", files)


def _has_columns_of_1_2(container: Container, files: dict[str, FileMode]) -> bool:
    if files["roles"] == "bulk":
        return True
    if files["users"] != "bulk":
        return False
    with container.open("users.csv") as stream:
        header = [name.casefold() for name in CsvRecords(stream).header]
    return any(name.casefold() in header for name in _ONLY_IN_1_2) and "role" not in header
