"""Deliberate bugs in the models of the views: each is refused by an audit, or shows rows that are not the oracle's.

Each bug is a replacement in a copy of the dbt project, whose old text must be there exactly once. When a model has changed
since, say here how the same bug looks in it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lyceum import organizations
from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.database import ConnectionTarget
from lyceum.errors import AuditError
from lyceum.settings import Settings
from lyceum.simulator import Irregularities, OrganizationPlan, SimulationPlan, simulate, write_delivery
from lyceum.views import VIEWS, refresh
from oracle import figures
from oracle.calendars import Calendar
from oracle.statements import read_statement
from oracle.views import learner_summary, organization_metrics
from property.comparison import ALWAYS
from property.product import Names, differences
from property.views import WholeProduct
from warehouse import SharedServer, Warehouse

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
COPIED = ("dbt_project", "expectations", "sql")
SCHOOL = OrganizationPlan("harbor-college", "Harbor College", "America/New_York", learners=90, courses=4)
# In the afternoon of the last day, which is still open.
AS_OF = datetime(2026, 4, 2, 20, tzinfo=UTC)

VARS = "dbt_project/dbt_project.yml"
LEARNER = "dbt_project/models/materialized_views/mv_learner_analytics_summary.sql"
ORGANIZATION = "dbt_project/models/materialized_views/mv_organization_metrics.sql"
RANK = "dbt_project/macros/percent_rank.sql"

# Name, view, file, old text, new text.
BUGS = (
    ("a week has 8 days", "learner", VARS, "weekly_active_days: 7", "weekly_active_days: 8"),
    ("a month has 27 days", "learner", VARS, "monthly_active_days: 28", "monthly_active_days: 27"),
    ("high begins later", "learner", VARS, "engagement_high_rank: 0.85", "engagement_high_rank: 0.9"),
    ("low ends later", "learner", VARS, "engagement_low_rank: 0.15", "engagement_low_rank: 0.25"),
    ("many more attempts are needed", "learner", VARS, "struggling_attempts: 3", "struggling_attempts: 20"),
    ("more struggle", "learner", VARS, "struggling_rank: 0.85", "struggling_rank: 0.7"),
    (
        "the open day counts",
        "learner",
        LEARNER,
        "and published_days.activity_date <= organizations.window_ends_on\n",
        "and published_days.activity_date <= organizations.window_ends_on + 1\n",
    ),
    ("ties do not share", "learner", RANK, "rank() over", "row_number() over"),
    (
        "learners are ranked across courses",
        "learner",
        RANK,
        "'rank() over (partition by organization_id, course_id order",
        "'rank() over (partition by organization_id order",
    ),
    ("the last is ranked behind the last", "learner", RANK, "course_id) - 1'", "course_id)'"),
    (
        "events are ranked instead of time",
        "learner",
        LEARNER,
        "coalesce(weekly_time_on_task_seconds, weekly_event_count)",
        "weekly_event_count",
    ),
    ("inactive learners are ranked", "learner", LEARNER, "where weekly_active_days > 0", "where true"),
    (
        "a streak survives a day off",
        "learner",
        LEARNER,
        "range_agg(daterange(activity_date, activity_date + 1))",
        "range_agg(daterange(activity_date, activity_date + 2))",
    ),
    (
        "the first active day stands for the last",
        "learner",
        LEARNER,
        "max(activity_date) filter (where is_active)",
        "min(activity_date) filter (where is_active)",
    ),
    (
        "attempts are divided by attempted assessments",
        "learner",
        LEARNER,
        "greatest(windows.weekly_assessments_passed, 1)",
        "greatest(windows.weekly_assessments_attempted, 1)",
    ),
    (
        "risk is that of tomorrow",
        "learner",
        LEARNER,
        "at_risk_days @> organizations.window_ends_on as is_at_risk",
        "at_risk_days @> (organizations.window_ends_on + 1) as is_at_risk",
    ),
    (
        "the enrollment is that of tomorrow",
        "learner",
        LEARNER,
        "where run @> organizations.window_ends_on\n",
        "where run @> (organizations.window_ends_on + 1)\n",
    ),
    (
        "the period before overlaps",
        "organization",
        ORGANIZATION,
        "where organization_days.activity_date = organizations.window_ends_on - {{ days }}",
        "where organization_days.activity_date = organizations.window_ends_on - {{ days }} + 1",
    ),
    (
        "time is summed over a day more",
        "organization",
        ORGANIZATION,
        "where organization_days.activity_date > organizations.window_ends_on - {{ days }}",
        "where organization_days.activity_date >= organizations.window_ends_on - {{ days }}",
    ),
    (
        "an enrolled learner counts once a course",
        "organization",
        ORGANIZATION,
        "count(distinct learner_id) as learners_enrolled",
        "count(learner_id) as learners_enrolled",
    ),
    (
        "the best courses are the weakest",
        "organization",
        ORGANIZATION,
        "order by completion_rate desc, learners_enrolled desc",
        "order by completion_rate asc, learners_enrolled desc",
    ),
    ("two courses are listed", "organization", VARS, "ranked_courses: 3", "ranked_courses: 2"),
    ("small courses are listed", "organization", VARS, "ranked_course_learners: 10", "ranked_course_learners: 45"),
    (
        "completion is that of tomorrow",
        "organization",
        ORGANIZATION,
        "learner_courses.enrolled_days @> organizations.window_ends_on\n",
        "learner_courses.enrolled_days @> (organizations.window_ends_on + 1)\n",
    ),
)


@dataclass(frozen=True)
class Told:
    """The published warehouse, and what its views must show."""

    product: WholeProduct
    warehouse: Warehouse
    names: Names
    views: dict[str, dict[Any, Any]]

    def shown(self, view: str) -> dict[Any, Any]:
        if view == "learner":
            return dict(self.product.learner_summary(SCHOOL.slug, self.names))
        row = self.product.organization_metrics(SCHOOL.slug)
        assert row is not None
        return {"": {column: value for column, value in row.items() if column != "data_as_of"}}


@pytest.fixture(scope="module")
def told(
    shared_server: SharedServer, template: ConnectionTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("mutations")
    with shared_server.database(folder / "home", template) as warehouse:
        with warehouse.connect() as connection:
            organizations.add_organization(connection, SCHOOL.slug, SCHOOL.name, SCHOOL.time_zone, AS_OF)
            connection.commit()
        plan = SimulationPlan(
            first_day=date(2026, 3, 2),
            days=32,
            organizations=(SCHOOL,),
            irregularities=Irregularities(),
            until=AS_OF,
        )
        deliveries = list(simulate(plan))
        records = [
            replace(read_statement(json.loads(line, parse_float=Decimal)), statement={})
            for delivery in deliveries
            for line in delivery.lines
        ]
        collect_paths(
            warehouse.target,
            warehouse.settings,
            organization=SCHOOL.slug,
            paths=[write_delivery(delivery, folder) for delivery in deliveries],
            format="xapi",
            as_of=AS_OF,
            is_history=True,
            run_id="test",
        )
        build(warehouse.target, warehouse.settings, AS_OF, "test")
        last_closed = date(2026, 4, 1)
        found = figures.compute(records, Calendar(((ALWAYS, SCHOOL.time_zone),)), last_closed)
        product = WholeProduct(warehouse)
        names = product.names(
            SCHOOL.slug, {record.learner for record in records}, {record.course for record in records if record.course}
        )
        ids = {name: course for course, name in names.courses.items()}
        views: dict[str, dict[Any, Any]] = {
            "learner": dict(learner_summary(found, last_closed)),
            "organization": {"": organization_metrics(found, last_closed, lambda course: ids[course])},
        }
        yield Told(product, warehouse, names, views)


def copied(settings: Settings, folder: Path) -> Settings:
    """Settings of a copy of the project."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("target", "logs"))
    return replace(settings, project_root=folder)


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_bug_the_views_are_the_oracles(told: Told, tmp_path: Path, view: str) -> None:
    settings = copied(told.warehouse.settings, tmp_path)
    refresh(told.warehouse.target, settings, VIEWS[view], AS_OF, "test")
    assert differences(told.views[view], told.shown(view)) == []


@pytest.mark.parametrize(("name", "view", "path", "old", "new"), BUGS, ids=[bug[0] for bug in BUGS])
def test_a_bug_is_noticed(told: Told, tmp_path: Path, name: str, view: str, path: str, old: str, new: str) -> None:
    settings = copied(told.warehouse.settings, tmp_path)
    file = tmp_path / path
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} holds this {text.count(old)} times: {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")
    try:
        report = refresh(told.warehouse.target, settings, VIEWS[view], AS_OF, "test")
    except AuditError:
        return
    assert report.organizations == 1, "the change of the definition is not seen"
    assert differences(told.views[view], told.shown(view)) != []
