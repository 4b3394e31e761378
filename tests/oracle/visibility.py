"""Which rows each role may see, from the rules alone: no policy, no SQL, nothing of the product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

Role = Literal["learner", "trainer", "org_admin", "service", "analyst", "auditor"]
Span = tuple[date, date | None]
"""A first and a last day; None: without end."""
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Asking:
    """Who asks. An organization of None means every one."""

    role: Role
    organization: int | None
    user: int | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Enrollment:
    """What one version of a source's roster says of a person's part in a course: `days`, and the days that it decides."""

    organization: int
    user: int
    course: int
    role: Literal["learner", "trainer"]
    source: int
    version: int
    days: tuple[Span, ...]
    speaks_for: tuple[Span, ...]


@dataclass(frozen=True)
class LearnerDay:
    """A learner's day in a course, or across courses."""

    organization: int
    learner: int
    course: int | None
    day: date
    is_enrolled: bool | None


@dataclass(frozen=True)
class Period:
    """A row of stage three. The subject of an organization's row is the organization."""

    organization: int
    subject_type: Literal["learner", "trainer", "organization"]
    subject: int
    course: int | None
    period: Literal["day", "week", "month", "year"]
    start: date
    is_enrolled: bool | None


@dataclass(frozen=True)
class Scenario:
    """All that was published. Users and courses have the same numbers in every organization."""

    closed_through: dict[int, date | None]
    users: tuple[int, ...]
    courses: tuple[int, ...]
    enrollments: tuple[Enrollment, ...] = ()
    learner_days: tuple[LearnerDay, ...] = ()
    trainer_days: tuple[tuple[int, int, int, date], ...] = ()
    organization_days: tuple[tuple[int, date], ...] = ()
    periods: tuple[Period, ...] = ()
    learner_courses: tuple[tuple[int, int, int], ...] = ()
    enrolled: Mapping[tuple[int, int, int], tuple[Span, ...]] = field(default_factory=dict)
    audited: tuple[tuple[int | None, str], ...] = ()
    reports: tuple[tuple[int, Literal["learner", "trainer", "organization"], int | None], ...] = ()


def visible(asking: Asking, scenario: Scenario) -> dict[str, set[Key]]:
    """Return the keys of the rows of each view that the role may read; a view that is absent is refused."""
    here = asking.organization
    everything = _everything(scenario)
    of_organization = {view: {key for key in keys if key[0] == here} for view, keys in everything.items()}
    own_organization = {
        view: of_organization[view] for view in ("organizations", "time_zones", "freshness", "view_versions")
    }
    if asking.role == "auditor":
        return {"audit_logs": everything["audit_logs"] if here is None else of_organization["audit_logs"]}
    if asking.role == "org_admin":
        # What is addressed to a person is that person's.
        own = {key for key in of_organization["reports"] if key[1] == "organization"}
        of_all = {"reports": own, "report_files": own}
        return {view: keys for view, keys in of_organization.items() if view != "audit_logs"} | of_all
    if asking.role == "analyst":
        shown = ("courses", "aggregated_analytics", "learner_courses", "summary", "metrics")
        return own_organization | {view: of_organization[view] for view in shown}
    if asking.role == "service":
        return _of_service(asking, own_organization, of_organization)
    return own_organization | _of_person(asking, scenario, of_organization)


def _of_service(
    asking: Asking, own_organization: dict[str, set[Key]], of_organization: dict[str, set[Key]]
) -> dict[str, set[Key]]:
    seen: dict[str, set[Key]] = {view: set() for view in own_organization}
    for scope, views in (
        ("organization.read", ("users", "courses", "enrollments")),
        (
            "analytics.read",
            (
                "learner_analytics",
                "trainer_analytics",
                "organization_analytics",
                "aggregated_analytics",
                "summary",
                "metrics",
            ),
        ),
    ):
        has_scope = scope in asking.scopes
        seen |= {view: of_organization[view] if has_scope else set() for view in views}
        if has_scope:
            seen |= own_organization
    return seen


def _of_person(asking: Asking, scenario: Scenario, of_organization: dict[str, set[Key]]) -> dict[str, set[Key]]:
    here, user = asking.organization, asking.user
    mine = [part for part in scenario.enrollments if (part.organization, part.user) == (here, user)]
    belongs_to = {course for course in scenario.courses if _has_days([part for part in mine if part.course == course])}
    belongs_to |= {
        course for organization, learner, course in scenario.learner_courses if (organization, learner) == (here, user)
    }
    is_trainer = asking.role == "trainer"
    reports = {key for key in of_organization["reports"] if key[2] == user and (is_trainer or key[1] == "learner")}
    seen: dict[str, set[Key]] = {
        "courses": {(here, course) for course in belongs_to},
        "enrollments": {(here, user, part.course, part.role) for part in mine},
        "summary": {key for key in of_organization["summary"] if key[1] == user},
        "reports": reports,
        "report_files": reports,
        "learner_analytics": {
            _learner_key(row)
            for row in scenario.learner_days
            if row.organization == here
            and (
                row.learner == user
                or (is_trainer and row.is_enrolled and row.course and _teaches(mine, row.course, row.day, row.day))
            )
        },
        "aggregated_analytics": {
            _period_key(row)
            for row in scenario.periods
            if row.organization == here and _sees_period(row, is_trainer, user, mine, scenario)
        },
    }
    if is_trainer:
        seen["trainer_analytics"] = {key for key in of_organization["trainer_analytics"] if key[1] == user}
        closed = scenario.closed_through[here] if here is not None else None
        seen["learner_courses"] = {
            key
            for key in of_organization["learner_courses"]
            if closed is not None
            and _holds(scenario.enrolled.get((key[0], key[1], key[2]), ()), closed)
            and _teaches(mine, key[2], closed, closed)
        }
    return seen


def _sees_period(row: Period, is_trainer: bool, user: int | None, mine: list[Enrollment], scenario: Scenario) -> bool:
    if row.subject == user and row.subject_type in (("learner", "trainer") if is_trainer else ("learner",)):
        return True
    if not (is_trainer and row.subject_type == "learner" and row.is_enrolled and row.course):
        return False
    last = _last_day(row)
    closed = scenario.closed_through[row.organization]
    if closed is not None:
        # What goes on tells of the day after the last closed one, and of nothing later.
        last = max(row.start, min(last, closed + timedelta(days=1)))
    return _teaches(mine, row.course, row.start, last)


def _last_day(row: Period) -> date:
    if row.period == "day":
        return row.start
    if row.period == "week":
        return row.start + timedelta(days=6)
    if row.period == "month":
        return (row.start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    return row.start.replace(month=12, day=31)


def _teaches(mine: list[Enrollment], course: int, first: date, last: date) -> bool:
    teaching = [part for part in mine if part.course == course and part.role == "trainer"]
    return all(_is_in(teaching, first + timedelta(days=number)) for number in range((last - first).days + 1))


def _is_in(parts: list[Enrollment], day: date) -> bool:
    for source in {part.source for part in parts}:
        speaking = [part for part in parts if part.source == source and _holds(part.speaks_for, day)]
        if speaking and _holds(max(speaking, key=lambda part: part.version).days, day):
            return True
    return False


def _has_days(parts: list[Enrollment]) -> bool:
    """Return whether any day is one of theirs: it is enough to look at the days on which something begins or has ended."""
    spans = [span for part in parts for span in (*part.days, *part.speaks_for)]
    edges = {first for first, _ in spans} | {last + timedelta(days=1) for _, last in spans if last}
    return any(
        _is_in([part for part in parts if part.role == role], day) for day in edges for role in ("learner", "trainer")
    )


def _holds(spans: tuple[Span, ...], day: date) -> bool:
    return any(first <= day and (last is None or day <= last) for first, last in spans)


def _everything(scenario: Scenario) -> dict[str, set[Key]]:
    organizations: set[Key] = {(organization,) for organization in scenario.closed_through}
    return {
        "organizations": organizations,
        "time_zones": organizations,
        "freshness": organizations,
        "view_versions": {(organization, "mv_organization_metrics", 1) for (organization,) in organizations},
        "users": {(organization, user) for (organization,) in organizations for user in scenario.users},
        "courses": {(organization, course) for (organization,) in organizations for course in scenario.courses},
        "enrollments": {(part.organization, part.user, part.course, part.role) for part in scenario.enrollments},
        "learner_analytics": {_learner_key(row) for row in scenario.learner_days},
        "trainer_analytics": set(scenario.trainer_days),
        "organization_analytics": set(scenario.organization_days),
        "aggregated_analytics": {_period_key(row) for row in scenario.periods},
        "learner_courses": set(scenario.learner_courses),
        "summary": set(scenario.learner_courses),
        "metrics": organizations,
        "audit_logs": set(scenario.audited),
        "reports": set(scenario.reports),
        "report_files": set(scenario.reports),
    }


def _learner_key(row: LearnerDay) -> Key:
    return (row.organization, row.learner, row.course, row.day)


def _period_key(row: Period) -> Key:
    return (row.organization, row.subject_type, row.subject, row.course, row.period, row.start)
