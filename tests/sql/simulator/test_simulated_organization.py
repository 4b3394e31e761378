"""What the simulator says of its deliveries is what the warehouse finds in them, and rosters find the people in the statements."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha1
from typing import Any

import pytest

from lyceum.adapters.oneroster import RefusedRow, open_roster
from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.organizations import add_organization, ensure_source, find_organization
from lyceum.roster import RosterReport, apply_roster, configure_source, unmatched_actors
from lyceum.simulator import (
    Delivery,
    DeliveryCounts,
    Irregularities,
    RosterFile,
    RosterPlan,
    SimulationPlan,
    roster_options,
    sample_organizations,
    simulate_all,
    write_delivery,
)
from warehouse import SharedServer, Warehouse

PLAN = SimulationPlan(
    first_day=date(2026, 11, 9),
    days=9,
    organizations=sample_organizations(1, learners=60, courses=5),
    seed=5,
    irregularities=Irregularities(late=0.05, duplicate=0.03, conflicting=0.008, malformed=0.03),
    roster=RosterPlan(unrostered=0.2, late=0.1, malformed=0.02),
)
SLUG = PLAN.organizations[0].slug
FIRST = datetime.combine(PLAN.first_day, time(0), tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """What the simulator delivered, and what the warehouse said of it."""

    warehouse: Warehouse
    delivered: DeliveryCounts
    actors: frozenset[str]
    scores_in_words: int
    rosters: tuple[RosterFile, ...]
    accepted: int
    duplicates: int
    quarantined: Counter[str]
    reports: tuple[RosterReport, ...]
    people: frozenset[str]


@pytest.fixture(scope="module")
def told(shared_server: SharedServer, template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """One organization, day by day: the roster of the morning, the statements of the day; built once at the end."""
    folder = tmp_path_factory.mktemp("simulated")
    with shared_server.database(folder / "home", template) as warehouse:
        with warehouse.connect() as connection:
            plan = PLAN.organizations[0]
            add_organization(connection, plan.slug, plan.name, plan.time_zone, FIRST)
            source = ensure_source(connection, find_organization(connection, SLUG), "roster", "oneroster", FIRST)
            configure_source(connection, source, roster_options(SLUG))
        delivered, quarantined = DeliveryCounts(), Counter[str]()
        actors: set[str] = set()
        people: set[str] = set()
        rosters: list[RosterFile] = []
        reports: list[RosterReport] = []
        accepted = duplicates = scores_in_words = 0
        for delivery in simulate_all(PLAN):
            file = write_delivery(delivery, folder / delivery.source)
            morning = FIRST + timedelta(days=(delivery.day - PLAN.first_day).days, hours=6)
            if isinstance(delivery, RosterFile):
                rosters.append(delivery)
                people |= _people(open_roster(file))
                reports.append(
                    apply_roster(warehouse.target, warehouse.settings, SLUG, file, as_of=morning, run_id="test")
                )
                continue
            delivered += delivery.counts
            actors |= _actors(delivery)
            scores_in_words += sum('"eighty percent"' in line for line in delivery.lines)
            report = collect_paths(
                warehouse.target,
                warehouse.settings,
                organization=SLUG,
                paths=[file],
                format="xapi",
                as_of=morning + timedelta(hours=20),
                is_history=False,
                run_id=delivery.name,
            )
            for one in report.inputs:
                accepted, duplicates = accepted + one.events_accepted, duplicates + one.duplicates
                quarantined.update(one.quarantined)
        build(warehouse.target, warehouse.settings, FIRST + timedelta(days=PLAN.days, hours=6), "test")
        yield Told(
            warehouse,
            delivered,
            frozenset(actors),
            scores_in_words,
            tuple(rosters),
            accepted,
            duplicates,
            quarantined,
            tuple(reports),
            frozenset(people),
        )


def _people(roster: Any) -> set[str]:
    """Return what the identity rules know of the roster's people."""
    found: set[str] = set()
    for row in roster.users():
        if not isinstance(row, RefusedRow):
            found |= {row.sourced_id, row.username, f"mailto:{row.email}"}
            found.add(sha1(f"mailto:{row.email}".encode(), usedforsecurity=False).hexdigest())
    return found


def _actors(delivery: Delivery) -> set[str]:
    """Return the identifiers of the people whom the readable statements of a delivery are about."""
    found = set()
    for line in delivery.lines:
        try:
            statement = json.loads(line)
            person = statement["object"] if statement["object"].get("objectType") == "Agent" else statement["actor"]
            found.add(_identifier(person))
        except (ValueError, KeyError):
            continue
    return found


def _identifier(person: dict[str, Any]) -> str:
    if "account" in person:
        return str(person["account"]["name"])
    return str(person.get("mbox") or person.get("mbox_sha1sum") or person["openid"])


def test_the_warehouse_counts_what_the_simulator_counted(told: Told) -> None:
    # A score that is no number is no score (docs/metrics.md); the event counts nevertheless.
    assert told.accepted == told.delivered.regular + told.scores_in_words > 3000
    assert told.duplicates == told.delivered.duplicates > 50
    refused = told.quarantined.total() - told.quarantined["conflict"]
    assert told.quarantined["conflict"] == told.delivered.conflicting > 20
    assert refused == told.delivered.malformed - told.scores_in_words > 50
    assert set(told.quarantined) - {"conflict"} <= {
        "malformed",
        "invalid",
        "missing_id",
        "missing_timestamp",
        "missing_actor",
    }
    assert told.delivered.late > 50


def test_rosters_are_applied_but_for_their_broken_rows(told: Told) -> None:
    assert len(told.reports) == len(told.rosters) > 5
    for report, roster in zip(told.reports, told.rosters, strict=True):
        assert (report.rows_read, report.rows_quarantined) == (roster.rows, roster.broken_rows)
    assert sum(roster.broken_rows for roster in told.rosters) > 0


def test_people_are_unmatched_exactly_where_no_roster_names_them_by_an_identity_that_has_a_rule(told: Told) -> None:
    unknown = told.actors - told.people
    with told.warehouse.connect() as connection:
        unmatched = unmatched_actors(connection, SLUG, limit=1000)

    assert len(unmatched) == len(unknown)
    assert 0.05 < len(unknown) / len(told.actors) < 0.5


def test_trainers_of_the_roster_have_published_numbers_of_what_they_do(told: Told) -> None:
    with told.warehouse.connect() as connection:
        rows = connection.execute(
            """
            select count(distinct subject_id), sum(learners_assigned), sum(attempts_reviewed), sum(contributions)
            from stage_three.aggregated_analytics
            where subject_type = 'trainer' and period_type = 'day'
            """
        ).fetchone()
    assert rows is not None
    trainers, assigned, reviewed, contributions = rows
    assert trainers >= 2
    assert assigned > 100
    assert reviewed > 3
    assert contributions > 0
