"""Scenarios of the oracle as rows of a warehouse, and what the product then shows to whoever asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from psycopg import sql

from lyceum.database import Connection
from lyceum.partitions import ensure_for_dates
from lyceum.security.tokens.claims import TenantClaims
from lyceum.security.tokens.internal import InternalTokens
from lyceum.security.tokens.signing_keys import register
from lyceum.views import VIEWS
from oracle.visibility import Asking, Enrollment, Key, Scenario, Span
from warehouse import Warehouse

FIRST_DAY, LAST_DAY = date(2026, 11, 2), date(2026, 11, 22)
"""The days of which rows by day are made: three weeks."""
AUDITED_AT = datetime(2026, 11, 20, tzinfo=UTC)
SOURCES = (1, 2)


@dataclass(frozen=True)
class Shown:
    """A view of `api`, the columns that identify its rows, and the table behind it where policies decide."""

    view: str
    columns: str
    table: str | None


SHOWN: Final[Mapping[str, Shown]] = {
    "organizations": Shown("organizations", "organization_id", "core.organizations"),
    "time_zones": Shown("organization_time_zones", "organization_id", "core.organization_time_zones"),
    "freshness": Shown("freshness", "organization_id", "ops.organization_watermarks"),
    "view_versions": Shown("view_versions", "organization_id, view_name, version", "ops.view_versions"),
    "users": Shown("users", "organization_id, user_id", "core.users"),
    "courses": Shown("courses", "organization_id, course_id", "core.courses"),
    "enrollments": Shown("enrollments", "organization_id, user_id, course_id, role", "core.enrollment_days"),
    "learner_analytics": Shown(
        "learner_analytics", "organization_id, learner_id, course_id, activity_date", "stage_two.learner_analytics"
    ),
    "trainer_analytics": Shown(
        "trainer_analytics", "organization_id, trainer_id, course_id, activity_date", "stage_two.trainer_analytics"
    ),
    "organization_analytics": Shown(
        "organization_analytics", "organization_id, activity_date", "stage_two.organization_analytics"
    ),
    "aggregated_analytics": Shown(
        "aggregated_analytics",
        "organization_id, subject_type, subject_id, course_id, period_type, period_start",
        "stage_three.aggregated_analytics",
    ),
    "learner_courses": Shown(
        "learner_courses", "organization_id, learner_id, course_id", "stage_three.learner_courses"
    ),
    "summary": Shown("learner_analytics_summary", "organization_id, learner_id, course_id", None),
    "metrics": Shown("organization_metrics", "organization_id", None),
    "reports": Shown("reports", "organization_id, kind, owner_user_id", "reporting.reports"),
    "report_files": Shown("report_files", "organization_id, kind, owner_user_id", "reporting.reports"),
    "audit_logs": Shown("audit_logs", "organization_id, resource", "audit.audit_logs"),
}
_SCHEMAS = "core, ops, stage_two, stage_three, audit, reporting"
_TENANTS = "lyceum_learner, lyceum_trainer, lyceum_org_admin, lyceum_service, lyceum_analyst, lyceum_auditor"
_EMPTY: Final[Mapping[str, Any]] = {
    "bigint": 0,
    "integer": 0,
    "numeric": 0,
    "boolean": False,
    "text": "inactive",
    "date": str(FIRST_DAY),
    "timestamp with time zone": str(FIRST_DAY),
    "bigint[]": "{}",
    "numeric[]": "{}",
    "datemultirange": "{}",
}


@dataclass
class Theatre:
    """A warehouse in which a scenario is played: everything happens in one transaction that is undone."""

    warehouse: Warehouse
    connection: Connection
    tokens: InternalTokens
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def playing(self, scenario: Scenario) -> Iterator[None]:
        """Have the rows of a scenario, and every schema open to every tenant, while the block runs."""
        with self.connection.transaction(force_rollback=True):
            for table, rows in _rows(scenario).items():
                self._insert(table, rows)
            for view in VIEWS.values():
                self.connection.execute(f"refresh materialized view stage_three.{view.name}".encode())
            # Beyond what tenants have, so that the policies themselves are asked, too.
            self.connection.execute(f"grant usage on schema {_SCHEMAS} to {_TENANTS}".encode())
            yield

    def token(self, asking: Asking) -> str:
        """Return a token of whoever asks."""
        claims = TenantClaims(asking.role, asking.organization, asking.user, asking.scopes)
        return self.tokens.mint(claims, lambda: datetime.now(UTC))

    def seen(self, role: str, token: str, views: Sequence[str], *, by_table: bool = False) -> dict[str, set[Key]]:
        """Return the keys of the rows that a role with a token is shown in these views, or in the tables behind them."""
        query = " union all ".join(
            f"select '{name}', jsonb_build_array({SHOWN[name].columns})::text from {_relation(SHOWN[name], by_table)}"
            for name in views
            if not by_table or SHOWN[name].table
        )
        seen: dict[str, list[Key]] = {name: [] for name in views if not by_table or SHOWN[name].table}
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(
                "select set_config('lyceum.token', %s, true), set_config('role', %s, true)", [token, f"lyceum_{role}"]
            )
            for name, key in self.connection.execute(query.encode()).fetchall():
                seen[name].append(tuple(json.loads(key)))
        for name, keys in seen.items():
            assert len(keys) == len(set(keys)), f"{name} shows a row twice"
        return {name: set(keys) for name, keys in seen.items()}

    def _insert(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        if table not in self.wanted:
            found = self.connection.execute(
                """
                select attname, format_type(atttypid, null) from pg_attribute
                where attrelid = %s::regclass and attnum > 0 and attnotnull and not atthasdef and attidentity = ''
                """,
                [table],
            ).fetchall()
            self.wanted[table] = {name: _EMPTY[kind] for name, kind in found}
        filled = [self.wanted[table] | row for row in rows]
        columns = sql.SQL(", ").join(map(sql.Identifier, filled[0]))
        name = sql.Identifier(*table.split("."))
        self.connection.execute(
            sql.SQL(
                "insert into {} ({}) overriding system value select {} from jsonb_populate_recordset(null::{}, %s::jsonb)"
            ).format(name, columns, columns, name),
            [json.dumps(filled, default=str)],
        )


def make_theatre(warehouse: Warehouse, connection: Connection) -> Theatre:
    """Prepare a warehouse for scenarios: its partitions and its key. The connection is in autocommit mode."""
    register(connection, warehouse.settings, datetime.now(UTC))
    days = [FIRST_DAY + timedelta(days=number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]
    for table in ("stage_two.learner_analytics", "stage_two.trainer_analytics", "stage_two.organization_analytics"):
        ensure_for_dates(connection, table, days)
    ensure_for_dates(connection, "stage_three.aggregated_analytics", [FIRST_DAY])
    ensure_for_dates(connection, "audit.audit_logs", [AUDITED_AT.date()])
    return Theatre(warehouse, connection, InternalTokens.of_home(warehouse.settings))


def in_json(seen: Mapping[str, set[Key]]) -> dict[str, set[Key]]:
    """Return what the oracle says as it comes back from the database: days as text."""
    return {
        view: {tuple(str(value) if isinstance(value, date) else value for value in key) for key in keys}
        for view, keys in seen.items()
    }


def _relation(shown: Shown, by_table: bool) -> str:
    return str(shown.table) if by_table else f"api.{shown.view}"


def _rows(scenario: Scenario) -> dict[str, list[dict[str, Any]]]:
    organizations = list(scenario.closed_through)
    return {
        "core.organizations": [
            {"organization_id": number, "slug": f"school-{number}", "name": "School"} for number in organizations
        ],
        "core.organization_time_zones": [{"organization_id": number, "time_zone": "UTC"} for number in organizations],
        "core.users": [
            {"organization_id": number, "user_id": user, "role": "learner", "is_provisional": False}
            for number in organizations
            for user in scenario.users
        ],
        "core.sources": [
            {
                "organization_id": number,
                "source_id": source,
                "name": f"roster-{source}",
                "format": "oneroster",
                "is_active": True,
            }
            for number in organizations
            for source in SOURCES
        ],
        "core.courses": [
            {"organization_id": number, "course_id": course, "is_unassigned": False}
            for number in organizations
            for course in scenario.courses
        ],
        "core.enrollments": [_enrollment(part) for part in scenario.enrollments],
        "ops.organization_watermarks": [
            {"organization_id": number, "closed_through": closed, "data_version": 1}
            for number, closed in scenario.closed_through.items()
        ],
        "ops.view_refreshes": [
            {"refresh_id": 1, "view_name": "mv_organization_metrics", "state": "published"} for _ in organizations[:1]
        ],
        "ops.view_versions": [
            {"organization_id": number, "view_name": "mv_organization_metrics", "version": 1, "refresh_id": 1}
            for number in organizations
        ],
        "stage_three.learner_courses": [
            row | {"enrolled_days": _multirange(scenario.enrolled.get(key, ()))}
            for row, key in zip(_learner_courses(scenario), scenario.learner_courses, strict=True)
        ],
        "audited.learner_analytics_summary": _learner_courses(scenario),
        "audited.organization_metrics": [{"organization_id": number} for number in organizations],
        "stage_two.learner_analytics": [
            {
                "organization_id": row.organization,
                "learner_id": row.learner,
                "course_id": row.course,
                "activity_date": row.day,
                "scope": "course" if row.course else "all_courses",
                "is_enrolled": row.is_enrolled,
            }
            for row in scenario.learner_days
        ],
        "stage_two.trainer_analytics": [
            {"organization_id": number, "trainer_id": trainer, "course_id": course, "activity_date": day}
            for number, trainer, course, day in scenario.trainer_days
        ],
        "stage_two.organization_analytics": [
            {"organization_id": number, "activity_date": day} for number, day in scenario.organization_days
        ],
        "stage_three.aggregated_analytics": [
            {
                "organization_id": row.organization,
                "subject_type": row.subject_type,
                "subject_id": row.subject,
                "course_id": row.course,
                "period_type": row.period,
                "period_start": row.start,
                "scope": "course" if row.course else "all_courses",
                "is_enrolled": row.is_enrolled,
            }
            for row in scenario.periods
        ],
        "reporting.reports": [
            {
                "organization_id": organization,
                "kind": kind,
                "owner_user_id": owner,
                "period_type": "week",
                "status": "pending",
                "requested_at": AUDITED_AT,
            }
            for organization, kind, owner in scenario.reports
        ],
        "audit.audit_logs": [
            {
                "audit_id": number,
                "nonce": f"00000000-0000-0000-0000-{number:012d}",
                "transaction_id": "1",
                "recorded_at": AUDITED_AT,
                "detail": {},
                "organization_id": organization,
                "occurred_at": AUDITED_AT,
                "action": "read",
                "resource": resource,
                "decision": "allowed",
                "source": "service",
            }
            for number, (organization, resource) in enumerate(scenario.audited, 1)
        ],
    }


def _learner_courses(scenario: Scenario) -> list[dict[str, Any]]:
    return [
        {"organization_id": number, "learner_id": learner, "course_id": course}
        for number, learner, course in scenario.learner_courses
    ]


def _enrollment(part: Enrollment) -> dict[str, Any]:
    return {
        "organization_id": part.organization,
        "source_id": part.source,
        "course_id": part.course,
        "user_id": part.user,
        "role": part.role,
        "roster_id": part.version,
        "known_at": datetime(2026, 10, 1, tzinfo=UTC) + timedelta(hours=part.version),
        "valid_days": _multirange(part.days),
        "speaks_for": _multirange(part.speaks_for),
    }


def _multirange(spans: tuple[Span, ...]) -> str:
    return "{" + ",".join(f"[{first},{f'{last}]' if last else '9999-12-31)'}" for first, last in spans) + "}"
