"""From the fields of one record to a row, a function a kind of file.

Each parser looks the columns up once and returns what reads a record; a row that cannot be used raises `RefusedValueError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TypeVar

from lyceum.adapters.oneroster.id_set import IdSet
from lyceum.adapters.oneroster.rows import (
    ClassRow,
    CourseRow,
    EnrollmentRow,
    OrgRow,
    RoleRow,
    Row,
    SessionRow,
    UserRole,
    UserRow,
)
from lyceum.adapters.oneroster.values import (
    Columns,
    RefusedValueError,
    day,
    identifier,
    identifiers,
    user_ids,
    word,
)
from lyceum.adapters.oneroster.vocabulary import BOOLEANS, ENROLLMENT_ROLES, EXTENSION_PREFIX, STATUSES, USER_ROLES

RowT = TypeVar("RowT", bound=Row)
Parse = Callable[[list[str], int], RowT]
"""Takes a record's fields and the line at which it begins."""
Parser = Callable[[Columns], Parse[RowT]]
SessionDays = tuple[date | None, date | None]
"""First day and the day after the last."""

_METADATA = "metadata."


def user_parser(told: Mapping[UserRole, IdSet] | None, *, tells_all: bool) -> Parser[UserRow]:
    """Users whose roles are `told` by roles.csv, or else by the column `role`. `tells_all`: whether roles.csv tells all roles."""

    def parser(columns: Columns) -> Parse[UserRow]:
        sourced_id, status, enabled = columns.text("sourcedId"), columns.text("status"), columns.text("enabledUser")
        role, username, email, ids = (columns.text(name) for name in ("role", "username", "email", "userIds"))
        given, middle, family = (columns.text(name) for name in ("givenName", "middleName", "familyName"))
        preferred_given, preferred_middle, preferred_family = (
            columns.text(name) for name in ("preferredGivenName", "preferredMiddleName", "preferredFamilyName")
        )
        other_id = columns.text("identifier")
        states_role = columns.position("role") is not None

        def parse(fields: list[str], line: int) -> UserRow:
            id_, is_deleted = identifier(sourced_id(fields), "sourcedId"), _is_deleted(status(fields))
            roles: frozenset[UserRole]
            if told is not None:
                roles = frozenset(role for role, users in told.items() if id_ in users)
            elif states_role:
                roles = _user_roles(role(fields), is_required=not is_deleted)
            else:
                roles = frozenset()
            is_enabled = word(enabled(fields) or "true", "enabledUser", BOOLEANS)
            return UserRow(
                sourced_id=id_,
                is_deleted=is_deleted,
                roles=roles,
                tells_all_roles=tells_all if told is not None else states_role,
                username=username(fields) or None,
                email=email(fields) or None,
                user_ids=user_ids(ids(fields), "userIds"),
                enabled=is_enabled is True,
                line=line,
                given_name=given(fields) or None,
                middle_name=middle(fields) or None,
                family_name=family(fields) or None,
                preferred_given_name=preferred_given(fields) or None,
                preferred_middle_name=preferred_middle(fields) or None,
                preferred_family_name=preferred_family(fields) or None,
                identifier=other_id(fields) or None,
            )

        return parse

    return parser


def class_parser(sessions: Mapping[str, SessionDays], *, tells_sessions: bool) -> Parser[ClassRow]:
    """Classes with the days of their terms. `tells_sessions`: whether `sessions` are all there are."""

    def parser(columns: Columns) -> Parse[ClassRow]:
        sourced_id, status, title = columns.text("sourcedId"), columns.text("status"), columns.text("title")
        code, course, terms = (columns.text(name) for name in ("classCode", "courseSourcedId", "termSourcedIds"))
        metadata = columns.starting_with(_METADATA)

        def parse(fields: list[str], line: int) -> ClassRow:
            id_, is_deleted = identifier(sourced_id(fields), "sourcedId"), _is_deleted(status(fields))
            term_ids = identifiers(terms(fields), "termSourcedIds")
            if tells_sessions and not is_deleted and not all(term in sessions for term in term_ids):
                raise RefusedValueError(
                    "unknown_reference",
                    "termSourcedIds names a session that academicSessions.csv lacks. Expected its sourcedIds.",
                )
            days = [sessions[term] for term in term_ids if term in sessions]
            if not title(fields) and not is_deleted:
                raise RefusedValueError("missing_value", "title is blank. Expected the name of the class.")
            return ClassRow(
                sourced_id=id_,
                is_deleted=is_deleted,
                title=title(fields) or None,
                class_code=code(fields) or None,
                course_sourced_id=identifier(course(fields), "courseSourcedId", is_required=False) or None,
                term_sourced_ids=term_ids,
                starts_on=min((starts for starts, _ in days if starts is not None), default=None),
                ends_on=max((ends for _, ends in days if ends is not None), default=None),
                line=line,
                metadata={name: fields[at].strip() for name, at in metadata if fields[at].strip()},
            )

        return parse

    return parser


def _is_deleted(status: str) -> bool:
    return word(status, "status", STATUSES) is True


def _user_roles(text: str, *, is_required: bool) -> frozenset[UserRole]:
    if not text and not is_required:
        return frozenset()
    role = word(text, "role", USER_ROLES, extension=EXTENSION_PREFIX)
    return frozenset() if role is None else frozenset({role})


def _require_reference(text: str, column: str, known: IdSet | None, file_name: str) -> None:
    if known is not None and text not in known:
        raise RefusedValueError(
            "unknown_reference",
            f"{column} names a row that {file_name} lacks, or that was refused there. Expected one of its sourcedIds.",
        )


def role_parser(users: IdSet | None) -> Parser[RoleRow]:
    """Roles of people; `users` are all that there are, None where the delivery does not tell."""

    def parser(columns: Columns) -> Parse[RoleRow]:
        sourced_id, status = columns.text("sourcedId"), columns.text("status")
        user, role = columns.text("userSourcedId"), columns.text("role")

        def parse(fields: list[str], line: int) -> RoleRow:
            id_, is_deleted = identifier(sourced_id(fields), "sourcedId"), _is_deleted(status(fields))
            user_id = identifier(user(fields), "userSourcedId", is_required=not is_deleted)
            means = None
            if role(fields) or not is_deleted:
                means = word(role(fields), "role", USER_ROLES, extension=EXTENSION_PREFIX)
            if not is_deleted:
                _require_reference(user_id, "userSourcedId", users, "users.csv")
            return RoleRow(id_, is_deleted, user_id, means, line)

        return parse

    return parser


def session_parser(columns: Columns) -> Parse[SessionRow]:
    """Academic sessions."""
    sourced_id, status = columns.text("sourcedId"), columns.text("status")
    start, end = columns.text("startDate"), columns.text("endDate")

    def parse(fields: list[str], line: int) -> SessionRow:
        id_, is_deleted = identifier(sourced_id(fields), "sourcedId"), _is_deleted(status(fields))
        starts_on, ends_on = day(start(fields), "startDate"), day(end(fields), "endDate")
        if not is_deleted and (starts_on is None or ends_on is None):
            raise RefusedValueError("missing_value", "startDate or endDate is blank. Expected the days of the session.")
        _require_order(starts_on, ends_on, "startDate", "endDate")
        return SessionRow(id_, is_deleted, starts_on, ends_on, line)

    return parse


def org_parser(columns: Columns) -> Parse[OrgRow]:
    """Organizations in the standard's sense."""
    sourced_id, status = columns.text("sourcedId"), columns.text("status")
    name, kind = columns.text("name"), columns.text("type")

    def parse(fields: list[str], line: int) -> OrgRow:
        id_ = identifier(sourced_id(fields), "sourcedId")
        return OrgRow(id_, _is_deleted(status(fields)), name(fields) or None, kind(fields) or None, line)

    return parse


def course_parser(columns: Columns) -> Parse[CourseRow]:
    """Courses of the catalogue."""
    sourced_id, status = columns.text("sourcedId"), columns.text("status")
    title, code = columns.text("title"), columns.text("courseCode")

    def parse(fields: list[str], line: int) -> CourseRow:
        id_ = identifier(sourced_id(fields), "sourcedId")
        return CourseRow(id_, _is_deleted(status(fields)), title(fields) or None, code(fields) or None, line)

    return parse


def enrollment_parser(classes: IdSet | None, users: IdSet | None) -> Parser[EnrollmentRow]:
    """Enrollments; `classes` and `users` are all that there are, None where the delivery does not tell."""

    def parser(columns: Columns) -> Parse[EnrollmentRow]:
        sourced_id, status, role = columns.text("sourcedId"), columns.text("status"), columns.text("role")
        class_, user = columns.text("classSourcedId"), columns.text("userSourcedId")
        begin, end = columns.text("beginDate"), columns.text("endDate")

        def parse(fields: list[str], line: int) -> EnrollmentRow:
            id_, is_deleted = identifier(sourced_id(fields), "sourcedId"), _is_deleted(status(fields))
            class_id = identifier(class_(fields), "classSourcedId", is_required=not is_deleted)
            user_id = identifier(user(fields), "userSourcedId", is_required=not is_deleted)
            means = None
            if role(fields) or not is_deleted:
                means = word(role(fields), "role", ENROLLMENT_ROLES, extension=EXTENSION_PREFIX)
            begin_on, end_on = day(begin(fields), "beginDate"), day(end(fields), "endDate")
            _require_order(begin_on, end_on, "beginDate", "endDate")
            if not is_deleted:
                _require_reference(class_id, "classSourcedId", classes, "classes.csv")
                _require_reference(user_id, "userSourcedId", users, "users.csv")
            return EnrollmentRow(id_, is_deleted, class_id, user_id, means, begin_on, end_on, line)

        return parse

    return parser


def _require_order(begin: date | None, end: date | None, begin_column: str, end_column: str) -> None:
    if begin is not None and end is not None and end < begin:
        raise RefusedValueError(
            "invalid_value", f"{end_column} is before {begin_column}. Expected the day after the last one, or none."
        )
