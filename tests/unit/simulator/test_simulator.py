"""The simulator: the same seed gives the same bytes, every regular statement is conformant, shares come out as asked."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import lyceum.simulator
from lyceum.errors import ConfigurationError
from lyceum.simulator import (
    Delivery,
    Irregularities,
    OrganizationPlan,
    RosterFile,
    RosterPlan,
    SimulationPlan,
    sample_organizations,
    simulate,
    simulate_all,
    write_deliveries,
)
from unit.simulator.xapi_checker import NonConformantError, check, check_line

SMALL = SimulationPlan(days=4, organizations=sample_organizations(2, learners=40, courses=3))
REGULAR = replace(SMALL, irregularities=Irregularities())
LONG = replace(REGULAR, days=75, organizations=sample_organizations(1, learners=60, courses=3))


@pytest.fixture(scope="module")
def long_history() -> list[dict[str, Any]]:
    """The statements of eleven weeks of one organization."""
    return [json.loads(line) for delivery in simulate(LONG) for line in delivery.lines]


def _digest(plan: SimulationPlan) -> str:
    digest = hashlib.sha256()
    for delivery in simulate(plan):
        digest.update(delivery.content())
    return digest.hexdigest()


def _ids(deliveries: list[Delivery]) -> list[str]:
    return [json.loads(line)["id"] for delivery in deliveries for line in delivery.lines]


def test_equal_plans_give_equal_bytes_whatever_the_process_its_zone_and_its_hash_seed() -> None:
    program = (
        "import hashlib\n"
        "from lyceum.simulator import *\n"
        "digest = hashlib.sha256()\n"
        "for delivery in simulate(SimulationPlan(days=4, organizations=sample_organizations(2, learners=40, courses=3))):\n"
        "    digest.update(delivery.content())\n"
        "print(digest.hexdigest())\n"
    )
    environment = {**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "4711"}
    environment["PYTHONPATH"] = str(Path(lyceum.simulator.__file__).parents[2])
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == _digest(SMALL)


def test_another_seed_gives_other_statements() -> None:
    one, other = _ids(list(simulate(REGULAR))), _ids(list(simulate(replace(REGULAR, seed=2))))
    assert not set(one) & set(other)


def test_the_sources_read_no_clock_and_no_shared_randomness() -> None:
    forbidden = {
        "now",
        "utcnow",
        "today",
        "time_ns",
        "monotonic",
        "perf_counter",
        "uuid1",
        "uuid4",
        "urandom",
        "getpid",
    }
    module_level = {"random", "randint", "choice", "shuffle", "seed"}
    for source in Path(lyceum.simulator.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in forbidden, f"{source.name}:{node.lineno} reads {node.attr}"
                is_shared = isinstance(node.value, ast.Name) and node.value.id == "random"
                assert not (is_shared and node.attr in module_level), f"{source.name}:{node.lineno}"


def test_more_days_only_append() -> None:
    short, long = list(simulate(SMALL)), list(simulate(replace(SMALL, days=6)))
    assert long[: len(short)] == short
    assert len(long) == len(short) + 4


def test_an_organization_does_not_depend_on_its_neighbours() -> None:
    alone = replace(SMALL, organizations=SMALL.organizations[1:])
    assert list(simulate(alone)) == [d for d in simulate(SMALL) if d.organization == SMALL.organizations[1]]


def test_every_regular_statement_conforms_to_xapi_1_0_3() -> None:
    deliveries = list(simulate(replace(REGULAR, irregularities=Irregularities(voided=0.05, duplicate=0.05, late=0.1))))
    verbs = {check_line(line)["verb"]["id"] for delivery in deliveries for line in delivery.lines}
    assert len(verbs) >= 18
    assert sum(delivery.counts.voids for delivery in deliveries) > 0


@pytest.mark.parametrize(
    ("damage", "clause"),
    [
        ({"id": "1"}, "2.4.1"),
        ({"actor": {"name": "N"}}, "2.4.2.3"),
        ({"timestamp": "2026-03-02T10:00:00"}, "4.5"),
        ({"result": {"score": {"scaled": 1.5}}}, "2.4.5.1"),
        ({"result": {"duration": "7 minutes"}}, "4.6"),
        ({"context": {"contextActivities": {"parent": {"id": "https://a.example"}}}}, "2.4.6.2"),
        ({"object": {"objectType": "Agent", "mbox": "mailto:a@b.example"}, "context": {"platform": "P"}}, "2.4.6"),
        ({"surprise": 1}, "2.2"),
    ],
)
def test_the_checker_itself_refuses_what_breaks_a_clause(damage: dict[str, Any], clause: str) -> None:
    statement = json.loads(next(simulate(REGULAR)).lines[0])
    check(statement)
    with pytest.raises(NonConformantError, match=clause.replace(".", r"\.")):
        check({**statement, **damage})


def test_no_statement_id_is_used_twice_by_regular_statements(long_history: list[dict[str, Any]]) -> None:
    ids = [statement["id"] for statement in long_history]
    assert len(set(ids)) == len(ids) > 5000


def test_irregularities_leave_the_regular_statements_alone() -> None:
    plan = replace(SMALL, irregularities=Irregularities(duplicate=0.2, conflicting=0.1, voided=0.1, malformed=0.2))
    regular = [line for delivery in simulate(REGULAR) for line in delivery.lines]
    disturbed = {line for delivery in simulate(plan) for line in delivery.lines}
    # The transport delay differs, so compare what the record store does not write.
    assert {line.split(',"stored"')[0] for line in regular} <= {line.split(',"stored"')[0] for line in disturbed}


def test_the_shares_come_out_as_asked() -> None:
    asked = Irregularities(late=0.20, duplicate=0.15, conflicting=0.10, voided=0.05, malformed=0.12, late_days=1)
    plan = replace(SMALL, days=12, organizations=sample_organizations(1, learners=60, courses=3), irregularities=asked)
    counts = sum((delivery.counts for delivery in simulate(plan)), start=lyceum.simulator.DeliveryCounts())
    assert counts.regular > 2000
    # What is under way at the end has not arrived: hence the tolerance.
    assert counts.late / counts.regular == pytest.approx(0.20, abs=0.03)
    assert counts.duplicates / counts.regular == pytest.approx(0.15, abs=0.025)
    assert counts.conflicting / counts.regular == pytest.approx(0.10, abs=0.025)
    assert counts.voids / counts.regular == pytest.approx(0.05, abs=0.02)
    assert counts.malformed / counts.regular == pytest.approx(0.12, abs=0.02)


def test_the_counts_of_a_delivery_are_what_its_lines_say() -> None:
    asked = Irregularities(late=0.3, duplicate=0.2, conflicting=0.2, voided=0.1, malformed=0.2, late_days=2)
    counted = lyceum.simulator.DeliveryCounts()
    contents: defaultdict[str, set[str]] = defaultdict(set)
    seen: Counter[str] = Counter()
    late = broken = voids = 0
    for delivery in simulate(replace(SMALL, organizations=SMALL.organizations[:1], days=8, irregularities=asked)):
        counted += delivery.counts
        assert len(delivery.lines) == delivery.counts.records
        for line in delivery.lines:
            try:
                statement = check_line(line)
            except NonConformantError:
                broken += 1
                continue
            voids += statement["verb"]["id"].endswith("/voided")
            delay = datetime.fromisoformat(statement.pop("stored")) - datetime.fromisoformat(statement["timestamp"])
            if not seen[statement["id"]]:
                late += delay > timedelta(hours=20)
            seen[statement["id"]] += 1
            contents[statement["id"]].add(json.dumps(statement, sort_keys=True))
    assert broken == counted.malformed
    assert voids == counted.voids
    assert late == counted.late
    assert sum(len(versions) - 1 for versions in contents.values()) == counted.conflicting
    assert sum(seen.values()) - sum(len(versions) for versions in contents.values()) == counted.duplicates


def test_a_conflicting_copy_arrives_after_the_statement_it_contradicts() -> None:
    plan = replace(SMALL, irregularities=Irregularities(conflicting=0.5))
    regular = {line.split(',"stored"')[0] for delivery in simulate(REGULAR) for line in delivery.lines}
    known: set[str] = set()
    conflicts = 0
    for organization in plan.organizations:
        for delivery in simulate(replace(plan, organizations=(organization,))):
            for line in delivery.lines:
                statement_id = json.loads(line)["id"]
                if line.split(',"stored"')[0] in regular:
                    known.add(statement_id)
                else:
                    conflicts += 1
                    assert statement_id in known
    assert conflicts > 100


def test_malformed_lines_are_of_many_kinds() -> None:
    plan = replace(SMALL, irregularities=Irregularities(malformed=1.0))
    clauses = set()
    for delivery in simulate(plan):
        for line in delivery.lines:
            try:
                check_line(line)
            except NonConformantError as found:
                clauses.add(str(found))
    assert len(clauses) >= 8


def test_a_statement_arrives_on_the_local_day_of_its_delivery() -> None:
    zones = {organization.slug: ZoneInfo(organization.time_zone) for organization in REGULAR.organizations}
    for delivery in simulate(REGULAR):
        for line in delivery.lines:
            stored = datetime.fromisoformat(json.loads(line)["stored"])
            assert stored.astimezone(zones[delivery.organization.slug]).date() == delivery.day


@pytest.mark.parametrize(
    ("zone", "first_day"),
    [
        ("Europe/London", date(2026, 3, 28)),
        ("America/New_York", date(2026, 10, 31)),
        ("Australia/Lord_Howe", date(2026, 4, 4)),
        ("America/Havana", date(2026, 3, 7)),
        ("Pacific/Apia", date(2011, 12, 29)),
    ],
)
def test_days_on_which_the_clock_is_moved_hold_each_statement_once(zone: str, first_day: date) -> None:
    organization = OrganizationPlan("border", "Border", zone, learners=60, courses=2)
    plan = replace(REGULAR, organizations=(organization,), first_day=first_day, days=3)
    days = set()
    ids: list[str] = []
    for delivery in simulate(plan):
        days.add(delivery.day)
        for line in delivery.lines:
            statement = check_line(line)
            ids.append(statement["id"])
            assert datetime.fromisoformat(statement["stored"]).astimezone(ZoneInfo(zone)).date() == delivery.day
    assert len(ids) == len(set(ids)) > 100
    assert days == {first_day, first_day + timedelta(days=1), first_day + timedelta(days=2)}


def test_nothing_happens_or_arrives_from_the_end_of_the_simulation_on() -> None:
    until = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
    plan = replace(SMALL, until=until)
    deliveries = list(simulate(plan))
    assert max(delivery.day for delivery in deliveries) == date(2026, 3, 4)
    stored = [
        datetime.fromisoformat(statement[member])
        for delivery in deliveries
        for line in delivery.lines
        if (statement := _readable(line))
        for member in ("timestamp", "stored")
    ]
    assert max(stored) < until
    assert max(stored) > until - timedelta(hours=2)


def _readable(line: str) -> dict[str, Any]:
    try:
        return check_line(line)
    except NonConformantError:
        return {}


def test_learners_study_more_on_weekdays_and_mostly_awake(long_history: list[dict[str, Any]]) -> None:
    zone = ZoneInfo(LONG.organizations[0].time_zone)
    local = [datetime.fromisoformat(statement["timestamp"]).astimezone(zone) for statement in long_history]
    weekdays, hours = Counter(moment.weekday() for moment in local), Counter(moment.hour for moment in local)
    assert min(weekdays[day] for day in range(4)) > max(weekdays[5], weekdays[6])
    assert sum(hours[hour] for hour in range(18, 23)) > 4 * sum(hours[hour] for hour in range(2, 7))


def test_people_join_complete_leave_return_and_are_graded(long_history: list[dict[str, Any]]) -> None:
    course_type = "http://adlnet.gov/expapi/activities/course"
    by_verb: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for statement in long_history:
        by_verb[statement["verb"]["id"].rsplit("/", 1)[1]].append(statement)
    finished = [
        statement
        for verb in ("completed", "passed")
        for statement in by_verb[verb]
        if statement["object"].get("definition", {}).get("type") == course_type
    ]
    assert len(finished) > 10
    assert len(by_verb["unregistered"]) > 0
    joined = Counter(
        (json.dumps(statement["actor"], sort_keys=True), statement["object"]["id"])
        for statement in by_verb["registered"]
    )
    assert max(joined.values()) > 1
    learners = {json.dumps(statement["actor"], sort_keys=True) for statement in by_verb["submit"]}
    by_trainer = [s for s in by_verb["evaluated"] if s["object"]["objectType"] == "Agent"]
    by_system = [s for s in by_verb["evaluated"] if "instructor" in s["context"]]
    assert len(by_trainer) + len(by_system) == len(by_verb["evaluated"])
    assert min(len(by_trainer), len(by_system)) > 5
    assert {json.dumps(s["object"], sort_keys=True) for s in by_trainer} <= learners
    assert {json.dumps(s["actor"], sort_keys=True) for s in by_system} <= learners
    assert any("instructor" in statement["context"] for statement in by_verb["passed"])


def test_a_learner_is_never_in_two_places(long_history: list[dict[str, Any]]) -> None:
    """Sittings that begin on one day follow one another; only one that runs past midnight may meet the next day's."""
    watching: dict[str, str] = {}
    interrupted = statements = 0
    for statement in sorted(long_history, key=lambda s: datetime.fromisoformat(s["timestamp"])):
        session = (
            statement.get("context", {}).get("extensions", {}).get("https://w3id.org/xapi/video/extensions/session-id")
        )
        if session is None:
            continue
        actor = json.dumps(statement["actor"], sort_keys=True)
        verb = statement["verb"]["id"].rsplit("/", 1)[1]
        statements += 1
        interrupted += verb != "initialized" and watching.get(actor) != session
        watching[actor] = session
    assert statements > 1000
    assert interrupted < statements * 0.001


def test_files_hold_the_deliveries_and_writing_them_again_changes_nothing(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    report = write_deliveries(SMALL, tmp_path, progress=lambda done, total: heard.append((done, total)))
    first = {file: file.read_bytes() for file in report.files}
    write_deliveries(SMALL, tmp_path)
    assert {file: file.read_bytes() for file in report.files} == first
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(report.files)
    names = {file.relative_to(tmp_path).as_posix() for file in report.files}
    assert "northlight-university/xapi/northlight-university-2026-03-02.ndjson.gz" in names
    assert "northlight-university/roster/northlight-university-roster-2026-03-02-full.zip" in names
    statements = [content for file, content in first.items() if file.parent.name == "xapi"]
    lines = [line for content in statements for line in gzip.decompress(content).decode().splitlines()]
    assert lines == [line for delivery in simulate(SMALL) for line in delivery.lines]
    assert report.counts.records == len(lines)
    assert report.byte_length == sum(map(len, first.values()))
    assert report.rosters == len(first) - len(statements)
    assert heard == [(done, 8) for done in range(1, 9)]


def test_the_number_of_workers_decides_no_byte(tmp_path: Path) -> None:
    alone = write_deliveries(SMALL, tmp_path / "one")
    heard: list[tuple[int, int]] = []
    shared = write_deliveries(
        SMALL, tmp_path / "two", workers=2, progress=lambda done, total: heard.append((done, total))
    )
    assert replace(shared, files=()) == replace(alone, files=())
    assert heard[-1] == (8, 8)

    def contents(folder: Path) -> dict[Path, bytes]:
        return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")}

    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_large_organization_delivers_in_parts_with_one_roster(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("plan", "organization"):
        monkeypatch.setattr(f"lyceum.simulator.{module}.LEARNERS_PER_PART", 30)
    plan = replace(SMALL, organizations=(OrganizationPlan("wide", "Wide", "UTC", learners=70, courses=3),))
    assert plan.organizations[0].parts == 3
    deliveries = list(simulate_all(plan))
    statements = [delivery for delivery in deliveries if isinstance(delivery, Delivery)]
    rosters = [delivery for delivery in deliveries if isinstance(delivery, RosterFile)]
    names = {delivery.name for delivery in statements}
    assert len(names) == 4 * 3
    assert "wide-2026-03-02-part-0003.ndjson.gz" in names
    ids = _ids([replace(delivery, lines=_regular_lines(delivery)) for delivery in statements])
    assert len(set(ids)) > 500
    usernames = set(re.findall(rb"s000\d{3}@", rosters[0].files["users.csv"]))
    assert min(usernames) < b"s000030" < b"s000061" < max(usernames)
    teachers = [line for line in rosters[0].files["enrollments.csv"].splitlines() if b",teacher," in line]
    assert len(teachers) == len(set(teachers)) <= 2 * 3


def _regular_lines(delivery: Delivery) -> tuple[str, ...]:
    return tuple(line for line in delivery.lines if _readable(line))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_learners_give_up_as_often_as_asked(share: float) -> None:
    organizations = sample_organizations(1, learners=60, courses=3, drop_out=share, cohorts=1)
    finished: set[str] = set()
    begun: set[str] = set()
    for delivery in simulate(replace(LONG, organizations=organizations, days=110)):
        for line in delivery.lines:
            statement = json.loads(line)
            registration = statement["context"].get("registration")
            if statement["verb"]["id"].endswith("/registered"):
                begun.add(registration)
            elif statement["verb"]["id"].endswith("/earned"):
                finished.add(registration)
    # Some need more time, some never begin.
    assert len(finished & begun) / len(begun) == pytest.approx((1 - share) * 0.85, abs=0.15)


def test_cohorts_begin_weeks_apart() -> None:
    organizations = sample_organizations(1, learners=60, courses=3, cohorts=3)
    first_days: dict[str, int] = {}
    for delivery in simulate(replace(REGULAR, organizations=organizations, days=64)):
        for line in delivery.lines:
            statement = json.loads(line)
            if statement["verb"]["id"].endswith("/registered"):
                first_days.setdefault(json.dumps(statement["actor"]), (delivery.day - REGULAR.first_day).days)
    weeks = Counter(day // 7 for day in first_days.values())
    assert set(weeks) == {0, 4, 8}
    assert min(weeks.values()) >= 15


def test_the_staff_of_a_course_changes_and_newcomers_teach_it() -> None:
    organizations = sample_organizations(1, learners=60, courses=12, trainers=6)
    graders: defaultdict[str, set[str]] = defaultdict(set)
    for delivery in simulate(replace(REGULAR, organizations=organizations, days=90)):
        for line in delivery.lines:
            statement = json.loads(line)
            instructor = statement.get("context", {}).get("instructor")
            if instructor and statement["verb"]["id"].endswith("/passed"):
                course = statement["context"]["contextActivities"]["parent"][0]["id"]
                graders[course].add(json.dumps(instructor))
    assert max(len(trainers) for trainers in graders.values()) > 1


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_releases_of_python_make_the_same_statements_and_rosters(version: str) -> None:
    python = shutil.which(f"python{version}")
    sources = str(Path(lyceum.simulator.__file__).parents[2])
    # Where pyenv keeps the interpreters, its commands need to hear which one is meant.
    environment = {**os.environ, "PYENV_VERSION": version, "PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}
    program = (
        "import hashlib\n"
        "from lyceum.simulator import *\n"
        "digest = hashlib.sha256()\n"
        "plan = SimulationPlan(days=9, organizations=sample_organizations(2, learners=40, courses=5))\n"
        "for delivery in simulate_all(plan):\n"
        "    parts = delivery.files.values() if isinstance(delivery, RosterFile) else [l.encode() for l in delivery.lines]\n"
        "    for part in parts:\n"
        "        digest.update(part)\n"
        "print(digest.hexdigest())\n"
    )

    def digest_by(executable: str) -> str:
        process = subprocess.run([executable, "-c", program], env=environment, capture_output=True, text=True)
        return process.stdout.strip() if process.returncode == 0 else ""

    if python is None or not (found := digest_by(python)):
        pytest.skip(f"There is no Python {version} with the time zone data that the simulator needs")
    assert found == digest_by(sys.executable)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Irregularities(duplicate=1.2), r"share of duplicate statements is 1\.2"),
        (lambda: Irregularities(late_days=0), "0 days late"),
        (lambda: SimulationPlan(days=0), "covers 0 days"),
        (lambda: SimulationPlan(organizations=()), "no organization"),
        (lambda: SimulationPlan(organizations=sample_organizations(1) * 2), "share a slug"),
        (lambda: SimulationPlan(until=datetime(2026, 3, 4)), "no time zone"),  # noqa: DTZ001
        (lambda: OrganizationPlan("Bad Slug", "B", "UTC"), "slug 'Bad Slug'"),
        (lambda: OrganizationPlan("good", "G", "Europe/Atlantis"), "Europe/Atlantis"),
        (lambda: OrganizationPlan("good", "G", "UTC", learners=0), "0 learners"),
        (lambda: OrganizationPlan("good", "G", "UTC", trainers=0), "0 trainers"),
        (lambda: OrganizationPlan("good", "G", "UTC", drop_out=1.5), r"given up is 1\.5"),
        (lambda: OrganizationPlan("good", "G", "UTC", cohorts=-1), "-1 cohorts"),
        (lambda: RosterPlan(version="1.0"), "version is '1.0'"),
        (lambda: RosterPlan(full_every=0), "every 0 days"),
        (lambda: RosterPlan(unrostered=2), "share unrostered is 2"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_what_was_expected(make: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        make()
    assert "Expected" in str(caught.value)


def test_sample_organizations_differ_however_many_are_asked_for() -> None:
    organizations = sample_organizations(20)
    assert len({organization.slug for organization in organizations}) == 20
    assert len({organization.time_zone for organization in organizations[:8]}) == 8
