"""Rosters and the activity beside them, written in a line: OneRoster folders, and xAPI statements of people with e-mail."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lyceum import organizations
from lyceum.analytics import build as builds
from lyceum.collect import collect_paths
from lyceum.database import Connection
from lyceum.roster import RosterReport, apply_roster, configure_source
from lyceum.sealing import seal_due_weeks
from warehouse import Warehouse

HOME_PAGE = "https://lms.example"
COURSE_TYPE = "http://adlnet.gov/expapi/activities/course"
OPTIONS = {
    "identity_rules": [{"kind": "mbox"}, {"kind": "account", "home_page": HOME_PAGE, "name": "username"}],
    "activity_templates": ["https://lms.example/courses/{sourced_id}"],
}
VERBS = {
    "viewed": "http://id.tincanapi.com/verb/viewed",
    "evaluated": "http://www.tincanapi.co.uk/verbs/evaluated",
    "completed": "http://adlnet.gov/expapi/verbs/completed",
    "posted": "http://adlnet.gov/expapi/verbs/asked",
}


def course(name: str) -> str:
    """Return the activity IRI of a class."""
    return f"https://lms.example/courses/{name}"


@dataclass
class Roster:
    """A OneRoster 1.1 export. Users are (sourcedId, role, username, email), enrollments (sourcedId, class, user, role, from, to)."""

    users: Sequence[tuple[str, str, str, str]] = ()
    classes: Sequence[tuple[str, str]] = ()
    enrollments: Sequence[tuple[str, str, str, str, str, str]] = ()
    deleted: Iterable[str] = ()
    is_delta: bool = False

    def write(self, folder: Path) -> Path:
        """Write the files into a folder that does not exist yet."""
        folder.mkdir(parents=True)
        mode = "delta" if self.is_delta else "bulk"
        deleted = set(self.deleted)

        def table(name: str, header: str, rows: Iterable[Sequence[str]]) -> None:
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header.split(","), *rows])

        def state(key: str) -> list[str]:
            if not self.is_delta:
                return ["", ""]
            return ["tobedeleted" if key in deleted else "active", "2026-01-01T00:00:00.000Z"]

        table(
            "manifest.csv",
            "propertyName,value",
            [
                ("manifest.version", "1.0"),
                ("oneroster.version", "1.1"),
                *((f"file.{kind}", mode) for kind in ("users", "classes", "enrollments")),
                *((f"file.{kind}", "absent") for kind in ("academicSessions", "orgs", "courses", "demographics")),
            ],
        )
        table(
            "users.csv",
            "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,"
            "identifier,email,sms,phone,agentSourcedIds,grades,password",
            [
                [
                    key,
                    *state(key),
                    "true",
                    "s1",
                    role,
                    username,
                    "",
                    "Given",
                    "Family",
                    "",
                    "",
                    email,
                    "",
                    "",
                    "",
                    "",
                    "",
                ]
                for key, role, username, email in self.users
            ],
        )
        table(
            "classes.csv",
            "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,"
            "termSourcedIds,subjects,subjectCodes,periods",
            [
                [key, *state(key), title, "", "c1", "", "scheduled", "", "s1", "", "", "", ""]
                for key, title in self.classes
            ],
        )
        table(
            "enrollments.csv",
            "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
            [
                [key, *state(key), class_id, "s1", user, role, "", begin, end]
                for key, class_id, user, role, begin, end in self.enrollments
            ],
        )
        return folder


@dataclass
class Campus:
    """An organization that gets activity and rosters, builds, and is asked what it says."""

    warehouse: Warehouse
    folder: Path
    slug: str = "campus"
    zone: str = "UTC"
    _count: int = 0
    _source: Any = field(default=None, init=False)

    def found(self, as_of: datetime) -> Campus:
        """Add the organization with a configured roster source."""
        with self.warehouse.connect() as connection:
            organization = organizations.add_organization(connection, self.slug, self.slug, self.zone, as_of)
            source = organizations.ensure_source(connection, organization, "roster", "oneroster", as_of)
            configure_source(connection, source, OPTIONS)
        return self

    def statement(
        self, who: str, when: datetime, verb: str = "viewed", in_course: str = "math", **more: Any
    ) -> dict[str, Any]:
        """Return a statement; `who` is an e-mail address, or a username of the LMS."""
        self._count += 1
        account = {"account": {"homePage": HOME_PAGE, "name": who}}
        actor: dict[str, Any] = {"mbox": f"mailto:{who}"} if "@" in who else account
        statement: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.slug} {self._count}")),
            "actor": actor,
            "verb": {"id": VERBS[verb]},
            "object": {"id": f"https://lms.example/pages/{self._count}"},
            "timestamp": when.isoformat(),
            "context": {
                "contextActivities": {
                    "parent": [{"id": course(in_course), "definition": {"type": COURSE_TYPE}}],
                }
            },
        }
        statement.update(more)
        return statement

    def collect(self, as_of: datetime, *statements: dict[str, Any], is_history: bool = False) -> None:
        """Deliver statements as one file."""
        self._count += 1
        path = self.folder / f"{self.slug}-{self._count}.ndjson"
        path.write_text("".join(json.dumps(statement) + "\n" for statement in statements), encoding="utf-8")
        collect_paths(
            self.warehouse.target,
            self.warehouse.settings,
            organization=self.slug,
            paths=[path],
            format="xapi",
            as_of=as_of,
            is_history=is_history,
            run_id="test",
        )

    def apply(self, as_of: datetime, roster: Roster) -> RosterReport:
        """Apply a roster."""
        self._count += 1
        path = roster.write(self.folder / f"{self.slug}-roster-{self._count}")
        return apply_roster(self.warehouse.target, self.warehouse.settings, self.slug, path, "roster", as_of, "test")

    def build(self, as_of: datetime) -> None:
        """Build and publish; weeks that are due are sealed."""
        builds.build(self.warehouse.target, self.warehouse.settings, as_of, "test")

    def seal(self, as_of: datetime) -> None:
        """Seal what is due."""
        seal_due_weeks(self.warehouse.target, self.warehouse.settings, as_of)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.warehouse.connect() as connection:
            return _rows(connection, statement, parameters)


def _rows(connection: Connection, statement: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
    return connection.execute(statement.encode(), parameters).fetchall()
