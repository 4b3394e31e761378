"""Something to look at: two made-up organizations in different time zones with a week of activity, and their rosters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lyceum.database import ConnectionTarget, connect
from lyceum.organizations import (
    DEFAULT_ROSTER_SOURCE,
    DEFAULT_SOURCE,
    ROSTER_FORMAT,
    add_organization,
    ensure_source,
    landing_folder,
    list_organizations,
)
from lyceum.roster import configure_source
from lyceum.settings import Settings
from lyceum.simulator import (
    RosterFile,
    SimulationPlan,
    roster_options,
    sample_organizations,
    simulate_all,
    write_delivery,
)

_ORGANIZATIONS = 2
_DAYS = 7


@dataclass(frozen=True, slots=True)
class Samples:
    """What was made: the organizations' names, how many statements their deliveries hold, and how many rosters."""

    organizations: tuple[str, ...]
    statements: int
    rosters: int


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
        statements = rosters = 0
        for delivery in simulate_all(plan):
            is_roster = isinstance(delivery, RosterFile)
            source = DEFAULT_ROSTER_SOURCE if is_roster else DEFAULT_SOURCE
            write_delivery(delivery, landing_folder(settings, delivery.organization.slug, source))
            if isinstance(delivery, RosterFile):
                rosters += 1
            else:
                statements += delivery.counts.records
        for planned in plan.organizations:
            organization = add_organization(connection, planned.slug, planned.name, planned.time_zone, as_of)
            roster = ensure_source(connection, organization, DEFAULT_ROSTER_SOURCE, ROSTER_FORMAT, as_of)
            configure_source(connection, roster, roster_options(planned.slug))
    return Samples(tuple(organization.name for organization in plan.organizations), statements, rosters)
