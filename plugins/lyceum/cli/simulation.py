"""The command that makes realistic data up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lyceum.cli.instants import as_of_option
from lyceum.cli.invocation import Invocation, json_option, pass_invocation
from lyceum.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from lyceum.simulator import Irregularities, OrganizationPlan

_SHARE = click.FloatRange(0, 1)


@click.command(
    epilog="""\b
    Examples:
        lyceum simulate harbor-college --seed 2
        lyceum simulate harbor-college --first-day 2026-03-02 --days 5 --learners 2000 --late 0.1
        lyceum simulate --into /tmp/deliveries --organizations 3 --first-day 2026-03-02 --days 7"""
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
@click.option("--courses", type=click.IntRange(1), default=6, show_default=True, help="Courses of each organization.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option("--late", type=_SHARE, help="Share delivered days after it happened.")
@click.option("--duplicate", type=_SHARE, help="Share delivered twice.")
@click.option("--conflicting", type=_SHARE, help="Share whose id comes again with other content.")
@click.option("--voided", type=_SHARE, help="Share that a later statement voids.")
@click.option("--malformed", type=_SHARE, help="Share beside which a broken copy comes.")
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
    learners: int,
    courses: int,
    seed: int,
    as_of: datetime | None,
    **shares: float | None,
) -> None:
    """Make up xAPI deliveries of an organization and drop them into its landing folder, or into any folder.

    Nothing that happens after --as-of is delivered. The next collect_raw_data takes what lies in a landing folder.
    """
    from lyceum.organizations import DEFAULT_SOURCE, landing_folder
    from lyceum.simulator import SimulationPlan, sample_organizations, write_delivery
    from lyceum.simulator import simulate as deliver

    if (slug is None) == (into is None):
        raise ConfigurationError(
            "Name either an organization, whose landing folder is filled, or a folder with --into. "
            "For example: lyceum simulate harbor-college --seed 2"
        )
    until = as_of or invocation.clock()
    plans: tuple[OrganizationPlan, ...]
    if slug is not None:
        plans = (_plan_of(invocation, slug, learners, courses),)
    else:
        plans = sample_organizations(organizations, learners=learners, courses=courses)
    plan = SimulationPlan(
        first_day=first_day.date() if first_day else until.date() - timedelta(days=days - 1),
        days=days,
        organizations=plans,
        seed=seed,
        irregularities=_irregularities(shares),
        until=until,
    )
    from lyceum.cli.progress import progress

    folders: set[Path] = set()
    files = records = 0
    with progress(invocation, "Simulating") as report:
        for delivery in deliver(plan):
            of = delivery.organization.slug
            # A folder for each simulation: none replaces what another has made for the same days.
            landed = landing_folder(invocation.settings, of, DEFAULT_SOURCE) / f"{plan.first_day}-seed-{seed}"
            folder = into / of if into is not None else landed
            write_delivery(delivery, folder)
            folders.add(folder)
            files += 1
            records += delivery.counts.records
            report(files, days * len(plans), "days")

    def show(console: Console) -> None:
        for folder in sorted(folders):
            console.print(f"Wrote {records:,} statements in {files} files to {folder}", markup=False)

    invocation.result({"statements": records, "files": files, "folders": sorted(folders)}, show)


def _irregularities(shares: Mapping[str, float | None]) -> Irregularities:
    from dataclasses import asdict

    from lyceum.simulator import REALISTIC, Irregularities

    asked = {name: value for name, value in shares.items() if value is not None}
    return Irregularities(**{**asdict(REALISTIC), **asked})


def _plan_of(invocation: Invocation, slug: str, learners: int, courses: int) -> OrganizationPlan:
    from lyceum.database import connect
    from lyceum.organizations import find_organization
    from lyceum.simulator import OrganizationPlan

    with connect(invocation.target) as connection:
        found = find_organization(connection, slug)
    return OrganizationPlan(found.slug, found.name, found.time_zone, learners, courses)
