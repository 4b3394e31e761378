"""What a roster says, row by row. Identifying fields never appear in a `repr`: a sourcedId may spell a person's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

FileMode = Literal["bulk", "delta", "absent"]
"""How a file of the delivery is to be read: as all there is, as changes, or not at all."""

Reason = Literal["malformed", "missing_value", "invalid_value", "unknown_reference", "conflict"]
UserRole = Literal["learner", "trainer", "org_admin"]
EnrollmentRole = Literal["learner", "trainer"]


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be used. `line` counts from 1, the header; `detail` names column and rule, never a value."""

    file_name: str
    line: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class UserRow:
    """One person.

    `roles` are those of users.csv (1.1) or of this delivery's roles.csv (1.2), without the role rows that are deleted;
    `tells_all_roles` is False where roles.csv tells changes only (delta) or is absent. `user_ids` are the (type, identifier)
    pairs of `userIds`. `preferred` names are of 1.2. A deleted row may state no more than its `sourced_id`.
    """

    sourced_id: str = field(repr=False)
    is_deleted: bool
    roles: frozenset[UserRole]
    tells_all_roles: bool
    username: str | None = field(repr=False)
    email: str | None = field(repr=False)
    user_ids: tuple[tuple[str, str], ...] = field(repr=False)
    enabled: bool
    line: int = field(compare=False)
    given_name: str | None = field(default=None, repr=False)
    middle_name: str | None = field(default=None, repr=False)
    family_name: str | None = field(default=None, repr=False)
    preferred_given_name: str | None = field(default=None, repr=False)
    preferred_middle_name: str | None = field(default=None, repr=False)
    preferred_family_name: str | None = field(default=None, repr=False)
    identifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One role of one person (roles.csv of 1.2). `role` is None for roles that Lyceum has no use for (see `vocabulary`)."""

    sourced_id: str = field(repr=False)
    is_deleted: bool
    user_sourced_id: str = field(repr=False)
    role: UserRole | None
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """An academic session: a term, semester, school year or grading period. `ends_on` is exclusive."""

    sourced_id: str
    is_deleted: bool
    starts_on: date | None
    ends_on: date | None
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class OrgRow:
    """An organization in the standard's sense: a school, district, department, …"""

    sourced_id: str
    is_deleted: bool
    name: str | None
    kind: str | None
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class CourseRow:
    """A course of the catalogue. What people enroll in is a class of it."""

    sourced_id: str
    is_deleted: bool
    title: str | None
    course_code: str | None
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class: what Lyceum calls a course.

    `starts_on` and `ends_on` (exclusive) are the earliest start and the latest end of its terms as far as this delivery
    tells them: None for a class without terms, and for one whose terms came with an earlier delivery. `metadata` has the
    `metadata.*` columns that have a value, by their names as delivered.
    """

    sourced_id: str
    is_deleted: bool
    title: str | None
    class_code: str | None
    course_sourced_id: str | None
    term_sourced_ids: tuple[str, ...]
    starts_on: date | None
    ends_on: date | None
    line: int = field(compare=False)
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class EnrollmentRow:
    """One person's part in one class, from `begin_on` (inclusive) to `end_on` (exclusive), None where not stated.

    `role` is None for those who neither learn nor teach. A deleted row may have blank ids of class and user.
    """

    sourced_id: str = field(repr=False)
    is_deleted: bool
    class_sourced_id: str
    user_sourced_id: str = field(repr=False)
    role: EnrollmentRole | None
    begin_on: date | None
    end_on: date | None
    line: int = field(compare=False)


Row = UserRow | RoleRow | SessionRow | OrgRow | CourseRow | ClassRow | EnrollmentRow


@dataclass(frozen=True, slots=True)
class FileCounts:
    """How many rows of one file were read and what became of them. `ignored` are exact repeats of an accepted row."""

    rows_read: int = 0
    rows_accepted: int = 0
    rows_refused: int = 0
    rows_ignored: int = 0
