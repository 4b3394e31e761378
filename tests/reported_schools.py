"""Two simulated organizations with rosters and three weeks of activity, published and refreshed: what reports are tested on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from lyceum.analytics import build as steps
from lyceum.collect import collect_paths
from lyceum.organizations import ROSTER_FORMAT, add_organization, ensure_source, find_organization
from lyceum.reporting.people.contents import Kind
from lyceum.reporting.people.generation import ReportWriter, Wanted, open_report_writer
from lyceum.reporting.people.periods import Period
from lyceum.roster import apply_roster, configure_source
from lyceum.security.tokens.signing_keys import register
from lyceum.simulator import (
    Irregularities,
    RosterFile,
    SimulationPlan,
    roster_options,
    sample_organizations,
    simulate_all,
    write_delivery,
)
from lyceum.views import VIEWS, refresh
from warehouse import SharedServer, Warehouse

FIRST_DAY = date(2026, 11, 2)
WEEK = Period("week", date(2026, 11, 9))
PLAN = SimulationPlan(
    first_day=FIRST_DAY,
    days=16,
    organizations=sample_organizations(2, learners=24, courses=3),
    seed=11,
    irregularities=Irregularities(),
)
AS_OF = datetime(2026, 11, 18, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Schools:
    """The warehouse and its two organizations; the first is the one whose reports are written."""

    warehouse: Warehouse
    organizations: tuple[int, int]

    @property
    def organization_id(self) -> int:
        """The first organization."""
        return self.organizations[0]

    @contextmanager
    def writer(self, as_of: datetime = AS_OF) -> Iterator[ReportWriter]:
        """Lend what writes reports."""
        with open_report_writer(
            self.warehouse.target,
            self.warehouse.administrator,
            self.warehouse.settings,
            as_of=as_of,
            requested_by="test",
        ) as writer:
            yield writer

    def wanted(self, kind: Kind, user_id: int | None = None, period: Period = WEEK) -> Wanted:
        """Return which report of the first organization."""
        return Wanted(self.organization_id, kind, user_id, period)

    def query(self, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the superuser."""
        with self.warehouse.connect(autocommit=True) as connection:
            cursor = connection.execute(text.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def people(self, kind: Kind, period: Period = WEEK, organization_id: int | None = None) -> list[int]:
        """Return learners or trainers of whom the period has a row."""
        rows = self.query(
            """
            select distinct subject_id from stage_three.aggregated_analytics
            where organization_id = %s and subject_type = %s and period_type = %s and period_start = %s order by 1
            """,
            organization_id or self.organization_id,
            kind,
            period.type,
            period.start,
        )
        return [user_id for (user_id,) in rows]

    def mere_learners(self) -> list[int]:
        """Return the learners of the week who teach nothing: trainers see both of their reports."""
        trainers = self.people("trainer")
        return [user_id for user_id in self.people("learner") if user_id not in trainers]


@contextmanager
def make_schools(shared_server: SharedServer, template: Any, folder: Path) -> Iterator[Schools]:
    """Lend a warehouse with the two organizations."""
    with shared_server.database(folder / "home", template) as warehouse:
        yield fill_schools(warehouse, folder)


def fill_schools(warehouse: Warehouse, folder: Path) -> Schools:
    """Simulate, collect, build and refresh."""
    warehouse.settings.create_directories()
    slugs = [organization.slug for organization in PLAN.organizations]
    start = datetime(2026, 11, 1, tzinfo=UTC)
    with warehouse.connect() as connection:
        for organization in PLAN.organizations:
            add_organization(connection, organization.slug, organization.name, organization.time_zone, start)
        register(connection, warehouse.settings, datetime.now(UTC))
        connection.commit()
    for delivery in simulate_all(PLAN):
        path = write_delivery(delivery, folder)
        noon = datetime(delivery.day.year, delivery.day.month, delivery.day.day, 12, tzinfo=UTC)
        slug = delivery.organization.slug
        if isinstance(delivery, RosterFile):
            with warehouse.connect() as connection:
                tenant = find_organization(connection, slug)
                source = ensure_source(connection, tenant, delivery.source, ROSTER_FORMAT, noon)
                configure_source(connection, source, roster_options(slug))
                connection.commit()
            apply_roster(
                warehouse.target, warehouse.settings, slug, path, delivery.source, noon - timedelta(hours=6), "test"
            )
        else:
            collect_paths(
                warehouse.target,
                warehouse.settings,
                organization=slug,
                paths=[path],
                format="xapi",
                as_of=noon + timedelta(days=1),
                run_id="test",
            )
    steps.build(warehouse.target, warehouse.settings, AS_OF, "test")
    for view in VIEWS.values():
        refresh(warehouse.target, warehouse.settings, view, AS_OF, "test")
    with warehouse.connect() as connection:
        first, second = (find_organization(connection, slug).organization_id for slug in slugs)
    return Schools(warehouse, (first, second))
