"""Something to look at: two made-up organizations in different time zones with a week of activity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lyceum.database import ConnectionTarget, connect
from lyceum.organizations import DEFAULT_SOURCE, add_organization, landing_folder, list_organizations
from lyceum.settings import Settings
from lyceum.simulator import SimulationPlan, sample_organizations, simulate, write_delivery

_ORGANIZATIONS = 2
_DAYS = 7


@dataclass(frozen=True, slots=True)
class Samples:
    """What was made: the organizations' names, and how many statements their deliveries hold."""

    organizations: tuple[str, ...]
    statements: int


def ensure_samples(target: ConnectionTarget, settings: Settings, as_of: datetime) -> Samples | None:
    """Add the sample organizations and drop their deliveries of the last days into their landing folders.

    Does nothing and returns None when the warehouse has an organization already, be it a sample or not.
    """
    with connect(target) as connection:
        if list_organizations(connection):
            return None
        plan = SimulationPlan(
            first_day=as_of.date() - timedelta(days=_DAYS - 1),
            days=_DAYS,
            organizations=sample_organizations(_ORGANIZATIONS),
            until=as_of,
        )
        # The deliveries first: an interruption then leaves a warehouse without organizations, and all of it is done again.
        statements = 0
        for delivery in simulate(plan):
            write_delivery(delivery, landing_folder(settings, delivery.organization.slug, DEFAULT_SOURCE))
            statements += delivery.counts.records
        for organization in plan.organizations:
            add_organization(connection, organization.slug, organization.name, organization.time_zone, as_of)
    return Samples(tuple(organization.name for organization in plan.organizations), statements)
