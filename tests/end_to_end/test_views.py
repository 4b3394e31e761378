"""Both views of a whole organization, against the oracle: simulated, and of the Open University inside 2014."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from lyceum import organizations
from lyceum.analytics.build import build
from lyceum.collect import collect_paths
from lyceum.simulator import Irregularities, OrganizationPlan, SimulationPlan, simulate, write_delivery
from lyceum.views import VIEWS, refresh
from oracle import figures
from oracle.calendars import Calendar
from oracle.statements import Record, read_day_record, read_statement
from oracle.views import Pair, learner_summary, organization_metrics
from property.comparison import ALWAYS
from property.product import differences
from property.views import WholeProduct
from warehouse import Warehouse

REAL = Path(__file__).parents[3] / "shared" / "data" / "oulad" / "oulad-2013B-2013J-2014B.zip"


def require_same(warehouse: Warehouse, slug: str, zone: str, records: list[Record], as_of: datetime) -> dict[Pair, Any]:
    """Refresh and compare both views; return the learner summary."""
    for view in VIEWS.values():
        refresh(warehouse.target, warehouse.settings, view, as_of, "test")
    calendar = Calendar(((ALWAYS, zone),))
    last_closed = calendar.last_closed_day(as_of)
    told = figures.compute(records, calendar, last_closed)
    product = WholeProduct(warehouse)
    names = product.names(
        slug, {record.learner for record in records}, {record.course for record in records if record.course}
    )
    expected = learner_summary(told, last_closed)
    assert differences(expected, product.learner_summary(slug, names)) == []
    ids = {name: course for course, name in names.courses.items()}
    metrics = organization_metrics(told, last_closed, lambda course: ids[course])
    assert metrics is not None
    shown = product.organization_metrics(slug)
    assert shown is not None
    assert shown.pop("data_as_of") == as_of
    assert differences({"": metrics}, {"": shown}) == []
    assert len(metrics["best_course_ids"]) == 3
    return expected


def simulated(
    warehouse: Warehouse, folder: Path, learners: int, days: int
) -> tuple[OrganizationPlan, list[Record], datetime]:
    """Publish a simulated organization; return what its statements say."""
    organization = OrganizationPlan("harbor-college", "Harbor College", "America/New_York", learners, courses=12)
    plan = SimulationPlan(
        first_day=date(2026, 3, 2), days=days, organizations=(organization,), irregularities=Irregularities()
    )
    as_of = datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(days=days)
    with warehouse.connect() as connection:
        organizations.add_organization(connection, organization.slug, organization.name, organization.time_zone, as_of)
        connection.commit()
    paths: list[Path] = []
    records: list[Record] = []
    for delivery in simulate(plan):
        paths.append(write_delivery(delivery, folder))
        # The statement itself takes most of the memory and is of no further use: every id comes once.
        records += [
            replace(read_statement(json.loads(line, parse_float=Decimal)), statement={}) for line in delivery.lines
        ]
    collect_paths(
        warehouse.target,
        warehouse.settings,
        organization=organization.slug,
        paths=paths,
        format="xapi",
        as_of=as_of,
        is_history=True,
        run_id="test",
    )
    build(warehouse.target, warehouse.settings, as_of, "test")
    return organization, records, as_of


@pytest.mark.timeout(900)
def test_a_simulated_organization_is_shown_as_the_oracle_computes_it(warehouse: Warehouse, tmp_path: Path) -> None:
    organization, records, as_of = simulated(warehouse, tmp_path, learners=150, days=9)
    rows = require_same(warehouse, organization.slug, organization.time_zone, records, as_of)
    assert len({pair.learner for pair in rows}) > 100
    assert {row["engagement_band"] for row in rows.values()} == {"high", "medium", "low", "inactive"}
    assert any(row["is_struggling"] for row in rows.values())


@pytest.mark.exhaustive
@pytest.mark.timeout(7200)
def test_ten_thousand_learners_are_shown_as_the_oracle_computes_them(warehouse: Warehouse, tmp_path: Path) -> None:
    organization, records, as_of = simulated(warehouse, tmp_path, learners=10_000, days=5)
    rows = require_same(warehouse, organization.slug, organization.time_zone, records, as_of)
    assert len({pair.learner for pair in rows}) > 6_000


# The Open University

IN_2014 = datetime(2014, 4, 15, 12, tzinfo=UTC)
FIRST_MONTHS = {"B": 2, "J": 10}
TABLES_OF_PEOPLE = ("studentRegistration", "studentVle", "studentAssessment", "studentInfo")


def sampled(source: Path, target: Path, one_of: int) -> Path:
    """Copy the set with one student in so many."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as part:
        for name in whole.namelist():
            with whole.open(name) as member, part.open(name, "w") as copy:
                lines = io.TextIOWrapper(member, encoding="utf-8", newline="")
                reader = csv.reader(lines)
                text = io.TextIOWrapper(copy, encoding="utf-8", newline="")
                writer = csv.writer(text)
                header = next(reader)
                writer.writerow(header)
                if name.removesuffix(".csv") not in TABLES_OF_PEOPLE:
                    writer.writerows(reader)
                else:
                    student = header.index("id_student")
                    writer.writerows(row for row in reader if int(row[student]) % one_of == 0)
                text.flush()
                text.detach()
    return target


def rows_of(archive: zipfile.ZipFile, table: str) -> Iterator[Mapping[str, str]]:
    with archive.open(f"{table}.csv") as member:
        yield from csv.DictReader(io.TextIOWrapper(member, encoding="utf-8", newline=""))


def records_of(path: Path, calendar: Calendar, last: date) -> Iterator[Record]:
    """What the set says up to a day. An event without a day is none."""

    def record(
        presentation: str, student: str, day: str | int, kind: str, target: str = "", **more: Any
    ) -> Iterator[Record]:
        if day in ("", "?"):
            return
        course = f"urn:oulad:course:{presentation}"
        on = starts[presentation] + timedelta(days=int(day))
        if on <= last:
            target = target or course
            start = calendar.day_start(on)
            yield read_day_record("", f"oulad:{student}", course, on, start, kind, target, **more)

    with zipfile.ZipFile(path) as archive:
        starts, lengths = {}, {}
        for row in rows_of(archive, "courses"):
            presentation = f"{row['code_module']}-{row['code_presentation']}"
            year, term = int(row["code_presentation"][:4]), row["code_presentation"][4]
            starts[presentation] = date(year, FIRST_MONTHS[term], 1)
            lengths[presentation] = int(row["module_presentation_length"])
        assessments = {
            row["id_assessment"]: f"{row['code_module']}-{row['code_presentation']}"
            for row in rows_of(archive, "assessments")
        }
        for row in rows_of(archive, "studentRegistration"):
            presentation = f"{row['code_module']}-{row['code_presentation']}"
            yield from record(presentation, row["id_student"], row["date_registration"], "registered")
            yield from record(presentation, row["id_student"], row["date_unregistration"], "unregistered")
        for row in rows_of(archive, "studentVle"):
            presentation = f"{row['code_module']}-{row['code_presentation']}"
            site, clicks = f"urn:oulad:site:{row['id_site']}", int(row["sum_click"])
            yield from record(presentation, row["id_student"], row["date"], "interacted", site, quantity=clicks)
        for row in rows_of(archive, "studentAssessment"):
            kind = "transferred" if row["is_banked"] == "1" else "submitted"
            is_scored = row["score"] not in ("", "?")
            yield from record(
                assessments[row["id_assessment"]],
                row["id_student"],
                row["date_submitted"],
                kind,
                f"urn:oulad:assessment:{row['id_assessment']}",
                score=Fraction(int(row["score"]), 100) if is_scored else None,
                is_success=int(row["score"]) >= 40 if is_scored else None,
            )
        for row in rows_of(archive, "studentInfo"):
            presentation = f"{row['code_module']}-{row['code_presentation']}"
            if row["final_result"] in ("Pass", "Distinction"):
                yield from record(presentation, row["id_student"], lengths[presentation], "passed")


@pytest.mark.exhaustive
@pytest.mark.timeout(7200)
@pytest.mark.skipif(not REAL.exists(), reason=f"needs the OULAD at {REAL.name} in ../shared/data/oulad")
def test_the_open_university_in_2014_is_shown_as_the_oracle_computes_it(warehouse: Warehouse, tmp_path: Path) -> None:
    path = sampled(REAL, tmp_path / "oulad.zip", one_of=10)
    calendar = Calendar(((ALWAYS, "Europe/London"),))
    records = list(records_of(path, calendar, calendar.local_date(IN_2014)))
    with warehouse.connect() as connection:
        organizations.add_organization(connection, "open-university", "Open University", "Europe/London", IN_2014)
        connection.commit()
    report = collect_paths(
        warehouse.target,
        warehouse.settings,
        organization="open-university",
        paths=[path],
        format="oulad",
        as_of=IN_2014,
        is_history=True,
        run_id="test",
    )
    assert report.events_accepted == len(records) > 300_000
    assert report.quarantined["in_the_future"] > 50_000
    build(warehouse.target, warehouse.settings, IN_2014, "test")
    rows = require_same(warehouse, "open-university", "Europe/London", records, IN_2014)
    assert {row["engagement_band"] for row in rows.values()} == {"high", "medium", "low", "inactive"}
    assert any(row["is_at_risk"] for row in rows.values())
