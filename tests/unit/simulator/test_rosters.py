"""Simulated rosters: conformant, consistent with the statements beside them, and told in deltas as in full."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lyceum.adapters.oneroster import EnrollmentRow, RefusedRow, RosterDelivery, open_roster
from lyceum.simulator import (
    Delivery,
    Irregularities,
    RosterFile,
    RosterPlan,
    SimulationPlan,
    roster_options,
    sample_organizations,
    simulate,
    simulate_all,
    write_delivery,
)
from unit.adapters.oneroster.roster_files import HEADERS, USERS_1_1

CLEAN = RosterPlan(unrostered=0.0, late=0.0, malformed=0.0)
PLAN = SimulationPlan(
    days=29,
    organizations=sample_organizations(1, learners=80, courses=5),
    irregularities=Irregularities(),
    roster=CLEAN,
)
SLUG = PLAN.organizations[0].slug


def _rosters(plan: SimulationPlan) -> list[RosterFile]:
    return [delivery for delivery in simulate_all(plan) if isinstance(delivery, RosterFile)]


def _opened(roster: RosterFile, folder: Path) -> RosterDelivery:
    return open_roster(write_delivery(roster, folder))


def _everything(roster: RosterDelivery) -> list[Any]:
    methods = (
        roster.orgs,
        roster.academic_sessions,
        roster.courses,
        roster.classes,
        roster.users,
        roster.roles,
        roster.enrollments,
    )
    return [row for method in methods for row in method()]


def _identifiers(statements: list[dict[str, Any]], verb: str) -> set[str]:
    """Return the account names and addresses of the actors of a verb."""
    found = set()
    for statement in statements:
        actor = statement["actor"]
        if statement["verb"]["id"].endswith(verb) and ("account" in actor or "mbox" in actor):
            found.add(actor["account"]["name"] if "account" in actor else actor["mbox"].removeprefix("mailto:"))
    return found


@pytest.fixture(scope="module")
def statements() -> list[dict[str, Any]]:
    return [json.loads(line) for delivery in simulate(PLAN) for line in delivery.lines]


@pytest.mark.parametrize("version", ["1.2", "1.1"])
def test_every_row_is_accepted_by_a_reader_that_refuses_what_the_standard_forbids(version: str, tmp_path: Path) -> None:
    rosters = _rosters(replace(PLAN, roster=replace(CLEAN, version=version)))
    assert Counter(roster.mode for roster in rosters)["full"] == 5
    assert len(rosters) > 15
    for roster in rosters:
        opened = _opened(roster, tmp_path)
        rows = _everything(opened)
        assert (opened.version, len(rows)) == (version, roster.rows)
        assert not [row for row in rows if isinstance(row, RefusedRow)]
        modes = {mode for mode in opened.files.values() if mode != "absent"}
        assert modes == {"bulk" if roster.mode == "full" else "delta"}


@pytest.mark.parametrize("version", ["1.2", "1.1"])
def test_files_have_the_standards_columns_in_its_order_and_state_changes_in_deltas_alone(version: str) -> None:
    for roster in _rosters(replace(PLAN, roster=replace(CLEAN, version=version))):
        tables = {name.removesuffix(".csv"): content.decode() for name, content in roster.files.items()}
        stated = dict(csv.reader(tables.pop("manifest").splitlines()))
        files = {name.removeprefix("file."): mode for name, mode in stated.items() if name.startswith("file.")}
        assert len(files) == (21 if version == "1.2" else 13)
        assert (stated["manifest.version"], stated["oneroster.version"]) == ("1.0", version)
        mode = "bulk" if roster.mode == "full" else "delta"
        assert {name for name, found in files.items() if found == mode} == set(tables)
        assert set(files.values()) <= {mode, "absent"}
        for kind, text in tables.items():
            header, *rows = csv.reader(text.splitlines())
            metadata = ["metadata.xapiActivity"] if kind == "classes" else []
            assert header == [
                *(USERS_1_1 if (kind, version) == ("users", "1.1") else HEADERS[kind]).split(","),
                *metadata,
            ]
            for row in rows:
                if roster.mode == "full":
                    assert row[1:3] == ["", ""]
                else:
                    assert row[1] in ("active", "tobedeleted")
                    assert row[2] == f"{roster.day}T02:00:00.000Z"


def test_roles_are_told_in_both_versions(tmp_path: Path) -> None:
    told = []
    for version in ("1.1", "1.2"):
        [full, *_] = _rosters(replace(PLAN, roster=replace(CLEAN, version=version)))
        users = [row for row in _opened(full, tmp_path / version).users() if not isinstance(row, RefusedRow)]
        told.append({row.sourced_id: row.roles for row in users})
    assert told[0] == told[1]
    assert Counter(role for roles in told[0].values() for role in roles)["trainer"] >= 2


def test_broken_rows_are_refused_and_no_others(tmp_path: Path) -> None:
    rosters = _rosters(replace(PLAN, roster=replace(CLEAN, malformed=0.3)))
    reasons: Counter[str] = Counter()
    for roster in rosters:
        refused = [row for row in _everything(_opened(roster, tmp_path)) if isinstance(row, RefusedRow)]
        assert len(refused) == roster.broken_rows
        reasons.update(row.reason for row in refused)
    assert set(reasons) == {"malformed", "missing_value", "invalid_value", "conflict"}


def test_deltas_come_to_what_the_next_full_roster_says(tmp_path: Path) -> None:
    known: dict[str, Any] = {}
    checked = 0
    for roster in _rosters(PLAN):
        rows = [row for row in _opened(roster, tmp_path).enrollments() if isinstance(row, EnrollmentRow)]
        delivered = {row.sourced_id: row for row in rows if not row.is_deleted}
        if roster.mode == "full" and known:
            # What is new this morning stands in the full roster first.
            common = set(known) & set(delivered)
            changed = {id_ for id_ in common if known[id_] != delivered[id_]}
            assert len(common) > 0.95 * len(known)
            assert all(known[id_].end_on is None and delivered[id_].end_on == roster.day for id_ in changed)
            checked += 1
            known = delivered
        else:
            known.update(delivered)
            for row in rows:
                if row.is_deleted:
                    del known[row.sourced_id]
    assert checked == 4


def test_people_begin_end_and_go_as_time_passes(tmp_path: Path) -> None:
    kinds: Counter[str] = Counter()
    organizations = sample_organizations(1, learners=80, courses=30, trainers=20)
    for roster in _rosters(replace(PLAN, days=57, organizations=organizations)):
        if roster.mode == "full":
            continue
        opened = _opened(roster, tmp_path)
        kinds.update("user gone" for row in opened.users() if not isinstance(row, RefusedRow) and row.is_deleted)
        for row in opened.enrollments():
            assert isinstance(row, EnrollmentRow)
            state = "removed" if row.is_deleted else "ended" if row.end_on else "begun"
            kinds[f"{row.role} {state}"] += 1
            assert row.is_deleted or row.begin_on is not None
            assert row.begin_on is None or (row.begin_on - roster.day).days <= 2
    states = {f"{role} {state}" for role in ("learner", "trainer") for state in ("begun", "ended", "removed")}
    assert states | {"user gone"} <= set(kinds)


def test_who_registers_by_activity_is_in_the_roster_of_that_day_under_the_same_identity(
    statements: list[dict[str, Any]], tmp_path: Path
) -> None:
    names: set[str] = set()
    emails: set[str] = set()
    for roster in _rosters(PLAN):
        for row in _opened(roster, tmp_path).users():
            assert not isinstance(row, RefusedRow)
            names |= {row.sourced_id, row.username or ""}
            emails.add(row.email or "")
    # The last course is open to everyone and in no roster.
    open_course = sorted({s["object"]["id"] for s in statements if s["verb"]["id"].endswith("/registered")})
    assert len(open_course) == 5
    active = _identifiers([s for s in statements if "contextActivities" in s["context"]], "/submit")
    assert len(active) > 10
    assert len(active - names - emails) <= 0.1 * len(active)
    homes = {s["actor"]["account"]["homePage"] for s in statements if "account" in s["actor"]}
    options: dict[str, Any] = roster_options(SLUG)
    assert homes == {rule["home_page"] for rule in options["identity_rules"] if rule["kind"] == "account"}


def test_classes_are_the_courses_of_the_statements(statements: list[dict[str, Any]], tmp_path: Path) -> None:
    [full, *_] = _rosters(PLAN)
    rows = [row for row in _opened(full, tmp_path).classes() if not isinstance(row, RefusedRow)]
    options: dict[str, Any] = roster_options(SLUG)
    [template] = options["activity_templates"]
    activities = {template.replace("{class_code}", row.class_code or "") for row in rows}
    assert activities == {row.metadata["metadata.xapiActivity"] for row in rows}
    registered = {s["object"]["id"] for s in statements if s["verb"]["id"].endswith("/registered")}
    assert activities < registered
    assert len(registered - activities) == 1
    assert {row.starts_on for row in rows} == {date(2026, 2, 2)}


def test_an_enrollment_of_the_roster_begins_on_the_day_of_its_registration(
    statements: list[dict[str, Any]], tmp_path: Path
) -> None:
    person_of: dict[str, str] = {}
    begins: set[tuple[str, str, date]] = set()
    for roster in _rosters(PLAN):
        opened = _opened(roster, tmp_path)
        for user in opened.users():
            assert not isinstance(user, RefusedRow)
            for name in (user.sourced_id, user.username, user.email):
                person_of[name or ""] = user.sourced_id
        for row in opened.enrollments():
            assert isinstance(row, EnrollmentRow)
            if row.begin_on is not None:
                begins.add((row.user_sourced_id, row.class_sourced_id.removeprefix("class-"), row.begin_on))
    checked = 0
    for statement in statements:
        if statement["verb"]["id"].endswith("/registered"):
            actor = statement["actor"]
            name = actor["account"]["name"] if "account" in actor else actor.get("mbox", "").removeprefix("mailto:")
            if name in person_of:
                # The organization's zone is UTC in March, so the local day is the timestamp's.
                day = date.fromisoformat(statement["timestamp"][:10])
                course = statement["object"]["id"].rsplit("/", 1)[1]
                if (person_of[name], course, day) in begins:
                    checked += 1
                else:
                    assert not any(b[:2] == (person_of[name], course) for b in begins) or day >= date(2026, 3, 29)
    assert checked > 20


def test_a_share_of_the_learners_is_in_no_roster_and_some_are_told_late(tmp_path: Path) -> None:
    sizes = []
    for roster in (CLEAN, replace(CLEAN, unrostered=0.4), replace(CLEAN, late=1.0)):
        people: set[str] = set()
        late = 0
        for delivery in _rosters(replace(PLAN, roster=roster)):
            opened = _opened(delivery, tmp_path / str(roster.unrostered + roster.late))
            people |= {row.sourced_id for row in opened.users() if not isinstance(row, RefusedRow)}
            if delivery.mode == "delta":
                late += sum(
                    row.begin_on < delivery.day
                    for row in opened.enrollments()
                    if isinstance(row, EnrollmentRow)
                    and row.begin_on
                    and row.role == "learner"
                    and not row.end_on
                    and not row.is_deleted
                )
        sizes.append((len(people), late))
    assert 0.45 < sizes[1][0] / sizes[0][0] < 0.75
    assert sizes[0][1] == 0
    assert sizes[2][1] > 10


def test_statements_do_not_depend_on_the_rosters() -> None:
    alone = list(simulate(PLAN))
    beside = [delivery for delivery in simulate_all(PLAN) if isinstance(delivery, Delivery)]
    assert beside == alone
    assert list(simulate(replace(PLAN, roster=RosterPlan(version="1.1", late=0.5)))) == alone


def test_the_same_roster_has_the_same_bytes() -> None:
    first, again = _rosters(replace(PLAN, days=2)), _rosters(replace(PLAN, days=2))
    assert [roster.content() for roster in first] == [roster.content() for roster in again]
    assert _rosters(PLAN)[: len(first)] == first
