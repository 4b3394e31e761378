"""The registrar of a simulated organization: what its student information system exports as OneRoster CSV, morning by morning."""

from __future__ import annotations

import csv
import io
import random
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

from lyceum.simulator.catalogue import Course, course_prefix
from lyceum.simulator.chance import generator, pick, whole
from lyceum.simulator.organization import EnrollmentBegins, EnrollmentEnds, PersonLeaves, RegistrarNews
from lyceum.simulator.people import Person, home_page
from lyceum.simulator.plan import OrganizationPlan, RosterPlan, SimulationPlan

SOURCE = "roster"

_ORG = "campus"
_TERM = "term-1"
_TERM_DAYS_BEFORE = 28
_TERM_DAYS_AFTER = 182
_OPEN_COURSES_FROM = 4
_LATE_DAYS = 5

_KINDS = ("academicSessions", "orgs", "courses", "classes", "users", "roles", "enrollments")
_UNUSED = (
    "categories", "classResources", "courseResources", "demographics", "lineItems", "resources", "results",
)  # fmt: skip
_UNUSED_1_2 = (
    "lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds", "resultScoreScales", "scoreScales",
    "userProfiles", "userResources",
)  # fmt: skip
_EVERY = ("sourcedId", "status", "dateLastModified")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "academicSessions": (*_EVERY, "title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"),
    "orgs": (*_EVERY, "name", "type", "identifier", "parentSourcedId"),
    "courses": (
        *_EVERY, "schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes",
    ),
    "classes": (
        *_EVERY, "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId",
        "termSourcedIds", "subjects", "subjectCodes", "periods", "metadata.xapiActivity",
    ),
    "users": (
        *_EVERY, "enabledUser", "username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms",
        "phone", "agentSourcedIds", "grades", "password", "userMasterIdentifier", "preferredGivenName",
        "preferredMiddleName", "preferredFamilyName", "primaryOrgSourcedId", "pronouns",
    ),
    "roles": (
        *_EVERY, "userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId",
    ),
    "enrollments": (
        *_EVERY, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate",
    ),
}  # fmt: skip
"""The columns of OneRoster 1.2 in the standard's order; a class states its activity's IRI as metadata too."""
_USERS_1_1 = (
    *_EVERY, "enabledUser", "orgSourcedIds", "role", "username", "userIds", "givenName", "familyName", "middleName",
    "identifier", "email", "sms", "phone", "agentSourcedIds", "grades", "password",
)  # fmt: skip

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RosterFile:
    """One roster as it is delivered on one local morning.

    `files` are names and contents. `rows` counts all rows of the files but the manifest's, `broken_rows` those of them that
    no reader should accept.
    """

    organization: OrganizationPlan
    day: date
    mode: Literal["full", "delta"]
    files: Mapping[str, bytes]
    rows: int
    broken_rows: int

    @property
    def name(self) -> str:
        """The name of the delivery's file; names sort by day."""
        return f"{self.organization.slug}-roster-{self.day.isoformat()}-{self.mode}.zip"

    @property
    def source(self) -> str:
        """The folder of an organization's landing folder that it belongs into."""
        return SOURCE

    def content(self) -> bytes:
        """Return the zip; equal rosters give equal bytes, by one version of zlib."""
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=zlib.Z_BEST_SPEED) as archive:
            for name, content in self.files.items():
                member = zipfile.ZipInfo(name, (self.day.year, self.day.month, self.day.day, 2, 0, 0))
                member.create_system = 3
                member.external_attr = 0o644 << 16
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, content)
        return target.getvalue()


@dataclass(slots=True)
class _Record:
    """One row, and the day on which it was last changed."""

    values: Values
    changed_on: int
    is_deleted: bool = False


@dataclass(slots=True)
class _Tables:
    """The registrar's rows, by kind and sourcedId, in the order in which they came to be."""

    rows: dict[str, dict[str, _Record]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})

    def put(self, kind: str, values: Values, day_number: int) -> None:
        known = self.rows[kind].get(values["sourcedId"])
        if known is None or known.values != values or known.is_deleted:
            self.rows[kind][values["sourcedId"]] = _Record(values, day_number)

    def delete(self, kind: str, sourced_id: str, day_number: int) -> None:
        known = self.rows[kind].get(sourced_id)
        if known is not None and not known.is_deleted:
            self.rows[kind][sourced_id] = replace(known, changed_on=day_number, is_deleted=True)


class Registrar:
    """Keeps the roster of one organization from the news of its parts, and exports it."""

    def __init__(self, organization: OrganizationPlan, plan: SimulationPlan, courses: tuple[Course, ...]) -> None:
        assert plan.roster is not None
        self._organization = organization
        self._plan: RosterPlan = plan.roster
        self._seed = plan.seed
        self._first_day = plan.first_day
        # The last course is open to everyone: no roster speaks of it, so enrollment follows from activity.
        rostered = courses[:-1] if len(courses) >= _OPEN_COURSES_FROM else courses
        self._classes = {course.key: course for course in rostered}
        self._tables = _Tables()
        self._people: dict[str, set[str]] = {}
        self._waiting: defaultdict[int, list[RegistrarNews]] = defaultdict(list)
        # What ended before the registrar heard that it began is never told.
        self._over: set[str] = set()
        self._gone: set[str] = set()
        self._rng = generator(plan.seed, organization.slug, "registrar")
        self._describe_organization()

    def export(self, day_number: int, news: Iterable[RegistrarNews]) -> RosterFile | None:
        """Take the morning's news of all parts, in their order, and return the delivery; None when nothing changed."""
        for item in (*self._waiting.pop(day_number, ()), *news):
            self._take(item, day_number)
        is_full = day_number % self._plan.full_every == 0
        kept = {
            kind: [
                (sourced_id, record)
                for sourced_id, record in rows.items()
                if (not record.is_deleted if is_full else record.changed_on == day_number)
            ]
            for kind, rows in self._tables.rows.items()
        }
        if not is_full and not any(kept.values()):
            return None
        return self._deliver(day_number, kept, is_full=is_full)

    def _describe_organization(self) -> None:
        slug = self._organization.slug
        first, last = self._day(-_TERM_DAYS_BEFORE), self._day(_TERM_DAYS_AFTER)
        self._tables.put("orgs", {"sourcedId": _ORG, "name": self._organization.name, "type": "school"}, 0)
        term = {"sourcedId": _TERM, "title": "Term 1", "type": "term", "startDate": first, "endDate": last}
        self._tables.put("academicSessions", {**term, "schoolYear": last[:4]}, 0)
        for course in self._classes.values():
            catalogued = {"sourcedId": f"course-{course.key}", "title": course.name, "courseCode": course.key}
            self._tables.put("courses", {**catalogued, "orgSourcedId": _ORG}, 0)
            row = {
                "sourcedId": f"class-{course.key}",
                "title": f"{course.name}, section A",
                "courseSourcedId": f"course-{course.key}",
                "classCode": course.key,
                "classType": "scheduled",
                "schoolSourcedId": _ORG,
                "termSourcedIds": _TERM,
                "metadata.xapiActivity": f"{course_prefix(slug)}{course.key}",
            }
            self._tables.put("classes", row, 0)

    def _take(self, news: RegistrarNews, day_number: int) -> None:
        if isinstance(news, EnrollmentBegins):
            self._enroll(news, day_number)
        elif isinstance(news, EnrollmentEnds):
            self._end(news, day_number)
        else:
            self._forget(news, day_number)

    def _enroll(self, news: EnrollmentBegins, day_number: int) -> None:
        if news.course not in self._classes or news.record in self._over or news.person.sourced_id in self._gone:
            return
        if news.role == "student" and self._is_unrostered(news.person):
            return
        if news.day_number >= day_number and news.role == "student":
            # Decided by the record alone, so that it does not depend on what else happens.
            rng = generator(self._seed, self._organization.slug, "late", news.record)
            if rng.random() < self._plan.late:
                self._waiting[news.day_number + whole(rng, 1, _LATE_DAYS)].append(news)
                return
        self._put_person(news.person, news.role, day_number)
        values = {
            "sourcedId": news.record,
            "classSourcedId": f"class-{news.course}",
            "schoolSourcedId": _ORG,
            "userSourcedId": news.person.sourced_id,
            "role": news.role,
            "primary": "true" if news.role == "teacher" else "false",
            "beginDate": self._day(news.day_number),
        }
        self._people[news.person.sourced_id].add(news.record)
        self._tables.put("enrollments", values, day_number)

    def _end(self, news: EnrollmentEnds, day_number: int) -> None:
        known = self._tables.rows["enrollments"].get(news.record)
        if known is None:
            self._over.add(news.record)
            return
        if news.is_removed:
            self._tables.delete("enrollments", news.record, day_number)
        else:
            self._tables.put("enrollments", {**known.values, "endDate": self._day(news.day_number)}, day_number)

    def _forget(self, news: PersonLeaves, day_number: int) -> None:
        self._gone.add(news.person.sourced_id)
        for record in sorted(self._people.pop(news.person.sourced_id, ())):
            self._tables.delete("enrollments", record, day_number)
        self._tables.delete("roles", f"role-{news.person.sourced_id}", day_number)
        self._tables.delete("users", news.person.sourced_id, day_number)

    def _put_person(self, person: Person, role: str, day_number: int) -> None:
        self._people.setdefault(person.sourced_id, set())
        user = {
            "sourcedId": person.sourced_id,
            "enabledUser": "true",
            "username": person.username,
            "userIds": f"{{SIS:{person.username}}}",
            "givenName": person.given_name,
            "familyName": person.family_name,
            "email": person.email,
            "identifier": person.username,
        }
        if self._plan.version == "1.1":
            self._tables.put("users", {**user, "orgSourcedIds": _ORG, "role": role}, day_number)
            return
        self._tables.put("users", {**user, "primaryOrgSourcedId": _ORG}, day_number)
        described = {"sourcedId": f"role-{person.sourced_id}", "userSourcedId": person.sourced_id, "role": role}
        self._tables.put("roles", {**described, "roleType": "primary", "orgSourcedId": _ORG}, day_number)

    def _is_unrostered(self, person: Person) -> bool:
        rng = generator(self._seed, self._organization.slug, "unrostered", person.username)
        return rng.random() < self._plan.unrostered

    def _day(self, day_number: int) -> str:
        return (self._first_day + timedelta(days=day_number)).isoformat()

    def _deliver(self, day_number: int, kept: Mapping[str, list[tuple[str, _Record]]], *, is_full: bool) -> RosterFile:
        kinds = [kind for kind in _KINDS if kind != "roles" or self._plan.version == "1.2"]
        written = [kind for kind in kinds if is_full or kept[kind]]
        broken = self._broken_rows(kept["enrollments"], is_full=is_full) if "enrollments" in written else {}
        files = {"manifest.csv": self._manifest(written, is_full=is_full)}
        for kind in written:
            rows = [self._row(record, is_full=is_full) for _, record in kept[kind]]
            files[f"{kind}.csv"] = self._table(kind, rows, broken if kind == "enrollments" else {})
        return RosterFile(
            organization=self._organization,
            day=self._first_day + timedelta(days=day_number),
            mode="full" if is_full else "delta",
            files=files,
            rows=sum(len(kept[kind]) for kind in written) + len(broken),
            broken_rows=len(broken),
        )

    def _row(self, record: _Record, *, is_full: bool) -> Values:
        if is_full:
            return record.values
        status = "tobedeleted" if record.is_deleted else "active"
        return {**record.values, "status": status, "dateLastModified": f"{self._day(record.changed_on)}T02:00:00.000Z"}

    def _table(self, kind: str, rows: list[Values], broken: Mapping[int, Values | str]) -> bytes:
        columns = _USERS_1_1 if kind == "users" and self._plan.version == "1.1" else _COLUMNS[kind]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow(row)
            damage = broken.get(number)
            if isinstance(damage, str):
                text.write(damage)
            elif damage is not None:
                writer.writerow(damage)
        return text.getvalue().encode()

    def _manifest(self, written: list[str], *, is_full: bool) -> bytes:
        mode = "bulk" if is_full else "delta"
        modes = {kind: mode if kind in written else "absent" for kind in _KINDS}
        modes.update(dict.fromkeys(_UNUSED, "absent"))
        if self._plan.version == "1.2":
            modes.update(dict.fromkeys(_UNUSED_1_2, "absent"))
        else:
            del modes["roles"]
        lines = ["propertyName,value", "manifest.version,1.0", f"oneroster.version,{self._plan.version}"]
        lines += [f"file.{kind},{modes[kind]}" for kind in sorted(modes)]
        lines += [
            f"source.systemName,{self._organization.name}",
            f"source.systemCode,{self._organization.slug}",
        ]
        return ("\r\n".join(lines) + "\r\n").encode()

    def _broken_rows(self, rows: list[tuple[str, _Record]], *, is_full: bool) -> dict[int, Values | str]:
        """Return what stands after which row and cannot be accepted, of the kinds that real exports hold."""
        broken: dict[int, Values | str] = {}
        for number, (sourced_id, record) in enumerate(rows):
            if record.is_deleted or self._rng.random() >= self._plan.malformed:
                continue
            row = {**self._row(record, is_full=is_full), "sourcedId": f"{sourced_id}-x"}
            broken[number] = _break(row, sourced_id, self._rng)
        return broken


def roster_options(slug: str) -> dict[str, object]:
    """Return the options of a roster source that tell whose the simulated identities are and which courses the classes."""
    accounts = [{"kind": "account", "home_page": home_page(slug), "name": name} for name in ("username", "sourced_id")]
    return {
        "identity_rules": [{"kind": "mbox"}, *accounts],
        "activity_templates": [f"{course_prefix(slug)}{{class_code}}"],
    }


def _break(row: dict[str, str], sourced_id: str, rng: random.Random) -> Values | str:
    breakages: tuple[Values | str, ...] = (
        {**row, "sourcedId": ""},
        {**row, "userSourcedId": ""},
        {**row, "role": "pupil"},
        {**row, "beginDate": "31/12/2026"},
        {**row, "endDate": "1999-12-31"},
        {**row, "sourcedId": sourced_id, "role": "proctor"},
        f"{sourced_id}-x,cut off\r\n",
    )
    return pick(rng, breakages)
