"""The command that makes realistic data up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.simulator import Irregularities, OrganizationPlan, SimulationPlan

_SHARE = click.FloatRange(0, 1)
_WORTH_PROCESSES = 20_000


@click.command(
    epilog="""\b
    Examples:
        lyceum simulate harbor-college --seed 2
        lyceum simulate harbor-college --first-day 2026-03-02 --days 5 --learners 2000 --late 0.1
        lyceum simulate --into /tmp/deliveries --organizations 3 --first-day 2026-03-02 --days 7 --roster 1.2
        lyceum simulate --into /tmp/term --learners 50000 --courses 200 --days 90 --cohorts 3 --workers 8

    \b
    The statements lie in <organization>/xapi/, the rosters in <organization>/roster/. Rosters name the same people as the
    statements: by mbox, or by an account whose name is the username or the sourcedId. They come as zips: complete ones on
    the first day and every seventh, changes on the days between (people who begin, drop, leave and return, trainers who
    take over). The last of four or more courses is in no roster, and neither is a share of the learners."""
)
@click.argument("slug", required=False)
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), help="Write to this folder; no warehouse needed."
)
@click.option("--organizations", type=click.IntRange(1), default=2, show_default=True, help="How many, with --into.")
@click.option("--first-day", type=click.DateTime(["%Y-%m-%d"]), help="First local day. Default: so that it ends today.")
@click.option("--days", type=click.IntRange(1), default=7, show_default=True, help="How many local days.")
@click.option(
    "--learners", type=click.IntRange(1), default=200, show_default=True, help="Learners of each organization."
)
@click.option("--trainers", type=click.IntRange(1), help="Trainers of each organization. Default: one for 60 learners.")
@click.option("--courses", type=click.IntRange(1), default=6, show_default=True, help="Courses of each organization.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--drop-out", type=_SHARE, default=0.25, show_default=True, help="Share of enrollments given up before the end."
)
@click.option(
    "--cohorts",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Let learners begin in so many groups, four weeks apart. 0: at any time, most before the first day.",
)
@click.option("--late", type=_SHARE, show_default="0.02", help="Share delivered one to three days after it happened.")
@click.option("--duplicate", type=_SHARE, show_default="0.01", help="Share delivered twice.")
@click.option(
    "--conflicting", type=_SHARE, show_default="0.0005", help="Share whose id comes again with other content."
)
@click.option("--voided", type=_SHARE, show_default="0.001", help="Share that a later statement voids.")
@click.option("--malformed", type=_SHARE, show_default="0.002", help="Share beside which a broken copy comes.")
@click.option("--roster", type=click.Choice(["1.2", "1.1"]), help="Deliver OneRoster CSV of this version too.")
@click.option(
    "--full-every", type=click.IntRange(1), default=7, show_default=True, help="Days from one full roster to the next."
)
@click.option(
    "--unrostered", type=_SHARE, default=0.03, show_default=True, help="Share of learners that no roster names."
)
@click.option(
    "--roster-late",
    type=_SHARE,
    default=0.02,
    show_default=True,
    help="Share of enrollments told days after they began.",
)
@click.option(
    "--roster-malformed",
    type=_SHARE,
    default=0.002,
    show_default=True,
    help="Share of rows beside which a broken one is.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes. Default: as many as help; they decide no byte.")
@as_of_option()
@json_option
@pass_invocation
def simulate(
    invocation: Invocation,
    /,
    slug: str | None,
    into: Path | None,
    organizations: int,
    first_day: datetime | None,
    days: int,
    seed: int,
    roster: str | None,
    full_every: int,
    unrostered: float,
    roster_late: float,
    roster_malformed: float,
    workers: int | None,
    as_of: datetime | None,
    learners: int,
    courses: int,
    trainers: int | None,
    drop_out: float,
    cohorts: int,
    **shares: float | None,
) -> None:
    """Make up deliveries of an organization and drop them into its landing folder, or into any folder.

    Nothing that happens after --as-of is delivered. The next collect_raw_data, and sync_roster, take what lies in a landing
    folder. A roster source without identity rules of its own is given those of the simulated people.
    """
    from lyceum.cli.progress import progress
    from lyceum.simulator import RosterPlan, SimulationPlan, sample_organizations, write_deliveries

    if (slug is None) == (into is None):
        raise ConfigurationError(
            "Name either an organization, whose landing folder is filled, or a folder with --into. "
            "For example: lyceum simulate harbor-college --seed 2"
        )
    until = as_of or invocation.clock()
    shape = _Shape(learners=learners, courses=courses, trainers=trainers, drop_out=drop_out, cohorts=cohorts)
    plan = SimulationPlan(
        first_day=first_day.date() if first_day else until.date() - timedelta(days=days - 1),
        days=days,
        organizations=sample_organizations(organizations, **shape)
        if slug is None
        else (_plan_of(invocation, slug, shape),),
        seed=seed,
        irregularities=_irregularities(shares),
        until=until,
        roster=None
        if roster is None
        else RosterPlan(roster, full_every, unrostered, late=roster_late, malformed=roster_malformed),
    )
    # A folder for each simulation: none replaces what another has made for the same days.
    subfolder = f"{plan.first_day}-seed-{seed}" if into is None else ""
    with progress(invocation, "Simulating") as report:
        written = write_deliveries(
            plan,
            into or invocation.settings.landing,
            workers=workers or _helpful_workers(plan),
            subfolder=subfolder,
            progress=lambda done, total: report(done, total, "days"),
        )
    has_rules = slug is not None and roster is not None and _tell_whose_identities_are_whose(invocation, slug, until)
    folders = sorted({file.parent for file in written.files})
    statements, files = written.counts.records, len(written.files) - written.rosters

    def show(console: Console) -> None:
        rosters = f" and {written.rosters} rosters" if roster is not None else ""
        console.print(f"Wrote {statements:,} statements in {files} files{rosters} to", markup=False)
        for folder in folders:
            console.print(f"  {folder}", markup=False)
        if has_rules:
            console.print(f"The roster source of {slug} was told whose the simulated identities are.", markup=False)

    told = {"statements": statements, "files": files, "rosters": written.rosters, "folders": folders}
    invocation.result(told, show)


class _Shape(TypedDict):
    learners: int
    courses: int
    trainers: int | None
    drop_out: float
    cohorts: int


def _helpful_workers(plan: SimulationPlan) -> int:
    """Return one where starting processes would take longer than the work."""
    work = plan.days * sum(organization.learners for organization in plan.organizations)
    return (os.cpu_count() or 1) if work > _WORTH_PROCESSES else 1


def _tell_whose_identities_are_whose(invocation: Invocation, slug: str, as_of: datetime) -> bool:
    """Give the organization's roster source the rules of the simulated identities, unless it has rules of its own."""
    from lyceum.database import connect
    from lyceum.organizations import DEFAULT_ROSTER_SOURCE, ROSTER_FORMAT, ensure_source, find_organization
    from lyceum.roster import RosterOptions, configure_source
    from lyceum.roster.options import load_options
    from lyceum.simulator import roster_options

    with connect(invocation.target) as connection:
        organization = find_organization(connection, slug)
        source = ensure_source(connection, organization, DEFAULT_ROSTER_SOURCE, ROSTER_FORMAT, as_of)
        if load_options(connection, source) != RosterOptions():
            return False
        configure_source(connection, source, roster_options(slug))
    return True


def _irregularities(shares: Mapping[str, float | None]) -> Irregularities:
    from dataclasses import asdict

    from lyceum.simulator import REALISTIC, Irregularities

    asked = {name: value for name, value in shares.items() if value is not None}
    return Irregularities(**{**asdict(REALISTIC), **asked})


def _plan_of(invocation: Invocation, slug: str, shape: _Shape) -> OrganizationPlan:
    from lyceum.database import connect
    from lyceum.organizations import find_organization
    from lyceum.simulator import OrganizationPlan

    with connect(invocation.target) as connection:
        found = find_organization(connection, slug)
    return OrganizationPlan(found.slug, found.name, found.time_zone, **shape)
