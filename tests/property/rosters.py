"""Rosters that change: what schools say in deliveries that follow on one another, and how OneRoster spells it in CSV files."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from oracle.rosters import Class, Delivery, Enrollment, IdentityRule, Options, Term, User
from property.population import CLUB, SCHOOL

FILES = (
    "academicSessions",
    "categories",
    "classes",
    "classResources",
    "courses",
    "courseResources",
    "demographics",
    "enrollments",
    "lineItems",
    "lineItemLearningObjectiveIds",
    "lineItemScoreScales",
    "orgs",
    "resources",
    "resultLearningObjectiveIds",
    "results",
    "resultScoreScales",
    "roles",
    "scoreScales",
    "userProfiles",
    "userResources",
    "users",
)
MODIFIED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class School:
    """One source: what it was told, and all that it could ever say."""

    options: Options
    users: tuple[User, ...]
    class_ids: tuple[str, ...]
    later_emails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Addresses that a user may turn out to have: each makes it one person with somebody else. No two users of a school
    are ever one person."""


SCHOOLS: Mapping[str, School] = {
    "sis": School(
        Options((IdentityRule("mbox"),), ("https://example.org/courses/{sourced_id}",)),
        (
            User("ann", "Ann@Example.org", "ann"),
            User("bob", "bob@example.org", "bob"),
            User("teacher", "teacher@example.org", "teacher"),
            User("eve", "eve@example.org", "eve"),
        ),
        ("1", "3"),
    ),
    "hr": School(
        Options(
            (IdentityRule("account", SCHOOL, "username"), IdentityRule("mbox")),
            ("course-v1:example+{sourced_id}",),
        ),
        (
            User("h 1", None, "bob 1"),
            User("h 2", "teacher@example.org", "h-2"),
            User("h 3", "fay@example.org", "h-3"),
        ),
        ("2",),
        {"h 1": ("ann@example.org",)},
    ),
    "club": School(
        Options(
            (IdentityRule("account", CLUB, "sourced_id"), IdentityRule("mbox")),
            ("https://example.org/courses/{sourced_id}",),
        ),
        (User("c-7", None, "seven"), User("c-8", "ann@example.org", "eight")),
        ("1",),
        {"c-7": ("teacher@example.org",)},
    ),
}
"""The sources disagree about courses and know some of the same people under other names."""


@dataclass(frozen=True)
class Spelling:
    """How a delivery is written down."""

    name: str
    version: str = "1.2"
    is_zip: bool = False
    newline: str = "\r\n"
    has_mark: bool = False
    columns_backwards: bool = False


SPELLINGS = (
    Spelling("folder"),
    Spelling("version 1.1", version="1.1"),
    Spelling("zip", is_zip=True, newline="\n"),
    Spelling("backwards", has_mark=True, columns_backwards=True),
)


@dataclass
class Desk:
    """Whoever writes the deliveries of one source: knows what was said before."""

    school: School
    users: dict[str, User] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    terms: dict[str, Term] = field(default_factory=dict)
    enrollments: dict[str, Enrollment] = field(default_factory=dict)

    def write(self, delivery: Delivery) -> None:
        """Remember what was said."""
        self.users |= {one.sourced_id: one for one in delivery.users}
        self.classes |= {one.sourced_id: one for one in delivery.classes}
        self.terms |= {one.sourced_id: one for one in delivery.terms}
        if delivery.is_full:
            self.enrollments = {}
        for one in delivery.enrollments:
            if one.is_deleted:
                self.enrollments.pop(one.sourced_id, None)
            else:
                self.enrollments[one.sourced_id] = one


BEGINS = (None, None, -400, -30, -8, -7, -6, -1, 0, 1, 3, 20)
LENGTHS = (None, None, 1, 4, 7, 10, 60)
TERM_STARTS = (-90, -14, -2, 0, 5)


@st.composite
def deliveries(draw: st.DrawFn, desk: Desk, today: date) -> Delivery:
    """What comes next of a source. The first is full, and names its people, terms and classes."""
    is_full = not desk.classes or draw(st.booleans())
    school = desk.school
    terms = tuple(Term(f"t{number}", today + timedelta(days=draw(st.sampled_from(TERM_STARTS)))) for number in range(2))
    if desk.terms and draw(st.integers(0, 3)) > 0:
        terms = tuple(desk.terms.values())
    classes = desk.classes
    if not classes or draw(st.integers(0, 3)) == 0:
        classes = {
            name: Class(name, tuple(draw(st.lists(st.sampled_from(["t0", "t1"]), unique=True))))
            for name in school.class_ids
        }
    users = {one.sourced_id: one for one in school.users} | desk.users
    for sourced_id, emails in school.later_emails.items():
        if draw(st.integers(0, 5)) == 0:
            users[sourced_id] = replace(users[sourced_id], email=draw(st.sampled_from(emails)))

    fresh = {
        f"e{number}": draw(_enrollments(f"e{number}", sorted(school.class_ids), sorted(users), today))
        for number in draw(st.lists(st.integers(1, 6), min_size=0 if desk.enrollments else 2, max_size=4, unique=True))
    }
    gone = draw(st.lists(st.sampled_from(sorted(desk.enrollments)), max_size=2)) if desk.enrollments else []
    if is_full:
        kept = {name: one for name, one in (desk.enrollments | fresh).items() if name not in gone}
        return Delivery(True, tuple(users.values()), terms, tuple(classes.values()), tuple(kept.values()))
    deleted = {name: replace(desk.enrollments[name], is_deleted=True) for name in gone}
    changed_users = tuple(one for one in users.values() if desk.users.get(one.sourced_id) != one)
    # A class is told together with its terms.
    if desk.classes == classes and tuple(desk.terms.values()) == terms:
        terms, classes = (), {}
    changed = tuple((fresh | deleted).values())
    if not changed and not classes:
        changed_users = tuple(users.values())
    return Delivery(False, changed_users, terms, tuple(classes.values()), changed)


@st.composite
def _enrollments(
    draw: st.DrawFn, sourced_id: str, class_ids: Sequence[str], user_ids: Sequence[str], today: date
) -> Enrollment:
    begin, length = draw(st.sampled_from(BEGINS)), draw(st.sampled_from(LENGTHS))
    begins_on = None if begin is None else today + timedelta(days=begin)
    return Enrollment(
        sourced_id,
        draw(st.sampled_from(class_ids)),
        draw(st.sampled_from(user_ids)),
        draw(st.sampled_from(["learner", "learner", "trainer"])),
        begins_on,
        None if length is None else (begins_on or today) + timedelta(days=length),
    )


def configuration(options: Options) -> dict[str, Any]:
    """The options of a source as they are stored."""
    rules = [
        {"kind": rule.kind} | ({"home_page": rule.home_page, "name": rule.name} if rule.kind == "account" else {})
        for rule in options.identity_rules
    ]
    return {"identity_rules": rules, "activity_templates": list(options.activity_templates)}


def spell(delivery: Delivery, spelling: Spelling = SPELLINGS[0]) -> dict[str, bytes]:
    """The files of a delivery: everything of a full one, and of any other one the files that say something."""
    tables = _tables(delivery, spelling.version)
    if not delivery.is_full:
        tables = {name: rows for name, rows in tables.items() if rows}
    mode = "bulk" if delivery.is_full else "delta"
    properties = {"manifest.version": "1.0", "oneroster.version": spelling.version}
    properties |= {f"file.{name}": mode if name in tables else "absent" for name in FILES}
    properties |= {"source.systemName": "School", "source.systemCode": "school"}
    manifest = [{"propertyName": name, "value": value} for name, value in properties.items()]
    files = {f"{name}.csv": _csv(_columns(name, spelling), rows, spelling) for name, rows in tables.items()}
    return {"manifest.csv": _csv(("propertyName", "value"), manifest, spelling), **files}


def write(files: Mapping[str, bytes], path: Path, *, is_zip: bool) -> Path:
    """Write files into a folder, or a zip beside it; return what was made."""
    if is_zip:
        path = path.with_suffix(".zip")
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def _tables(delivery: Delivery, version: str) -> dict[str, list[dict[str, str]]]:
    """What the rows of each file say, but for columns that are blank."""
    common = {} if delivery.is_full else {"status": "active", "dateLastModified": MODIFIED}
    tables = {
        "academicSessions": [
            {
                "sourcedId": one.sourced_id,
                "title": one.sourced_id,
                "type": "term",
                "startDate": one.starts_on.isoformat(),
                "endDate": (one.starts_on + timedelta(days=120)).isoformat(),
                "schoolYear": str(one.starts_on.year),
            }
            for one in delivery.terms
        ],
        "classes": [
            {
                "sourcedId": one.sourced_id,
                "title": f"Class {one.sourced_id}",
                "courseSourcedId": "subject",
                "classType": "scheduled",
                "schoolSourcedId": "school",
                "termSourcedIds": ",".join(one.term_ids),
            }
            for one in delivery.classes
        ],
        "users": [
            {
                "sourcedId": one.sourced_id,
                "enabledUser": "true",
                "orgSourcedIds": "school",
                "role": "student",
                "username": one.username or "",
                "userIds": f"{{LDAP:{one.sourced_id}}}",
                "givenName": 'Jürgen, "Jo"',
                "familyName": "O'Neill",
                "email": one.email or "",
            }
            for one in delivery.users
        ],
        "enrollments": [
            {
                "sourcedId": one.sourced_id,
                "status": "tobedeleted" if one.is_deleted else common.get("status", ""),
                "classSourcedId": one.class_id,
                "schoolSourcedId": "school",
                "userSourcedId": one.user_id,
                "role": {"learner": "student", "trainer": "teacher"}[one.role],
                "primary": "false" if one.role == "learner" else "true",
                "beginDate": "" if one.begins_on is None else one.begins_on.isoformat(),
                "endDate": "" if one.ends_on is None else one.ends_on.isoformat(),
            }
            for one in delivery.enrollments
        ],
    }
    if version == "1.2":
        tables["roles"] = [
            {
                "sourcedId": f"r-{one.sourced_id}",
                "userSourcedId": one.sourced_id,
                "roleType": "primary",
                "role": "student",
                "orgSourcedId": "school",
            }
            for one in delivery.users
        ]
    if delivery.is_full:
        tables["orgs"] = [{"sourcedId": "school", "name": "School", "type": "school"}]
        tables["courses"] = [{"sourcedId": "subject", "title": "Subject", "orgSourcedId": "school"}]
    return {name: [common | row for row in rows] for name, rows in tables.items()}


COLUMNS = {
    "academicSessions": "title type startDate endDate parentSourcedId schoolYear",
    "classes": (
        "title grades courseSourcedId classCode classType location schoolSourcedId termSourcedIds subjects subjectCodes "
        "periods"
    ),
    "courses": "schoolYearSourcedId title courseCode grades orgSourcedId subjects subjectCodes",
    "enrollments": "classSourcedId schoolSourcedId userSourcedId role primary beginDate endDate",
    "orgs": "name type identifier parentSourcedId",
    "roles": "userSourcedId roleType role beginDate endDate orgSourcedId userProfileSourcedId",
    "users": (
        "enabledUser username userIds givenName familyName middleName identifier email sms phone agentSourcedIds grades "
        "password userMasterIdentifier resourceSourcedIds preferredGivenName preferredMiddleName preferredFamilyName "
        "primaryOrgSourcedId pronouns"
    ),
}
USERS_OF_1_1 = (
    "enabledUser orgSourcedIds role username userIds givenName familyName middleName identifier email sms phone "
    "agentSourcedIds grades password"
)


def _columns(name: str, spelling: Spelling) -> list[str]:
    stated = USERS_OF_1_1 if (name, spelling.version) == ("users", "1.1") else COLUMNS[name]
    columns = ["sourcedId", "status", "dateLastModified", *stated.split()]
    return columns[::-1] if spelling.columns_backwards else columns


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, str]], spelling: Spelling) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator=spelling.newline)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig" if spelling.has_mark else "utf-8")
