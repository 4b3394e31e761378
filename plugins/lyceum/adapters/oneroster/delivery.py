"""One delivery of a roster: which files it has, and their rows as a stream.

Dates: `beginDate` of an enrollment is inclusive, `endDate` exclusive, and so are `startDate` and `endDate` of an academic session
(OneRoster 1.1 information model, classes Enrollment and AcademicSession; OneRoster 1.2 CSV Binding, tables of enrollments.csv and
academicSessions.csv).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from lyceum.adapters.oneroster.container import Container, MemberStream, find_files
from lyceum.adapters.oneroster.csv_records import CsvRecords
from lyceum.adapters.oneroster.id_set import IdSet
from lyceum.adapters.oneroster.manifest import KINDS, MANIFEST, read_manifest
from lyceum.adapters.oneroster.row_parsers import (
    Parse,
    Parser,
    RowT,
    SessionDays,
    class_parser,
    course_parser,
    enrollment_parser,
    org_parser,
    role_parser,
    session_parser,
    user_parser,
)
from lyceum.adapters.oneroster.rows import (
    ClassRow,
    CourseRow,
    EnrollmentRow,
    FileCounts,
    FileMode,
    OrgRow,
    RefusedRow,
    RoleRow,
    Row,
    SessionRow,
    UserRole,
    UserRow,
)
from lyceum.adapters.oneroster.values import Columns, RefusedValueError
from lyceum.adapters.oneroster.vocabulary import REQUIRED_COLUMNS
from lyceum.errors import InputError

_OPTIONAL_COLUMNS = (
    "status",
    "role",
    "username",
    "email",
    "userIds",
    "givenName",
    "middleName",
    "familyName",
    "preferredGivenName",
    "preferredMiddleName",
    "preferredFamilyName",
    "identifier",
    "enabledUser",
    "classCode",
    "courseSourcedId",
    "termSourcedIds",
    "beginDate",
    "endDate",
)


@dataclass(slots=True)
class _Known:
    """What was learned by reading, kept for later readings of the same delivery."""

    counts: dict[str, FileCounts] = field(default_factory=dict)
    repeated: dict[str, set[int]] = field(default_factory=dict)
    accepted: dict[str, IdSet] = field(default_factory=dict)
    roles: dict[UserRole, IdSet] | None = None
    sessions: dict[str, SessionDays] | None = None


@dataclass(frozen=True, slots=True)
class RosterDelivery:
    """One zip or folder of OneRoster CSV files.

    `version` is `1.1` or `1.2`. `fingerprint` is the SHA-256 of the names and contents of the files that are read: a zip and
    a folder of the same files have the same. `files` tells the mode of every kind of `manifest.KINDS`.

    Each method reads its file from the start and yields its rows in order, refused rows among them; a file that is absent has
    none. Of two rows with one sourcedId the first accepted counts: an exact repeat is ignored, anything else is a `conflict`.
    A reference is checked where the file that it points into is bulk, and so is there as a whole.

    Every method may raise `InputError` when a file as a whole cannot be read, or is not what it was when it was opened.
    """

    version: str
    fingerprint: bytes
    name: str
    files: Mapping[str, FileMode]
    _container: Container = field(repr=False, compare=False)
    _digests: Mapping[str, bytes] = field(repr=False, compare=False)
    _known: _Known = field(repr=False, compare=False)

    @property
    def counts(self) -> Mapping[str, FileCounts]:
        """What became of the rows of each file (by its name, such as `users.csv`) that has been read to its end."""
        return MappingProxyType(self._known.counts)

    def users(self) -> Iterator[UserRow | RefusedRow]:
        """Yield the people. In 1.2 their roles come from roles.csv, whose own refused rows only `roles` yields."""
        yield from self._rows("users", user_parser(self._users_by_role(), tells_all=self.files["roles"] == "bulk"))

    def roles(self) -> Iterator[RoleRow | RefusedRow]:
        """Yield the rows of roles.csv (1.2)."""
        yield from self._rows("roles", role_parser(self._references_into("users")))

    def academic_sessions(self) -> Iterator[SessionRow | RefusedRow]:
        """Yield the terms, semesters, school years and grading periods."""
        yield from self._rows("academicSessions", session_parser)

    def orgs(self) -> Iterator[OrgRow | RefusedRow]:
        """Yield the schools, districts and departments."""
        yield from self._rows("orgs", org_parser)

    def courses(self) -> Iterator[CourseRow | RefusedRow]:
        """Yield the courses of the catalogue."""
        yield from self._rows("courses", course_parser)

    def classes(self) -> Iterator[ClassRow | RefusedRow]:
        """Yield the classes, each with the days of its terms."""
        yield from self._rows("classes", self._class_parser())

    def enrollments(self) -> Iterator[EnrollmentRow | RefusedRow]:
        """Yield who takes part in which class, in bounded memory: some bytes a row, whatever its length."""
        yield from self._rows(
            "enrollments", enrollment_parser(self._references_into("classes"), self._references_into("users"))
        )

    def _rows(self, kind: str, parser: Parser[RowT], *, is_counted: bool = True) -> Iterator[RowT | RefusedRow]:
        if self.files[kind] == "absent":
            return
        file_name = f"{kind}.csv"
        repeated = self._repeated(kind)
        first_rows: dict[str, RowT] = {}
        accepted = array("q")
        rows_read = rows_refused = 0
        with self._container.open(file_name) as stream:
            records = CsvRecords(stream)
            parse = parser(_columns(kind, records, stream.description))
            for line, fields in records.records():
                rows_read += 1
                row = _row(file_name, parse, line, fields)
                if not isinstance(row, RefusedRow) and repeated and hash(row.sourced_id) in repeated:
                    first = first_rows.setdefault(row.sourced_id, row)
                    if first is not row:
                        if first == row:
                            continue
                        row = _conflict(file_name, row.line, first.line)
                if isinstance(row, RefusedRow):
                    rows_refused += 1
                else:
                    accepted.append(hash(row.sourced_id))
                yield row
            self._check_unchanged(file_name, stream)
        self._known.accepted[kind] = IdSet(accepted)
        if is_counted:
            self._known.counts[file_name] = FileCounts(
                rows_read, len(accepted), rows_refused, rows_read - len(accepted) - rows_refused
            )

    def _repeated(self, kind: str) -> set[int]:
        """Return the hashes of the sourcedIds that stand in more than one row: only those rows need be remembered."""
        if kind not in self._known.repeated:
            hashes = array("q")
            with self._container.open(f"{kind}.csv") as stream:
                records = CsvRecords(stream)
                sourced_id = _columns(kind, records, stream.description).text("sourcedId")
                hashes.extend(
                    hash(sourced_id(fields)) for _, fields in records.records() if not isinstance(fields, str)
                )
            self._known.repeated[kind] = IdSet(hashes).repeated()
        return self._known.repeated[kind]

    def _references_into(self, kind: str) -> IdSet | None:
        """Return the ids that rows may refer to, None where the delivery does not tell them all."""
        if self.files[kind] != "bulk":
            return None
        if kind not in self._known.accepted:
            # Whether a user is accepted does not depend on what roles.csv tells, which refers to users itself.
            told = None if self.files["roles"] == "absent" else dict[UserRole, IdSet]()
            rows: Iterator[Row | RefusedRow] = (
                self._rows(kind, user_parser(told, tells_all=False), is_counted=False)
                if kind == "users"
                else self._rows(kind, self._class_parser(), is_counted=False)
            )
            for _ in rows:
                pass
        return self._known.accepted[kind]

    def _users_by_role(self) -> dict[UserRole, IdSet] | None:
        """Return who has which role by roles.csv, None where there is no such file."""
        if self.files["roles"] == "absent":
            return None
        if self._known.roles is None:
            hashes: dict[UserRole, array[int]] = {
                "learner": array("q"),
                "trainer": array("q"),
                "org_admin": array("q"),
            }
            parser = role_parser(self._references_into("users"))
            for row in self._rows("roles", parser, is_counted=False):
                if isinstance(row, RoleRow) and row.role is not None and not row.is_deleted:
                    hashes[row.role].append(hash(row.user_sourced_id))
            self._known.roles = {role: IdSet(users) for role, users in hashes.items()}
        return self._known.roles

    def _days_of_sessions(self) -> dict[str, SessionDays]:
        if self._known.sessions is None:
            self._known.sessions = {
                row.sourced_id: (row.starts_on, row.ends_on)
                for row in self._rows("academicSessions", session_parser, is_counted=False)
                if isinstance(row, SessionRow)
            }
        return self._known.sessions

    def _class_parser(self) -> Parser[ClassRow]:
        tells_sessions = self.files["academicSessions"] == "bulk"
        return class_parser(self._days_of_sessions(), tells_sessions=tells_sessions)

    def _check_unchanged(self, file_name: str, stream: MemberStream) -> None:
        if stream.digest() != self._digests[file_name]:
            raise InputError(
                f"{stream.description} changed while the roster was read. Expected files that stay as they are once they lie "
                "there. Deliver the roster under another name, complete, and rename it last."
            )


def open_roster(path: Path) -> RosterDelivery:
    """Open the zip or folder at `path`. Reads every file once, for the fingerprint; holds nothing open.

    Raises `InputError` when it is no OneRoster 1.1 or 1.2 delivery, or must not be trusted.
    """
    container = find_files(path, (MANIFEST, *(f"{kind}.csv" for kind in KINDS)))
    manifest = read_manifest(container)
    used = [f"{kind}.csv" for kind in KINDS if manifest.files[kind] != "absent"]
    digests = {
        name: container.digest(name) for name in (*used, *(name for name in container.members if name == MANIFEST))
    }
    for kind in KINDS:
        if manifest.files[kind] != "absent":
            with container.open(f"{kind}.csv") as stream:
                _columns(kind, CsvRecords(stream), stream.description)
    fingerprint = hashlib.sha256()
    for name in sorted(digests):
        fingerprint.update(f"{name}\n".encode() + digests[name])
    return RosterDelivery(
        version=manifest.version,
        fingerprint=fingerprint.digest(),
        name=path.name,
        files=MappingProxyType(manifest.files),
        _container=container,
        _digests=digests,
        _known=_Known(),
    )


def _columns(kind: str, records: CsvRecords, description: str) -> Columns:
    columns = Columns(records.header)
    missing = [name for name in REQUIRED_COLUMNS[kind] if columns.position(name) is None]
    if missing:
        raise InputError(
            f"{description} has no column {', '.join(missing)}. Expected a first line that names the standard's columns, "
            "separated by commas. Export the file again, with its header."
        )
    used = {name.casefold() for name in (*REQUIRED_COLUMNS[kind], *_OPTIONAL_COLUMNS)}
    repeated = [name for name in columns.repeated() if name in used]
    if repeated:
        raise InputError(
            f"{description} has the column {', '.join(repeated)} twice. Expected each column once. Export the file again."
        )
    return columns


def _row(file_name: str, parse: Parse[RowT], line: int, fields: list[str] | str) -> RowT | RefusedRow:
    if isinstance(fields, str):
        return RefusedRow(file_name, line, "malformed", fields)
    try:
        return parse(fields, line)
    except RefusedValueError as problem:
        return RefusedRow(file_name, line, problem.reason, problem.detail)


def _conflict(file_name: str, line: int, first_line: int) -> RefusedRow:
    return RefusedRow(
        file_name,
        line,
        "conflict",
        f"sourcedId stands with other values in line {first_line} already. Expected one row an id; the first counts.",
    )
